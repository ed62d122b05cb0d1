"""Computes with prices and sizes exactly, and rounds in a few named places.

The default decimal context rounds at 28 digits, which sums of price × size exceed. Here sums and products are exact or raise: within the
bounds below no sum can need more digits than `_SUM` has, so a number that was accepted never fails later.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, Rounded, localcontext
from typing import Final

LOW: Final = Decimal("1E-24")
HIGH: Final = Decimal("1E+24")
"""Prices and sizes outside [LOW, HIGH) are not usable: a zero price, NaN, infinity, a wrong exponent."""

_TRAPS: Final = [DivisionByZero, Inexact, InvalidOperation, Overflow]
DIGITS: Final = 96
"""Most digits of a usable number."""
_PRODUCT: Final = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN, traps=_TRAPS)
_UNROUNDED: Final = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN, traps=[*_TRAPS, Rounded])
# A usable number has 96 digits at most, so its last digit is no lower than 1E-119, and that of any product of two is no lower than 1E-238.
# The product is below 1E+48, and 1E+15 of them stay below 1E+63, so an exact sum has at most 63 + 238 digits. A composite adds products of
# three usable numbers: at most 80 + 357 digits. Precision that is not used costs nothing.
_SUM: Final = Context(prec=512, rounding=ROUND_HALF_EVEN, traps=_TRAPS)
_RATIO: Final = Context(prec=60, rounding=ROUND_HALF_EVEN, traps=[DivisionByZero, InvalidOperation, Overflow])
_VWAP: Final = Context(prec=16, rounding=ROUND_HALF_EVEN, traps=[DivisionByZero, InvalidOperation, Overflow])

ZERO: Final = Decimal(0)
_HALF: Final = Decimal("0.5")
_BPS: Final = Decimal(10_000)
_BPS_STEP: Final = Decimal("0.0001")

_product = _PRODUCT.multiply
_unrounded_product = _UNROUNDED.multiply
add = _SUM.add
subtract = _SUM.subtract
times = _SUM.multiply
"""Exact; no rounding within the bounds of this module."""
normalize = _SUM.normalize
"""Removes trailing zeros: `1.10` → `1.1`, `1000` → `1E+3`."""
_divide_vwap = _VWAP.divide


def exact() -> AbstractContextManager[Context]:
    """Make `+`, `-` and `*` of decimals exact in a `with` block, as `add`, `subtract` and `times` are, at less than half of their cost.

    No code in the block may await: the other tasks would compute in this context, too.
    """
    return localcontext(_SUM)


def plain(number: Decimal) -> Decimal:
    """Return a number without trailing zeros and exponent, so that equal numbers look the same: `1E+3` → 1000, `0E-8` → 0."""
    return add(normalize(number), ZERO)


def usable(price: Decimal | None, size: Decimal | None) -> bool:
    """Whether a level is usable: it has a price; price and size (None = unknown) are within bounds and have at most 96 digits."""
    try:
        if price is None or not LOW <= price < HIGH or (size is not None and not LOW <= size < HIGH):
            return False
        _PRODUCT.plus(price)
        if size is not None:
            _PRODUCT.plus(size)
    except (InvalidOperation, Inexact):
        return False
    return True


def value_of(price: Decimal, size: Decimal) -> Decimal | None:
    """Return price × size, exactly; None if one of them is not `usable`, or if the product has more than 96 digits."""
    try:
        if LOW <= price < HIGH and LOW <= size < HIGH:
            return _unrounded_product(price, size)  # it has 96 digits at most, so each of them has: nearly always
    except (Inexact, InvalidOperation, Rounded):
        pass
    try:
        return _product(price, size) if usable(price, size) else None
    except Inexact:
        return None


def well_formed(bid: tuple[Decimal | None, Decimal | None], ask: tuple[Decimal | None, Decimal | None]) -> bool:
    """Whether both levels are usable, sizes known, and the bid is below the ask: the usual case, in the fewest steps."""
    bid_price, bid_size = bid
    ask_price, ask_size = ask
    if bid_price is None or bid_size is None or ask_price is None or ask_size is None:
        return False
    try:
        if LOW <= bid_price < ask_price < HIGH and LOW <= bid_size < HIGH and LOW <= ask_size < HIGH:
            _PRODUCT.add(bid_price, ask_price)  # exact only if neither is too long
            _PRODUCT.add(bid_size, ask_size)
            return True
    except (InvalidOperation, Inexact):
        pass
    return False


def mid(bid: Decimal, ask: Decimal) -> Decimal:
    """(bid + ask) / 2, exact."""
    return plain(_SUM.multiply(_SUM.add(bid, ask), _HALF))


def basis_points(part: Decimal, total: Decimal) -> Decimal:
    """10,000 × part / total, rounded half-even to 4 decimals."""
    return _RATIO.quantize(_RATIO.divide(_RATIO.multiply(part, _BPS), total), _BPS_STEP)


def average(value: Decimal, volume: Decimal) -> Decimal:
    """Value / volume, rounded half-even to 16 significant digits, without trailing zeros."""
    return add(normalize(_divide_vwap(value, volume)), ZERO)  # as `plain`, without the call
