"""Coinbase's candles: Advanced's channel `candles`, of five minutes only, and Exchange's `candles` by REST.

Docs    https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels#candles-channel
        https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-candles
Quirks  `start` is a text of seconds. Nothing says that a candle is over: the next one does. Nothing is sent of an interval without trades,
        and REST has no row for it. REST writes low, high, open, close, in this order, newest first, as JSON numbers; of its two bounds, one
        alone is ignored; rows may begin before the first; more than 300 asked for are refused
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.venues.coinbase.products import Products
from crosstape_connector.venues.coinbase.values import ID
from crosstape_connector.venues.messages import CandleSnapshot, Odd, Output, Unreadable
from crosstape_connector.venues.parsing.answers import list_reader
from crosstape_connector.venues.parsing.candles import candle, snapshot
from crosstape_connector.venues.parsing.numbers import check, figure
from crosstape_connector.venues.parsing.rows import ROW, cause
from crosstape_connector.venues.parsing.wire import Serial
from crosstape_connector.venues.spec import CandleRules
from crosstape_schemas import CANDLE, Candle, Instrument
from crosstape_schemas.timeframes import LENGTHS

CHANNEL: Final = "candles"
TIMEFRAME: Final = "5m"
PAGE: Final = 300
_SECOND: Final = 1_000_000_000
_ONLY: Final = "the channel has candles of five minutes only"

RULES: Final = CandleRules(
    timeframes={TIMEFRAME: "300"},
    refused=dict.fromkeys(("1m", "15m", "30m", "1h", "2h", "4h", "6h", "1d"), _ONLY),
    open="first trade",
    empty="nothing",
    closed="next candle",
    volume="base units",
    first="snapshot",
)


class RawCandle(msgspec.Struct, frozen=True, gc=False):
    start: str
    low: str
    high: str
    open: str
    close: str
    volume: str
    product_id: str


class RawEvent(msgspec.Struct, frozen=True):
    type: str
    candles: list[msgspec.Raw]


class Named(msgspec.Struct, frozen=True):
    """The product of a row that cannot be read."""

    product_id: str


class RestCandle(msgspec.Struct, frozen=True, array_like=True):
    time: Serial
    low: Decimal
    high: Decimal
    open: Decimal
    close: Decimal
    volume: Decimal


_events = msgspec.json.Decoder(list[RawEvent]).decode
_row = msgspec.json.Decoder(RawCandle).decode
_named = msgspec.json.Decoder(Named).decode
_rows = list_reader(RestCandle)


def outputs(events: msgspec.Raw, products: Products, venue_ts: int | None, received_ts: int) -> list[Output]:
    """Candles of a frame; of a snapshot, all of a product together. Raises one of `FRAME_ERRORS` if no row can be used."""
    found: list[Output] = []
    for event in _events(events):
        candles: list[Candle] = []
        for raw in event.candles:
            try:
                candles.append(_candle(_row(raw), products, venue_ts, received_ts))
            except FRAME_ERRORS as exc:
                if len(event.candles) == 1 and _product(raw, products) is None:
                    raise
                found += _unread(raw, products, received_ts, exc)
        if event.type == "snapshot":
            names = dict.fromkeys(one.instrument for one in candles)
            found += [snapshot(name, TIMEFRAME, [one for one in candles if one.instrument == name], received_ts) for name in names]
        else:
            found += candles
    return found


def _candle(raw: RawCandle, products: Products, venue_ts: int | None, received_ts: int) -> Candle:
    return candle(
        ID, products[raw.product_id], TIMEFRAME, int(figure(raw.start)) * _SECOND,
        (figure(raw.open), figure(raw.high), figure(raw.low), figure(raw.close)),
        volume=figure(raw.volume), venue_ts=venue_ts, received_ts=received_ts,
    )  # fmt: skip


def _product(raw: msgspec.Raw, products: Products) -> str | None:
    try:
        return products[_named(raw).product_id]
    except FRAME_ERRORS:
        return None


def _unread(raw: msgspec.Raw, products: Products, received_ts: int, error: Exception) -> Sequence[Output]:
    """The outputs of a row that cannot be used: the newest candle of its product is out of date, if it names one."""
    odd = Odd(ROW, f"{CHANNEL}: {cause(raw, error)}")
    instrument = _product(raw, products)
    return (odd,) if instrument is None else (odd, Unreadable(f"{CANDLE}{TIMEFRAME}", instrument, received_ts))


def path(product: str, timeframe: str, since_ts: int) -> str:
    """As many candles from `since_ts` on as an answer may have. Both bounds are needed; the last is included."""
    step = LENGTHS[timeframe]
    start, end = (_iso(max(0, ts)) for ts in (since_ts, since_ts + (PAGE - 1) * step))
    return f"/products/{quoted(product)}/candles?granularity={step // _SECOND}&start={start}&end={end}"


STEPS: Final = ("1m", "5m", "15m", "1h", "6h", "1d")
"""What REST has: its `granularity` is the length in seconds."""


def range_path(product: str, timeframe: str, first_ts: int, last_ts: int) -> str:
    """See `PastCandles.path`. More than `PAGE` intervals would be refused."""
    start, end = (_iso(max(0, ts)) for ts in (first_ts, last_ts))
    return f"/products/{quoted(product)}/candles?granularity={LENGTHS[timeframe] // _SECOND}&start={start}&end={end}"


def parse(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """Oldest first; the answer has neither a product nor a time of its own."""

    def read(raw: RestCandle) -> Candle:
        prices = raw.open, raw.high, raw.low, raw.close
        return candle(
            ID, instrument.name, timeframe, raw.time * _SECOND, prices, volume=raw.volume, venue_ts=None, received_ts=received_ts
        )  # fmt: skip

    check(body)
    made, odd = _rows(body, read, f"{timeframe} candles of {instrument.name}")
    return snapshot(instrument.name, timeframe, made, received_ts, odd)


def _iso(ts: int) -> str:
    return quoted(datetime.fromtimestamp(ts // _SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
