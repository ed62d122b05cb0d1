"""A publisher's writer for one partition: makes batches of what waits, has one call in flight, and keeps what was written for a while.

A batch keeps its number and its content however often it is sent, so a retry writes nothing twice. The server says where its cursor stands
when that is not where the batch follows on: it has lost data, and gets again what is still in the ring.

With a spool that has something in it, a batch of spooled entries and one of what waits in memory take turns: what happened while the
server was away must not hold up the states of now.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from redis.exceptions import NoScriptError

from crosstape.bus.batch import Batch, Group
from crosstape.bus.connection import ask, ask_raw
from crosstape.bus.health import raise_if_cancelled
from crosstape.bus.script import WRITE, WRITE_SHA, Failure, Refused, Written, parse_write
from crosstape.bus.spool import Spool
from crosstape.bus.spool_file import Chunk
from crosstape.bus.stream import Stream
from crosstape.bus.wire import wire
from crosstape.errors import BusError, Superseded
from crosstape_schemas import VENUE_WIDE, Event, GapCause, decode

if TYPE_CHECKING:
    from crosstape.bus.publisher import Publisher

BATCH_BYTES: Final = 1 << 20
"""A batch is closed after the stream that takes it past this: long deltas must not make one call of many megabytes."""

LOCK_S: Final = 10.0
"""How long a predecessor, which is told to stop as soon as it writes, may take to let go of the spool."""

LOCK_POLL_S: Final = 0.05

log = structlog.get_logger()


class Lane:
    """Writes the streams of one partition. `dirty` are those with something pending, in the order in which they got it."""

    def __init__(self, publisher: Publisher, partition: int, spool: Spool | None = None) -> None:
        settings = publisher.settings
        self.spool = spool
        self.dirty: list[Stream] = []
        self.wake = asyncio.Event()
        self.streams: list[Stream] = []
        self._publisher = publisher
        self._partition = partition
        self._wire = wire(publisher.client)
        self._cursor = publisher.keys.cursor(publisher.producer, partition).encode()
        self._registry = publisher.keys.registry(partition).encode()
        self._epoch = str(publisher.epoch).encode()
        self._cap = settings.batch
        self._writing = asyncio.Lock()
        self._number = 0
        # The first batch is empty: it claims the cursor, so that a predecessor that still runs is told to stop before we write, or read
        # what it wrote last.
        self._in_flight: Batch | None = self._batch()
        self.claimed = asyncio.Event()
        """Set when no predecessor can write any more, and what it left in the spool is on the tape."""
        self._spooled_last = False
        self._spooled_ts = 0
        self._ring: deque[Batch] = deque()
        self._ring_size = 0
        self._ring_s = settings.retransmit_s
        self._ring_bytes = settings.retransmit_bytes // publisher.keys.partitions

    async def run(self) -> None:
        """Write until cancelled. Raises `Superseded`."""
        while True:
            if not self.waiting:
                self.wake.clear()
                await self.wake.wait()  # as long as it takes: nothing is to be done before
            await self.write_next()
            raise_if_cancelled()

    @property
    def waiting(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.dirty) or self._in_flight is not None or (self.spool is not None and self.spool.waiting)

    async def write_next(self) -> None:
        """Write one batch, if anything waits. Cancelled, it leaves the batch in flight for the next call. Raises `Superseded`."""
        async with self._writing:  # one call in flight, though `run` and `drain` may both want to
            batch = self._in_flight
            if batch is None:
                if self.spool is not None and self.spool.waiting:
                    batch = await self._next_spooled(self.spool)
                if batch is None:
                    if not self.dirty:
                        return
                    batch = self._next()
                self._in_flight = batch
            await self._deliver(batch)
            self._in_flight = None
            if self.spool is None:
                self.claimed.set()
            elif batch.spooled_to:
                self._used(self.spool, batch.spooled_to)
            self._publisher.acknowledge(batch.entries)

    def begin_spool(self) -> bool:
        """From now on what happens goes through the spool, what waits in memory first: whether it does."""
        spool = self.spool
        if spool is None or spool.active:
            return spool is not None
        flying = self._in_flight
        carried = [] if flying is None or flying.spooled_to else flying.happenings()
        if not spool.begin(carried, self._publisher.epoch, flying.number if flying else 0):
            return False
        self._through_spool(spool)
        return True

    def _through_spool(self, spool: Spool) -> None:
        spool.active = True
        for stream in self.dirty:
            if not stream.conflates:
                spool.backlog.extend(stream.pending)
                stream.pending = []
        self.dirty = [stream for stream in self.dirty if stream.pending]
        spool.schedule()
        self.wake.set()

    def _batch(self, spooled_to: int = 0) -> Batch:
        """The next one, still empty."""
        self._number += 1
        position = b""
        if self.spool is not None:
            position = self.spool.position_at(spooled_to) if spooled_to else self.spool.position
        return Batch(
            self._number, cursor=self._cursor, registry=self._registry, epoch=self._epoch, position=position, spooled_to=spooled_to
        )

    def _next(self) -> Batch:
        """A batch of what waits, up to the cap."""
        batch = self._batch()
        room, at = self._cap, 0
        dirty, epoch = self.dirty, self._publisher.epoch
        for at, stream in enumerate(dirty, 1):  # noqa: B007
            chunk = stream.pending
            if len(chunk) > room:
                stream.pending = chunk[room:]
                del chunk[room:]
            else:
                stream.pending = []
            batch.add(stream, chunk, epoch)
            room -= len(chunk)
            if not room or batch.size > BATCH_BYTES:
                break
        self.dirty = dirty[at:]
        last = batch.groups[-1].stream
        if last.pending:
            self.dirty.append(last)
        return batch

    async def _next_spooled(self, spool: Spool) -> Batch | None:
        """The next batch of what was spooled, if it is its turn."""
        if not spool.adopted or not spool.settled:
            await self._adopt(spool)
        if not spool.active:
            return None
        self._spooled_last = not self._spooled_last
        if self.dirty and not self._spooled_last:
            return None
        stuck = not spool.file.unread and not spool.spill()  # else what waits for the file, which is no better than memory, goes past it
        chunk = await spool.read(self._cap, BATCH_BYTES)
        batch = None
        if not spool.active:  # it was left meanwhile
            return None
        if chunk is not None:
            spool.file.take(chunk)
            batch = self._spooled_batch(spool, chunk)
        if not spool.file.unread and (stuck or len(spool.backlog) <= self._cap):
            self._past_spool(spool)
        if batch is None and chunk is not None:
            self._used(spool, chunk.end)
        return batch

    def _spooled_batch(self, spool: Spool, chunk: Chunk) -> Batch | None:
        """These entries, by stream; those that are no event of ours are lost, as are those that could not be read."""
        chunks: dict[Stream, list[Event]] = {}
        lost, entries, before_ts = 0, 0, 0
        for payload in chunk.payloads:
            try:
                event = decode(payload)
                chunks.setdefault(self._publisher.stream(event), []).append(event)
            except (msgspec.MsgspecError, BusError):  # of another version, or of another venue
                lost += 1
                before_ts = before_ts or self._spooled_ts
                continue
            entries += 1
            self._spooled_ts = event.received_ts
        if lost or chunk.lost:
            self._publisher.damaged(lost + chunk.lost, before_ts or self._spooled_ts or spool.file.header.id)
        if not chunks:
            return None
        batch = self._batch(chunk.end)
        for stream, events in chunks.items():
            batch.add(stream, events, self._publisher.epoch)
        self._publisher.take_room(entries)
        return batch

    def _past_spool(self, spool: Spool) -> None:
        """What is in the file is on its way; what comes now follows it in memory."""
        for event in spool.end():
            stream = self._publisher.stream(event)
            if not stream.pending:
                self.dirty.append(stream)
            stream.pending.append(event)

    def _used(self, spool: Spool, index: int) -> None:
        spool.use(index)
        if not self.claimed.is_set() and (not spool.file.opened or spool.file.used_to >= spool.inherited_to):
            self.claimed.set()

    async def _adopt(self, spool: Spool) -> None:
        """Now that a predecessor cannot write to the server any more, find what it left in the spool, behind what is on the tape of it."""
        deadline = time.monotonic() + LOCK_S
        while not spool.file.opened and spool.exists() and not spool.open():
            if time.monotonic() > deadline:  # it has not ended, or the disk is no good: what it left waits for our successor
                log.error("bus.spool_left", producer=self._publisher.producer, spool=str(spool.file.directory))
                break
            await asyncio.sleep(LOCK_POLL_S)
        if not spool.settled:
            client = self._publisher.client
            said = await self._publisher.health.ask(lambda: ask(client, "HMGET", self._cursor, "spool", "prior_epoch", "prior_batch"), self)
            if unknown := await spool.settle(*said):
                self._publisher.damaged(unknown, spool.file.header.id)
        if spool.file.torn:
            self._publisher.damaged(None, spool.file.header.id, torn=spool.file.torn)
            spool.file.torn = 0
        spool.adopted = True
        if spool.file.unread and not spool.active:
            self._publisher.tighten()
            self._through_spool(spool)
        self._used(spool, 0)

    async def _deliver(self, batch: Batch) -> None:
        """Have `batch` on the tape, and before it whatever the server lost of those in the ring."""
        follows = batch.number - 1
        todo = deque([batch])
        while todo:
            sent = todo[0]
            answer = await self._send(sent, follows)
            if isinstance(answer, Refused):
                found = self._found(answer)
                if found < sent.number:
                    follows = found
                    todo = await self._recover(found, batch)
                    continue
            else:
                for group in sent.groups:
                    group.stream.registered = True
                for failure in answer.failures:
                    self._note_failure(sent.groups[failure.group], failure)
            todo.popleft()
            follows = sent.number
        self._keep(batch)

    async def _send(self, batch: Batch, follows: int) -> Written | Refused:
        batch.args[2] = b"%d" % follows
        started = time.monotonic()
        answer = await self._publisher.health.ask(lambda: self._call(batch), self)
        if batch.entries:
            self._publisher.metrics.written(batch.entries, time.monotonic() - started)
        return answer

    async def _call(self, batch: Batch) -> Written | Refused:
        call, key = self._wire.call, self._cursor
        try:
            reply = await call("EVALSHA", WRITE_SHA, len(batch.keys), *batch.keys, *batch.args, key=key)
        except NoScriptError:  # a new server, or it forgot its scripts; this teaches it
            reply = await call("EVAL", WRITE, len(batch.keys), *batch.keys, *batch.args, key=key)
        return parse_write(reply)

    def _found(self, refused: Refused) -> int:
        """The number of our last batch that the server has. Raises `Superseded`."""
        if refused.epoch > self._epoch:
            raise Superseded(
                f"{self._publisher.producer} was started again elsewhere: its epoch is {refused.epoch.decode(errors='replace')}"
            )
        return refused.batch if refused.epoch == self._epoch else 0

    def _keep(self, batch: Batch) -> None:
        """Put a written batch into the ring, and out of it what is too old or too much."""
        now = time.monotonic()
        batch.written_at = now
        ring = self._ring
        ring.append(batch)
        self._ring_size += batch.size
        while ring and (ring[0].written_at <= now - self._ring_s or self._ring_size > self._ring_bytes):
            self._ring_size -= ring.popleft().size

    async def _recover(self, found: int, batch: Batch) -> deque[Batch]:
        """What to send to a server whose cursor stands at `found`; what it lost and we no longer have becomes a loss of its stream."""
        ask = self._publisher.health.ask
        has = {stream: await ask(functools.partial(self._last_on_server, stream), self) for stream in self.streams}
        # A batch is there wholly or not at all. It is there if only the cursor was lost, not the data: evicted, or deleted by hand.
        lost = [kept for kept in self._ring if kept.number > found and all(group.first > has[group.stream][0] for group in kept.groups)]
        todo = deque([*lost, batch])
        resent = sum(kept.entries for kept in lost)
        log.warning(
            "bus.data_lost", producer=self._publisher.producer, partition=self._partition, cursor=found, number=batch.number, resent=resent
        )
        self._note_lost(todo, has)
        await ask(self._register, self)
        if resent:
            self._publisher.metrics.retransmitted(resent)
        return todo

    def _note_lost(self, todo: Iterable[Batch], has: Mapping[Stream, tuple[int, int]]) -> None:
        """Per stream, what lies between the last that the server has and the first that it will get again; and anew, what is a state."""
        kept: dict[Stream, Group] = {}
        for batch in todo:
            for group in batch.groups:
                kept.setdefault(group.stream, group)
        for stream, (seq, seq_ts) in has.items():
            again = kept.get(stream)
            upto = again.first - 1 if again else stream.seq
            missed = upto - max(seq, stream.reported)
            if missed > 0:
                to_ts = again.from_ts if again else time.time_ns()
                self._publisher.lose(stream, GapCause.BUS, seq_ts or self._publisher.epoch, to_ts, missed)
                stream.reported = upto
                if again is None or stream.kind == "status":
                    self._publisher.publish_again(stream)

    async def _last_on_server(self, stream: Stream) -> tuple[int, int]:
        """`seq` and `received_ts` of the newest of ours that it has, or zeros: the hash is written together with the stream."""
        client = self._publisher.client
        if stream.instrument == VENUE_WIDE:  # gaps on it are not in the hash, but nobody else writes it
            entries = await ask_raw(client, "XREVRANGE", stream.key, "+", "-", "COUNT", 1, key=stream.key)
            values = [fields[1] for _, fields in entries]
        else:
            values = await ask_raw(client, "HVALS", stream.last_key, key=stream.last_key)
        newest = (0, 0)
        for value in values:
            try:
                event = decode(value)
            except msgspec.MsgspecError:
                continue  # not ours
            if event.venue == stream.venue and event.epoch == self._publisher.epoch:
                newest = max(newest, (event.seq, event.received_ts))
        return newest

    async def _register(self) -> None:
        if self.streams:
            await ask(self._publisher.client, "SADD", self._registry, *(stream.key for stream in self.streams))

    def _note_failure(self, group: Group, failure: Failure) -> None:
        stream, lost = group.stream, group.count - failure.written
        stream.registered = failure.written > 0
        if (stream, failure.reason) not in self._publisher.told:
            self._publisher.told.add((stream, failure.reason))
            log.error("bus.stream_refused", stream=stream.key.decode(), reason=failure.reason, lost=lost)
        if lost:
            self._publisher.lose(stream, GapCause.BUS, group.from_ts, group.to_ts, lost)
