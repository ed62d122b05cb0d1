"""Finds a decimal type that holds every digit of a column, and prepares the values for it. Pure.

A decimal of the libraries is an integer of at most 38 digits with a fixed number of decimals for the column. Values are given to them only
when all fit: polars rounds a value with more decimals silently, and panics at one that is not a number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any, Final, Literal, TypeAlias

import msgspec

from crosstape.errors import FrameError
from crosstape.tape.frames.columns import Leaf, ListOf, Record

Decimals: TypeAlias = Literal["exact", "float"]

MAX_DIGITS: Final = 38
_INT64: Final = range(-(2**63), 2**63)
_INTEGERS: Final = (Leaf.TIME, Leaf.INTEGER)


class Digits(msgspec.Struct, frozen=True):
    """The size of a decimal column."""

    whole: int
    """Most digits before the point."""
    scale: int
    """Most digits behind it."""


class Float(msgspec.Struct, frozen=True):
    """A column of 64-bit floats, as the caller has chosen."""


class SizedList(msgspec.Struct, frozen=True):
    """A list of values of one type."""

    item: Sized


class SizedRecord(msgspec.Struct, frozen=True):
    """Several values with names."""

    fields: tuple[tuple[str, Sized], ...]


Sized: TypeAlias = Leaf | Digits | Float | SizedList | SizedRecord
"""The type of a column, with the size of its decimals."""


def fit(name: str, node: Leaf | ListOf | Record, values: Sequence[Any], decimals: Decimals) -> tuple[Sized, list[Any]]:
    """Returns the type of the column `name`, and its values as plain Python: numbers, text, lists, dicts. None stays None.

    Raises `FrameError` for a value that the type cannot hold; it names the column, and a part of a nested one as `bids.price`.
    """
    match node:
        case ListOf(item):
            sized, flat = fit(name, item, [part for value in values if value is not None for part in value], decimals)
            parts = iter(flat)
            return SizedList(sized), [None if value is None else list(islice(parts, len(value))) for value in values]
        case Record(fields):
            present = [value for value in values if value is not None]
            fitted = [(part, *fit(f"{name}.{part}", one, list(map(read, present)), decimals)) for part, read, one in fields]
            names = [part for part, _, _ in fitted]
            rows = iter(zip(*(column for _, _, column in fitted), strict=True))
            made = [None if value is None else dict(zip(names, next(rows), strict=True)) for value in values]
            return SizedRecord(tuple((part, sized) for part, sized, _ in fitted)), made
        case Leaf.DECIMAL:
            return (Float(), _each(float, values)) if decimals == "float" else _fit_decimals(name, values)
        case Leaf.TEXT:
            return node, _each(str, values)
        case _:
            if node in _INTEGERS:
                for value in values:
                    if value is not None and value not in _INT64:
                        raise FrameError(f"column {name}: {value} does not fit into 64 bits")
            return node, list(values)


def _fit_decimals(name: str, values: Sequence[Decimal | None]) -> tuple[Digits, list[Decimal | None]]:
    """Keeps the decimals as they are written if there is room for them, else without the zeros at their ends."""
    for value in values:
        if value is not None and not value.is_finite():
            raise FrameError(f'column {name}: {value} is not a number that an exact column can hold; decimals="float" can')
    quick = _measure_texts(values)
    if quick is not None and quick.whole + quick.scale <= MAX_DIGITS:
        return quick, list(values)
    digits, as_written = _measure(values)
    if as_written and digits.whole + digits.scale <= MAX_DIGITS:
        return digits, list(values)
    short = _each(_stripped, values)
    digits, _ = _measure(short)
    if digits.whole + digits.scale > MAX_DIGITS:
        raise FrameError(
            f"column {name} needs {digits.whole} digits before and {digits.scale} behind the decimal point, and an exact column holds "
            f'{MAX_DIGITS} in all; decimals="float" rounds to about 16 digits'
        )
    return digits, short


def _measure_texts(values: Sequence[Decimal | None]) -> Digits | None:
    """Returns `_measure`, or one whole digit more, in a third of the time; None if a value is written with an exponent."""
    whole = scale = 0
    for value in values:
        if value is not None:
            text = str(value)
            if "E" in text:
                return None
            before, _, behind = text.partition(".")
            whole = max(whole, len(before))
            scale = max(scale, len(behind))
    return Digits(whole, scale)


def _measure(values: Sequence[Decimal | None]) -> tuple[Digits, bool]:
    """Returns the size that the values need, and whether the libraries can read all of them as they are written.

    They cannot read more digits than they store. Arrow counts those of `0E+2` as two.
    """
    whole = scale = 0
    readable = True
    for value in values:
        if value is None:
            continue
        _, digits, exponent = value.as_tuple()
        assert isinstance(exponent, int)  # it is finite
        scale = max(scale, -exponent)
        if value:
            whole = max(whole, len(digits) + exponent)
            readable = readable and len(digits) <= MAX_DIGITS
        else:
            readable = readable and exponent <= 0
    return Digits(whole, scale), readable


def _stripped(value: Decimal) -> Decimal:
    """Returns the same value without zeros behind its last digit. (`Decimal.normalize` rounds to the 28 digits of its context.)"""
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    if not value:
        return Decimal(0)
    zeros = next(place for place, digit in enumerate(reversed(digits)) if digit)
    zeros = min(zeros, max(0, -exponent))
    return Decimal((sign, digits[: len(digits) - zeros], exponent + zeros))


def _each(change: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
    return [None if value is None else change(value) for value in values]
