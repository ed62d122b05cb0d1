"""Turns text into a number within the bounds of a price or a size, and refuses all other text.

`Decimal(text)` also reads `"1_000"`, `" 1"`, `"1E-7000"` and a text of 10,000 digits. `number` refuses those in the same step, and costs
less than a `Decimal` field of msgspec, so text fields of a frame are decoded as text. Two things are left to its callers: digits of other
scripts (`"١"` reads as 1: `isascii` of the text, or `is_plain` of the frame), and NaN and infinities, which no comparison of theirs passes.

A connector computes little with the numbers of trades and quotes. So of busy venues it keeps the text where that is what the tape will
have: `is_amount` finds that out for about what a `Decimal` costs, and the event's encoding costs less. (Where such frames are rare, so that
the expression is not in the processor's caches, nothing is gained.)

Where a venue writes JSON numbers, msgspec reads them (nothing else keeps their digits), and would read text in their place like `Decimal`
does: `check` looks through a frame that is `doubtful`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Clamped, Context, Decimal, InvalidOperation, Overflow, Rounded, Subnormal
from functools import lru_cache
from typing import Any, Final, TypeAlias, TypeGuard, cast

import msgspec

from crosstape_connector.errors import NotANumber
from crosstape_schemas import Amount

FLOOR: Final = Decimal("1E-24")
LIMIT: Final = Decimal("1E+20")
"""No price or size is below the first or reaches the second. `FLOOR <= x < LIMIT` keeps infinities out too; NaN raises
`decimal.InvalidOperation`, an `ArithmeticError`."""
LONGEST: Final = 256
"""Significant digits of a number at most."""

_BOUNDS: Final = Context(prec=LONGEST, Emin=-24, Emax=19, traps=[Clamped, InvalidOperation, Overflow, Rounded, Subnormal])
number: Final[Callable[[str | int | Decimal], Decimal]] = _BOUNDS.create_decimal
"""The number that a text (an integer, a decimal) is: exact, zero or of a size within [`FLOOR`, `LIMIT`), not necessarily finite. Raises
`ArithmeticError`."""

Unchecked: TypeAlias = Amount
"""A text of a frame that will be an `Amount` once it is checked, by one of the following. Nothing else may leave a parser."""

_PLAIN: Final = re.compile(r"[1-9][0-9]{0,19}+(?:\.[0-9]{1,64}+)?+|0\.0{0,23}+[1-9][0-9]{0,63}+")
is_amount: Final = cast("Callable[[str], TypeGuard[Amount]]", _PLAIN.fullmatch)
"""Whether a text is a number within [`FLOOR`, `LIMIT`) as the tape has it. Nearly all numbers of trades and quotes are. It refuses numbers
that the tape has in another notation (`1e5`, `+1`, `.5`, `5.`, `007`), and very long ones, too: `number` decides about those."""
_PAIR: Final = f"(?:{_PLAIN.pattern}) (?:{_PLAIN.pattern})"
are_amounts: Final = re.compile(_PAIR).fullmatch
"""The same of two texts with a space between them, which is faster than to ask twice …"""
are_four_amounts: Final = re.compile(f"{_PAIR} {_PAIR}").fullmatch
"""… and of four."""

_KNOWN: Final = 16_384
"""Prices that are remembered: 5 MiB."""


@lru_cache(maxsize=_KNOWN)
def known_price(text: str) -> Decimal:
    """Return the same as `number`, for the prices of books. Most come again: then the number need not be read, nor its hash computed."""
    if len(text) > LONGEST:
        raise InvalidOperation
    return number(text)


PER_LEVEL: Final = 64
"""Bytes that a level of a book takes in its frame, on the average, at most: a frame with longer ones is looked through for long numbers."""

SPACE, BACKSLASH = b" \\"

_misplaced_underscore: Final = re.compile(rb"_[^a-z]").search
_NUMBER: Final = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_SHOWN: Final = 40


def is_plain(data: bytes) -> bool:
    """Whether all text in this JSON is ASCII, so that its digits are 0 to 9: an escape could stand for anything."""
    return data.isascii() and BACKSLASH not in data


def figure(text: str) -> Decimal:
    """Return a number that may be negative or zero. Raises `NotANumber`."""
    try:
        found = number(text)
    except ArithmeticError:
        found = None
    if found is None or not found.is_finite() or not text.isascii():
        raise NotANumber(f"not a number: {short(text)}")
    return found


def decimal(text: str) -> Decimal:
    """Return a number in the notation of JSON, of any size. Raises `NotANumber`."""
    if len(text) > LONGEST or not text.isascii() or _NUMBER.fullmatch(text) is None:
        raise NotANumber(f"not a number: {short(text)}")
    return Decimal(text)


def short(text: str) -> str:
    """Return a text of any length, cut for the message of an error."""
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"


def doubtful(data: bytes) -> bool:
    """Whether a frame whose numbers are JSON numbers has an unusual part, which a text that only `Decimal` reads as a number needs."""
    return SPACE in data or BACKSLASH in data or not data.isascii() or _misplaced_underscore(data) is not None


def check(data: bytes | msgspec.Raw) -> None:
    """Raise `NotANumber` for a number that is too long, and for text in this JSON that `Decimal` reads though it is no number."""
    for text in _texts(_decode(data)):
        if (len(text) > LONGEST or _NUMBER.fullmatch(text) is None) and _reads(text):
            raise NotANumber(f"not a number: {short(text)}")


def _reads(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False


def _texts(value: Any) -> Iterator[str]:
    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list):
            left += value


_decode = msgspec.json.Decoder(float_hook=lambda text: text if len(text) > LONGEST else 0.0).decode
