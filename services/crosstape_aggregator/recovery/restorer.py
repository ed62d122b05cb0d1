"""Restores the instruments of a shard from the checkpoint of its previous owner.

If a checkpoint cannot be used, the streams are read from further back. This takes longer, but the result is correct: windows that begin
before the streams are not complete. A damaged field affects only its own instrument.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from crosstape.bus import Bookmark
from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_aggregator.consolidation.instrument import InstrumentState
from crosstape_aggregator.metrics.exporter import FAILED_READS
from crosstape_aggregator.recovery.checkpoint import FORMER, OLDEST, BadCheckpoint, by_instrument, decode
from crosstape_aggregator.recovery.checkpoint_store import CheckpointStore, StoredCheckpoint
from crosstape_aggregator.recovery.discovery import FoundStream
from crosstape_aggregator.recovery.plan import ReadPlan, StreamExtent, resume, trimmed_s

LOAD_S: Final = 5.0
"""Longest wait for the server to send the checkpoint …"""
LOADS: Final = 3
"""… and the number of attempts before the checkpoint is ignored."""

log = structlog.get_logger(__name__)


class Restorer:
    """Restores the instruments of one shard, each when its stream of trades is found."""

    def __init__(self, store: CheckpointStore, engine: Engine) -> None:
        self.at = 0
        """The moment (ns) up to which the streams of all instruments in the checkpoint had been read."""
        self.knows_all = False
        """Whether all fields on the server are in `restored` or `unused`. If not, the first write must replace the checkpoint."""
        self.restored: dict[str, dict[str, int]] = {}
        """Restored instrument → name and size (bytes) of each of its fields."""
        self.unused: list[str] = []
        """Names of fields that were not used, so that they can be deleted."""
        self.resumed: set[str] = set()
        """Streams that are read from the id in the checkpoint on."""
        self._store = store
        self._engine = engine
        self._found: dict[str, dict[str, bytes]] = {}  # instrument → its fields, until it is restored
        self.ids: dict[str, dict[str, str]] = {}
        """Restored instrument → kind of stream → the id in the checkpoint."""
        self._slow = 0
        self._logged = False

    async def load(self) -> None:
        """Read the checkpoint. Raises one of `call.UNAVAILABLE` if the caller should try again; a slow server is tried `LOADS` times."""
        try:
            found = await self._load()
            if found is None:
                return
            if FORMER in found.fields:
                raise BadCheckpoint(f"the checkpoint has a version before {OLDEST}")
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
            raise BadCheckpoint(f"the server did not send the checkpoint within {LOAD_S} s, {LOADS} times") from exc

    def resume(self, stream: FoundStream, extent: StreamExtent, start_s: int, now: int) -> ReadPlan | None:
        """Plan how to read a stream from the id in the checkpoint on. The stream of trades must come first: it restores its instrument.

        None if the instrument is not in the checkpoint, or if the stream must be read from the start of the longest window on.
        """
        if stream.kind == "trade":
            return self._restore(stream, extent, start_s, now)
        stored = self.ids.get(stream.name, {}).get(stream.kind)
        how = resume(extent, Bookmark(stored), start_s, None) if stored is not None else None
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
        if not self._has_bars(state):
            return None
        stored = ids.get(stream.kind, "")
        mark = Bookmark(stored, tuple((venue, epoch, seq) for venue, (epoch, seq) in state.numbers.items()))
        how = resume(extent, mark, start_s, state.coverage.from_s)
        if how is None:
            return None
        self._engine.instrument(stream.name, now).restore(state, self.at)
        self.ids[stream.name] = ids
        self.restored[stream.name] = {field: len(value) for field, value in self._found.pop(stream.name).items()}
        self._resumed(stream, extent, stored)
        return how

    def _has_bars(self, state: InstrumentState) -> bool:
        """Whether a state has all bars that are built. If not, they can only be built from all trades."""
        rules = self._engine.bar_rules
        return rules is None or (state.bars is not None and state.bars.closed_until.keys() >= set(rules.timeframes))

    def _resumed(self, stream: FoundStream, extent: StreamExtent, stored: str) -> None:
        self.resumed.add(stream.stream)
        if (missing := trimmed_s(extent, stored)) is not None:
            log.warning("aggregator.checkpoint_outrun", stream=stream.stream, reason="entries after the checkpoint were trimmed")
            self._engine.instruments[stream.name].open_gap("", *(second * SECOND for second in missing))

    def all_planned(self) -> None:
        """Move the fields of instruments that were not restored to `unused`. Called when all known streams have been planned."""
        for fields in self._found.values():
            self.unused += fields
        self._found.clear()

    def _ignore(self, exc: Exception) -> None:
        FAILED_READS.inc()
        if not self._logged:
            log.warning("aggregator.checkpoint_ignored", reason=str(exc))
        self._logged = True
