"""Computes with decimals exactly, and rounds in the places that the methods name."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from typing import Final

LOW: Final = Decimal("1E-24")
HIGH: Final = Decimal("1E+24")
DIGITS: Final = 96

_TRAPS: Final = [DivisionByZero, InvalidOperation, Overflow]
_EXACT: Final = Context(prec=1_000, rounding=ROUND_HALF_EVEN, traps=[*_TRAPS, Inexact])
_NUMBER: Final = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN, traps=[*_TRAPS, Inexact])
_AVERAGE: Final = Context(prec=16, rounding=ROUND_HALF_EVEN, traps=_TRAPS)
_QUOTIENT: Final = Context(prec=200, rounding=ROUND_HALF_EVEN, traps=_TRAPS)
_STEP: Final = Decimal("0.0001")
_BPS: Final = Decimal(10_000)
_HALF: Final = Decimal("0.5")
ONE: Final = Decimal(1)
ZERO: Final = Decimal(0)

add = _EXACT.add
subtract = _EXACT.subtract
multiply = _EXACT.multiply


def plain(number: Decimal) -> Decimal:
    """Return a number without trailing zeros and exponent."""
    return add(_EXACT.normalize(number), ZERO)


def is_price(price: Decimal | None, size: Decimal | None) -> bool:
    """Whether a price can be computed with, and its size, if it is known: within [1E-24, 1E+24), 96 digits at most."""
    try:
        if price is None or not LOW <= price < HIGH or (size is not None and not LOW <= size < HIGH):
            return False
        _NUMBER.plus(price)
        if size is not None:
            _NUMBER.plus(size)
    except (InvalidOperation, Inexact):
        return False
    return True


def is_level(price: Decimal, size: Decimal) -> bool:
    """Whether a level of a book can be computed with."""
    try:
        return LOW <= price < HIGH and LOW <= size < HIGH
    except InvalidOperation:
        return False


def middle(bid: Decimal, ask: Decimal) -> Decimal:
    """(bid + ask) / 2, exact, without trailing zeros."""
    return plain(multiply(add(bid, ask), _HALF))


def average(value: Decimal, volume: Decimal) -> Decimal:
    """Value / volume, rounded half-even to 16 significant digits, without trailing zeros."""
    return plain(_AVERAGE.divide(value, volume))


def basis_points(part: Decimal, total: Decimal) -> Decimal:
    """10,000 × part / total, rounded half-even to 4 decimals."""
    return _QUOTIENT.quantize(_QUOTIENT.divide(multiply(part, _BPS), total), _STEP)
