"""Audits bars by the method `bar/1`: all revisions, open and closed, of each venue and of all together.

A bar does not name its trades, but says how many it has. Trades are added in the order of their stream, so it must be what the first of
them add up to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from crosstape_recorder.audit.complete import Complete
from crosstape_recorder.audit.findings import Audit, Check, Difference, text_of
from crosstape_recorder.audit.intervals import Counted, Interval, LastPrices, price_before
from crosstape_recorder.audit.moments import Moment
from crosstape_recorder.audit.rules import MS, Rules
from crosstape_recorder.bars import amount, key_of, numbers_of, without_trades
from crosstape_schemas import CONSOLIDATED, Bar, Trade
from crosstape_schemas.timeframes import LENGTHS, close_of, is_open, open_of

SETTLED_MS: Final = 20_000
"""A trade that arrived this long before the newest bar of its instrument must be in its bars."""
SWEEP_MS: Final = 60_000
SHOWN: Final = 20
"""Most trades shown with a difference."""
UNRECORDED: Final = "trades of the interval are not in the recording"
NO_TIMEFRAME: Final = "the settings do not have the timeframe"
NO_TRADE_BEFORE: Final = "the last trade before the interval is not in the recording"
REPAIRED: Final = "a repair has revised it, with trades that were fetched later"
SMALLER: Final = "a bar with more trades came before"
MINUTE: Final = LENGTHS["1m"]

Key = tuple[str, str, int]
"""Timeframe, venue, `open_ts`."""


class Bars:
    """The bars of one instrument."""

    def __init__(self, name: str, audit: Audit, rules: Rules, complete: Complete) -> None:
        self.known_from_ts = 0
        """Trades that count before this moment (ns) may not be in the recording."""
        self.audited_from_ts = 0
        """Bars that were published before this moment (ns) are not audited."""
        self._name = name
        self._audit = audit
        self._rules = rules
        self._complete = complete
        self._intervals: dict[Key, Interval] = {}
        self._lasts: dict[str, LastPrices] = {}
        self._first_ms = 0  # id of the first bar
        self._newest_ms = 0
        self._swept_ms = 0

    def trade(self, ms: int, n: int, trade: Trade) -> None:
        """Add the next trade of the stream."""
        product = amount(trade)
        if product is None:
            return
        one = Counted(ms, n, trade, key_of(trade), product)
        for timeframe in self._rules.bars:
            open_ts = open_of(timeframe, one.key[0])
            if close_of(timeframe, open_ts) + self._rules.history_ns < self.audited_from_ts:
                continue
            for venue in (trade.venue, CONSOLIDATED):
                self._interval(timeframe, venue, open_ts).waiting.append(one)
        lasts = self._lasts.get(trade.venue)
        if lasts is None:
            lasts = self._lasts[trade.venue] = LastPrices()
        lasts.add(one)

    def _interval(self, timeframe: str, venue: str, open_ts: int) -> Interval:
        key = timeframe, venue, open_ts
        found = self._intervals.get(key)
        if found is None:
            found = self._intervals[key] = Interval()
        return found

    def take(self, ms: int, n: int, bar: Bar) -> None:
        """Audit the next bar."""
        self._first_ms = self._first_ms or ms
        self._newest_ms = max(self._newest_ms, ms)
        if bar.closed and ms * MS > bar.close_ts + self._rules.history_ns + SWEEP_MS * MS:
            self._audit.unchecked["bar", REPAIRED] += 1  # no aggregator revises so old a bar
            return
        interval = self._interval(bar.timeframe, bar.venue, bar.open_ts)
        check = Check(self._audit, "bar", bar, f"{ms}-{n}", lambda: list(_texts(interval)))
        check.same("method", bar.method, "bar/1")
        is_aligned = is_open(bar.timeframe, bar.open_ts)
        check.holds(is_aligned, "open_ts", bar.open_ts, "the beginning of an interval")
        check.same("close_ts", bar.close_ts, close_of(bar.timeframe, bar.open_ts))
        self._numbers(check, ms, bar, interval)
        self._revision(check, ms, bar, interval)
        if bar.complete:
            self._completeness(check, ms, bar)
        interval.bars += 1
        check.done()
        if ms - self._swept_ms > SWEEP_MS:
            self._swept_ms = ms
            self._sweep(ms)

    def _numbers(self, check: Check, ms: int, bar: Bar, interval: Interval) -> None:
        if bar.timeframe not in self._rules.bars:
            check.unchecked(NO_TIMEFRAME, 9)
            return
        if not bar.trades:
            self._without_trades(check, ms, bar)
            return
        if bar.trades < interval.sums.trades:
            check.unchecked(SMALLER, 9)
            return
        is_known = bar.open_ts >= self.known_from_ts
        interval.take(min(bar.trades, interval.total))
        computed = interval.sums.numbers()
        if not is_known and (numbers_of(bar) != computed or bar.received_ts != interval.sums.received_ts):
            check.unchecked(UNRECORDED, 9)
            return
        for field, mine, its in zip(computed._fields, numbers_of(bar), computed, strict=True):
            check.same(field, mine, its)
        check.same("received_ts", bar.received_ts, interval.sums.received_ts)

    def _without_trades(self, check: Check, ms: int, bar: Bar) -> None:
        """An interval without trades has the price of the last trade before it, as far as the aggregator had read."""
        check.holds(bar.closed and LENGTHS.get(bar.timeframe, MINUTE) >= MINUTE, "trades", 0, "a closed bar of 1m or longer")
        every = self._lasts if bar.venue == CONSOLIDATED else {bar.venue: self._lasts.get(bar.venue, LastPrices())}
        last = price_before(every, bar.open_ts, ms)
        if last is None and (bar.close is not None or bar.open_ts < self.known_from_ts):
            check.unchecked(NO_TRADE_BEFORE, 8)
            return
        found = [None if last is None else last[1]]
        earlier_ms = ms
        while last is not None and earlier_ms > ms - SETTLED_MS:  # trades that came just before may not have been read
            earlier_ms -= self._rules.lag_ns // MS
            last = price_before(every, bar.open_ts, earlier_ms)
            found.append(None if last is None else last[1])
        if bar.close is None and last is not None and last[0][0] < bar.open_ts - self._rules.history_ns:
            check.unchecked("the aggregator had not read so far back", 8)
            return
        numbers = next((one for price in found if (one := without_trades(price)) == numbers_of(bar)), without_trades(found[0]))
        for field, mine, its in zip(numbers._fields, numbers_of(bar), numbers, strict=True):
            check.same(field, mine, its)

    def _revision(self, check: Check, ms: int, bar: Bar, interval: Interval) -> None:
        before = interval.bar
        if not bar.closed:
            check.same("revision", bar.revision, 0)
            check.same("complete", bar.complete, False)
            check.holds(before is None, "closed", "false", "true: it was closed before")
            return
        interval.bar, interval.bar_ms = bar, ms
        if before is not None:
            check.same("revision", bar.revision, before.revision + 1)
            is_other = numbers_of(bar) != numbers_of(before) or bar.complete is not before.complete
            check.holds(is_other, "revision", bar.revision, "a change of the bar")
        elif interval.bars or bar.open_ts >= max(self.known_from_ts, self.audited_from_ts):
            check.same("revision", bar.revision, 0)
        else:
            check.unchecked("the revision before is not in the recording")

    def _completeness(self, check: Check, ms: int, bar: Bar) -> None:
        found = self._gaps(bar, Moment(ms * MS, ms - SETTLED_MS, ms))
        check.holds(bar.closed and not found, "complete", "true", f"false: {'; '.join(found)}", exact=False)

    def _gaps(self, bar: Bar, at: Moment) -> list[str]:
        """Return the open gaps of trades that concern a bar."""
        widen = self._rules.tolerance_ns
        return [
            f"gap of {venue} from {from_ts} to {to_ts}"
            for venue, from_ts, to_ts in self._complete.open_gaps(at, None if bar.venue == CONSOLIDATED else bar.venue)
            if venue in self._lasts and to_ts >= bar.open_ts - widen and from_ts < bar.close_ts + widen
        ]

    def _sweep(self, ms: int) -> None:
        """Finish the intervals that are history."""
        for key in [key for key in self._intervals if close_of(key[0], key[2]) + self._rules.history_ns < (ms - SWEEP_MS) * MS]:
            self._finish(key, self._intervals.pop(key))

    def done(self) -> None:
        """Finish all intervals: what has arrived long before the newest bar must be in one."""
        for key, interval in self._intervals.items():
            self._finish(key, interval)
        self._intervals.clear()

    def _finish(self, key: Key, interval: Interval) -> None:
        timeframe, venue, open_ts = key
        close_ts, bar = close_of(timeframe, open_ts), interval.bar
        until_ms = min(self._newest_ms - SETTLED_MS, (close_ts + self._rules.history_ns) // MS - SETTLED_MS)
        if close_ts + self._rules.grace_ns > until_ms * MS:
            return
        if bar is None:
            if interval.lacks(until_ms) and open_ts > max(self._first_ms * MS, self.known_from_ts):
                where, texts = f"bar:{timeframe} {self._name} {venue} open_ts {open_ts}", tuple(_texts(interval))
                self._audit.differ(
                    Difference(
                        "bar", where, "closed", "no bar", f"a bar of {interval.total} trades", texts, interval.waiting[0].ms, self._name
                    )
                )
            return
        check = Check(self._audit, "bar", bar, f"{interval.bar_ms}-0")
        self._audit.events["bar"] -= 1  # it was counted before
        lacking = interval.lacks(until_ms) if open_ts >= self.known_from_ts else []
        if lacking:
            check.wrong("trades", bar.trades, bar.trades + len(lacking), [text_of(one.trade, one.ms, one.n) for one in lacking[:SHOWN]])
        elif bar.complete:
            found = self._gaps(bar, Moment(0, until_ms, self._newest_ms + SETTLED_MS))
            check.holds(not found, "complete of the last revision", "true", f"false: {'; '.join(found)}", exact=False)
        else:
            check.exactly(1)
        check.done()


def _texts(interval: Interval) -> Iterator[str]:
    for one in interval.waiting[:SHOWN]:
        yield text_of(one.trade, one.ms, one.n)
