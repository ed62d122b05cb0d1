"""One batch onto the server; and when that has lost data, before it what it lost and is still in the ring.

A batch keeps its number and its content however often it is sent, so a retry writes nothing twice. The server says where its cursor stands
when that is not where the batch follows on.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec
import structlog
from redis.exceptions import NoScriptError

from crosstape.bus.client import eviction
from crosstape.bus.client.call import execute, execute_raw
from crosstape.bus.client.raw_connection import wire
from crosstape.bus.lease.fencing import number
from crosstape.bus.publish.batch import Batch, Group
from crosstape.bus.publish.losses import Losses
from crosstape.bus.publish.memory_budget import MemoryBudget
from crosstape.bus.publish.producer import Producer
from crosstape.bus.publish.retransmit_buffer import RetransmitBuffer
from crosstape.bus.publish.script import WRITE, WRITE_SHA, Failure, Refused, Written, parse_write
from crosstape.bus.publish.stream import Queue, Stream
from crosstape.errors import Superseded
from crosstape_schemas import VENUE_WIDE, GapCause, decode

log = structlog.get_logger()

REFUSED_S: Final = 0.1
"""The pause after a batch was refused twice, with what the server lacked sent before it; it doubles with each time …"""
LONGEST_S: Final = 5.0
"""… up to this."""


class Delivery:
    """To one partition, one batch at a time. States that nobody would tell again go back into `queue`, for which `room` is taken."""

    def __init__(
        self,
        producer: Producer,
        partition: int,
        *,
        queue: Queue,
        room: MemoryBudget,
        losses: Losses,
        restore: Callable[[], Awaitable[None]],
    ) -> None:
        """`restore`: gives a server that lost data its identity again."""
        self._producer = producer
        self._partition = partition
        self._queue = queue
        self._room = room
        self._losses = losses
        self._restore = restore
        self._availability = producer.availability
        self._metrics = producer.metrics
        self._wire = wire(producer.client)
        self._cursor = producer.cursor(partition)
        self._told: set[tuple[Stream, str]] = set()
        settings = producer.settings
        self._ring = RetransmitBuffer(settings.retransmit_s, settings.retransmit_bytes // producer.keys.partitions)

    async def deliver(self, batch: Batch) -> None:
        """Have `batch` on the tape, and before it whatever the server lost of those in the ring.

        Waits as long as the server is away. Cancelled, it can be called again with the same. Raises `Superseded`.
        """
        follows = batch.number - 1
        todo = deque([batch])
        pauses: Iterator[float] | None = None
        while todo:
            sent = todo[0]
            answer = await self._send(sent, follows)
            if isinstance(answer, Refused):
                found = self._found(answer)
                if found < sent.number:
                    if pauses is None:  # what it lost is sent at once; refused again, it may be for ever
                        pauses = _pauses()
                    else:
                        await asyncio.sleep(next(pauses))
                    follows = found
                    todo = await self._recover(found, batch)
                    continue
            else:
                pauses = None
                for group in sent.groups:
                    group.stream.registered = True
                for failure in answer.failures:
                    self._note_failure(sent.groups[failure.group], failure)
            todo.popleft()
            follows = sent.number
        self._ring.keep(batch, time.monotonic())

    async def _send(self, batch: Batch, follows: int) -> Written | Refused:
        batch.args[2] = b"%d" % follows
        started = time.monotonic()
        answer = await self._availability.until_answered(lambda: self._call(batch), self)
        if batch.entries:
            self._metrics.written(batch.entries, time.monotonic() - started)
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
        producer = self._producer
        found = number(self._cursor.decode(), refused.epoch)
        if found > producer.epoch:
            raise Superseded(f"{producer.name} was started again elsewhere: its epoch is {found}")
        return refused.batch if found == producer.epoch else 0

    def _note_failure(self, group: Group, failure: Failure) -> None:
        stream, lost = group.stream, group.count - failure.written
        stream.registered = failure.written > 0
        if (stream, failure.reason) not in self._told:
            self._told.add((stream, failure.reason))
            log.error("bus.stream_refused", stream=stream.key.decode(), reason=failure.reason, lost=lost)
        if lost:
            self._losses.note(stream, GapCause.BUS, group.from_ts, group.to_ts, lost)

    async def _recover(self, found: int, batch: Batch) -> deque[Batch]:
        """What to send to a server whose cursor stands at `found`; what it lost and we no longer have becomes a loss of its stream."""
        await self._restore()
        until_answered = self._availability.until_answered
        has = {stream: await until_answered(functools.partial(self._last_on_server, stream), self) for stream in self._queue.streams}
        lost = self._ring.lacking(found, has)
        todo = deque([*lost, batch])
        resent = sum(kept.entries for kept in lost)
        log.warning(
            "bus.data_lost", producer=self._producer.name, partition=self._partition, cursor=found, number=batch.number, resent=resent
        )
        self._note_lost(todo, has)
        await eviction.warn(self._producer.client, lost=True)
        await until_answered(self._register, self)
        if resent:
            self._metrics.retransmitted(resent)
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
                to_ts = again.from_ts if again else stream.numbered_ts
                self._losses.note(stream, GapCause.BUS, seq_ts or min(self._producer.started_ts, to_ts), to_ts, missed)
                stream.reported = upto
                if again is None or stream.kind == "status":
                    self._room.take(self._queue.put_newest(stream))

    async def _last_on_server(self, stream: Stream) -> tuple[int, int]:
        """`seq` and `received_ts` of the newest of ours that it has, or zeros: the hash is written together with the stream."""
        client = self._producer.client
        if stream.instrument == VENUE_WIDE:  # gaps on it are not in the hash, but nobody else writes it
            entries = await execute_raw(client, "XREVRANGE", stream.key, "+", "-", "COUNT", 1, key=stream.key)
            values = [fields[1] for _, fields in entries]
        else:
            values = await execute_raw(client, "HVALS", stream.last_key, key=stream.last_key)
        newest = (0, 0)
        for value in values:
            try:
                event = decode(value)
            except msgspec.MsgspecError:
                continue  # not ours
            if event.venue == stream.venue and event.epoch == self._producer.epoch:
                newest = max(newest, (event.seq, event.received_ts))
        return newest

    async def _register(self) -> None:
        if streams := self._queue.streams:
            await execute(self._producer.client, "SADD", self._producer.registry(self._partition), *(stream.key for stream in streams))


def _pauses() -> Iterator[float]:
    pause = REFUSED_S
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_S)
