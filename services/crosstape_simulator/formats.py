"""Numbers and times as the venues write them, from integers, digit by digit."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

NS: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def fixed(units: int, decimals: int) -> str:
    """`units` of 10^-decimals with exactly `decimals` decimals: `fixed(5, 2)` is `0.05`."""
    if units < 0:
        return "-" + fixed(-units, decimals)
    if not decimals:
        return str(units)
    digits = str(units).zfill(decimals + 1)
    return f"{digits[:-decimals]}.{digits[-decimals:]}"


def plain(text: str) -> str:
    """A number without an exponent: `plain("1E-8")` is `0.00000001`."""
    return f"{Decimal(text):f}"


def short(units: int, decimals: int) -> str:
    """`fixed` without trailing zeros: `short(50, 2)` is `0.5`, `short(0, 8)` is `0`."""
    text = fixed(units, decimals)
    return text.rstrip("0").rstrip(".") if decimals else text


def ns_of(text: str) -> int:
    """ns since the epoch of an ISO time, to the µs; 0 for what is no time."""
    try:
        since = datetime.fromisoformat(text) - _EPOCH
    except (ValueError, TypeError):
        return 0
    return max(0, (since.days * 86_400 + since.seconds) * NS + since.microseconds * 1_000)


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def iso_us(ts: int) -> str:
    """A time with six decimals: `2024-05-27T12:43:11.798009Z`. `ts` in ns."""
    seconds, rest = divmod(ts, NS)
    return f"{_second(seconds)}.{rest // 1000:06d}Z"


def iso_ns(ts: int) -> str:
    """A time with nine decimals without zeros at the end: `2023-02-09T20:19:35.39625135Z`. `ts` in ns."""
    seconds, rest = divmod(ts, NS)
    if not rest:
        return f"{_second(seconds)}Z"
    return f"{_second(seconds)}.{f'{rest:09d}'.rstrip('0')}Z"


def go_time(ts: int, uptime_ns: int) -> str:
    """A time as Go prints it with its monotonic clock: some heartbeats carry it, and clients should not parse it."""
    seconds, rest = divmod(ts, NS)
    up, up_rest = divmod(uptime_ns, NS)
    return f"{_second(seconds).replace('T', ' ')}.{rest:09d} +0000 UTC m=+{up}.{up_rest:09d}"
