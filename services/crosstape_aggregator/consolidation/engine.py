"""All instruments of one aggregator: which event concerns which, and which quotes are due. Pure; time comes in as a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Final

from crosstape.settings import AggregatorSettings
from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.consolidation.counts import Counts
from crosstape_aggregator.consolidation.instrument import ConsolidatedInstrument, Rules
from crosstape_aggregator.consolidation.liveness import Liveness
from crosstape_aggregator.consolidation.schedule import Schedule
from crosstape_schemas import CONSOLIDATED, KIND_OF, VENUE_WIDE, Cbbo, Event, Gap, Status

SAMPLE_NS: Final = 900_000_000
"""Samples are taken about every second, not each time that `look` is called …"""
PARTS: Final = 4
"""… and the paces of feeds of so large a part of the instruments at a time."""
ALL_EVERY: Final = 64
"""Every so many times all instruments are looked at: a venue may have been silent for a day."""


class Engine:
    """The instruments, the venues they share, and whose turn it is. Raises `SettingsError` when a window is none."""

    def __init__(self, settings: AggregatorSettings) -> None:
        self.rules = Rules.of(settings)
        self.counts = Counts()
        self.instruments: dict[str, ConsolidatedInstrument] = {}
        self._venues = Liveness(self.rules.stale_ns, self.rules.clock_tolerance_ns)
        self._sampled_ts = self._looks = self._turn = 0
        self._had_unread = True
        self._quiet: set[str] = set()  # what changed without having been published
        self._schedule = Schedule(round(settings.min_interval_s * SECOND))

    def apply(self, events: Sequence[Event], now: int, *, quiet: bool = False) -> None:
        """Take events of any venue and instrument, or of a venue as a whole. O(1) each; nothing is computed before it is due.

        `quiet`: history that is being caught up with. It makes no quote due by itself; call `changed` when all of it has been taken.
        """
        instruments, schedule, dirty = self.instruments, self._schedule, self._venues.dirty
        changed = schedule.changed
        for event in events:
            name = event.instrument
            if name == VENUE_WIDE:
                self._venue_wide(event, now)
            elif (instruments.get(name) or self.instrument(name, now)).apply(event, now):
                if quiet:
                    self._quiet.add(name)
                elif name in changed:
                    schedule.merged += 1  # as `mark` would, per event
                else:
                    schedule.mark(name, now)
            if dirty:
                self._apply_dirty(event.received_ts, now)
        for kind, count in Counter(map(type, events)).items():
            self.counts.applied[KIND_OF[kind]] += count

    def apply_past(self, status: Status, written_ts: int) -> None:
        """Take a venue-wide status of the past: its state is over, but what it says of the clocks of then concerns the trades of then."""
        self._venues.apply_past(status, written_ts)

    def unheard(self, venue: str, until_ts: int) -> None:
        """Of what a venue as a whole said up to then, nothing is known; 0: all is."""
        liveness = self._venues.venue(venue)
        liveness.unheard_ts = max(liveness.unheard_ts, until_ts)

    def look(self, unread: Collection[str] | None, now: int, monotonic_ns: int) -> None:
        """Find out of which instruments the windows can be relied on. `unread`: those whose streams have not been read up to nearly now;
        None: that is so for all. Call it about every second, and when `unread` has changed: then it is O(instruments).
        """
        self._sample(now)
        turned = self._venues.look(now, monotonic_ns)
        self._looks += 1
        names: Iterable[str] = self._venues.unlooked | self._quiet
        if turned or self._had_unread or unread is None or unread or not self._looks % ALL_EVERY:
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
        """Learn from what there is how long feeds are usually silent, of some instruments each time, and how far clocks are apart."""
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
        """Whether much has been read at once, so that more may be waiting."""
        self._venues.behind = behind

    def clock_offsets_ns(self) -> dict[str, int]:
        """Our clock less each venue's, where it is known."""
        return self._venues.offsets_ns()

    def instrument(self, name: str, now: int) -> ConsolidatedInstrument:
        """That instrument, known or new."""
        instrument = self.instruments.get(name)
        if instrument is None:
            instrument = self.instruments[name] = ConsolidatedInstrument(name, self.rules, self._venues, self.counts, now)
        return instrument

    def due(self, now: int, limit: int | None = None) -> list[Cbbo]:
        """The consolidated quotes that are due and say something new, from `limit` instruments at most, longest due first."""
        for name in self._schedule.advance(now):
            self._look(self.instruments[name], now)
        return [quote for name in self._schedule.due(limit) if (quote := self._quote(self.instruments[name], now)) is not None]

    def next_ts(self) -> int | None:
        """When `due` should be called next though no event comes; 0 at once, None: not before an event."""
        return self._schedule.next_ts()

    def changed(self, names: Iterable[str], now: int) -> None:
        """Look at these again: something about them has changed other than by an event."""
        for name in names:
            self._schedule.mark(name, now)

    def _quote(self, instrument: ConsolidatedInstrument, now: int) -> Cbbo | None:
        quote = instrument.consolidate(now)
        self._wake(instrument)
        if quote is not None:
            self._schedule.published(instrument.name, now)
            self.counts.published += 1
            self.counts.merged = self._schedule.merged
        return quote

    def _look(self, instrument: ConsolidatedInstrument, now: int) -> None:
        """A moment has come that was the instrument's next one when it was set; since then it may have moved on."""
        ts = instrument.next_ts()
        if ts is not None and ts <= now:
            self._schedule.mark(instrument.name, now)
        else:
            self._wake(instrument)

    def _wake(self, instrument: ConsolidatedInstrument) -> None:
        ts = instrument.next_ts()
        if ts is not None:
            self._schedule.look_at(instrument.name, ts)

    def _venue_wide(self, event: Event, now: int) -> None:
        if event.venue == CONSOLIDATED:
            return  # an aggregator's sign of life: no venue with legs
        if isinstance(event, Status):
            if not self._venues.apply(event, now):
                self.counts.outdated[event.venue] += 1
        elif isinstance(event, Gap):
            for name in self._venues.venue(event.venue).instruments:
                if self.instruments[name].apply(event, now):
                    self._schedule.mark(name, now)

    def _apply_dirty(self, received_ts: int, now: int) -> None:
        """A venue as a whole has changed: each of its instruments must be judged anew, with what was refused before."""
        refused, self._venues.refused = self._venues.refused, []
        for event in refused:
            self.instruments[event.instrument].apply(event, now)
        for venue in self._venues.dirty:
            for name in self._venues.venue(venue).instruments:
                self.instruments[name].touch(received_ts)
                self.instruments[name].look(now)
                self._schedule.mark(name, now)
        self._venues.dirty.clear()
