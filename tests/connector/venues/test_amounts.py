"""Numbers of trades and quotes that stay text: which, and that they are what a decimal would be."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.parsing.contracts import base_size, is_in_base_units
from crosstape_connector.venues.parsing.numbers import FLOOR, LIMIT, is_amount
from crosstape_connector.venues.parsing.wire import amounts_of_side, side_of, trade_amounts, trade_numbers
from crosstape_schemas import Amount, Instrument, Quote, Trade, encode

PLAIN = st.from_regex(r"(0|[1-9][0-9]{0,21})(\.[0-9]{1,30})?", fullmatch=True)
NUMBERS = st.from_regex(r"[-+]?[0-9]{0,22}\.?[0-9]{0,30}([eE][-+]?[0-9]{1,3})?", fullmatch=True)
ODD = (
    "",
    "0",
    "0.",
    "0.0",
    "007",
    ".5",
    "5.",
    "1e5",
    "+1",
    "-1",
    "1_0",
    " 1",
    "1 ",
    "1\n",
    "NaN",
    "Infinity",
    "\u0661",
    "1E-24",
    "9.9E+19",
)
SMALLEST, TOO_SMALL = "0." + "0" * 23 + "1", "0." + "0" * 24 + "1"
LARGEST, TOO_LARGE = "9" * 20 + "." + "9" * 64, "1" + "0" * 20
TEXTS = (
    PLAIN
    | NUMBERS
    | st.decimals().map(str)
    | st.text(alphabet="0123456789.eE+-_ \u0661\uff11\n", max_size=12)
    | st.text(max_size=6)
    | st.sampled_from([*ODD, SMALLEST, TOO_SMALL, LARGEST, TOO_LARGE, "9" * 20, "1." + "0" * 300])
)

Sides = tuple[Decimal, Decimal] | tuple[Amount, Amount] | tuple[None, None]


def trade(numbers: Callable[[str, str, str], Sides], price: str, size: str) -> bytes | str:
    """The JSON of a trade, or why its numbers are refused."""
    try:
        found = numbers(price, size, "a trade")
    except FrameError as exc:
        return str(exc)
    assert found[0] is not None
    return encode(Trade("v", "A-B", None, 1, found[0], found[1], None, "1"))


def quote(side: Callable[[str, str], Sides], price: str, size: str) -> bytes | str:
    """The JSON of a quote with this bid, or why it is refused."""
    try:
        found = side(price, size)
    except FrameError as exc:
        return str(exc)
    return encode(Quote("v", "A-B", None, 1, found[0], found[1], None, None))


@given(price=TEXTS, size=TEXTS)
@example(price="1", size="1\n")
@example(price="0.0000000000000000000000009", size="1")
def test_a_trade_as_text_is_that_of_decimals(price: str, size: str) -> None:
    """Whatever a venue writes: the same are accepted, and the tape has the same bytes."""
    assert trade(trade_amounts, price, size) == trade(trade_numbers, price, size)


@given(price=TEXTS, size=TEXTS)
@example(price="0", size="1")
@example(price="0.00000000", size="0.00000000")
def test_a_side_of_a_quote_as_text_is_that_of_decimals(price: str, size: str) -> None:
    """A zero is an empty side in both."""
    assert quote(amounts_of_side, price, size) == quote(side_of, price, size)


@given(text=TEXTS)
def test_an_amount_is_a_plain_number_within_the_bounds(text: str) -> None:
    """Its own plain notation, to the digit."""
    if is_amount(text):
        assert FLOOR <= Decimal(text) < LIMIT
        assert format(Decimal(text), "f") == text


@pytest.mark.parametrize("text", ["1", "91000.10000000", "0.00150000", "0.00000061", SMALLEST, LARGEST])
def test_usual_numbers_are_amounts(text: str) -> None:
    """Or nothing would be gained."""
    assert is_amount(text)


@pytest.mark.parametrize(
    ("size", "inverse", "wanted"), [("1", False, True), ("1.0", False, False), ("0.001", False, False), ("1", True, False)]
)
def test_contracts_are_base_units_only_if_no_digit_changes(size: str, inverse: bool, wanted: bool) -> None:
    """Three contracts of 1.0 are 3.0."""
    instrument = Instrument("A-B-PERP", "v", "AB", "A", "B", contract_size=Decimal(size), inverse=inverse)

    assert is_in_base_units(instrument) is wanted
    if wanted:
        assert str(base_size(instrument, Decimal("0.30"), Decimal(7))) == "0.30"
