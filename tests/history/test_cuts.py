"""Row groups of merged files begin where questions for one instrument want them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosstape.history.parquet.cuts import cuts


def test_a_group_ends_with_its_instrument_unless_it_would_be_small() -> None:
    """And a large one is divided into equal parts."""
    assert cuts([7, 3, 40, 2], most=20, least=5) == [7, 15, 14, 14, 2]
    assert cuts([], most=20, least=5) == []
    assert cuts([3], most=2, least=5) == [2, 1]


@given(st.lists(st.integers(1, 100)), st.integers(1, 50), st.integers(1, 50))
def test_every_row_is_in_one_group(counts: list[int], most: int, least: int) -> None:
    """No group has more rows than it may, or none."""
    found = cuts(counts, most, least)

    assert sum(found) == sum(counts)
    assert all(1 <= rows <= most for rows in found)
