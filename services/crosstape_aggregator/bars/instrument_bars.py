"""Builds the bars of one instrument: of each venue, and of all together, in each timeframe.

Trades wait in a list, and are added up when bars are due or `FOLD` of them wait. All trades of a venue in one part (the longest time of
which each interval is a multiple) are added up together, and their sum is merged into the interval of each timeframe: what a trade costs
does hardly depend on the number of timeframes. The sums of `consolidated` are merged from those of the venues when they are needed.

Sums do not depend on the order of trades. So the last revision of a bar is the same in whatever order trades came, and whatever our clock
showed meanwhile: the clock decides when a bar is published, and how often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from typing import Final

import msgspec

from crosstape_aggregator.bars.events import BarId, bar_of, flat_bar, same_content
from crosstape_aggregator.bars.gaps import OpenGaps
from crosstape_aggregator.bars.ranges import Range, Ranges, intervals_in
from crosstape_aggregator.bars.rules import BarRules
from crosstape_aggregator.bars.series import Closed, Series, record_of
from crosstape_aggregator.bars.state import BarCounts, BarsState, Feeds
from crosstape_aggregator.bars.store import BarStore
from crosstape_aggregator.bars.sums import Sums, merged
from crosstape_aggregator.bars.taped import Taped
from crosstape_schemas import CONSOLIDATED, Bar, Trade
from crosstape_schemas.timeframes import close_of, open_of

FOLD: Final = 512
"""Most trades of one venue that wait."""
_EVER: Final = 1 << 62


class InstrumentBars:
    """The bars of one instrument. `wake` is called with the moment (ns) of a change, after which `due` has something to return."""

    __slots__ = (
        "_checks", "_counts", "_due_ts", "_ended", "_feeds", "_gaps", "_is_ahead", "_known_from", "_marked", "_next_close_ts", "_pending",
        "_rules", "_store", "_taped", "_unknown", "_venues", "_wake", "closed_until", "held", "name", "published_ts", "queued",
    )  # fmt: skip

    def __init__(self, name: str, rules: BarRules, feeds: Feeds, counts: BarCounts, wake: Callable[[InstrumentBars, int], None]) -> None:
        self.name = name
        self.published_ts = 0
        """When open bars were last published."""
        self.queued = False
        """Whether it is in the queue of the output."""
        self.held = False
        """Whether `due` must return nothing yet, because it is not known what is on the tape already."""
        self.closed_until = [0 for _ in rules.timeframes]
        """Of each timeframe: all intervals up to this moment (ns) are closed. It never goes back. 0: none was closed yet."""
        self._rules = rules
        self._feeds = feeds
        self._counts = counts
        self._wake = wake
        self._next_close_ts = 0  # when the next interval closes
        self._due_ts = 0  # when intervals were last closed
        self._ended = [0 for _ in rules.timeframes]  # up to when intervals had ended then: less than `closed_until` if clocks were set
        self._is_ahead = False  # whether our clock was ahead of what is confirmed, at the last `due`
        self._marked = False  # whether `wake` was called since open bars were last published
        self._pending: dict[str, list[Trade]] = {}  # by venue
        self._gaps = OpenGaps(rules.tolerance_ns)
        self._store = BarStore(rules)
        self._unknown: list[set[int]] = [set() for _ in rules.timeframes]  # open_ts of closed intervals that may lack trades
        self._checks = Ranges()  # closed bars that overlap one of these may have changed
        self._taped = Taped()
        self._venues: list[str] = []  # as of the last `due`
        self._known_from: dict[str, int | None] = {}  # as of the last `due`

    def trade(self, trade: Trade, now: int) -> None:
        """Apply a trade of any venue, live or from the past. The product of its price and size is exact."""
        try:
            pending = self._pending[trade.venue]
        except KeyError:
            pending = self._pending[trade.venue] = []
        pending.append(trade)
        if not self._marked:
            self._marked = True
            self._wake(self, now)
        if len(pending) >= FOLD:
            self._fold()
            if not any(self.closed_until):
                self._drop(now)  # much of the past is read: keep only what `due` will close

    def missing(self, venue: str, from_ts: int, to_ts: int) -> None:
        """Note that trades of a venue (empty: of any) are missing between these moments (ns)."""
        if self._gaps.open(venue, from_ts, to_ts):
            self._check(from_ts, to_ts)

    def found(self, venue: str, from_ts: int, to_ts: int) -> None:
        """Note that the trades between exactly these moments (ns) are there after all."""
        if self._gaps.close(venue, from_ts, to_ts):
            self._check(from_ts, to_ts)

    def unknown_until(self, ts: int) -> None:
        """Note that trades up to this moment (ns) may be missing for ever. What is closed stays as it is."""
        self._gaps.until_ts = max(self._gaps.until_ts, ts)

    def published(self, bar: Bar) -> None:
        """Note a closed bar that is on the tape already. Call it after `restore`, while `held`.

        `due` does not publish it again: it returns the next revision if the bar is another one now. A bar that holds more trades than are
        known here stays as it is.
        """
        if bar.closed and bar.timeframe in self._rules.timeframes:
            self._taped.add(self._rules.timeframes.index(bar.timeframe), bar)

    def release(self, unknown_until: Mapping[str, int], history_ts: int = 0) -> None:
        """End `held`: `published` was called with all closed bars on the tape, as far as they can be known.

        Of each timeframe, bars may have been published before the moment `unknown_until` (ns) that are not on the tape any more. Intervals
        that ended by then are history: a bar of them could be published a second time, or with a wrong revision. So are intervals that
        began before `history_ts` (ns): `published` was not called with their bars.
        """
        for index, timeframe in enumerate(self._rules.timeframes):
            if history_ts > 0:
                self._store.drop_until(index, open_of(timeframe, history_ts))
            until = open_of(timeframe, unknown_until.get(timeframe, 0))
            if until > 0:
                self._store.drop_until(index, until)
                self.closed_until[index] = max(self.closed_until[index], until)
        self._taped.drop(self._store.dropped_until)  # a recorder corrects bars that are history: they are not compared with anything here
        self.held = False
        self._wake(self, 0)

    def _check(self, from_ts: int, to_ts: int) -> None:
        if not self._checks:
            self._wake(self, 0)
        self._checks.add(from_ts - self._gaps.widen_ns, to_ts + self._gaps.widen_ns)

    @property
    def waits(self) -> bool:
        """Whether `due` may return more without an event: what it needs (streams, feeds, the time) is not known yet."""
        return self.held or not self._feeds.read or any(self._unknown) or self._is_ahead

    def due(self, now: int) -> list[Bar]:
        """Return the bars to publish: those that close, those closed ones that have changed, and the open ones that have changed."""
        self._fold()
        if self.held or not self._feeds.read:
            self._marked = False
            return []
        bars: list[Bar] = []
        ts = min(now, self._feeds.confirmed_ts)
        self._is_ahead = ts < now
        if ts and (not self._due_ts <= ts < self._next_close_ts or self._checks or any(self._unknown) or self._is_late()):
            bars = self._close_all(ts)
        if not 0 <= now - self.published_ts < self._rules.interval_ns:
            self._marked = False
            for index, changed in enumerate(self._store.changed):
                if changed:
                    bars += self._open(index)
                    self.published_ts = now
        return bars

    def _is_late(self) -> bool:
        """Whether trades have changed closed bars."""
        store = self._store
        return any(store.earlier) or any(min(opens, default=_EVER) < until for opens, until in zip(store.changed, self._ended, strict=True))

    def _close_all(self, now: int) -> list[Bar]:
        """Return the bars that close now, and the closed ones that have changed."""
        self._due_ts = now
        names, grace_ns = self._rules.timeframes, self._rules.grace_ns
        self._venues = sorted({*self._store.venues, *self._feeds.trading()})
        before, self._known_from = self._known_from, {}
        again = any(self._unknown) and any(before.get(one) is None and self._known(one, now) is not None for one in self._venues)
        checks = self._checks.take()
        bars = [bar for index in range(len(names)) for bar in self._close(index, checks, now, again=again)]
        self._next_close_ts = min(close_of(name, open_ts) for name, open_ts in zip(names, self._ended, strict=True)) + grace_ns
        self._known_from = {venue: self._known(venue, now) for venue in self._venues} if any(self._unknown) else {}
        self._drop(now)
        return bars

    def _fold(self) -> None:
        """Add up the trades that wait."""
        counts = self._counts if self._feeds.read else None
        for venue, trades in self._pending.items():
            if trades:
                self._store.add(venue, trades, counts)
                self._pending[venue] = []

    def _known(self, venue: str, now: int) -> int | None:
        """Return since when (ns) no trade of a venue can be missing without a gap; None: one may be missing now."""
        if venue in self._known_from:
            return self._known_from[venue]
        known_from = self._feeds.known_since(venue, now)
        if known_from is not None:
            since = self._store.since.setdefault(venue, now)  # a venue that is new, and has not traded yet
            known_from = max(known_from, since, self._gaps.until_ts + 1)
        self._known_from[venue] = known_from
        return known_from

    def _close(self, index: int, checks: list[Range], now: int, *, again: bool) -> list[Bar]:
        """Return the bars of a timeframe that close now, and the closed ones that have changed. `again`: a feed is known again."""
        rules, store = self._rules, self._store
        closed, changed = store.all[index].closed, store.changed[index]
        timeframe, former = rules.timeframes[index], self.closed_until[index]
        until = self._ended[index] = open_of(timeframe, now - rules.grace_ns)
        self.closed_until[index] = max(former, until)
        opens = {open_ts for open_ts in store.unclosed[index] if open_ts < until}
        store.unclosed[index] -= opens
        late = [open_ts for open_ts in changed if open_ts < until]
        for open_ts in late:
            del changed[open_ts]
        opens.update(open_ts for open_ts in late if open_ts in closed)
        filled: set[int] = set()
        if rules.fills[index]:
            if store.earlier[index] or any(open_ts < former for open_ts in late):
                opens.update(store.flat(index))  # the last price before them may be another one
            if until > former:
                filled.update(self._without_trades(index, former, now))
        store.earlier[index] = False
        opens.update(intervals_in(checks, timeframe, closed), self._unknown[index] if again else ())
        early = {open_ts for open_ts in opens if open_ts >= until}  # closed by a clock that was ahead: they wait for their end
        changed.update((open_ts, set()) for open_ts in early - changed.keys())
        opens -= early
        opens.update(open_ts for open_ts in self._taped.opens(index) if open_ts < until)
        return [bar for open_ts in sorted(opens | filled) for bar in self._settle(index, open_ts, now, fill=open_ts in filled)]

    def _without_trades(self, index: int, former: int, now: int) -> Iterator[int]:
        """Yield the intervals that close now, whether they have trades or not: those since the last time, or of the history."""
        timeframe, until = self._rules.timeframes[index], self._ended[index]
        if not former:
            begin = min((ts for venue in self._venues if (ts := self._known(venue, now)) is not None), default=until)
            former = close_of(timeframe, open_of(timeframe, begin - 1))
        open_ts = max(former, open_of(timeframe, now - self._rules.history_ns))
        while open_ts < until:
            yield open_ts
            open_ts = close_of(timeframe, open_ts)

    def _settle(self, index: int, open_ts: int, now: int, *, fill: bool) -> list[Bar]:
        """Return the bars of one closed interval that differ from those that were published. `fill`: also if nothing traded."""
        close_ts = close_of(self._rules.timeframes[index], open_ts)
        found: list[tuple[Series, str, Sums | None, bool, bool]] = []
        parts: list[Sums] = []
        all_known = all_intact = True
        for venue in self._venues:
            series = self._store.of(venue)[index]
            sums, record = series.sums.get(open_ts), series.closed.get(open_ts)
            known_from = self._known(venue, now)
            known = (known_from is not None and known_from <= open_ts) or (record is not None and record.known and not record.fixed)
            intact = not self._gaps.overlap(venue, open_ts, close_ts)
            all_known, all_intact = all_known and known, all_intact and intact
            if sums is not None:
                parts.append(sums)
            if sums or record or self._taped.has(index, venue, open_ts) or (fill and self._feeds.is_live(venue)):
                found.append((series, venue, sums, known, intact))
        if found or self._taped.has(index, CONSOLIDATED, open_ts):
            found.append((self._store.all[index], CONSOLIDATED, reduce(merged, parts) if parts else None, all_known, all_intact))
        bars = [self._publish(*one, index=index, open_ts=open_ts, now=now) for one in found]
        if all(series.closed[open_ts].known for series, *_ in found):
            self._unknown[index].discard(open_ts)
        else:
            self._unknown[index].add(open_ts)
        return [bar for bar in bars if bar is not None]

    def _publish(
        self, series: Series, venue: str, sums: Sums | None, known: bool, intact: bool, *, index: int, open_ts: int, now: int
    ) -> Bar | None:
        """Return the closed bar of an interval, unless the same was published before."""
        one = BarId(self.name, venue, self._rules.timeframes[index], open_ts)
        record, taped = series.closed.get(open_ts), self._taped.take(index, venue, open_ts)
        if taped is not None and (record is None or record.revision <= taped.revision):
            record = record_of(taped, fixed=record is None and open_ts < self._feeds.read_from_ts)
        else:
            taped = None
        trades, price = (sums.trades, None) if sums is not None else (0, self._store.price_before(index, venue, open_ts))
        if record is not None and (record.fixed or trades < record.trades):
            series.closed[open_ts] = record  # a predecessor knew more trades, or may have
            return None
        known = known or (record is not None and record.known)
        new = Closed(0 if record is None else record.revision + 1, known, known and intact, trades, price)
        bar: Bar | None
        if sums is not None:
            bar = bar_of(one, sums, closed=True, revision=new.revision, complete=new.complete)
        else:
            bar = flat_bar(one, price, now, revision=new.revision, complete=new.complete)
        if record is not None:
            if same_content(bar, taped) if taped is not None else record.says(new):
                new, bar = msgspec.structs.replace(new, revision=record.revision), None
            else:
                self._counts.revised[one.timeframe] += 1
        series.closed[open_ts] = new
        return bar

    def _open(self, index: int) -> list[Bar]:
        """Return the open bars of a timeframe that have changed."""
        bars: list[Bar] = []
        timeframe, store = self._rules.timeframes[index], self._store
        changed, closed = store.changed[index], store.all[index].closed.keys() | self._taped.opens(index)
        early = {open_ts: venues for open_ts, venues in changed.items() if open_ts in closed}  # never open again
        for open_ts in sorted(changed.keys() - early):
            parts = {venue: sums for venue, series in store.venues.items() if (sums := series[index].sums.get(open_ts)) is not None}
            sums_of = [(venue, parts[venue]) for venue in sorted(changed[open_ts])]
            for venue, sums in (*sums_of, (CONSOLIDATED, reduce(merged, parts.values()))):
                bars.append(bar_of(BarId(self.name, venue, timeframe, open_ts), sums, closed=False))
        store.changed[index] = early
        return bars

    def _drop(self, now: int) -> None:
        """Drop the intervals that are history."""
        self._store.drop(now)
        dropped = self._store.dropped_until
        for index, until in enumerate(dropped):
            if self._unknown[index]:
                self._unknown[index] = {one for one in self._unknown[index] if one >= until}
        self._taped.drop(dropped)
        self._gaps.forget(min(dropped))

    def state(self) -> BarsState:
        """Copy the state for a checkpoint. O(bars), but it only copies references."""
        self._fold()
        names, store = self._rules.timeframes, self._store
        return BarsState(
            dict(zip(names, self.closed_until, strict=True)), dict(zip(names, store.dropped_until, strict=True)), store.newest_ts,
            self._taped.added_to(store.state(), store.dropped_until), self._gaps.state(), self._gaps.until_ts, dict(store.since),
        )  # fmt: skip

    def restore(self, state: BarsState) -> None:
        """Continue from the state of a checkpoint; timeframes that it lacks start without bars. Call it before any other method.

        The caller then applies the trades since the checkpoint, and calls `published` with the bars that are on the tape since then.
        """
        names, store = self._rules.timeframes, self._store
        self.closed_until = [state.closed_until.get(name, 0) for name in names]
        store.dropped_until = [state.dropped_until.get(name, 0) for name in names]
        store.newest_ts, store.since = state.newest_ts, dict(state.since)
        store.restore(state.series)
        self._gaps.restore(state.gaps)
        self._gaps.until_ts = max(self._gaps.until_ts, state.until_ts)
        for index in range(len(names)):
            self._unknown[index] = {one for series in store.every(index) for one, record in series.closed.items() if not record.known}
        self._check(0, _EVER)
