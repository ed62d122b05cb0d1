"""Which intervals overlap many ranges or gaps, and what that costs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosstape_aggregator.bars.gaps import MAX_GAPS, OpenGaps
from crosstape_aggregator.bars.ranges import MAX, Ranges, intervals_in
from crosstape_schemas.timeframes import close_of
from tests.aggregator.builders import S

moments = st.integers(0, 400).map(lambda second: second * S)
ranges = st.lists(st.tuples(st.sampled_from(("a", "b", "")), moments, moments), max_size=12)


@given(ranges, st.sets(st.integers(0, 6).map(lambda number: number * 60 * S)))
def test_intervals_are_those_of_the_definition(found: list[tuple[str, int, int]], opens: set[int]) -> None:
    """The same as a comparison of each interval with each range."""
    checks, gaps = Ranges(), OpenGaps(2 * S)
    for venue, one, other in found:
        checks.add(min(one, other), max(one, other))
        gaps.open(venue, min(one, other), max(one, other))
    expected = {
        open_ts for open_ts in opens if any(open_ts <= max(pair) and close_of("1m", open_ts) > min(pair) for _, *pair in found)
    }  # fmt: skip
    assert set(intervals_in(checks.take(), "1m", opens)) == expected
    assert not checks
    for open_ts in opens:
        until, since = open_ts + 62 * S, open_ts - 2 * S
        near = [(venue, *pair) for venue, *pair in found if min(pair) < until and max(pair) >= since]
        for venue in "ab":
            assert gaps.overlap(venue, open_ts, open_ts + 60 * S) is any(one[0] in {venue, ""} for one in near)


def test_gaps_that_open_and_close_change_what_overlaps() -> None:
    """What was merged before does not stay."""
    gaps = OpenGaps(0)
    assert [gaps.overlap("a", 0, S), gaps.open("a", 0, S), gaps.overlap("a", 0, S)] == [False, True, True]
    assert [gaps.open("a", 0, 2 * S), gaps.close("a", 0, S), gaps.overlap("a", 0, S)] == [True, True, True]
    assert [gaps.close("a", 0, 2 * S), gaps.overlap("a", 0, S)] == [True, False]
    for number in range(MAX_GAPS + 1):
        gaps.open("a", number * 10 * S, number * 10 * S)
    assert [gaps.overlap("b", 5 * S, 6 * S), gaps.overlap("b", 25 * S, 26 * S)] == [True, False]
    gaps.forget(100 * S)
    assert [gaps.overlap("a", 90 * S, 91 * S), gaps.overlap("a", 100 * S, 101 * S)] == [False, True]


def test_ranges_that_wait_are_bounded() -> None:
    """Too many become one that contains them all."""
    checks = Ranges()
    for number in range(MAX):
        checks.add(number * 10, number * 10 + 1)
    assert len(checks.take()) == MAX
    for number in range(MAX + 1):
        checks.add(number * 10, number * 10 + 1)
    assert checks.take() == [(0, MAX * 10 + 1)]
