"""BingX's REST, as far as spot and swap share it: errors, candles, trading states.

Limits  500 requests in 10 s for one address and group of paths
Quirks  an error comes with HTTP 200 and a `code` that is not 0. Numbers are JSON numbers in some answers and text in others, also with an
        exponent (1e-05). Candles and trades come newest first
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final, TypeVar
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.venues.messages import CandleSnapshot, Odd
from crosstape_connector.venues.parsing.answers import fault_message
from crosstape_connector.venues.parsing.numbers import figure
from crosstape_connector.venues.parsing.rows import readable, rows_decoder
from crosstape_schemas import Candle, Instrument

T = TypeVar("T")
CANDLES: Final = 1_440
"""Candles in an answer: the venue's most."""
MINUTE: Final = 120
"""Requests of one kind a minute: the venue allows 3,000 of all kinds of a group."""
STATES: Final = {0: "offline", 5: "not open yet", 25: "suspended", 29: "to be delisted", 30: "delisted"}
"""`status` → why an instrument does not trade."""
TRADES_IN: Final = frozenset({1, 10})
"""`status` of an instrument that trades."""
NO: Final = (False, "false")
"""What `apiState…` is where orders are refused; the swap writes text."""


class Fault(msgspec.Struct, frozen=True):
    code: int
    msg: str = ""


class RawRows(msgspec.Struct, frozen=True):
    data: list[msgspec.Raw]


rest_error = fault_message(msgspec.json.Decoder(Fault).decode, lambda fault: f"{fault.code} {fault.msg}".strip() if fault.code else "")
"""`{"code": 109425, "msg": "…"}`."""
rows_of = rows_decoder(RawRows, 2)
"""An answer whose `data` is a list → its rows."""


def text_of(raw: msgspec.Raw) -> str:
    """Return a number as text, from its JSON: a number or a text."""
    text = bytes(raw).decode()
    return text[1:-1] if text[:1] == '"' else text


def number_of(raw: msgspec.Raw) -> Decimal:
    """Return a number from its JSON. Raises `NotANumber`."""
    return figure(text_of(raw))


def read_all(rows: Iterable[msgspec.Raw], read: Callable[[msgspec.Raw], T], what: str) -> tuple[list[T], list[Odd]]:
    """Return what `read` makes of the rows, and the odd ones. Raises one of `FRAME_ERRORS` if there are rows, and none can be read."""
    all_rows, odd = list(rows), list[Odd]()
    good = readable(all_rows, read, what, odd)
    if odd and not good:
        read(all_rows[0])
    return good, odd


def not_trading(status: int, *api_states: object) -> str:
    """Return why an instrument does not trade; empty: it does. `api_states`: what its `apiState…` say, where it has them."""
    if status not in TRADES_IN:
        return STATES.get(status, f"status {status}")
    return "closed to the API" if api_states and all(state in NO for state in api_states) else ""


def candles_path(path: str) -> Callable[[str, str, int], str]:
    """Return `CandleSource.path` for this path."""

    def of(symbol: str, timeframe: str, since_ts: int) -> str:
        return f"{path}?symbol={quoted(symbol)}&interval={timeframe}&startTime={since_ts // 1_000_000}&limit={CANDLES}&timeZone=0"

    return of


def range_path(path: str) -> Callable[[str, str, int, int], str]:
    """Return `PastCandles.path` for this path. Whether the bounds are included is not documented."""

    def of(symbol: str, timeframe: str, first_ts: int, last_ts: int) -> str:
        return f"{candles_path(path)(symbol, timeframe, max(0, first_ts))}&endTime={last_ts // 1_000_000}"

    return of


def candles_parser(
    read: Callable[[msgspec.Raw, Instrument, str, int], Candle],
) -> Callable[[bytes, Instrument, str, int], CandleSnapshot]:
    """Return `CandleSource.parse`. `read`: (row, instrument, timeframe, received_ts) → its candle."""

    def parse(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
        what = f"candle:{timeframe} of {instrument.name}"
        found, odd = read_all(rows_of(body).data, lambda row: read(row, instrument, timeframe, received_ts), what)
        by_open = {one.open_ts: one for one in sorted(found, key=lambda one: one.open_ts)}
        return CandleSnapshot(instrument.name, timeframe, received_ts, tuple(by_open.values()), tuple(odd))

    return parse
