"""Numbers of events as text: the same event, the same JSON."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_schemas import Amount, Quote, Trade, decode, encode, field_types, to_amount

NUMBERS = st.decimals(min_value=0, max_value=10**19, allow_nan=False, allow_infinity=False, places=None).filter(
    lambda n: n.adjusted() > -25
)


@given(NUMBERS, NUMBERS)
def test_an_event_with_text_has_the_json_of_one_with_decimals(price: Decimal, size: Decimal) -> None:
    """Whatever digits; and whoever decodes it gets decimals."""
    text: Trade[Amount] = Trade("v", "A-B", None, 1, to_amount(price), to_amount(size), None, "1")
    trade = Trade("v", "A-B", None, 1, price, size, None, "1")

    assert encode(text) == encode(trade)
    assert decode(encode(text)) == decode(encode(trade))
    assert isinstance(text, Trade)


@pytest.mark.parametrize(("cls", "field", "wanted"), [(Trade, "price", Decimal), (Quote, "ask_size", Decimal | None), (Trade, "seq", int)])
def test_types_of_fields_are_those_of_a_reader(cls: type[object], field: str, wanted: object) -> None:
    """A generic number is a decimal."""
    assert field_types(cls)[field] == wanted
