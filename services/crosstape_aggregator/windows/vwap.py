"""Computes VWAP, volume and count of trades over rolling windows, exactly.

At the moment `now`, a window of N seconds contains the trades (by venue time) of the last N full seconds, of the present second, and of
later seconds. Trades of later seconds exist because a venue's clock may be ahead of ours. So a trade counts at once, even if its venue's
clock is a second ahead (this happens). It leaves the window N seconds after its own second, and the clock of one venue cannot push out the
trades of another.

A window depends only on the trades and on `now`, which is the `ts` of the quote that contains the window. So anyone can compute it again
from the tape. A venue time that cannot be right is not used: see `trade_time`. While a venue's clock and ours differ too much (`clocks`),
windows are not complete.

`now` never goes back here. If our clock is set back, windows do not move until it has caught up, and are not complete meanwhile.

Cost: O(1) amortised for each trade, for any number and length of windows. The trades of one second are added up by themselves, and counted
when a trade of another second comes, or when windows move or are read. Then they are added to the sum of all trades, and to that of their
second. The value of a window is the sum of all trades less the sum of the trades that have left it. So each window uses the sum of a second
once: when the second leaves the window. The UTC day needs no sums of seconds of its own. `seconds` keeps them in little memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from crosstape_aggregator.decimals import ZERO, add, average, plain, product
from crosstape_aggregator.windows.coverage import Coverage
from crosstape_aggregator.windows.minute import MINUTE_S, Minute, Sum
from crosstape_aggregator.windows.seconds import NEVER, NOTHING, Seconds, minus, plus
from crosstape_aggregator.windows.window_spec import DAY_S, WindowSpec
from crosstape_schemas import Vwap


class WindowsState(NamedTuple):
    """The state of `TradeWindows` at one moment, for a checkpoint. It is never changed later."""

    second: int
    total: Sum
    windows: list[tuple[str, int, Sum]]
    """Of each window: name, first second, sum of the trades before it."""
    packed: dict[int, bytes]
    """Minute since the epoch → the sums of its seconds, packed by `minute`."""
    unpacked: dict[int, Minute]
    """Minute since the epoch → the sums of its seconds, of the newest minutes."""


class _OpenWindow:
    """One window: where it starts, and the sum of the trades before that."""

    __slots__ = ("gone", "leaves_s", "spec", "start_s")

    def __init__(self, spec: WindowSpec, start_s: int) -> None:
        self.spec = spec
        self.start_s = start_s
        self.leaves_s = NEVER  # of a rolling window: its first second that has trades
        self.gone = NOTHING


class TradeWindows:
    """The windows over the trades of all venues in one instrument."""

    __slots__ = (
        "_added", "_added_s", "_cache", "_changed", "_days", "_keep_s", "_newest_start_s", "_next_s", "_rolling", "_second", "_seconds",
        "_stands_still", "_tidy_s", "_total", "_value", "_volume", "_windows", "coverage", "trusted",
    )  # fmt: skip

    def __init__(self, specs: Sequence[WindowSpec], second: int) -> None:
        self._second = second
        self._windows = [_OpenWindow(spec, spec.start(second)) for spec in specs]
        self._rolling = [window for window in self._windows if window.spec.length_s is not None]
        self._days = [window for window in self._windows if window.spec.length_s is None]
        self._keep_s = max((spec.length_s or 0 for spec in specs), default=0)
        self._newest_start_s = max((window.start_s for window in self._windows), default=0)
        self._seconds = Seconds()
        self._total = NOTHING
        self._added_s = 0  # the second of the trades that were added, but not counted yet: their number and sums follow
        self._added = 0
        self._value = self._volume = ZERO
        self._cache: dict[str, Vwap] = {}
        self._changed = True
        self._next_s = NEVER
        self._tidy_s = 0  # when minutes are packed and dropped next
        self._stands_still = False
        self.coverage = Coverage()
        self.trusted = False
        """Whether no trade can be missing that `coverage` does not know of: see `traders`. Set by `trust`."""

    def add(self, second: int, price: Decimal, size: Decimal) -> None:
        """Add a trade to each window that it belongs to. Price and size are `usable`.

        Raises `decimal.Inexact`, with nothing counted, when their product has more than 96 digits.
        """
        value = product(price, size)
        if second == self._added_s:
            self._value = add(self._value, value)
            self._volume = add(self._volume, size)
            self._added += 1
            return
        if self._added:
            self._count()
        self._added_s, self._value, self._volume, self._added = second, value, size, 1

    def _count(self) -> None:
        """Count the trades that were added, all of one second."""
        second, trades = self._added_s, (self._value, self._volume, self._added)
        self._value = self._volume = ZERO
        self._added = 0
        self._total = plus(self._total, trades)
        if second >= self._second - self._keep_s:
            self._seconds.add(second, trades)
            for window in self._rolling:
                if window.start_s <= second < window.leaves_s:
                    window.leaves_s = second
            if self._seconds.is_crowded:
                self._tidy()
        if second < self._newest_start_s:
            for window in self._windows:
                if second < window.start_s:
                    window.gone = plus(window.gone, trades)
        self._changed = True

    def advance(self, second: int) -> None:
        """Move the windows on to this second; an earlier second than the last one changes nothing."""
        if second <= self._second:
            return
        if self._added:
            self._count()
        self._second = second
        for window in self._days:
            self._start_day(window, window.spec.start(second))
        for window in self._rolling:
            self._roll(window, window.spec.start(second))
        self._newest_start_s = max((window.start_s for window in self._windows), default=0)
        if second >= self._tidy_s:
            self._tidy()
        if second >= self._next_s:
            self._changed = True

    def _start_day(self, window: _OpenWindow, start_s: int) -> None:
        """Start a new day. All trades leave the window, except those of the new day from venues whose clocks are ahead of ours."""
        if start_s != window.start_s:
            window.start_s = start_s
            window.gone = minus(self._total, self._seconds.between(start_s, NEVER)[0])

    def _roll(self, window: _OpenWindow, start_s: int) -> None:
        window.start_s = start_s
        if window.leaves_s < start_s:
            trades, window.leaves_s = self._seconds.between(window.leaves_s, start_s)
            window.gone = plus(window.gone, trades)

    def _tidy(self) -> None:
        """Pack minutes, and drop those that no window needs any more: once a minute, so that it costs little."""
        self._tidy_s = (self._second // MINUTE_S + 1) * MINUTE_S
        self._seconds.drop(min((window.start_s for window in self._rolling), default=self._second))
        self._seconds.pack(self._second, {window.leaves_s // MINUTE_S for window in self._rolling})

    def state(self) -> WindowsState:
        """Copy the state for a checkpoint. O(minutes)."""
        if self._added:
            self._count()
        return WindowsState(
            self._second, self._total, [(one.spec.name, one.start_s, one.gone) for one in self._windows], *self._seconds.state()
        )

    def restore(self, state: WindowsState) -> None:
        """Replace the state; the windows of `state` must have the same specs. Trades added before are dropped."""
        self._added, self._value, self._volume = 0, ZERO, ZERO
        self._second, self._total = state.second, state.total
        self._seconds.restore(state.packed, state.unpacked)
        for window, (_, start_s, gone) in zip(self._windows, state.windows, strict=True):
            window.start_s, window.gone = start_s, gone
        for window in self._rolling:
            window.leaves_s = self._seconds.between(window.start_s, window.start_s)[1]
        self._newest_start_s = max((window.start_s for window in self._windows), default=0)
        self._tidy()
        self._changed = True

    def read(self, second: int) -> dict[str, Vwap]:
        """Return window name → its values as of `second`; the same dict while nothing has changed. The caller must not change it."""
        self.advance(second)
        if self._added:
            self._count()
        if (second < self._second - 1) is not self._stands_still:
            self._stands_still = not self._stands_still
            self._changed = True
        if self._changed:
            self._changed = False
            self.coverage.forget(min((window.start_s for window in self._windows), default=second))
            self._cache = {window.spec.name: self._vwap(window) for window in self._windows}
            self._next_s = min((self._next_of(window) for window in self._windows), default=NEVER)
        return self._cache

    def _vwap(self, window: _OpenWindow) -> Vwap:
        complete_since_s = self.coverage.complete_since_s
        complete = self.trusted and not self._stands_still and complete_since_s is not None and complete_since_s <= window.start_s
        value, volume, trades = minus(self._total, window.gone)
        return Vwap(average(value, volume), plain(volume), trades, complete) if trades else Vwap(None, ZERO, 0, complete)

    def next_change_s(self) -> int | None:
        """Return the second at which the windows that were last read change without an event; None: never."""
        return None if self._next_s == NEVER else self._next_s

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
            return midnight if will_complete or self._total[2] > window.gone[2] else NEVER
        leaves_s = NEVER if window.leaves_s == NEVER else window.leaves_s + window.spec.length_s + 1
        if will_complete and complete_since_s is not None:
            return min(leaves_s, complete_since_s + window.spec.length_s)
        return leaves_s
