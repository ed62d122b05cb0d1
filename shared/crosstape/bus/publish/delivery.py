"""Delivers one batch to the server. If the server has lost data, the lost batches that are still in memory are sent before it.

A batch keeps its number and its content however often it is sent, so a retry writes nothing twice. When the batch does not follow on what
the server has, the server answers where its cursor is.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from redis.exceptions import NoScriptError, ResponseError

from crosstape.bus.client import eviction
from crosstape.bus.client.call import UNAVAILABLE, execute, execute_raw
from crosstape.bus.client.raw_connection import raw_connection
from crosstape.bus.client.reasons import denied
from crosstape.bus.lease.fencing import parse_epoch
from crosstape.bus.publish.batch import Batch, BatchRefused, BatchWritten, Group, GroupFailure, Head, parse_write
from crosstape.bus.publish.channels import Channels
from crosstape.bus.publish.losses import Losses
from crosstape.bus.publish.memory_budget import MemoryBudget
from crosstape.bus.publish.producer import Producer
from crosstape.bus.publish.retransmit_buffer import RetransmitBuffer
from crosstape.bus.publish.stream import Queue, Stream
from crosstape.errors import Superseded
from crosstape.log import get_log
from crosstape_schemas import VENUE_WIDE, GapCause, decode

log = get_log(__name__)

REFUSED_S: Final = 0.1
"""First pause when a batch is refused again, though what the server lacked was sent before it: 0.1 s, 0.2 s, 0.4 s …"""
LONGEST_S: Final = 5.0
"""Longest of these pauses."""


class Delivery:
    """Delivers to one partition, one batch at a time.

    A lost state that no later event would replace goes back into `queue`, and into the count of `memory`.
    """

    def __init__(
        self,
        producer: Producer,
        partition: int,
        *,
        queue: Queue,
        memory: MemoryBudget,
        losses: Losses,
        restore: Callable[[], Awaitable[None]],
    ) -> None:
        """`restore` gives a server that lost data its identity again."""
        self._producer = producer
        self._partition = partition
        self._queue = queue
        self._memory = memory
        self._losses = losses
        self._restore = restore
        self._availability = producer.availability
        self._metrics = producer.metrics
        self._connection = raw_connection(producer.client)
        self._channels = Channels(producer.client, producer.settings)
        self._cursor = producer.cursor(partition)
        self._logged: set[tuple[Stream, str]] = set()
        self._rings = True
        """False once our user was found to have no right to a bell."""
        settings = producer.settings
        self._sent = RetransmitBuffer(settings.retransmit_s, settings.retransmit_bytes // producer.keys.partitions)

    async def deliver(self, batch: Batch) -> None:
        """Write `batch`, and before it those of the batches sent lately that the server has lost.

        Waits as long as the server is away. When cancelled, it can be called again with the same batch. Raises `Superseded`.
        """
        previous = batch.number - 1
        todo = deque([batch])
        pauses: Iterator[float] | None = None
        while todo:
            sent = todo[0]
            answer = await self._send(sent, previous)
            if isinstance(answer, BatchRefused):
                cursor = self._own_cursor(answer)
                if cursor < sent.number:
                    if pauses is None:  # what the server lost is sent at once; if it refuses again, it may do so for ever
                        pauses = _pauses()
                    else:
                        await asyncio.sleep(next(pauses))
                    previous = cursor
                    todo = await self._recover(cursor, batch)
                    continue
            else:
                pauses = None
                for group in sent.groups:
                    group.stream.registered = True
                for failure in answer.failures:
                    self._note_failure(sent.groups[failure.group], failure)
            todo.popleft()
            previous = sent.number
        self._sent.append(batch, time.monotonic())

    async def _send(self, batch: Batch, previous: int) -> BatchWritten | BatchRefused:
        started = time.monotonic()
        answer = await self._availability.until_answered(lambda: self._call(batch, previous), self)
        if batch.entries:
            self._metrics.written(batch.entries, time.monotonic() - started)
        return answer

    async def _call(self, batch: Batch, previous: int) -> BatchWritten | BatchRefused:
        try:
            if self._channels.is_due(now := time.monotonic()):
                await self._channels.look(self._info, now)
            return await self._write(batch, Head(previous, self._rings, self._channels.every))
        except UNAVAILABLE:
            self._channels.forget()
            raise

    def _info(self, *command: str) -> Awaitable[Any]:
        return self._connection.call(*command, key=self._cursor)

    async def _write(self, batch: Batch, head: Head) -> BatchWritten | BatchRefused:
        try:
            return await self._run_script(batch, head)
        except ResponseError as exc:
            if not self._rings or not denied(str(exc)):
                raise
            # A user with rights to single keys may have none to the bells, which are newer than they are.
            try:
                answer = await self._run_script(batch, head._replace(rings=False))
            except ResponseError:
                raise exc from None
            log.warning("bus.bell_refused", producer=self._producer.name, reason=str(exc))
            self._rings = False
            return answer

    async def _run_script(self, batch: Batch, head: Head) -> BatchWritten | BatchRefused:
        call, key = self._connection.call_packed, self._cursor
        try:
            reply = await call(batch.packed(head), key=key)
        except NoScriptError:  # a new server, or it has lost its scripts: EVAL loads this one
            reply = await call(batch.packed_with_script(head), key=key)
        return parse_write(reply)

    def _own_cursor(self, refused: BatchRefused) -> int:
        """The number of our last batch that the server has; 0 = none. Raises `Superseded`."""
        producer = self._producer
        epoch = parse_epoch(self._cursor.decode(), refused.epoch)
        if epoch > producer.epoch:
            raise Superseded(f"{producer.name} was started again elsewhere: its epoch is {epoch}")
        return refused.batch if epoch == producer.epoch else 0

    def _note_failure(self, group: Group, failure: GroupFailure) -> None:
        stream, lost = group.stream, group.count - failure.written
        stream.registered = failure.written > 0
        if (stream, failure.reason) not in self._logged:
            self._logged.add((stream, failure.reason))
            log.error("bus.stream_refused", stream=stream.key.decode(), reason=failure.reason, lost=lost)
        if lost:
            self._losses.note(stream, GapCause.BUS, group.from_ts, group.to_ts, lost)

    async def _recover(self, cursor: int, batch: Batch) -> deque[Batch]:
        """Returns what to send to a server whose cursor is at this number. What it lost and we do not have any more is noted as lost."""
        await self._restore()
        until_answered = self._availability.until_answered
        has = {stream: await until_answered(functools.partial(self._last_on_server, stream), self) for stream in self._queue.streams}
        lost = self._sent.missing(cursor, has)
        todo = deque([*lost, batch])
        resent = sum(kept.entries for kept in lost)
        log.warning(
            "bus.data_lost", producer=self._producer.name, partition=self._partition, cursor=cursor, number=batch.number, resent=resent
        )
        self._note_lost(todo, has)
        await eviction.warn(self._producer.client, lost=True)
        await until_answered(self._register, self)
        if resent:
            self._metrics.retransmitted(resent)
        return todo

    def _note_lost(self, todo: Iterable[Batch], has: Mapping[Stream, tuple[int, int]]) -> None:
        """Note for each stream what lies between the last entry that the server has and the first that it will get again.

        The newest value of a state that would not come again is queued again.
        """
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
                    self._memory.reserve(self._queue.prepend_newest(stream))

    async def _last_on_server(self, stream: Stream) -> tuple[int, int]:
        """`seq` and `received_ts` of our newest event that the server has, or zeros. (Hash and stream are written together.)"""
        client = self._producer.client
        if stream.instrument == VENUE_WIDE:  # its gaps are not in the hash, but no other producer writes this stream
            entries = await execute_raw(client, "XREVRANGE", stream.key, "+", "-", "COUNT", 1, key=stream.key)
            values = [fields[1] for _, fields in entries]
        else:
            values = await execute_raw(client, "HVALS", stream.last_key, key=stream.last_key)
        newest = (0, 0)
        for value in values:
            try:
                event = decode(value)
            except msgspec.MsgspecError:
                continue  # not an event of ours
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
