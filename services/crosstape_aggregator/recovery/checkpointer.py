"""Writes the checkpoint of a shard every few seconds: only the instruments that have changed since the previous one.

While the past of an instrument is still being read, its fields on the server stay as they are: they are correct, only older. A failure is
logged once and counted. The service continues without a newer checkpoint; the next owner of the shard then reads more of the streams.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from crosstape.bus.client.call import UNAVAILABLE
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_aggregator.consolidation.outputs import TradeSink
from crosstape_aggregator.metrics.exporter import CHECKPOINT_BYTES, CHECKPOINT_S, FAILED_WRITES
from crosstape_aggregator.recovery.barrier import Barrier
from crosstape_aggregator.recovery.checkpoint import InstrumentCheckpoint, InstrumentEncoder
from crosstape_aggregator.recovery.checkpoint_store import CheckpointStore
from crosstape_aggregator.recovery.restorer import Restorer
from crosstape_aggregator.windows.coverage import CoverageState

SAVE_S: Final = 5.0
"""Longest wait for the server to write one batch."""
CALL_BYTES: Final = 1 << 20
"""A batch is written when its fields have this size. All changed fields of one instrument are always in the same batch."""

CALL_NAMES: Final = 8_192
"""Most names of unused fields that one call deletes."""

WRITTEN_S: Final = 1.0
"""Longest wait until the bars of one instrument are on the tape. If they are not by then, the next checkpoint includes the instrument."""

BarsWritten = Callable[[str, float], Awaitable[bool]]
"""Waits until all closed bars of an instrument are on the tape, for some seconds at most. Returns whether they are."""

log = structlog.get_logger(__name__)

_Position = tuple[dict[str, str], CoverageState]
"""The ids of an instrument's streams, and its coverage: if both are the same, its checkpoint has not changed."""


class _Batch:
    """The fields that one call writes and deletes."""

    def __init__(self) -> None:
        self.changed: dict[str, bytes] = {}
        self.gone: list[str] = []
        self.positions: dict[str, _Position] = {}
        self.encoders: list[InstrumentEncoder] = []
        self.size = 0


class Checkpointer:
    """Writes the checkpoint of one shard.

    `ids` returns, for an instrument, the kind of each of its streams → the last id that the engine has applied. The kind "trade" is missing
    while the past of the trades is still being read. A checkpoint says which bars were published, so it is made when these are on the tape:
    otherwise, a bar could be missing after a crash.
    """

    def __init__(
        self,
        store: CheckpointStore,
        engine: Engine,
        barrier: Barrier,
        ids: Callable[[str], dict[str, str]],
        every_s: float,
        *,
        bars_written: BarsWritten,
    ) -> None:
        self.restorer = Restorer(store, engine)
        self._store = store
        self._engine = engine
        self._barrier = barrier
        self._ids = ids
        self._every_s = every_s
        self._bars_written = bars_written
        self._encoders: dict[str, InstrumentEncoder] = {}
        self._positions: dict[str, _Position] = {}  # instrument → its position when it was last written
        self._bytes = 0
        self._healthy = True

    async def run(self) -> None:
        """Write a checkpoint every `every_s` seconds, until cancelled."""
        try:
            while True:
                await asyncio.sleep(self._every_s)
                await self.save()
        finally:
            self._measure(0)

    async def save_last(self, timeout_s: float) -> None:
        """Write the last checkpoint, after reading has ended. Give up after `timeout_s`."""
        if self._barrier.held:  # the service ended by a fault
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self.save()
        except TimeoutError:
            FAILED_WRITES.inc()
            log.warning("aggregator.checkpoint_failed", reason="there was no time to write the last checkpoint")
        finally:
            self._measure(0)

    async def save(self) -> None:
        """Write a checkpoint now. Other tasks may run meanwhile."""
        started, at = time.monotonic(), time.time_ns()
        batch = _Batch()
        try:
            while self.restorer.unused:  # delete these first: a field that is written later may have the same name
                if not await self._write(batch):
                    return
            for name in list(self._engine.instruments):
                await self._encode(name, batch)
                if batch.size >= CALL_BYTES:
                    if not await self._write(batch):
                        return
                    batch = _Batch()
            if not batch.changed and not self._positions and not self.restorer.restored:
                return
            if self.restorer.restored.keys() - self._positions.keys() - batch.positions.keys():
                at = min(at, self.restorer.at)  # some instruments have not changed since they were restored
            if await self._write(batch, at):
                batch = _Batch()
                self._measure(sum(sum(encoder.stored.values()) for encoder in self._encoders.values()))
                CHECKPOINT_S.observe(time.monotonic() - started)
        finally:
            for encoder in batch.encoders:
                encoder.forget()

    async def _encode(self, name: str, batch: _Batch) -> None:
        """Add an instrument to the batch, if it has changed and its past has been read."""
        await self._barrier.free()
        instrument = self._engine.instruments[name]
        if instrument.bars is not None and not await self._has_settled(name, instrument.bars):
            return
        ids = self._ids(name)
        coverage = instrument.windows.coverage.state()
        if coverage is None or "trade" not in ids or self._positions.get(name) == (ids, coverage):
            return
        state = instrument.state()
        if state is None:
            return
        encoder = self._encoders.get(name)
        if encoder is None:
            encoder = self._encoders[name] = InstrumentEncoder(name, self.restorer.restored.get(name, {}))
        batch.encoders.append(encoder)
        for field, value in encoder.changed(InstrumentCheckpoint(ids, state)):
            batch.changed[field] = value
            batch.size += len(value)
            await asyncio.sleep(0)
        batch.gone += encoder.gone()
        batch.positions[name] = ids, coverage

    async def _has_settled(self, name: str, bars: TradeSink) -> bool:
        """Wait until all events are applied and the bars of an instrument are on the tape. Returns False if this takes too long."""
        while not bars.held and await self._bars_written(name, WRITTEN_S):
            if not self._barrier.held:
                return True
            await self._barrier.free()
        return False

    async def _write(self, batch: _Batch, at: int | None = None) -> bool:
        """Write a batch to the server. Returns whether the server has written it."""
        replace, unused = not self.restorer.knows_all, self.restorer.unused
        try:
            async with asyncio.timeout(SAVE_S):
                ours = await self._store.save(batch.changed, [*unused[:CALL_NAMES], *batch.gone], at=at, replace=replace)
        except UNAVAILABLE as exc:
            FAILED_WRITES.inc()
            if self._healthy:
                log.warning("aggregator.checkpoint_failed", reason=str(exc) or type(exc).__name__)
            self._healthy = False
            return False
        if not ours:
            log.info("aggregator.checkpoint_refused", reason="another instance serves the shard now")
            return False
        if not self._healthy:
            log.info("aggregator.checkpoint_works_again")
        self._healthy = True
        self.restorer.knows_all = True
        del unused[: None if replace else CALL_NAMES]
        self._positions |= batch.positions
        for encoder in batch.encoders:
            encoder.written()
        return True

    def _measure(self, size: int) -> None:
        CHECKPOINT_BYTES.inc(size - self._bytes)
        self._bytes = size
