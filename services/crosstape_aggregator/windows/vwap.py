"""Computes VWAP, volume and count of trades over rolling windows, exactly.

At the moment `now`, a window of N seconds contains the trades (by venue time) of the last N full seconds, of the present second, and of
later seconds. Trades of later seconds exist because a venue's clock may be ahead of ours. So a trade counts at once, even if its venue's
clock is a second ahead (this happens). It leaves the window N seconds after its own second, and the clock of one venue cannot push out the
trades of another.

A window depends only on the trades and on `now`, which is the `ts` of the quote that contains the window. So anyone can compute it again
from the tape. A venue time that cannot be right is not used: see `trade_time`. While a venue's clock and ours differ too much (`clocks`),
windows are not complete.

`now` never goes back here. If our clock is set back, windows do not move until it has caught up, and are not complete meanwhile.

Cost: O(1) amortised for each trade, for any number and length of windows. A trade is added to the sum of all trades, and to the bucket of
its second. The value of a window is the sum of all trades less the sum of the trades that have left it. So each window uses a bucket once:
when the bucket leaves the window. The UTC day needs no buckets of its own.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from crosstape_aggregator.decimals import ZERO, add, average, plain, product, subtract
from crosstape_aggregator.windows.coverage import Coverage
from crosstape_aggregator.windows.window_spec import DAY_S, WindowSpec
from crosstape_schemas import Vwap

_TRIM: Final = 1_024
"""Buckets that no window needs are dropped when there are this many, or no others."""
_NEVER: Final = 1 << 62


Sum = tuple[Decimal, Decimal, int]
"""The sum of some trades: price × size, size, number of trades. A tuple, because the garbage collector ignores tuples of numbers."""
_NOTHING: Final[Sum] = (ZERO, ZERO, 0)


def _with(one: Sum, other: Sum) -> Sum:
    return add(one[0], other[0]), add(one[1], other[1]), one[2] + other[2]


def _less(one: Sum, other: Sum) -> Sum:
    return subtract(one[0], other[0]), subtract(one[1], other[1]), one[2] - other[2]


class WindowsState(NamedTuple):
    """The state of `TradeWindows` at one moment, for a checkpoint. It is never changed later."""

    second: int
    total: Sum
    windows: list[tuple[str, int, int, Sum]]
    """Of each window: name, first second, index of its first bucket, sum of the trades before it."""
    seconds: list[int]
    buckets: list[Sum]
    """The sum of the trades in each of `seconds`."""


class _OpenWindow:
    """One window: where it starts, and the sum of the trades before that."""

    __slots__ = ("first", "gone", "spec", "start_s")

    def __init__(self, spec: WindowSpec, start_s: int) -> None:
        self.spec = spec
        self.start_s = start_s
        self.first = 0  # of a rolling window: the index of its first bucket
        self.gone = _NOTHING


class TradeWindows:
    """The windows over the trades of all venues in one instrument."""

    __slots__ = (
        "_buckets", "_cache", "_changed", "_days", "_keep_s", "_newest_start_s", "_next_s", "_rolling", "_second", "_seconds",
        "_stands_still", "_total", "_windows", "coverage", "trusted",
    )  # fmt: skip

    def __init__(self, specs: Sequence[WindowSpec], second: int) -> None:
        self._second = second
        self._windows = [_OpenWindow(spec, spec.start(second)) for spec in specs]
        self._rolling = [window for window in self._windows if window.spec.length_s is not None]
        self._days = [window for window in self._windows if window.spec.length_s is None]
        self._keep_s = max((spec.length_s or 0 for spec in specs), default=0)
        self._newest_start_s = max((window.start_s for window in self._windows), default=0)
        self._seconds: list[int] = []  # of the buckets, ascending
        self._buckets: dict[int, Sum] = {}
        self._total = _NOTHING
        self._cache: dict[str, Vwap] = {}
        self._changed = True
        self._next_s = _NEVER
        self._stands_still = False
        self.coverage = Coverage()
        self.trusted = False
        """Whether no trade can be missing that `coverage` does not know of: see `traders`. Set by `trust`."""

    def add(self, second: int, price: Decimal, size: Decimal) -> None:
        """Add a trade to each window that it belongs to. Price and size are `usable`.

        Raises `decimal.Inexact`, with nothing counted, when their product has more than 96 digits.
        """
        value = product(price, size)
        trade = (value, size, 1)
        total_value, total_volume, trades = self._total
        self._total = add(total_value, value), add(total_volume, size), trades + 1
        if second >= self._second - self._keep_s:
            bucket = self._buckets.get(second)
            if bucket is None:
                self._open(second)
                self._buckets[second] = trade
            else:
                self._buckets[second] = add(bucket[0], value), add(bucket[1], size), bucket[2] + 1
        if second < self._newest_start_s:
            for window in self._windows:
                if second < window.start_s:
                    window.gone = _with(window.gone, trade)
        self._changed = True

    def _open(self, second: int) -> None:
        if not self._seconds or second > self._seconds[-1]:
            self._seconds.append(second)
        else:
            insort(self._seconds, second)
        for window in self._rolling:
            if second < window.start_s:
                window.first += 1

    def advance(self, second: int) -> None:
        """Move the windows on to this second; an earlier second than the last one changes nothing."""
        if second <= self._second:
            return
        self._second = second
        for window in self._days:
            self._start_day(window, window.spec.start(second))
        for window in self._rolling:
            self._roll(window, window.spec.start(second))
        self._newest_start_s = max((window.start_s for window in self._windows), default=0)
        self._trim()
        if second >= self._next_s:
            self._changed = True

    def _start_day(self, window: _OpenWindow, start_s: int) -> None:
        """Start a new day. All trades leave the window, except those of the new day from venues whose clocks are ahead of ours."""
        if start_s == window.start_s:
            return
        window.start_s = start_s
        window.gone = self._total
        for second in self._seconds[bisect_left(self._seconds, start_s) :]:
            window.gone = _less(window.gone, self._buckets[second])

    def _roll(self, window: _OpenWindow, start_s: int) -> None:
        seconds, index = self._seconds, window.first
        while index < len(seconds) and seconds[index] < start_s:
            window.gone = _with(window.gone, self._buckets[seconds[index]])
            index += 1
        window.first = index
        window.start_s = start_s

    def _trim(self) -> None:
        """Drop buckets that no window needs any more: many at once, so that the cost of each is small."""
        spent = self._spent()
        if spent < min(_TRIM, len(self._seconds) or _TRIM):
            return
        for second in self._seconds[:spent]:
            del self._buckets[second]
        del self._seconds[:spent]
        for window in self._rolling:
            window.first -= spent

    def _spent(self) -> int:
        """Return how many of the first buckets no window needs any more."""
        return min((window.first for window in self._rolling), default=bisect_left(self._seconds, self._second))

    def state(self) -> WindowsState:
        """Copy the state for a checkpoint. O(buckets), but it only copies references."""
        spent = self._spent()
        seconds = self._seconds[spent:]
        windows = [(one.spec.name, one.start_s, max(0, one.first - spent), one.gone) for one in self._windows]
        return WindowsState(self._second, self._total, windows, seconds, list(map(self._buckets.__getitem__, seconds)))

    def restore(self, state: WindowsState) -> None:
        """Replace the state; the windows of `state` must have the same specs. Trades added before are dropped."""
        self._second, self._total = state.second, state.total
        self._seconds, self._buckets = list(state.seconds), dict(zip(state.seconds, state.buckets, strict=True))
        for window, (_, start_s, first, gone) in zip(self._windows, state.windows, strict=True):
            window.start_s, window.first, window.gone = start_s, first, gone
        self._newest_start_s = max((window.start_s for window in self._windows), default=0)
        self._changed = True

    def read(self, second: int) -> dict[str, Vwap]:
        """Return window name → its values as of `second`; the same dict while nothing has changed. The caller must not change it."""
        self.advance(second)
        if (second < self._second - 1) is not self._stands_still:
            self._stands_still = not self._stands_still
            self._changed = True
        if self._changed:
            self._changed = False
            self.coverage.forget(min((window.start_s for window in self._windows), default=second))
            self._cache = {window.spec.name: self._vwap(window) for window in self._windows}
            self._next_s = min((self._next_of(window) for window in self._windows), default=_NEVER)
        return self._cache

    def _vwap(self, window: _OpenWindow) -> Vwap:
        complete_since_s = self.coverage.complete_since_s
        complete = self.trusted and not self._stands_still and complete_since_s is not None and complete_since_s <= window.start_s
        value, volume, trades = _less(self._total, window.gone)
        return Vwap(average(value, volume), plain(volume), trades, complete) if trades else Vwap(None, ZERO, 0, complete)

    def next_change_s(self) -> int | None:
        """Return the second at which the windows that were last read change without an event; None: never."""
        return None if self._next_s == _NEVER else self._next_s

    def trust(self, trusted: bool) -> bool:
        """Set `trusted`. Returns whether this changes it."""
        if trusted is self.trusted:
            return False
        self.trusted = trusted
        self._changed = True
        return True

    def coverage_changed(self) -> None:
        """Compute the windows again at the next `read`, because `coverage` has changed."""
        self._changed = True

    def _next_of(self, window: _OpenWindow) -> int:
        complete_since_s = self.coverage.complete_since_s
        will_complete = complete_since_s is not None and complete_since_s > window.start_s
        if window.spec.length_s is None:
            midnight = window.start_s + DAY_S
            return midnight if will_complete or self._total[2] > window.gone[2] else _NEVER
        leaves_s = self._seconds[window.first] + window.spec.length_s + 1 if window.first < len(self._seconds) else _NEVER
        if will_complete and complete_since_s is not None:
            return min(leaves_s, complete_since_s + window.spec.length_s)
        return leaves_s
