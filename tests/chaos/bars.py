"""The rule of bars: each closed one is the sum of the trades on the tape in its interval, under one numbering, and no interval is missing.

A trade belongs to the interval that contains its `venue_ts` or, where this is missing or more than `AHEAD_NS` after it was received, its
`received_ts`. A bar of the venue `consolidated` has the trades of all venues.

- A bar is closed at revision 0 first. Each further revision is one more, and differs from the one before. Nothing that is closed is open
  again.
- The highest revision of each equals the trades on the tape, to the last digit, unless the server lost some of them, as a gap says. A trade
  or a bar of the last `settle_ns` is not judged.
- A bar that is `complete` and ended more than `late_ns` ago has as many trades as the true market, unless clocks are wrong on purpose.
- From the first closed bar of a venue to the newest closed one of any venue, each interval with a trade has its bar, or a gap says that the
  server lost it.
- An open bar holds a part of the trades.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Context, Decimal
from typing import Final, NamedTuple

from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, Bar, Gap, GapCause, Side, Trade
from crosstape_schemas.timeframes import close_of, open_of
from tests.chaos.tape import Entry
from tests.chaos.true_market import TrueInstrument, TrueTrade
from tests.chaos.violations import Violation

BAR: Final = "bar:"
TIMEFRAMES: Final = ("1s", "1m")
"""Of bars that are checked."""
AHEAD_NS: Final = 60_000_000_000
MS: Final = 1_000_000
KEPT: Final = 7_200
"""Intervals that are remembered of each series. The oldest half is judged and forgotten when there are more."""

_Place = tuple[int, str, int, int, int]
"""Of a trade: its time, venue, id as a number or -1, epoch, `seq`. The first and the last by this order make `open` and `close`."""


class Values(NamedTuple):
    """The values of a bar."""

    open: Decimal | None
    high: Decimal | None
    low: Decimal | None
    close: Decimal | None
    volume: Decimal
    quote_volume: Decimal
    trades: int
    taker_buy_volume: Decimal | None


EXACT: Final = Context(prec=100)
"""Sizes of inverse contracts have 28 digits: their sums have more."""


class Sums:
    """The trades of one interval, added up."""

    __slots__ = ("bought", "first", "high", "last", "low", "newest_ts", "quote_volume", "trades", "volume")

    def __init__(self) -> None:
        self.volume = self.quote_volume = Decimal(0)
        self.bought: Decimal | None = Decimal(0)
        self.trades = 0
        self.newest_ts = 0
        """The latest `received_ts`."""

    def add(self, place: _Place, price: Decimal, size: Decimal, taker: Side | None, received_ts: int) -> None:
        """Add one trade."""
        if not self.trades:
            self.first = self.last = place, price
            self.high = self.low = price
        self.first = min(self.first, (place, price))
        self.last = max(self.last, (place, price))
        self.high, self.low = max(self.high, price), min(self.low, price)
        self.trades += 1
        self.volume = EXACT.add(self.volume, size)
        self.quote_volume = EXACT.add(self.quote_volume, EXACT.multiply(price, size))
        if taker is None:
            self.bought = None
        elif self.bought is not None and taker is Side.BUY:
            self.bought = EXACT.add(self.bought, size)
        self.newest_ts = max(self.newest_ts, received_ts)

    def values(self) -> Values:
        """As a bar has them."""
        prices = self.first[1], self.high, self.low, self.last[1]
        return Values(*prices, self.volume, self.quote_volume, self.trades, self.bought)


class Closed(NamedTuple):
    """The highest revision of a bar, and when (ns, the server's clock) it was written."""

    bar: Bar
    written_ts: int


class Series:
    """The bars of one venue, instrument and timeframe, and the trades that belong in them."""

    def __init__(self) -> None:
        self.trades: dict[int, Sums] = defaultdict(Sums)  # by `open_ts`, as `closed` and `open`
        self.closed: dict[int, Closed] = {}
        self.open: dict[int, Bar] = {}
        self.forgotten_ts = 0  # intervals that opened before this were judged and forgotten
        self.first_ts = 0  # `open_ts` of the earliest closed bar; 0 = none


class Bars:
    """Checks the bars of all instruments."""

    def __init__(self, market: Mapping[tuple[str, str], TrueInstrument], *, settle_ns: int, late_ns: int = 0, skewed: bool = False) -> None:
        """`market`: all venues that are consolidated. `settle_ns`: how long after a trade is on the tape its bar may lack it.

        `late_ns`: how late a trade may be that is not reported as missing. `skewed`: clocks are wrong on purpose.
        """
        self._market = market
        self._settle_ns = settle_ns
        self._late_ns = late_ns
        self._skewed = skewed
        self._series: dict[tuple[str, str, str], Series] = defaultdict(Series)  # by (venue, instrument, timeframe)
        self._gaps: dict[tuple[str, str], list[Gap]] = defaultdict(list)  # of bars, by (instrument, timeframe)
        self._lost: dict[tuple[str, str], list[Gap]] = defaultdict(list)  # of trades that the server lost, by (venue, instrument)
        self._newest_ts = 0  # `received_ts` of the newest trade
        self.checked = 0
        self.complete = 0
        """How many of these were compared with the true market."""

    def take(self, entries: Sequence[Entry]) -> Iterator[Violation]:
        """Check the new entries. The market must be known up to the entries before them."""
        yield from self._forget()
        for entry in entries:
            if isinstance(entry.event, Gap):
                self._gap(entry.event)
            elif isinstance(entry.event, Trade):
                self._trade(entry.event)
        for entry in entries:
            if isinstance(entry.event, Bar) and entry.event.timeframe in TIMEFRAMES:
                yield from self._take(entry.event, int(entry.id.partition("-")[0]) * MS)

    def _gap(self, gap: Gap) -> None:
        """Note a gap of any stream."""
        if gap.kind.startswith(BAR):
            self._gaps[gap.instrument, gap.kind.removeprefix(BAR)].append(gap)
        elif gap.kind in ("trade", VENUE_WIDE) and gap.cause is GapCause.BUS:
            for venue in (gap.venue, CONSOLIDATED):
                self._lost[venue, gap.instrument].append(gap)

    def _trade(self, trade: Trade) -> None:
        """Note a trade on the tape."""
        ts = trade.venue_ts
        if ts is None or ts > trade.received_ts + AHEAD_NS:
            ts = trade.received_ts
        number = int(trade.trade_id) if trade.trade_id is not None and trade.trade_id.isdecimal() else -1
        self._newest_ts = max(self._newest_ts, trade.received_ts)
        place = ts, trade.venue, number, trade.epoch, trade.seq
        for venue in (trade.venue, CONSOLIDATED):
            for timeframe in TIMEFRAMES:
                sums = self._series[venue, trade.instrument, timeframe].trades[open_of(timeframe, ts)]
                sums.add(place, trade.price, trade.size, trade.taker, trade.received_ts)

    def _take(self, bar: Bar, written_ts: int) -> Iterator[Violation]:
        """Check the next bar of its stream."""
        key = bar.venue, bar.instrument, bar.timeframe
        series = self._series[key]
        where = f"{_name(key)}, {bar.open_ts}, epoch {bar.epoch} seq {bar.seq}"
        known = series.closed.get(bar.open_ts)
        if bar.open_ts < series.forgotten_ts:
            return
        if not bar.closed:
            if known is not None:
                yield Violation("a closed bar is open again", where, "nothing, or a revision", bar.trades)
            series.open[bar.open_ts] = bar
            return
        expected = 0 if known is None else known.bar.revision + 1
        if bar.revision != expected and not (bar.revision > expected and self._is_covered(key, bar.open_ts)):
            yield Violation("a bar's revision is not the next", where, expected, bar.revision)
        if known is not None and (_values(bar), bar.complete) == (_values(known.bar), known.bar.complete):
            yield Violation("a bar is published again unchanged", where, "a change", f"revision {bar.revision}")
        if known is None or bar.revision > known.bar.revision:
            series.closed[bar.open_ts] = Closed(bar, written_ts)
            series.first_ts = min(series.first_ts or bar.open_ts, bar.open_ts)
            series.open.pop(bar.open_ts, None)

    def done(self, now: int) -> Iterator[Violation]:
        """Check all bars at the end of the tape, which was last read at `now` (ns)."""
        for key, series in list(self._series.items()):
            yield from self._judge(key, series, now, now)
            yield from self._missing(key, series, now)

    def _forget(self) -> Iterator[Violation]:
        """Judge and forget old intervals, if there are too many."""
        for key, series in list(self._series.items()):
            opened = series.trades.keys() | series.closed.keys()
            if len(opened) > KEPT:
                until = sorted(opened)[KEPT // 2]
                yield from self._judge(key, series, self._newest_ts, until)
                series.forgotten_ts = until
                for of in (series.trades, series.closed, series.open):
                    for open_ts in [one for one in of if one < until]:
                        del of[open_ts]

    def _judge(self, key: tuple[str, str, str], series: Series, now: int, until_ts: int) -> Iterator[Violation]:
        """Compare the bars that opened before `until_ts`."""
        judged_ts = now - self._settle_ns
        true: dict[int, Sums] | None = None
        for open_ts, (bar, written_ts) in sorted(series.closed.items()):
            sums = series.trades.get(open_ts)
            if open_ts >= until_ts or written_ts > judged_ts or (sums is not None and sums.newest_ts > judged_ts):
                continue
            if self._has_lost(key, open_ts, bar.close_ts):
                continue
            where = f"{_name(key)}, {open_ts}, revision {bar.revision}, {'complete' if bar.complete else 'incomplete'}"
            self.checked += 1
            if bar.close_ts != close_of(bar.timeframe, open_ts):
                yield Violation("a bar ends at another time", where, close_of(bar.timeframe, open_ts), bar.close_ts)
            yield from _differences(bar, sums, where)
            if bar.complete and not self._skewed and bar.close_ts < now - self._late_ns:
                true = self._true(key) if true is None else true
                self.complete += 1
                if (found := true.get(open_ts)) is not None and found.trades != bar.trades:
                    yield Violation("a complete bar lacks trades", where, found.trades, bar.trades)
        for open_ts, bar in series.open.items():
            sums = series.trades.get(open_ts, Sums())
            if open_ts < until_ts and bar.close_ts < judged_ts and not (bar.trades <= sums.trades and bar.volume <= sums.volume):
                where = f"{_name(key)}, {open_ts}, open"
                yield Violation("an open bar never was", where, (sums.trades, sums.volume), (bar.trades, bar.volume))

    def _missing(self, key: tuple[str, str, str], series: Series, now: int) -> Iterator[Violation]:
        """Find intervals with trades that were not closed, though later ones of any venue were."""
        if not series.first_ts:
            return
        of = [other for (_, name, timeframe), other in self._series.items() if (name, timeframe) == key[1:]]
        newest_ts = max((open_ts for other in of for open_ts in other.closed), default=0)
        missing = [
            open_ts
            for open_ts, sums in sorted(series.trades.items())
            if max(series.first_ts, series.forgotten_ts) < open_ts <= newest_ts
            and open_ts not in series.closed
            and sums.newest_ts < now - self._settle_ns
            and not self._is_covered(key, open_ts)
        ]
        if missing:
            yield Violation("bars are missing", _name(key), f"{len(missing)}, or gaps", missing[:3])

    def _is_covered(self, key: tuple[str, str, str], open_ts: int) -> bool:
        """Whether a gap says that the server has lost bars which were published about when this one closed."""
        close_ts = close_of(key[2], open_ts)
        return any(gap.from_ts <= close_ts + self._settle_ns and open_ts <= gap.to_ts for gap in self._gaps[key[1:]])

    def _has_lost(self, key: tuple[str, str, str], open_ts: int, close_ts: int) -> bool:
        """Whether the server has lost trades of an interval, which may be in the bar all the same."""
        gaps = (gap for name in (key[1], VENUE_WIDE) for gap in self._lost.get((key[0], name), ()))
        return any(gap.from_ts - self._settle_ns <= close_ts and open_ts <= gap.to_ts for gap in gaps)

    def _true(self, key: tuple[str, str, str]) -> dict[int, Sums]:
        """Add up the trades of the true market, without those of the interval before which nothing is remembered."""
        venue, instrument, timeframe = key
        found: dict[int, Sums] = defaultdict(Sums)
        from_ts = 0
        for (at, name), true in self._market.items():
            if name == instrument and venue in (at, CONSOLIDATED) and true.trades:
                trades = list(true.trades.values())
                if trades[0].id > 1:
                    from_ts = max(from_ts, trades[0].ts)
                for trade in trades:
                    found[open_of(timeframe, trade.ts)].add(_true_place(at, trade), trade.price, trade.size, trade.taker, trade.ts)
        return {open_ts: sums for open_ts, sums in found.items() if open_ts > from_ts}


def _true_place(venue: str, trade: TrueTrade) -> _Place:
    return trade.ts, venue, trade.id, 0, 0


def _name(key: tuple[str, str, str]) -> str:
    return f"{key[2]} bars of {key[1]} at {key[0]}"


def _values(bar: Bar) -> Values:
    return Values(*(getattr(bar, name) for name in Values._fields))


def _differences(bar: Bar, sums: Sums | None, where: str) -> Iterator[Violation]:
    """Yield a violation for the first value that is not that of the trades. Without trades, all four prices are the same."""
    if sums is None:
        flat = bar.open == bar.high == bar.low == bar.close
        if not flat or bar.volume or bar.quote_volume or bar.trades or bar.taker_buy_volume:
            yield Violation("a bar never was", where, "flat, or none", _values(bar))
        return
    for name, said, truth in zip(Values._fields, _values(bar), sums.values(), strict=True):
        if said != truth:
            yield Violation("a bar is not its trades", where, f"{name} {truth}", said)
            return
