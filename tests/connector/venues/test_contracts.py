"""Sizes in contracts become base units."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.venues.parsing.contracts import DIGITS, base_size
from crosstape_schemas import Instrument

LINEAR = Instrument("BTC-USDT-PERP", "x", "XBTUSDTM", "BTC", "USDT", contract_size=Decimal("0.001"))
INVERSE = Instrument("BTC-USD-PERP", "x", "BTCUSD_PERP", "BTC", "USD", contract_size=Decimal(100), inverse=True)
CONTRACTS = st.decimals(Decimal("0.00000001"), Decimal(10) ** 15, places=8)
PRICES = st.decimals(Decimal("0.00000001"), Decimal(10) ** 12, places=8)


def test_linear_contracts_are_a_fixed_part_of_the_base_asset() -> None:
    """A lot of 0.001 BTC: 2 of them are 0.002 BTC, at any price."""
    assert str(base_size(LINEAR, Decimal(2), Decimal("90503.9"))) == "0.002"


def test_inverse_contracts_are_worth_their_value_at_the_price() -> None:
    """100 USD at 50,000 USD are 0.002 BTC; a quotient without end is cut after 28 digits."""
    assert base_size(INVERSE, Decimal(1), Decimal(50_000)) == Decimal("0.002")
    assert str(base_size(INVERSE, Decimal(3), Decimal("61685.5"))) == "0.004863379562457952030866248956"


def test_spot_sizes_stay_as_they_are() -> None:
    """One contract is one unit."""
    assert str(base_size(msgspec.structs.replace(LINEAR, contract_size=Decimal(1)), Decimal("0.10"), Decimal(7))) == "0.10"


@given(CONTRACTS, PRICES)
def test_linear_sizes_are_exact(contracts: Decimal, price: Decimal) -> None:
    """No digit is lost, however many there are."""
    assert Fraction(base_size(LINEAR, contracts, price)) == Fraction(contracts) * Fraction(LINEAR.contract_size)


@given(CONTRACTS, PRICES)
def test_inverse_sizes_are_within_half_a_unit_of_the_last_digit(contracts: Decimal, price: Decimal) -> None:
    """Whatever the precision of the thread's context is."""
    size = base_size(INVERSE, contracts, price)
    true = Fraction(contracts) * 100 / Fraction(price)

    assert len(size.as_tuple().digits) <= DIGITS
    assert abs(Fraction(size) - true) <= true / 10 ** (DIGITS - 1)
