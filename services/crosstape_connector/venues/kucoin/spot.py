"""KuCoin's older protocol on spot: trades, best bid and ask, the day.

Quirks  prices and sizes are texts, the day's figures JSON numbers with zeros at their end; times are ns as text (trades) or ms; `level1`
        names its symbol in the topic only, and each of its sides is one flat `[price, size]`. A trade's `sequence` is its id: REST has no
        other, and in old recordings `tradeId` is no number. It grows, and is not contiguous
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar, Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.kucoin import classic
from crosstape_connector.venues.kucoin.classic import Route
from crosstape_connector.venues.kucoin.values import SIDES, SPOT
from crosstape_connector.venues.messages import Output, unreadable
from crosstape_connector.venues.parsing.numbers import check, doubtful
from crosstape_connector.venues.parsing.wire import Serial, Stamp, amounts_of_side, epoch_ns, finite, trade_amounts
from crosstape_schemas import Amount, Instrument, Quote, Ticker, Trade

TOPICS: Final = {"match": "/market/match", "level1": "/spotMarket/level1", "snapshot": "/market/snapshot"}
"""Channel → topic. A channel is called as its frames' `subject` ends."""


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    sequence: Serial
    price: str
    size: str
    side: str
    time: Serial


class RawTop(msgspec.Struct, frozen=True, gc=False):
    timestamp: Stamp
    asks: list[str] | None
    bids: list[str] | None


class RawDay(msgspec.Struct, frozen=True, gc=False):
    datetime: Stamp
    last: Decimal | None = msgspec.field(name="lastTradedPrice")
    open: Decimal | None
    high: Decimal | None
    low: Decimal | None
    vol: Decimal | None
    turnover: Decimal | None = msgspec.field(name="volValue")
    change: Decimal | None = msgspec.field(name="changePrice")


class RawSnapshot(msgspec.Struct, frozen=True, gc=False):
    data: RawDay


_trade = msgspec.json.Decoder(RawTrade, strict=False).decode  # sequence and time are text
_top = msgspec.json.Decoder(RawTop).decode
_snapshot = msgspec.json.Decoder(RawSnapshot).decode


def trade_route(instrument: Instrument) -> Route:
    """`match`: one execution a frame."""
    name = instrument.name

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        t = _trade(raw)
        price, size = trade_amounts(t.price, t.size, "a trade")
        return (Trade(SPOT, name, t.time, received_ts, price, size, SIDES.get(t.side), str(t.sequence)),)

    return route


def quote_route(instrument: Instrument) -> Route:
    """`level1`: the best bid and ask, every 10 ms if they have changed. A side without orders is empty."""

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        try:
            q = _top(raw)
            return (Quote(SPOT, instrument.name, epoch_ns(q.timestamp), received_ts, *_side(q.bids), *_side(q.asks)),)
        except FRAME_ERRORS as exc:
            return unreadable("quote", instrument.name, received_ts, exc)

    return route


def _side(flat: list[str] | None) -> tuple[Amount, Amount] | tuple[None, None]:
    if not flat:
        return None, None
    if len(flat) != 2:
        raise FrameError(f"not a price and a size: {str(flat)[:40]}")
    return amounts_of_side(*flat)


def ticker_route(instrument: Instrument) -> Route:
    """`snapshot`: rolling 24 h, every two seconds."""

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        try:
            day = _snapshot(raw).data
            if doubtful(bytes(raw)):
                check(raw)
            figures = day.last, day.open, day.high, day.low, day.vol, day.turnover, day.change
            finite(*figures)
        except FRAME_ERRORS as exc:
            return unreadable("ticker", instrument.name, received_ts, exc)
        return (Ticker(SPOT, instrument.name, epoch_ns(day.datetime), received_ts, *figures),)

    return route


class Parser(classic.Parser):
    """Frames of one connection."""

    __slots__ = ()
    topics: ClassVar = {"/market/match": trade_route, "/spotMarket/level1": quote_route, "/market/snapshot": ticker_route}
    others = frozenset(
        {
            "/market/ticker", "/market/level2", "/market/candles", "/spotMarket/level2Depth5", "/spotMarket/level2Depth50",
            "/indicator/index", "/indicator/markPrice", "/callauction/callauctionData", "/callauction/level2Depth50", "/margin/fundingBook",
        }
    )  # fmt: skip
