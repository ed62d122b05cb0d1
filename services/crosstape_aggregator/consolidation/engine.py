"""Applies events to the instruments of one shard, and computes the quotes that are due. Pure; the caller passes the time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Final

from crosstape.settings import AggregatorSettings
from crosstape_aggregator.bars.output import BarOutput
from crosstape_aggregator.bars.rules import BarRules
from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.consolidation.counts import Counts
from crosstape_aggregator.consolidation.instrument import APPLY, ConsolidatedInstrument
from crosstape_aggregator.consolidation.liveness import Liveness
from crosstape_aggregator.consolidation.outputs import Output
from crosstape_aggregator.consolidation.rules import Rules
from crosstape_aggregator.consolidation.schedule import Schedule
from crosstape_aggregator.depth.output import DepthOutput
from crosstape_aggregator.depth.rules import DepthRules
from crosstape_aggregator.edges.output import EdgeOutput
from crosstape_aggregator.edges.rules import EdgeRules
from crosstape_aggregator.windows.window_spec import earliest
from crosstape_schemas import CONSOLIDATED, KIND_OF, VENUE_WIDE, Cbbo, Event, Gap, Status

SAMPLE_NS: Final = 900_000_000
"""Shortest time between two samples: `look` may be called more often …"""
PARTS: Final = 4
"""… and each sample measures the feeds of one in four instruments, in turn."""
ALL_EVERY: Final = 64
"""Every 64th look updates all instruments, to find venues that have been silent for a day."""


class Engine:
    """Holds all instruments of one shard, and the liveness of their venues. Raises `SettingsError` when a window's name is wrong."""

    def __init__(self, settings: AggregatorSettings) -> None:
        self.rules = Rules.of(settings)
        self.counts = Counts()
        self.instruments: dict[str, ConsolidatedInstrument] = {}
        self.outputs: list[Output] = []
        """What is computed beside the quotes."""
        self.bar_rules = BarRules.of(settings) if settings.bars else None
        """None: no bars are built."""
        if self.bar_rules is not None:
            self.outputs.append(BarOutput(self.bar_rules, self.counts.bars))
        if settings.depth_levels:
            self.outputs.append(DepthOutput(DepthRules.of(settings), self.counts))
        if len(settings.taker_fees_bps) > 1:
            self.outputs.append(EdgeOutput(EdgeRules.of(settings), self.counts))
        self._venues = Liveness(self.rules.stale_ns, self.rules.clock_tolerance_ns)
        self._sampled_ts = self._looks = self._turn = 0
        self._had_unread = True
        self._quiet: set[str] = set()  # instruments that past events have changed, but that are not due yet
        self._schedule = Schedule(round(settings.min_interval_s * SECOND))

    def apply(self, events: Sequence[Event], now: int, *, quiet: bool = False) -> None:
        """Apply events of any venue and instrument, and venue-wide ones. O(1) each. Quotes are computed by `due`.

        `quiet`: the events are from the past and make no quote due. The caller calls `changed` when all of them have been applied.
        """
        instruments, schedule, dirty = self.instruments, self._schedule, self._venues.dirty
        changed = schedule.changed
        merged = 0
        for event in events:
            name = event.instrument
            apply = APPLY.get(event.__class__)
            if name == VENUE_WIDE:
                self._venue_wide(event, now)
            elif apply is not None and apply(instruments.get(name) or self.instrument(name, now), event, now):
                if quiet:
                    self._quiet.add(name)
                elif name in changed:
                    merged += 1  # as `mark` would
                else:
                    schedule.mark(name, now)
            if dirty:
                self._apply_dirty(event.received_ts, now)
        schedule.merged += merged
        kinds = list(map(type, events))
        for kind in set(kinds):  # a `Counter` costs ten times as much for a single event
            self.counts.applied[KIND_OF[kind]] += kinds.count(kind)

    def apply_past(self, status: Status, written_ts: int) -> None:
        """Apply a venue-wide status from the past: not its state, but its clock offset, which concerns the trades of that time."""
        self._venues.apply_past(status, written_ts)

    def unheard(self, venue: str, until_ts: int) -> None:
        """Note that a venue's venue-wide events up to `until_ts` (ns) were trimmed before they were read; 0 = none were."""
        liveness = self._venues.venue(venue)
        liveness.trimmed_until_ts = max(liveness.trimmed_until_ts, until_ts)

    def look(self, unread: Collection[str] | None, now: int, monotonic_ns: int) -> None:
        """Update which instruments' windows can be complete. Call it about every second, and when `unread` has changed.

        `unread`: the instruments whose streams have not been read up to nearly now; None: all. O(instruments) at most.
        """
        self._sample(now)
        judge_all = self._venues.look(now, monotonic_ns)
        self._looks += 1
        names: Iterable[str] = self._venues.unlooked | self._quiet
        if judge_all or self._had_unread or unread is None or unread or not self._looks % ALL_EVERY:
            names = self.instruments
        self._had_unread = unread is None or bool(unread)
        for name in list(names):
            instrument = self.instruments[name]
            instrument.read = unread is not None and name not in unread
            if instrument.look(now) or (name in self._quiet and instrument.read):
                self._schedule.mark(name, now)
                self._quiet.discard(name)
        self._venues.unlooked.clear()

    def _sample(self, now: int) -> None:
        """Measure how long feeds are usually silent (of some instruments each time), and how far clocks differ."""
        if not 0 <= now - self._sampled_ts < SAMPLE_NS:
            if self._venues.measures:
                for instrument in self.instruments.values():
                    instrument.traders.sample_clocks(self._sampled_ts, now)
            self._sampled_ts = now
            if not self._venues.behind:
                self._turn = (self._turn + 1) % PARTS
                for instrument in islice(self.instruments.values(), self._turn, None, PARTS):
                    instrument.sample_paces(now)

    def set_behind(self, behind: bool) -> None:
        """Set whether the process is behind: many events were read at once, so more may be waiting."""
        self._venues.behind = behind

    def clock_offsets_ns(self) -> dict[str, int]:
        """Return venue → our clock less the venue's (ns), of the venues where it is known."""
        return self._venues.offsets_ns()

    def past_from_s(self, now: int) -> int:
        """Return the second from which on trades matter: the start of the longest window, or of the first bar that may be revised."""
        start_s = earliest(self.rules.windows, now // SECOND)
        return start_s if self.bar_rules is None else min(start_s, self.bar_rules.first_open_ts(now) // SECOND)

    def instrument(self, name: str, now: int) -> ConsolidatedInstrument:
        """Return the instrument of this name; create it if it is new."""
        instrument = self.instruments.get(name)
        if instrument is None:
            instrument = self.instruments[name] = ConsolidatedInstrument(name, self.rules, self._venues, self.counts, now)
            for output in self.outputs:
                output.add(instrument, now)
        return instrument

    def due(self, now: int, limit: int | None = None) -> list[Cbbo]:
        """Compute the quotes that are due and differ from the last ones, of `limit` instruments at most, longest due first."""
        for name in self._schedule.advance(now):
            self._look(self.instruments[name], now)
        return [quote for name in self._schedule.due(limit) if (quote := self._quote(self.instruments[name], now)) is not None]

    def due_outputs(self, now: int, limit: int) -> list[Event]:
        """Compute the bars, books and edges that are due, of `limit` instruments each at most. Call it after `due`."""
        return [event for output in self.outputs for event in output.due(now, limit)]

    def next_ts(self) -> int | None:
        """Return when (ns) to call `due` and `due_outputs` next if no event is applied; 0 = at once, None: only after an event."""
        moments = [self._schedule.next_ts(), *(output.next_ts() for output in self.outputs)]
        return min((ts for ts in moments if ts is not None), default=None)

    def changed(self, names: Iterable[str], now: int) -> None:
        """Make these instruments due, because something else than an event has changed them."""
        for name in names:
            self._schedule.mark(name, now)

    def _quote(self, instrument: ConsolidatedInstrument, now: int) -> Cbbo | None:
        quote = instrument.consolidate(now)
        self._schedule_look(instrument)
        if quote is not None:
            self._schedule.published(instrument.name, now)
            self.counts.published += 1
            self.counts.merged = self._schedule.merged
        return quote

    def _look(self, instrument: ConsolidatedInstrument, now: int) -> None:
        """Make an instrument due at the moment of its look, unless its next change has moved to a later moment meanwhile."""
        ts = instrument.quote.next_ts()
        if ts is not None and ts <= now:
            self._schedule.mark(instrument.name, now)
        else:
            self._schedule_look(instrument)

    def _schedule_look(self, instrument: ConsolidatedInstrument) -> None:
        ts = instrument.quote.next_ts()
        if ts is not None:
            self._schedule.look_at(instrument.name, ts)

    def _venue_wide(self, event: Event, now: int) -> None:
        if event.venue == CONSOLIDATED:
            return  # the sign of life of an aggregator, which is no venue with legs
        if isinstance(event, Status):
            if not self._venues.apply(event, now):
                self.counts.outdated[event.venue] += 1
        elif isinstance(event, Gap):
            for name in self._venues.venue(event.venue).instruments:
                if self.instruments[name].apply(event, now):
                    self._schedule.mark(name, now)

    def _apply_dirty(self, received_ts: int, now: int) -> None:
        """Apply the events that were refused before, and make each instrument of a changed venue due."""
        refused, self._venues.refused = self._venues.refused, []
        for event in refused:
            self.instruments[event.instrument].apply(event, now)
        for venue in self._venues.dirty:
            for name in self._venues.venue(venue).instruments:
                self.instruments[name].touch(received_ts)
                self.instruments[name].look(now)
                self._schedule.mark(name, now)
        self._venues.dirty.clear()
