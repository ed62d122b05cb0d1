"""Exact arithmetic and its bounds."""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_aggregator.decimals import add, average, basis_points, mid, plain, subtract, usable, value_of

usable_numbers = st.decimals(min_value=Decimal("1E-24"), max_value=Decimal("9E+23"), allow_nan=False, allow_infinity=False).filter(
    lambda number: usable(number, None)
)


@given(st.lists(st.tuples(usable_numbers, usable_numbers), min_size=1, max_size=20))
def test_sums_of_products_are_exact(levels: list[tuple[Decimal, Decimal]]) -> None:
    """No digit is lost, however different the numbers are. A number that was added can be subtracted again."""
    total, expected = Decimal(0), Fraction(0)
    for price, size in levels:
        value = value_of(price, size)
        if value is None:
            continue
        total = add(total, value)
        expected += Fraction(price) * Fraction(size)

    assert Fraction(total) == expected
    assert subtract(total, total) == 0


LONG = Decimal("1." + "1" * 94 + "5")
"""A number of 96 digits."""


@pytest.mark.parametrize(
    ("price", "size", "value"),
    [
        ("1.10", "2.0", "2.200"),
        (LONG, "1", LONG),
        (LONG, "2.000", Decimal("2." + "2" * 93 + "3")),
        (LONG, "1.1", None),  # the product is longer than 96 digits
        (LONG, "1." + "0" * 99, LONG),  # zeros are no digits
        (f"{LONG}5", "2", None),  # the product would be short enough, but the price is not
        ("0", "1", None),
        ("1", "NaN", None),
        ("1", "1E+24", None),
    ],
)
def test_the_value_of_a_trade_is_exact_or_there_is_none(price: Decimal | str, size: Decimal | str, value: Decimal | str | None) -> None:
    """It has 96 digits at most, as have price and size; zeros at the end do not count."""
    assert value_of(Decimal(price), Decimal(size)) == (None if value is None else Decimal(value))


@given(st.decimals(allow_nan=True, allow_infinity=True), st.decimals(allow_nan=True, allow_infinity=True))
def test_any_two_numbers_have_a_value_or_none(price: Decimal, size: Decimal) -> None:
    """Only usable numbers have a value, and it is their product."""
    value = value_of(price, size)
    if value is not None:
        assert usable(price, size)
        assert Fraction(value) == Fraction(price) * Fraction(size)
    elif usable(price, size):
        assert len((Context(prec=512).multiply(price, size)).normalize(Context(prec=512)).as_tuple().digits) > 96


@given(usable_numbers, usable_numbers)
def test_the_mid_is_exact(bid: Decimal, ask: Decimal) -> None:
    """Half of an odd last digit needs one more digit."""
    assert Fraction(mid(bid, ask)) == (Fraction(bid) + Fraction(ask)) / 2


@pytest.mark.parametrize(("number", "text"), [("1E+3", "1000"), ("0E-8", "0"), ("1.500", "1.5"), ("100", "100"), ("0.00000001", "1E-8")])
def test_equal_numbers_read_alike(number: str, text: str) -> None:
    """Trailing zeros and exponents do not matter."""
    assert str(plain(Decimal(number))) == text


def test_basis_points_have_four_decimals_rounded_half_even() -> None:
    """The cases are 2 / 3 of a basis point, and ties."""
    assert str(basis_points(Decimal(2), Decimal(30_000))) == "0.6667"
    assert str(basis_points(Decimal("0.00005"), Decimal(10_000))) == "0.0000"
    assert str(basis_points(Decimal("0.00015"), Decimal(10_000))) == "0.0002"
    assert str(basis_points(Decimal("-0.5"), Decimal(100))) == "-50.0000"


def test_an_average_has_sixteen_digits() -> None:
    """It has no trailing zeros."""
    assert str(average(Decimal(200), Decimal(3))) == "66.66666666666667"
    assert str(average(Decimal(300), Decimal(3))) == "100"


@pytest.mark.parametrize("price", ["NaN", "sNaN", "Infinity", "-Infinity", "0", "-1", "1E+24", "1E-25", "1." + "1" * 100])
def test_what_is_no_price_is_not_usable(price: str) -> None:
    """A decimal from the bus may have any value."""
    assert not usable(Decimal(price), Decimal(1))
    assert not usable(Decimal(1), Decimal(price))


def test_a_size_may_be_unknown() -> None:
    """Some venues quote prices only."""
    assert usable(Decimal("0.00000123"), None)
