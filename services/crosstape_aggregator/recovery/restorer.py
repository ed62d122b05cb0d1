"""Restores the instruments of a shard from the checkpoint that an earlier owner of the shard left.

A checkpoint that is of no use costs time, not correctness: the streams are read from further back, and windows say that they are not
complete where these do not reach. One damaged field costs its own instrument alone.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from crosstape.bus import Mark
from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_aggregator.metrics.exporter import FAILED_READS
from crosstape_aggregator.recovery.checkpoint import FORMER, VERSION, BadCheckpoint, by_instrument, decode
from crosstape_aggregator.recovery.checkpoint_store import CheckpointStore, StoredCheckpoint
from crosstape_aggregator.recovery.discovery import FoundStream
from crosstape_aggregator.recovery.plan import ReadPlan, StreamExtent, resume, trimmed_s

LOAD_S: Final = 5.0
"""Longest wait for the server to send the checkpoint …"""
LOADS: Final = 3
"""… and how often it is asked when that was not enough."""

log = structlog.get_logger(__name__)


class Restorer:
    """Restores one shard."""

    def __init__(self, store: CheckpointStore, engine: Engine) -> None:
        self.at = 0
        """The moment (ns) up to which the instruments of the checkpoint had been read."""
        self.knows_all = False
        """Whether each field on the server is in `restored` or `unused`. If not, the first write has to replace them all."""
        self.restored: dict[str, dict[str, int]] = {}
        """Instrument → bytes of each of its fields."""
        self.unused: list[str] = []
        """Names of fields that nothing was restored from."""
        self.resumed: set[str] = set()
        """Streams that are read from where the checkpoint ends."""
        self._store = store
        self._engine = engine
        self._found: dict[str, dict[str, bytes]] = {}  # instrument → its fields, until it is restored
        self._ids: dict[str, dict[str, str]] = {}  # restored instrument → ids of its streams
        self._slow = 0
        self._logged = False

    async def load(self) -> None:
        """Read the checkpoint. Raises one of `call.UNAVAILABLE` when another attempt may help, `LOADS` times at most for a slow server."""
        try:
            found = await self._load()
            if found is None:
                return
            if FORMER in found.fields:
                raise BadCheckpoint(f"it is of a version before {VERSION}")
            names = by_instrument(found.fields)
            self.unused += names.pop("", [])
            self._found = {name: {field: found.fields[field] for field in fields} for name, fields in names.items()}
            self.at = found.at
            self.knows_all = True
            size, age_s = sum(map(len, found.fields.values())), round((time.time_ns() - found.at) / SECOND, 3)
            log.info("aggregator.checkpoint", instruments=len(self._found), bytes=size, age_s=age_s)
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

    def resume(self, stream: FoundStream, extent: StreamExtent, start_s: int, now: int) -> ReadPlan | None:
        """Plan how to read a stream from where the checkpoint ends. The stream of trades comes first and restores its instrument.

        None if its instrument is not in the checkpoint, or if it is better to read from the start of the longest window on.
        """
        if stream.kind == "trade":
            return self._restore(stream, extent, start_s, now)
        stored = self._ids.get(stream.name, {}).get(stream.kind)
        how = resume(extent, Mark(stored), start_s, None) if stored is not None else None
        if how is not None and stored is not None:
            self._resumed(stream, extent, stored)
        return how

    def _restore(self, stream: FoundStream, extent: StreamExtent, start_s: int, now: int) -> ReadPlan | None:
        fields = self._found.get(stream.name)
        if fields is None:
            return None
        try:
            ids, state = decode(stream.name, fields)
        except BadCheckpoint as exc:
            self._ignore(exc)
            return None
        if [name for name, *_ in state.windows.windows] != [window.name for window in self._engine.rules.windows]:
            return None
        stored = ids.get(stream.kind, "")
        mark = Mark(stored, tuple((venue, epoch, seq) for venue, (epoch, seq) in state.numbers.items()))
        how = resume(extent, mark, start_s, state.coverage.from_s)
        if how is None:
            return None
        self._engine.instrument(stream.name, now).restore(state, self.at)
        self._ids[stream.name] = ids
        self.restored[stream.name] = {field: len(value) for field, value in self._found.pop(stream.name).items()}
        self._resumed(stream, extent, stored)
        return how

    def _resumed(self, stream: FoundStream, extent: StreamExtent, stored: str) -> None:
        self.resumed.add(stream.stream)
        if (missing := trimmed_s(extent, stored)) is not None:
            log.warning("aggregator.checkpoint_outrun", stream=stream.stream, reason="the stream was trimmed beyond it")
            self._engine.instruments[stream.name].open_gap("", *(second * SECOND for second in missing))

    def all_planned(self) -> None:
        """All streams that there are have been planned: instruments that were not restored by now have no use for their fields."""
        for fields in self._found.values():
            self.unused += fields
        self._found.clear()

    def _ignore(self, exc: Exception) -> None:
        FAILED_READS.inc()
        if not self._logged:
            log.warning("aggregator.checkpoint_ignored", reason=str(exc))
        self._logged = True
