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
from operator import itemgetter
from typing import NamedTuple

from crosstape_aggregator.decimals import ZERO, add, average, plain, value_of
from crosstape_aggregator.windows.coverage import Coverage
from crosstape_aggregator.windows.minute import MINUTE_S, Minute, Sum
from crosstape_aggregator.windows.seconds import CROWDED, NEVER, NOTHING, Seconds, minus, plus
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

    __slots__ = ("gone", "leaving", "leaving_s", "length_s", "name", "start_s")

    def __init__(self, spec: WindowSpec, start_s: int) -> None:
        self.name = spec.name
        self.length_s = spec.length_s
        self.start_s = start_s
        self.gone = NOTHING
        # of a rolling window: its first second that has trades, and the minute of that
        self.leaving_s = NEVER
        self.leaving: Minute = {}


class TradeWindows:
    """The windows over the trades of all venues in one instrument."""

    __slots__ = (
        "_added", "_added_s", "_cache", "_changed", "_days", "_keep_s", "_longest", "_midnight_s", "_newest_start_s", "_next_s", "_rolling",
        "_second", "_seconds", "_shortest_s", "_stands_still", "_tidy_s", "_total", "_value", "_volume", "_windows", "coverage", "trusted",
    )  # fmt: skip

    def __init__(self, specs: Sequence[WindowSpec], second: int) -> None:
        self._second = second
        self._windows = [_OpenWindow(spec, spec.start(second)) for spec in specs]
        rolling = [(window, window.length_s) for window in self._windows if window.length_s is not None]
        self._rolling = sorted(rolling, key=itemgetter(1))  # the longest leaves a second last
        self._days = [window for window in self._windows if window.length_s is None]
        self._longest = self._rolling[-1][0] if self._rolling else None
        self._keep_s = self._rolling[-1][1] if self._rolling else 0
        self._shortest_s = self._rolling[0][1] if self._rolling else NEVER
        self._seconds = Seconds()
        self._total = NOTHING
        self._added_s = NEVER  # the second of the trades that were added, but not counted yet: their number and sums follow
        self._added = 0
        self._value = self._volume = ZERO
        self._cache: dict[str, Vwap] = {}
        self._changed = True
        self._next_s = NEVER
        self._stands_still = False
        self.coverage = Coverage()
        self.trusted = False
        """Whether no trade can be missing that `coverage` does not know of: see `traders`. Set by `trust`."""
        self._started()

    def _started(self) -> None:
        """Set what follows from `_second`, and from where windows start."""
        self._midnight_s = min((window.start_s + DAY_S for window in self._days), default=NEVER)
        self._newest_start_s = max((window.start_s for window in self._windows), default=0)
        self._tidy()

    def add(self, second: int, price: Decimal, size: Decimal) -> bool:
        """Add a trade to each window that it belongs to. Returns False, with nothing counted, if it has no exact value: see `value_of`."""
        value = value_of(price, size)
        if value is None:
            return False
        if second == self._added_s:
            self._value = add(self._value, value)
            self._volume = add(self._volume, size)
            self._added += 1
            return True
        if self._added:
            self._count()
        self._added_s, self._value, self._volume, self._added = second, value, size, 1
        return True

    def _count(self) -> None:
        """Count the trades that were added, all of one second."""
        second, trades = self._added_s, (self._value, self._volume, self._added)
        self._added_s, self._added = NEVER, 0
        self._total = plus(self._total, trades)
        if second >= self._second - self._keep_s:
            minute = self._seconds.add(second, trades)
            if minute is not None:
                self._opened(second, minute)
        if second < self._newest_start_s:
            for window in self._windows:
                if second < window.start_s:
                    window.gone = plus(window.gone, trades)
        self._changed = True

    def _opened(self, second: int, minute: Minute) -> None:
        """Note the first trades of a second."""
        for window, _ in self._rolling:
            if window.start_s <= second < window.leaving_s:
                window.leaving_s, window.leaving = second, minute
        if len(self._seconds.unpacked) > CROWDED:
            self._tidy()

    def advance(self, second: int) -> None:
        """Move the windows on to this second; an earlier second than the last one changes nothing."""
        if second <= self._second:
            return
        if self._added:
            self._count()
        self._second = second
        if second >= self._midnight_s:
            self._start_day()  # first: rolling deletes seconds, after a long step also some of the new day
        for window, length_s in self._rolling:
            start_s = window.start_s = second - length_s
            if window.leaving_s < start_s:
                self._roll(window)
        self._newest_start_s = max(self._newest_start_s, second - self._shortest_s)
        if second >= self._tidy_s:
            self._tidy()
        if second >= self._next_s:
            self._changed = True

    def _start_day(self) -> None:
        """Start a new day. All trades leave the window, except those of the new day from venues whose clocks are ahead of ours."""
        midnight_s = self._second - self._second % DAY_S
        gone = minus(self._total, self._seconds.since(midnight_s))
        for window in self._days:
            window.start_s, window.gone = midnight_s, gone
        self._midnight_s = midnight_s + DAY_S
        self._newest_start_s = max(self._newest_start_s, midnight_s)

    def _roll(self, window: _OpenWindow) -> None:
        """Remove the trades before its start from a window."""
        second, minute = window.leaving_s, window.leaving
        while second < window.start_s:
            at = second % MINUTE_S
            window.gone = plus(window.gone, minute[at])
            if window is self._longest:
                del minute[at]  # all windows have left it
            if at + 1 in minute:
                second += 1
            else:
                second, minute = self._seconds.first(second + 1)
        window.leaving_s, window.leaving = second, minute

    def _tidy(self) -> None:
        """Pack minutes, and drop those that no window needs any more: once a minute, so that it costs little."""
        self._tidy_s = (self._second // MINUTE_S + 1) * MINUTE_S
        self._seconds.drop(self._second - self._keep_s)
        self._seconds.pack(self._second, {window.leaving_s // MINUTE_S for window, _ in self._rolling})
        self.coverage.forget(min((window.start_s for window in self._windows), default=self._second))

    def state(self) -> WindowsState:
        """Copy the state for a checkpoint. O(minutes)."""
        if self._added:
            self._count()
        windows = [(window.name, window.start_s, window.gone) for window in self._windows]
        return WindowsState(self._second, self._total, windows, *self._seconds.state())

    def restore(self, state: WindowsState) -> None:
        """Replace the state; the windows of `state` must have the same specs. Trades added before are dropped."""
        self._added_s, self._added = NEVER, 0
        self._second, self._total = state.second, state.total
        self._seconds.restore(state.packed, state.unpacked)
        for window, (_, start_s, gone) in zip(self._windows, state.windows, strict=True):
            window.start_s, window.gone = start_s, gone
        for window, _ in self._rolling:
            window.leaving_s, window.leaving = self._seconds.first(window.start_s)
        self._started()
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
            since_s = self.coverage.complete_since_s
            since_s = NEVER if since_s is None else since_s
            self._cache = self._vwaps(since_s if self.trusted and not self._stands_still else NEVER)
            self._next_s = self._next_change(since_s)
        return self._cache

    def _vwaps(self, complete_since_s: int) -> dict[str, Vwap]:
        found: dict[str, Vwap] = {}
        for window in self._windows:
            value, volume, trades = minus(self._total, window.gone)
            complete = complete_since_s <= window.start_s
            found[window.name] = Vwap(average(value, volume), plain(volume), trades, complete) if trades else Vwap(None, ZERO, 0, complete)
        return found

    def _next_change(self, complete_since_s: int) -> int:
        """Return the second at which a trade leaves a window, or a window becomes complete."""
        next_s = NEVER
        for window, length_s in self._rolling:
            if window.leaving_s != NEVER:
                next_s = min(next_s, window.leaving_s + length_s + 1)
            if window.start_s < complete_since_s != NEVER:
                next_s = min(next_s, complete_since_s + length_s)
        for window in self._days:
            if window.start_s < complete_since_s != NEVER or self._total[2] > window.gone[2]:
                next_s = min(next_s, self._midnight_s)
        return next_s

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
