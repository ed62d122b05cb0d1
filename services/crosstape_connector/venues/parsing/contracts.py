"""Turns sizes in contracts into base units. Pure.

A linear contract is some base units: contracts × size is exact. An inverse contract is some quote units, so that its base size depends on
the price: contracts × value / price has 28 significant digits, the last one rounded half to even.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Final

from crosstape_schemas import Instrument, Level

DIGITS: Final = 28
"""Significant digits of a base size that is a quotient."""
_divide: Final = Context(prec=DIGITS).divide
_multiply: Final = Context(prec=100).multiply


def is_in_base_units(instrument: Instrument) -> bool:
    """Whether a contract is one base unit, so that the base size of any number of contracts is that number, to the digit."""
    return not instrument.inverse and str(instrument.contract_size) == "1"


def base_of_value(value: Decimal, price: Decimal) -> Decimal:
    """Return the base units that are worth so many quote units at a price, which must be above zero."""
    return _divide(value, price)


def base_size(instrument: Instrument, contracts: Decimal, price: Decimal) -> Decimal:
    """Return the base units of so many contracts at a price, which must be above zero."""
    value = _multiply(contracts, instrument.contract_size)
    return _divide(value, price) if instrument.inverse else value


def base_level(instrument: Instrument, price: Decimal, contracts: Decimal) -> Level:
    """Return a level of a book in base units. Zero, which removes a level, and what is no number stay as they are."""
    return price, base_size(instrument, contracts, price) if contracts.is_finite() and contracts and price.is_finite() else contracts
