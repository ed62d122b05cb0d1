"""KuCoin's older protocol on futures: trades, best bid and ask, the day.

Quirks  sizes are contracts, as integers; times are ns, beyond 2^53; prices are texts, in older frames JSON numbers. The day's `volume` is
        base units of a linear contract; what it counts of an inverse one is not documented, so it is left out
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar, Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.venues.kucoin import classic
from crosstape_connector.venues.kucoin.classic import Route
from crosstape_connector.venues.kucoin.values import FUTURES, SIDES
from crosstape_connector.venues.messages import Output, unreadable
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_connector.venues.parsing.numbers import check, doubtful
from crosstape_connector.venues.parsing.wire import Serial, finite, side, trade_numbers
from crosstape_schemas import Instrument, Quote, Ticker, Trade

TOPICS: Final = {
    "execution": "/contractMarket/execution",
    "tickerV2": "/contractMarket/tickerV2",
    "snapshot.24h": "/contractMarket/snapshot",
}
"""Channel → topic. A channel is called as its frames' `subject`, where that is not another's too."""


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    sequence: Serial
    side: str
    size: int
    price: str
    ts: Serial


class RawTop(msgspec.Struct, frozen=True, gc=False):
    ts: Serial
    bid: Decimal | None = msgspec.field(name="bestBidPrice")
    bid_size: Decimal | None = msgspec.field(name="bestBidSize")
    ask: Decimal | None = msgspec.field(name="bestAskPrice")
    ask_size: Decimal | None = msgspec.field(name="bestAskSize")


class RawDay(msgspec.Struct, frozen=True, gc=False):
    ts: Serial
    last: Decimal | None = msgspec.field(name="lastPrice")
    open: Decimal | None = msgspec.field(name="price24HoursBefore")
    high: Decimal | None = msgspec.field(name="highPrice")
    low: Decimal | None = msgspec.field(name="lowPrice")
    volume: Decimal | None
    turnover: Decimal | None
    change: Decimal | None = msgspec.field(name="priceChg")


_trade = msgspec.json.Decoder(RawTrade).decode
_top = msgspec.json.Decoder(RawTop).decode
_day = msgspec.json.Decoder(RawDay).decode


def trade_route(instrument: Instrument) -> Route:
    """`execution`: one execution a frame."""

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        t = _trade(raw)
        price, contracts = trade_numbers(t.price, str(t.size), "a trade")
        size = base_size(instrument, contracts, price)
        return (Trade(FUTURES, instrument.name, t.ts, received_ts, price, size, SIDES.get(t.side), str(t.sequence)),)

    return route


def top_side(instrument: Instrument, price: Decimal | None, contracts: Decimal | None) -> tuple[Decimal, Decimal] | tuple[None, None]:
    """Return one side of a quote, nulls if it is empty. Raises `FrameError`."""
    if price is None or contracts is None:
        return None, None
    finite(price, contracts)
    best, size = side(price, contracts)
    return (None, None) if best is None or size is None else (best, base_size(instrument, size, best))


def quote_route(instrument: Instrument) -> Route:
    """`tickerV2`: the best bid and ask, at each change."""

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        try:
            q = _top(raw)
            if doubtful(bytes(raw)):
                check(raw)
            bid, ask = top_side(instrument, q.bid, q.bid_size), top_side(instrument, q.ask, q.ask_size)
        except FRAME_ERRORS as exc:
            return unreadable("quote", instrument.name, received_ts, exc)
        return (Quote(FUTURES, instrument.name, q.ts, received_ts, *bid, *ask),)

    return route


def ticker_route(instrument: Instrument) -> Route:
    """`snapshot.24h`: rolling 24 h, every five seconds."""

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        try:
            day = _day(raw)
            if doubtful(bytes(raw)):
                check(raw)
            volumes = (None, None) if instrument.inverse else (day.volume, day.turnover)
            figures = day.last, day.open, day.high, day.low, *volumes, day.change
            finite(*figures)
        except FRAME_ERRORS as exc:
            return unreadable("ticker", instrument.name, received_ts, exc)
        return (Ticker(FUTURES, instrument.name, day.ts, received_ts, *figures),)

    return route


class Parser(classic.Parser):
    """Frames of one connection."""

    __slots__ = ()
    topics: ClassVar = {
        "/contractMarket/execution": trade_route,
        "/contractMarket/tickerV2": quote_route,
        "/contractMarket/snapshot": ticker_route,
    }
    others = frozenset(
        {
            "/contractMarket/ticker", "/contractMarket/level2", "/contractMarket/level2Depth5", "/contractMarket/level2Depth50",
            "/contractMarket/limitCandle", "/contract/instrument", "/contract/announcement",
        }
    )  # fmt: skip
