"""Times and numbers as venues write them: times as text or numbers → int ns, and numbers that can be a price or a size. Pure."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Final

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.parsing.numbers import FLOOR, LIMIT, figure, is_amount, number
from crosstape_schemas import Amount, to_amount

ZERO: Final = Decimal(0)

Serial = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A venue's id or sequence number that goes on the tape as a JSON integer."""
Stamp = Annotated[int, msgspec.Meta(ge=0, le=9 * 10**15)]
"""A time in ms or µs since the epoch, before the year 2255."""

MICROSECONDS: Final = 10**14
"""A time from here on is in µs: as ms this would be the year 5138, as µs it is 1973."""
_SECOND: Final = 1_000_000_000
_SCALE: Final = tuple(10 ** (9 - digits) for digits in range(10))
_MINUTE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2})")
_END_OF_TIME: Final = 2**63 - 1
_LAST_SECOND: Final = Decimal(9 * 10**9)
_SHOWN: Final = 40
_LONGEST_REQUEST: Final = 15
"""Digits of the number of one of our requests at most."""


def request_number(text: str) -> int | None:
    """Return the number of our request that an answer names; None for an id that is not ours."""
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= _LONGEST_REQUEST else None


def epoch_ns(stamp: int) -> int:
    """Convert ms or µs since the epoch to ns; the size of the number shows which of the two it is."""
    return stamp * 1_000_000 if stamp < MICROSECONDS else stamp * 1_000


def seconds_ns(seconds: Decimal) -> int:
    """Convert seconds since the epoch, with decimals, to ns exactly; finer decimals are cut. Raises `FrameError`."""
    try:
        if ZERO < seconds < _LAST_SECOND:
            return int(seconds.scaleb(9))
    except ArithmeticError:
        pass
    raise FrameError(f"not a time in seconds: {seconds}")


def iso_ns(text: str) -> int:
    """`2024-10-04T07:13:31.158696693Z` → ns since the epoch, exactly; zero to nine digits after the point. Raises `FrameError`.

    Negative before 1970: Coinbase has sent the year 1 for "no time".
    """
    tail = text[17:]
    if len(text) < 20 or text[16] != ":" or tail[-1] != "Z" or not tail.isascii():
        raise FrameError(f"not a UTC time: {text!r}")
    seconds, point, digits = tail[:-1].partition(".")
    if len(seconds) != 2 or not seconds.isdecimal() or (point and not digits.isdecimal()) or len(digits) > 9 or seconds > "60":
        raise FrameError(f"not a UTC time: {text!r}")
    return _minute_ns(text[:16]) + int(seconds) * _SECOND + (int(digits) * _SCALE[len(digits)] if digits else 0)


@lru_cache(maxsize=256)
def _minute_ns(text: str) -> int:
    """`2024-10-04T07:13` → ns. Cached: frames of one minute share it, and only the rest is computed each time."""
    found = _MINUTE.fullmatch(text)
    if found is None:
        raise FrameError(f"not a UTC time: {text!r}")
    year, month, day, hour, minute = map(int, found.groups())
    try:
        days = date(year, month, day).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError as exc:
        raise FrameError(f"not a UTC time: {text!r}") from exc
    moment = ((days * 24 + hour) * 60 + minute) * 60 * _SECOND
    if hour > 23 or minute > 59 or moment > _END_OF_TIME - 61 * _SECOND:
        raise FrameError(f"not a UTC time: {text!r}")
    return moment


def known_ns(text: str | None) -> int | None:
    """Convert as `iso_ns`; None for null, and for the times that venues write for an unknown time: the year 1, the epoch itself."""
    if text is None:
        return None
    moment = iso_ns(text)
    return moment if moment > 0 else None


def positive(price: Decimal, size: Decimal) -> bool:
    """Whether these can be a price and a size: above zero, and within `FLOOR` and `LIMIT`."""
    try:
        return FLOOR <= price < LIMIT and FLOOR <= size < LIMIT
    except ArithmeticError:
        return False


def finite(*figures: Decimal | None) -> None:
    """Raise `FrameError` if one is no number (`"NaN"` decodes like a price) or beyond the bounds of `numbers`."""
    try:
        for one in figures:
            if one is not None and not number(one).is_finite():
                break
        else:
            return
    except ArithmeticError:
        pass
    raise FrameError(f"no number among {', '.join(map(shown, figures))}")


def shown(figure: object) -> str:
    """Return a number, or a value in its place, as text of limited length for the message of an error."""
    return str(figure)[:_SHOWN]


def trade_numbers(price: str, size: str, what: str) -> tuple[Decimal, Decimal]:
    """Return the price and the size of a trade from their text. Raises `FrameError`, which begins with `what`."""
    try:
        found = number(price), number(size)
        if ZERO < found[0] < LIMIT and ZERO < found[1] < LIMIT and price.isascii() and size.isascii():
            return found
    except ArithmeticError:
        pass
    raise FrameError(f"{what}: {shown(size)} at {shown(price)}")


def trade_amounts(price: str, size: str, what: str) -> tuple[Amount, Amount]:
    """Return the same as `trade_numbers`, as text for the tape."""
    if is_amount(price) and is_amount(size):
        return price, size
    numbers = trade_numbers(price, size, what)
    return to_amount(numbers[0]), to_amount(numbers[1])


def amounts_of_side(price: str, size: str) -> tuple[Amount, Amount] | tuple[None, None]:
    """Return the same as `side_of`, as text for the tape."""
    if is_amount(price) and is_amount(size):
        return price, size
    numbers = side_of(price, size)
    return (None, None) if numbers[0] is None or numbers[1] is None else (to_amount(numbers[0]), to_amount(numbers[1]))


def side_of(price: str, size: str) -> tuple[Decimal, Decimal] | tuple[None, None]:
    """Return the same as `side`, from text."""
    return side(figure(price), figure(size))


def side(price: Decimal, size: Decimal) -> tuple[Decimal, Decimal] | tuple[None, None]:
    """Return one side of a quote; nulls if the venue writes zero for an empty side. Raises `FrameError` for a value that is no number."""
    if positive(price, size):
        return price, size
    if price.is_zero() or size.is_zero():
        return None, None
    raise FrameError(f"not a price and a size: {shown(price)}, {shown(size)}")
