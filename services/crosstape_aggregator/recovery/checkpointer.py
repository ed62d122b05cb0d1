"""Keeps the checkpoint of one share: takes up at the start what is there, and puts anew what has been counted, again and again.

An instrument that is not caught up with keeps the part that it was taken up from: that is right as it is, only older. One of which nothing
has come since keeps its part, too. What goes wrong is told once and counted; the service goes on without, and its successor reads
more of the streams.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from crosstape.bus import Mark
from crosstape.bus.client.call import UNAVAILABLE
from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_aggregator.metrics.exporter import CHECKPOINT_BYTES, CHECKPOINT_S, FAILED_READS, FAILED_WRITES
from crosstape_aggregator.recovery.barrier import Barrier
from crosstape_aggregator.recovery.checkpoint import BadCheckpoint, InstrumentCheckpoint, Part, Writer, pack, read, unpack
from crosstape_aggregator.recovery.checkpoint_store import CheckpointStore, StoredCheckpoint
from crosstape_aggregator.recovery.discovery import FoundStream
from crosstape_aggregator.recovery.plan import ReadPlan, StreamExtent, resume, trimmed_s
from crosstape_aggregator.windows.coverage import CoverageState

LOAD_S: Final = 5.0
"""Longest wait for the server to give the one that is there …"""
LOADS: Final = 3
"""… and how often it is asked, when that was not enough."""
SAVE_S: Final = 5.0
"""Longest wait for the server to take a checkpoint."""

log = structlog.get_logger(__name__)

_Place = tuple[dict[str, str], CoverageState]


class Checkpointer:
    """Of one share. `ids` says, of an instrument, up to which id of its streams the board has them, by kind; without the trades' while that
    is not known.
    """

    def __init__(
        self, store: CheckpointStore, engine: Engine, barrier: Barrier, ids: Callable[[str], dict[str, str]], every_s: float
    ) -> None:
        self.resumed: set[str] = set()
        """Streams that are read from where a checkpoint ends."""
        self._store = store
        self._engine = engine
        self._barrier = barrier
        self._ids = ids
        self._every_s = every_s
        self._parts: dict[str, Part] = {}
        self._writers: dict[str, Writer] = {}
        self._places: dict[str, _Place] = {}  # of the parts that were made here
        self._restored: dict[str, dict[str, str]] = {}  # instrument → ids of its streams
        self._at = 0  # when the parts that were found were made
        self._bytes = 0
        self._slow = 0
        self._well = True
        self._told = False

    async def load(self) -> None:
        """Have what is there at hand. Raises one of `call.UNAVAILABLE` when asking again may help: it may not for ever."""
        try:
            found = await self._load()
            if found is not None:
                self._parts = unpack(found.state)
                self._at = found.at
                age_s = round((time.time_ns() - found.at) / SECOND, 3)
                log.info("aggregator.checkpoint", instruments=len(self._parts), bytes=len(found.state), age_s=age_s)
        except (BadCheckpoint, ResponseError) as exc:
            self._ignore(exc)

    async def _load(self) -> StoredCheckpoint | None:
        try:
            async with asyncio.timeout(LOAD_S):
                return await self._store.load()
        except (TimeoutError, RedisTimeoutError) as exc:
            self._slow += 1
            if self._slow < LOADS:
                raise
            raise BadCheckpoint(f"the server did not send it within {LOAD_S} s, {LOADS} times") from exc

    def resume(self, one: FoundStream, extent: StreamExtent, start_s: int, now: int) -> ReadPlan | None:
        """How to read a stream that an instrument's part goes on with; with the one of trades, the instrument is taken up.

        None: there is no such part, or reading from the start of the longest window is the better way.
        """
        if one.kind == "trade":
            return self._restore(one, extent, start_s, now)
        stored = self._restored.get(one.name, {}).get(one.kind)
        how = resume(extent, Mark(stored), start_s, None) if stored is not None else None
        if how is not None and stored is not None:
            self._go_on(one, extent, stored)
        return how

    def begun(self) -> None:
        """All streams that there are have been planned: parts that were not taken up belong to nothing."""
        self._parts = {name: part for name, part in self._parts.items() if name in self._restored or name in self._places}

    async def run(self) -> None:
        """Put a checkpoint every so often, until cancelled."""
        try:
            while True:
                await asyncio.sleep(self._every_s)
                await self.save()
        finally:
            self._measure(0)

    async def save_last(self, timeout_s: float) -> None:
        """Put one when nothing is read any more, if that can be done within this time."""
        if self._barrier.full:  # the end came by a fault
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self.save()
        except TimeoutError:
            FAILED_WRITES.inc()
            log.warning("aggregator.checkpoint_failed", reason="no time was left for a last one")
        finally:
            self._measure(0)

    async def save(self) -> None:
        """Put one now. Between two instruments, and within one, others may run."""
        started, at = time.monotonic(), time.time_ns()
        for name in list(self._engine.instruments):
            await self._renew(name)
        if not self._parts:
            return
        if not self._parts.keys() <= self._places.keys():
            at = min(at, self._at)  # some parts are still as they were found
        state = pack(self._parts)
        try:
            async with asyncio.timeout(SAVE_S):
                ours = await self._store.save(at, state)
        except UNAVAILABLE as exc:
            FAILED_WRITES.inc()
            if self._well:
                log.warning("aggregator.checkpoint_failed", reason=str(exc) or type(exc).__name__)
            self._well = False
            return
        if not ours:
            log.info("aggregator.checkpoint_refused", reason="another instance has begun to serve the share")
            return
        if not self._well:
            log.info("aggregator.checkpoint_works_again")
        self._well = True
        self._measure(len(state))
        CHECKPOINT_S.observe(time.monotonic() - started)

    async def _renew(self, name: str) -> None:
        await self._barrier.empty()
        instrument, ids = self._engine.instruments[name], self._ids(name)
        known = instrument.windows.coverage.state()
        if known is None or "trade" not in ids or self._places.get(name) == (ids, known):
            return
        state = instrument.state()
        if state is None:
            return
        part = []
        for piece in self._writers.setdefault(name, Writer(name)).pieces(InstrumentCheckpoint(ids, state)):
            part.append(piece)
            await asyncio.sleep(0)
        self._parts[name], self._places[name] = part, (ids, known)

    def _restore(self, one: FoundStream, extent: StreamExtent, start_s: int, now: int) -> ReadPlan | None:
        part = self._parts.get(one.name)
        if part is None:
            return None
        try:
            saved = read(one.name, part)
        except BadCheckpoint as exc:
            self._ignore(exc)
            return None
        if [name for name, *_ in saved.state.windows.windows] != [spec.name for spec in self._engine.rules.windows]:
            return None
        stored, (_, known, numbers, _) = saved.ids.get(one.kind, ""), saved.state
        mark = Mark(stored, tuple((venue, epoch, seq) for venue, (epoch, seq) in numbers.items()))
        how = resume(extent, mark, start_s, known.from_s)
        if how is None:
            return None
        self._engine.instrument(one.name, now).restore(saved.state, self._at)
        self._restored[one.name] = saved.ids
        self._go_on(one, extent, stored)
        return how

    def _go_on(self, one: FoundStream, extent: StreamExtent, stored: str) -> None:
        self.resumed.add(one.stream)
        if (missing := trimmed_s(extent, stored)) is not None:
            log.warning("aggregator.checkpoint_outrun", stream=one.stream, reason="the stream was trimmed beyond it")
            self._engine.instruments[one.name].open_gap("", *(second * SECOND for second in missing))

    def _ignore(self, exc: Exception) -> None:
        FAILED_READS.inc()
        if not self._told:
            log.warning("aggregator.checkpoint_ignored", reason=str(exc))
        self._told = True

    def _measure(self, size: int) -> None:
        CHECKPOINT_BYTES.inc(size - self._bytes)
        self._bytes = size
