"""Our clock is wrong, and is set: no bar is closed long before its interval has ended, and bars go on afterwards."""

from __future__ import annotations

from collections import deque

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape_aggregator.consolidation.liveness import LEAD_NS, UNSURE_NS
from crosstape_schemas import CONSOLIDATED, Bar, FeedState
from tests.aggregator.bars.test_output import MINUTE, OPEN
from tests.aggregator.builders import S, X, alive, engine, status, trade

DAY = 86_400 * S


class Host:
    """An aggregator with a clock that is wrong. `same`: the connector runs on the same host, so that its clock is wrong, too.

    It reports how far it is from the venue's on average.
    """

    def __init__(self, *, same: bool, error_ns: int = 0) -> None:
        self.engine = engine(bars=("1m",))
        self.same = same
        self.error_ns = error_ns
        self.errors = deque([error_ns], maxlen=55)
        self.true_ts = OPEN - S
        self.engine.instrument(X, OPEN).known_from(OPEN // S - 7_200)
        self.closed: list[Bar] = []
        self.open: list[Bar] = []
        self.turn()

    def turn(self, *, trades: bool = True) -> None:
        """Let a second pass, and check what is published."""
        self.true_ts += S
        self.errors.append(self.error_ns)
        theirs = self.true_ts + (self.error_ns if self.same else 0)
        now = self.true_ts + self.error_ns
        sign = msgspec.structs.replace(alive("m", theirs), clock_offset_ns=sum(self.errors) // len(self.errors) if self.same else 0)
        events = [trade("m", "5", "1", self.true_ts, received_ts=theirs)] if trades else []
        self.engine.apply([sign, status("m", FeedState.LIVE, theirs, kind="trade"), *events], now)
        self.engine.look((), now, self.true_ts - OPEN + 10 * DAY)
        self.open.clear()
        for bar in self.engine.due_outputs(now, 1_000):
            assert isinstance(bar, Bar)
            (self.closed if bar.closed else self.open).append(bar)
            assert not bar.closed or bar.close_ts <= now
            assert not bar.closed or bar.close_ts <= self.true_ts + LEAD_NS + 2 * S, "closed long before its end"

    def turns(self, seconds: int, *, trades: bool = True) -> None:
        """Let time pass."""
        for _ in range(seconds):
            self.turn(trades=trades)


@pytest.mark.parametrize("same", [True, False])
def test_a_clock_that_was_a_day_ahead_leaves_nothing_behind(same: bool) -> None:
    """For two seconds: afterwards bars open, close and are complete as before."""
    host = Host(same=same)
    host.turns(130)
    host.error_ns = DAY
    host.turns(2)
    host.error_ns = 0
    host.turns(2)
    assert {bar.open_ts for bar in host.open} == {OPEN + 2 * MINUTE}
    host.turns(UNSURE_NS // S + 180)
    closed = [bar for bar in host.closed if bar.venue == CONSOLIDATED]
    assert [(bar.open_ts - OPEN) // MINUTE for bar in closed if bar.revision == 0 and bar.open_ts >= OPEN] == [0, 1, 2, 3, 4, 5]
    assert closed[-1].complete
    assert closed[-1].trades == 60
    host.turns(120, trades=False)
    assert [bar.trades for bar in host.closed if bar.venue == CONSOLIDATED][-1] == 0, "empty intervals close while a venue is live"


@given(st.lists(st.tuples(st.sampled_from((0, 1, 3, 9, 40, -50, 86_400)), st.integers(1, 80)), min_size=1, max_size=3), st.booleans())
@settings(max_examples=8, deadline=None)
def test_whatever_our_clock_does_bars_are_right_in_the_end(steps: list[tuple[int, int]], same: bool) -> None:
    """At each step it is wrong by some seconds for some time; then it is right."""
    host = Host(same=same)
    for error_s, seconds in steps:
        host.error_ns = error_s * S
        host.turns(seconds)
    host.error_ns = 0
    host.turns(UNSURE_NS // S + 70)
    until = (host.true_ts - 2 * S) // MINUTE * MINUTE
    newest = {bar.open_ts: bar for bar in host.closed if bar.venue == CONSOLIDATED}
    for open_ts in range(OPEN, until, MINUTE):
        assert newest[open_ts].trades == 60
    assert host.open or host.true_ts // MINUTE * MINUTE == until


def test_a_clock_that_is_wrong_from_the_start_is_seen_by_the_venues() -> None:
    """Nothing shows that it was set, but the connector compares it with the venue's."""
    host = Host(same=True, error_ns=DAY)
    host.turns(130)
    assert {bar.open_ts - OPEN for bar in host.closed if bar.trades} == {0, MINUTE}


def test_bars_close_by_the_monotonic_clock_while_no_connector_answers() -> None:
    """The last trades are not kept back."""
    host = Host(same=False)
    host.turns(30)
    for second in range(1, 60):
        now = host.true_ts + second * S
        host.engine.look((), now, now - OPEN + 10 * DAY)
        host.closed += [bar for bar in host.engine.due_outputs(now, 100) if isinstance(bar, Bar) and bar.closed]
    assert [(bar.venue, bar.trades, bar.complete) for bar in host.closed if bar.open_ts == OPEN] == [
        ("m", 31, False),
        (CONSOLIDATED, 31, False),
    ]
