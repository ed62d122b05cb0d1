"""Time is divided into slices of about equally many rows."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from crosstape.history.parquet.slices import Span, slices

MOMENTS = st.integers(-(2**62), 2**62)


@st.composite
def spans(draw: st.DrawFn) -> list[Span]:
    """Some, of any length, anywhere."""
    found = []
    for _ in range(draw(st.integers(0, 8))):
        start, end = sorted((draw(MOMENTS), draw(MOMENTS)))
        found.append(Span(start, end, draw(st.integers(1, 10**6))))
    return found


@given(spans(), MOMENTS, MOMENTS, st.integers(1, 10**6))
def test_slices_are_the_whole_range_without_a_hole(given_spans: list[Span], one: int, other: int, rows: int) -> None:
    """Each moment is in exactly one."""
    from_ts, to_ts = sorted((one, other))

    found = slices(given_spans, from_ts, to_ts, rows)

    if from_ts == to_ts:
        assert found == []
        return
    assert found[0][0] == from_ts
    assert found[-1][1] == to_ts
    assert all(before[1] == following[0] for before, following in pairwise(found))
    assert all(start < end for start, end in found)


def test_slices_have_about_as_many_rows_as_wanted() -> None:
    """Where rows are spread as footers say; the end of a span begins no slice of its own."""
    assert slices([Span(0, 999, 1_000)], 0, 1_000, 250) == [(0, 250), (250, 500), (500, 750), (750, 1_000)]
    assert slices([Span(0, 999, 1_000), Span(500, 999, 1_000)], 0, 1_000, 500)[:2] == [(0, 500), (500, 666)]
    assert slices([Span(0, 9, 10), Span(10**15, 10**15 + 9, 10)], 0, 2 * 10**15, 100) == [(0, 2 * 10**15)]
    assert slices([Span(5, 5, 10**9)], 0, 10, 1_000) == [(0, 6), (6, 10)]
    assert slices([], 3, 9, 10) == [(3, 9)]
