"""The spelling of decimals: what a store gives back as it is, and what is a number at all."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crosstape.history.spelling import LONGEST, all_canonical, is_canonical, is_plain

NEAR = st.text("0123.-\n+e ١", max_size=6)
"""Texts that are nearly numbers, and numbers."""
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-100, max_value=100).map(lambda number: f"{number:f}")


@given(st.lists(NEAR | NUMBERS, max_size=6))
@example([""])
@example(["", "1"])
@example(["1", ""])
@example(["1.2.3"])
@example(["1\n2"])
@example(["0", "0.0", "10", "100.10"])
@example(["0", "0"])
@example(["1" * LONGEST + "1"])
@example(["1"] * LONGEST)
def test_many_at_once_are_judged_as_each_by_itself(texts: list[str]) -> None:
    """What is said of many at once is what is said of each, but for negative numbers, which are left to a look at each."""
    assert all_canonical(texts) == all(is_canonical(text) and not text.startswith("-") for text in texts)


@given(NEAR | NUMBERS)
def test_what_is_canonical_comes_back_from_its_value_and_scale(text: str) -> None:
    """A store that keeps a number and how many digits it has behind the point makes the same text of it."""
    if is_canonical(text):
        assert f"{Decimal(text):f}" == text
        assert is_plain(text)
    if is_plain(text):
        assert Decimal(text).is_finite()


@pytest.mark.parametrize("text", ["-0", "-0.0", "007", "+1", "1E+3", " 1", "1.", ".5", "1_0", "NaN", "", "١"])
def test_unusual_spellings_are_not_canonical(text: str) -> None:
    """Their value alone does not give them back."""
    assert not is_canonical(text)
