"""Audits VWAP windows by the method `cbbo/1`: exact sums over the trades that had been applied when a quote was computed.

A quote does not name its last trade. But trades are applied in the order of their stream, so all windows of a quote must be those of one
prefix of it: at least up to what had surely been read, and not shorter than that of the quote before. The shortest one with which each
window agrees digit by digit is taken. If there is none, the quote differs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from crosstape_recorder.audit.findings import Check, same, shown
from crosstape_recorder.audit.moments import Moment
from crosstape_recorder.audit.numbers import ZERO, add, average, plain, subtract
from crosstape_recorder.audit.rules import MS, SECOND, length_of
from crosstape_recorder.bars import amount, counts_at
from crosstape_schemas import Cbbo, Trade, Vwap

DAY_S: Final = 86_400
REWIND_MS: Final = 180_000
"""A new aggregator continues from a checkpoint: the windows of its first quote may lack the trades of this time."""
REWIND: Final = 250_000
"""Most trades that are kept for that."""
LATE_MS: Final = 25_000
"""Trades may be read this much later than the quotes that a quote names: an aggregator that is behind reads one stream after the other."""
SPARE_S: Final = 300
"""The sums of seconds are kept for this long after the longest window has left them."""
PAST: Final = "the aggregator had not read its past yet"
UNRECORDED: Final = "trades of the window are not in the recording"


def start_of(name: str, second: int) -> int:
    """Return the first second of a window: N seconds before this second or, of `1d`, the last midnight."""
    return second - second % DAY_S if name == "1d" else second - length_of(name)


class _Applied(NamedTuple):
    ms: int
    n: int
    second: int
    value: Decimal
    size: Decimal


class _Near(NamedTuple):
    price: Decimal | None
    volume: Decimal
    trades: int
    more: int
    """How many trades it has behind those that had surely been read."""


class _Window:
    """The sums of one window."""

    __slots__ = ("_vwap", "count", "start", "value", "volume")

    def __init__(self, start: int) -> None:
        self.start = start
        self.value = self.volume = ZERO
        self.count = 0
        self._vwap: tuple[Decimal | None, Decimal] | None = None

    def add(self, value: Decimal, volume: Decimal, count: int) -> None:
        self.value, self.volume, self.count = add(self.value, value), add(self.volume, volume), self.count + count
        self._vwap = None

    def remove(self, value: Decimal, volume: Decimal, count: int) -> None:
        self.value, self.volume, self.count = subtract(self.value, value), subtract(self.volume, volume), self.count - count
        self._vwap = None

    def vwap(self) -> tuple[Decimal | None, Decimal]:
        if self._vwap is None:
            self._vwap = (average(self.value, self.volume), plain(self.volume)) if self.count else (None, ZERO)
        return self._vwap

    def agrees(self, vwap: Vwap) -> bool:
        if self.count != vwap.trades:
            return False
        price, volume = self.vwap()
        return same(vwap.volume, volume) and same(vwap.price, price)


class Windows:
    """The windows of one instrument, from quote to quote."""

    def __init__(self) -> None:
        self.known_from_s = 0
        """Trades of earlier seconds may not be in the recording."""
        self.audited_from_ms = 0
        """Quotes that were published before this id are not audited."""
        self._trades: deque[_Applied] = deque()
        self._applied = 0  # how many of `_trades` are in the sums
        self._seconds: dict[int, tuple[Decimal, Decimal, int]] = {}
        self._windows: dict[str, _Window] = {}
        self._second = 0
        self._epoch = 0
        self._has_caught_up = False  # whether all trades from before the start of the aggregator have been applied
        self._started_ms = 0
        self._oldest_s = 0

    def trade(self, ms: int, n: int, trade: Trade) -> None:
        """Add the next trade of the stream."""
        value = amount(trade)
        if value is None:
            return
        one = _Applied(ms, n, counts_at(trade.venue_ts, trade.received_ts) // SECOND, value, trade.size)
        if ms < self.audited_from_ms - REWIND_MS:
            self._count(one)
        else:
            self._trades.append(one)

    def start_s(self, name: str) -> int:
        """Return the first second of a window of the quote that was audited last."""
        return self._windows[name].start

    def take(self, check: Check, quote: Cbbo, at: Moment) -> None:
        """Audit the windows of the next quote."""
        second = quote.ts // SECOND
        if quote.epoch != self._epoch:
            self._epoch = quote.epoch
            self._second = second
            self._has_caught_up = quote.seq != 1
            self._started_ms = quote.ts // MS
            if not self._has_caught_up:
                self._rewind(at.most_ms - REWIND_MS)
        self._second = max(self._second, second)  # windows stand still while a clock that was set back catches up
        self._move(quote.vwap)
        wanted = {name: vwap for name, vwap in quote.vwap.items() if self._windows[name].start >= self.known_from_s}
        least = self._least(at.sure_ms - LATE_MS) if self._has_caught_up else 0
        if self._find(wanted or quote.vwap, least, at.most_ms):
            on_time = self._applied >= self._least(at.sure_ms)
            check.agrees(3 * len(wanted), exact=on_time or not self._has_caught_up)
            self._has_caught_up = self._has_caught_up or self._applied >= self._least(self._started_ms)
        elif wanted and self._has_caught_up:
            self._differs(check, wanted, at)
        elif wanted:
            check.unchecked(PAST, 3 * len(wanted))
        for name, vwap in quote.vwap.items():
            if name not in wanted:
                if self._windows[name].agrees(vwap):
                    check.exactly(3)
                else:
                    check.unchecked(UNRECORDED, 3)
        self._forget(at.most_ms)

    def _least(self, sure_ms: int) -> int:
        """Return how many of the trades had surely been applied."""
        count = self._applied
        while count < len(self._trades) and self._trades[count].ms < sure_ms:
            count += 1
        return count

    def _find(self, wanted: Mapping[str, Vwap], least: int, most_ms: int) -> bool:
        """Apply trades until all windows agree. Returns False, with `least` trades applied, if they never do."""
        while self._applied < least:
            self._apply(self._trades[self._applied])
        before = self._applied
        while True:
            if all(self._windows[name].agrees(vwap) for name, vwap in wanted.items()):
                return True
            if self._applied == len(self._trades) or (trade := self._trades[self._applied]).ms > most_ms:
                break
            if any(self._windows[name].count > vwap.trades for name, vwap in wanted.items()):
                break  # more trades only make it worse
            self._apply(trade)
        while self._applied > before:
            self._undo()
        return False

    def _differs(self, check: Check, wanted: Mapping[str, Vwap], at: Moment) -> None:
        """Report the windows that agree with no prefix; if each agrees with one, that there is none for all."""
        before = self._applied
        wrong = []
        for name, vwap in wanted.items():
            if self._find({name: vwap}, before, at.most_ms):
                while self._applied > before:
                    self._undo()
            else:
                wrong.append(name)
        for name in wrong or wanted:
            near = self._nearest(name, wanted[name], at.most_ms)
            rest = [trade for trade in list(self._trades)[before:] if trade.ms <= at.most_ms]
            last = f"{rest[near.more - 1].ms}-{rest[near.more - 1].n}" if near.more else ""
            upto = f"up to id {last}" if last else f"before id {at.sure_ms}-0"
            why = "" if wrong else "; each window agrees with another prefix of the trades"
            check.wrong(
                f"vwap.{name}",
                _text(wanted[name].price, wanted[name].volume, wanted[name].trades),
                f"{_text(near.price, near.volume, near.trades)}, the nearest of {len(rest) + 1}: with all trades {upto}{why}; "
                f"published minus computed: {_apart(wanted[name], near)}",
                [f"{one.ms}-{one.n} second {one.second} size {one.size:f}" for one in rest[:20]],
            )

    def _nearest(self, name: str, vwap: Vwap, most_ms: int) -> _Near:
        """Return the window with the prefix that comes nearest to what was published: by trades, then by volume."""
        window, before = self._windows[name], self._applied
        found: tuple[tuple[int, Decimal], _Near] | None = None
        while True:
            distance = abs(window.count - vwap.trades), subtract(window.volume, vwap.volume).copy_abs()
            if found is None or distance < found[0]:
                found = distance, _Near(*window.vwap(), window.count, self._applied - before)
            if self._applied == len(self._trades) or self._trades[self._applied].ms > most_ms:
                break
            if window.count - vwap.trades > found[0][0]:
                break  # more trades only make it worse
            self._apply(self._trades[self._applied])
        while self._applied > before:
            self._undo()
        return found[1]

    def _apply(self, trade: _Applied) -> None:
        self._applied += 1
        self._count(trade)

    def _count(self, trade: _Applied) -> None:
        value, volume, count = self._seconds.get(trade.second, (ZERO, ZERO, 0))
        self._seconds[trade.second] = add(value, trade.value), add(volume, trade.size), count + 1
        for window in self._windows.values():
            if trade.second >= window.start:
                window.add(trade.value, trade.size, 1)

    def _undo(self) -> None:
        self._applied -= 1
        trade = self._trades[self._applied]
        if trade.second in self._seconds:
            value, volume, count = self._seconds[trade.second]
            self._seconds[trade.second] = subtract(value, trade.value), subtract(volume, trade.size), count - 1
        for window in self._windows.values():
            if trade.second >= window.start:
                window.remove(trade.value, trade.size, 1)

    def _rewind(self, ms: int) -> None:
        """Undo the trades since this id."""
        while self._applied and self._trades[self._applied - 1].ms >= ms:
            self._undo()

    def _move(self, vwap: Mapping[str, Vwap]) -> None:
        """Move all windows on to the present second; make those that are new."""
        for name in vwap:
            start = start_of(name, self._second)
            window = self._windows.get(name)
            if window is None:
                window = self._windows[name] = _Window(start)
                for second, sums in self._seconds.items():
                    if second >= start:
                        window.add(*sums)
                self._oldest_s = min((one.start for one in self._windows.values()), default=start)
            elif start != window.start:
                self._shift(window, start)

    def _shift(self, window: _Window, start: int) -> None:
        first, last = sorted((window.start, start))
        seconds = range(first, last) if last - first < len(self._seconds) else [one for one in self._seconds if first <= one < last]
        for second in seconds:
            sums = self._seconds.get(second)
            if sums is not None:
                (window.remove if start > window.start else window.add)(*sums)
        window.start = start

    def _forget(self, ms: int) -> None:
        """Drop what no window needs any more."""
        while self._applied and (self._trades[0].ms < ms - REWIND_MS or self._applied > REWIND):
            self._trades.popleft()
            self._applied -= 1
        if not self._windows:
            return
        until = min(window.start for window in self._windows.values()) - SPARE_S
        if until - self._oldest_s > SPARE_S:
            self._oldest_s = until
            for second in [one for one in self._seconds if one < until]:
                del self._seconds[second]


def _text(price: Decimal | None, volume: Decimal, trades: int) -> str:
    return f"price {shown(price)} volume {volume:f} trades {trades}"


def _apart(vwap: Vwap, near: _Near) -> str:
    """Return by how much a published window differs from a computed one."""
    price = None if vwap.price is None or near.price is None else plain(subtract(vwap.price, near.price))
    return f"price {shown(price)} volume {plain(subtract(vwap.volume, near.volume)):f} trades {vwap.trades - near.trades}"
