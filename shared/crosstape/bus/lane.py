"""A publisher's writer for one partition: makes batches of what waits, has one call in flight, and keeps what was written for a while.

A batch keeps its number and its content however often it is sent, so a retry writes nothing twice. The server says where its cursor stands
when that is not where the batch follows on: it has lost data, and gets again what is still in the ring.
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

from crosstape.bus.connection import ask, ask_raw
from crosstape.bus.health import raise_if_cancelled
from crosstape.bus.script import WRITE, WRITE_SHA, Failure, Refused, Written, parse_write
from crosstape.bus.stream import Stream
from crosstape.bus.wire import wire
from crosstape.errors import Superseded
from crosstape_schemas import VENUE_WIDE, Event, GapCause, decode, stamp

if TYPE_CHECKING:
    from crosstape.bus.publisher import Publisher

BATCH_BYTES: Final = 1 << 20
"""A batch is closed after the stream that takes it past this: long deltas must not make one call of many megabytes."""

log = structlog.get_logger()


class Group:
    """Consecutive entries of one stream in one batch."""

    __slots__ = ("count", "first", "from_ts", "stream", "to_ts")

    def __init__(self, stream: Stream, first: int, chunk: list[Event]) -> None:
        self.stream = stream
        self.first = first
        self.count = len(chunk)
        self.from_ts = chunk[0].received_ts
        self.to_ts = chunk[-1].received_ts


class Batch:
    """One script call, as it is sent and, if need be, sent again."""

    __slots__ = ("args", "entries", "groups", "keys", "number", "size", "written_at")

    def __init__(self, number: int, *, keys: list[bytes], args: list[bytes], groups: list[Group], entries: int, size: int) -> None:
        self.number = number
        self.keys = keys
        self.args = args
        self.groups = groups
        self.entries = entries
        self.size = size
        self.written_at = 0.0


class Lane:
    """Writes the streams of one partition. `dirty` are those with something pending, in the order in which they got it."""

    def __init__(self, publisher: Publisher, partition: int) -> None:
        settings = publisher.settings
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
        self._number = 1
        # The first batch is empty: it claims the cursor, so that a predecessor that still runs is told to stop before we write, or read
        # what it wrote last.
        self._in_flight: Batch | None = Batch(
            1, keys=[self._cursor, self._registry], args=[self._epoch, b"1", b""], groups=[], entries=0, size=0
        )
        self.claimed = asyncio.Event()
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
        return bool(self.dirty) or self._in_flight is not None

    async def write_next(self) -> None:
        """Write one batch, if anything waits. Cancelled, it leaves the batch in flight for the next call. Raises `Superseded`."""
        async with self._writing:  # one call in flight, though `run` and `drain` may both want to
            batch = self._in_flight
            if batch is None:
                if not self.dirty:
                    return
                batch = self._in_flight = self._next()
            await self._deliver(batch)
            self._in_flight = None
            self.claimed.set()
            self._publisher.acknowledge(batch.entries)

    def _next(self) -> Batch:
        """Number what waits, up to the cap, and encode it. The cost of an entry is paid here, and is most of what it costs at all."""
        self._number += 1
        keys = [self._cursor, self._registry]
        args = [self._epoch, b"%d" % self._number, b""]
        groups: list[Group] = []
        room, size, at = self._cap, 0, 0
        dirty, epoch = self.dirty, self._publisher.epoch
        for at, stream in enumerate(dirty, 1):  # noqa: B007
            chunk = stream.pending
            if len(chunk) > room:
                stream.pending = chunk[room:]
                del chunk[room:]
            else:
                stream.pending = []
            first = stream.seq + 1
            entries = [stamp(event, epoch, seq) for seq, event in enumerate(chunk, first)]
            count = len(entries)
            stream.seq += count
            room -= count
            pairs = stream.last_pairs(chunk)
            keys += (stream.key, stream.last_key)
            args += (stream.max_length, b"0" if stream.registered else b"1", b"%d" % count, b"%d" % (len(pairs) // 2), *pairs)
            args += entries
            groups.append(Group(stream, first, chunk))
            size += sum(map(len, entries))
            if not room or size > BATCH_BYTES:
                break
        self.dirty = dirty[at:]
        if groups[-1].stream.pending:
            self.dirty.append(groups[-1].stream)
        return Batch(self._number, keys=keys, args=args, groups=groups, entries=self._cap - room, size=size)

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
