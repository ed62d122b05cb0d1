"""Reads past trades and gaps from the streams, and passes each stream on to the live reader.

The past of a stream is all entries that it had when it was found. A second reader reads it, so that live events are not delayed. When the
past of a stream has been applied, the live reader continues with the stream. When this is done for all streams of an instrument, it has
caught up: it is known from which second on its trades are complete.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import structlog

from crosstape.bus import Bookmark, Client, Entry, Missed, Position, Reader, Start
from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_aggregator.recovery.barrier import Barrier
from crosstape_aggregator.recovery.checkpoint_store import CheckpointStore
from crosstape_aggregator.recovery.checkpointer import BarsWritten, Checkpointer
from crosstape_aggregator.recovery.discovery import FoundStream
from crosstape_aggregator.recovery.plan import CatchUp, extents, order, plan, silent_until_s
from crosstape_aggregator.recovery.taped_bars import TapedBars
from crosstape_schemas import AnyEvent, Keys, Status

KINDS: Final = frozenset({"trade", "gap", "venue"})
LOOK_S: Final = 5.0
"""Longest wait for the ranges of ids of the streams."""
READ_S: Final = 1.0
MS: Final = 1_000_000
EVENTS_PER_TURN: Final = 256
"""Events applied before other tasks may run."""

log = structlog.get_logger(__name__)


class PastReader:
    """Applies past events to the engine. `readers`: the live reader and the reader of the past; both use `barrier`."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        engine: Engine,
        readers: tuple[Reader, Reader],
        barrier: Barrier,
        *,
        store: CheckpointStore | None,
        checkpoint_s: float,
        bars_written: BarsWritten,
    ) -> None:
        """`bars_written`: see `Checkpointer`."""
        self.catch_up = CatchUp()
        self.taped_bars = TapedBars(client, keys, engine)
        self.checkpointer = None
        if store is not None and checkpoint_s:
            self.checkpointer = Checkpointer(store, engine, barrier, self._ids, checkpoint_s, bars_written=bars_written)
        self._client = client
        self._keys = keys
        self._engine = engine
        self._live, self._past = readers
        self._barrier = barrier
        self._unplanned: list[FoundStream] = []
        self._applied: dict[str, str] = {}  # stream → last id that the reader of the past has applied
        self._handed: dict[str, str] = {}  # stream of the live reader → id from which it started to read

    def hold(self, found: Iterable[FoundStream]) -> None:
        """Let no bars of these instruments be published until it is known which are on the tape. Call it before their streams are read."""
        self.taped_bars.hold((one.name for one in found if one.kind != "venue"), time.time_ns())

    async def start(self, found: Iterable[FoundStream]) -> None:
        """Start to read these streams, from the first id that matters for a window.

        Raises one of `call.UNAVAILABLE`. The next call then includes these streams.
        """
        self._unplanned += sorted((one for one in found if one.kind in KINDS), key=lambda one: one.kind != "trade")
        if not self._unplanned:
            self.taped_bars.want({}, time.time_ns())
            return
        async with asyncio.timeout(LOOK_S):
            ends = await extents(self._client, [one.stream for one in self._unplanned])
        now = time.time_ns()
        start_s = self._engine.past_from_s(now)
        live: dict[str, Position] = {}
        past: dict[str, Position] = {}
        for one, extent in zip(self._unplanned, ends, strict=True):
            how = self.checkpointer.restorer.resume(one, extent, start_s, now) if self.checkpointer is not None else None
            if one.kind == "venue":
                self._engine.unheard(one.name, silent_until_s(extent) * SECOND)
            if how is None:
                how = plan(extent, start_s)
                if one.kind == "gap":
                    self._engine.instrument(one.name, now).unknown_until(silent_until_s(extent) * SECOND)
                if one.kind == "trade" and extent.trimmed and how.known_from_s is not None:
                    self._engine.instrument(one.name, now).read_from_ts = how.known_from_s * SECOND
            else:
                await asyncio.sleep(0)  # restoring an instrument takes some ms
            (past if self.catch_up.start(one, how) else live)[one.stream] = how.position
        self._unplanned = []
        if self.checkpointer is not None:
            self.checkpointer.restorer.all_planned()
        self.taped_bars.want(self.checkpointer.restorer.ids if self.checkpointer is not None else {}, now)
        self._past.add(past)
        self._live.add(live)  # the live reader has the streams of venue-wide events already
        self._handed |= {stream: at.id if isinstance(at, Bookmark) else at for stream, at in live.items() if not isinstance(at, Start)}

    async def read(self) -> None:
        """Read the past, until cancelled."""
        while True:
            entries = await self._past.read(timeout_s=READ_S)  # may return no entries, if the rest of a past is foreign ones
            cursors = dict(self._past.cursors)
            parts = [entries[at : at + EVENTS_PER_TURN] for at in range(0, len(entries), EVENTS_PER_TURN)]
            await self._barrier.apply(parts, self._apply, _let_others_run)
            self._applied = cursors  # only now: windows can be complete when the past has been applied, not when it has been read

    def hand_over(self, now: int) -> list[str]:
        """Pass streams whose past has been applied to the live reader. Returns the instruments that have caught up since the last call."""
        streams = self.catch_up.reached(self._applied)
        if streams:
            positions = {stream: self._past.cursors[stream] for stream in streams}
            self._past.remove(streams)
            self._live.add(dict[str, Position](positions))
            self._handed |= positions
        known = self.catch_up.known()
        for name, second in known.items():
            self._engine.instrument(name, now).known_from(second)
        if known:
            log.info("aggregator.caught_up", instruments=len(known), left=len(self.catch_up))
            self._engine.changed(known, now)
        return list(known)

    def missed(self, missed: Missed, instrument: str) -> None:
        """Note that trades of a stream were lost on the bus: open a gap, unless the loss is known from the plan."""
        if not missed.venue:
            return  # the stream was trimmed: the plan considers that already
        resumed = self.checkpointer is not None and missed.stream in self.checkpointer.restorer.resumed
        if missed.first_missing > 1 or resumed or not self.catch_up.is_behind(missed.stream):
            now = time.time_ns()
            self._engine.instrument(instrument, now).open_gap(missed.venue, 0, now)
            self._engine.changed([instrument], now)

    def unread(self) -> Collection[str] | None:
        """Return the instruments whose past is still being read; None: all, because past venue-wide events are still being read."""
        return self.catch_up.unread()

    def _apply(self, entries: Sequence[Entry]) -> None:
        """Apply past events. The live reader may apply the same venue-wide gap again; a gap is stored only once."""
        events: list[AnyEvent] = []
        for entry in entries:
            event = entry.event
            if type(event) is Status:
                self._engine.apply_past(event, order(entry.id)[0] * MS)
            else:
                events.append(event)
        self._engine.apply(events, time.time_ns(), quiet=True)

    def _ids(self, instrument: str) -> dict[str, str]:
        """Return the kind of each stream of an instrument → the last id applied, without streams whose past is still being read."""
        found = {}
        for kind in ("trade", "gap"):
            stream = self._keys.stream(kind, instrument)
            at = self._live.cursors.get(stream) or self._handed.get(stream)
            if at is not None and not self.catch_up.is_behind(stream):
                found[kind] = at
        return found


async def _let_others_run(_: object) -> None:
    await asyncio.sleep(0)
