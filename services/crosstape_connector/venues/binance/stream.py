"""Binance spot's streams: what their frames become, and how the numbers of a book's updates link.

Quirks  `bookTicker` has neither a type nor a time, and `b` is a number's text in one frame and a list in the other: decode by stream name;
        `m` true: the buyer was the maker, so the taker sold; times are ms, or µs if the URL asks for it
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.binance import recorded
from crosstape_connector.venues.binance.aggregates import agg_trade_route
from crosstape_connector.venues.binance.connection import MakeRoute, Route
from crosstape_connector.venues.binance.klines import TIMEFRAMES, kline_routes
from crosstape_connector.venues.binance.levels import levels_decoder, refused_levels, unread_levels
from crosstape_connector.venues.messages import BookUpdate, Output, unreadable
from crosstape_connector.venues.parsing.numbers import Unchecked, are_amounts, are_four_amounts, figure, known_price, number
from crosstape_connector.venues.parsing.wire import MICROSECONDS, Serial, Stamp, amounts_of_side, epoch_ns, trade_amounts
from crosstape_connector.venues.spec import Verdict
from crosstape_schemas import Instrument, Quote, Side, Ticker, Trade

BUY: Final = Side.BUY
SELL: Final = Side.SELL
"""Names of this module: looking them up in their class takes as long as one and a half dict look-ups."""
KNOWN: Final = re.compile(
    r"kline_\w+(@[+]\d\d:\d\d)?|miniTicker|avgPrice|referencePrice|blockTrade|ticker_\w+|depth(5|10|20)(@100ms|@1000ms)?|arr"
)
"""Streams that the documents name and that hold nothing for the tape (a partial depth frame does not even name its symbol)."""
PROOF: Final = "update ids: each update begins where the one before ended; the first spans the REST snapshot's id; never crossed"
"""See `BookRule.proof`."""


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    t: Serial
    p: Unchecked
    q: Unchecked
    T: Stamp
    m: bool


class RawBookTicker(msgspec.Struct, frozen=True, gc=False):
    b: Unchecked
    B: Unchecked
    a: Unchecked
    A: Unchecked


class RawDepth(msgspec.Struct, frozen=True, gc=False):
    E: Stamp
    U: Serial
    u: Serial
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


class RawTicker(msgspec.Struct, frozen=True, gc=False):
    E: Stamp
    c: str
    o: str
    h: str
    l: str  # noqa: E741
    v: str
    q: str
    p: str


_trade = msgspec.json.Decoder(RawTrade).decode
_book_ticker = msgspec.json.Decoder(RawBookTicker).decode
_depth = levels_decoder(RawDepth)
_ticker = msgspec.json.Decoder(RawTicker).decode


def trade_route(instrument: Instrument) -> Route[RawTrade]:
    """`trade`: one execution a frame."""
    venue, name = instrument.venue, instrument.name

    def outputs(t: RawTrade, received_ts: int) -> Sequence[Output]:
        price, size, made_ts = t.p, t.q, t.T
        made_ts *= 1_000_000 if made_ts < MICROSECONDS else 1_000  # `epoch_ns`, without its call
        if are_amounts(f"{price} {size}"):  # `trade_amounts`, the same
            return (Trade(venue, name, made_ts, received_ts, price, size, SELL if t.m else BUY, str(t.t)),)
        amounts = trade_amounts(price, size, f"trade {t.t} of {name}")
        return (Trade(venue, name, made_ts, received_ts, *amounts, SELL if t.m else BUY, str(t.t)),)

    return Route(_trade, outputs)


def quote_route(instrument: Instrument) -> Route[RawBookTicker]:
    """`bookTicker`: best bid and ask at each change, without a time."""
    venue, name = instrument.venue, instrument.name

    def outputs(q: RawBookTicker, received_ts: int) -> Sequence[Output]:
        bid, bid_size, ask, ask_size = q.b, q.B, q.a, q.A
        if are_four_amounts(f"{bid} {bid_size} {ask} {ask_size}"):  # `amounts_of_side`, without its calls
            return (Quote(venue, name, None, received_ts, bid, bid_size, ask, ask_size),)
        try:
            return (Quote(venue, name, None, received_ts, *amounts_of_side(bid, bid_size), *amounts_of_side(ask, ask_size)),)
        except FrameError as exc:
            return refused(exc, received_ts)

    def refused(error: Exception, received_ts: int) -> Sequence[Output]:
        return unreadable("quote", name, received_ts, error)

    return Route(_book_ticker, outputs, refused)


def depth_route(instrument: Instrument) -> Route[RawDepth]:
    """`depth`: changed levels, numbered."""
    name = instrument.name

    def outputs(d: RawDepth, received_ts: int) -> Sequence[Output]:
        try:
            bids, asks = (
                [(known_price(price), number(size)) for price, size in d.b],
                [(known_price(price), number(size)) for price, size in d.a],
            )
        except ArithmeticError:
            return unread_levels("a level that is no number", name, received_ts)
        return (BookUpdate(name, epoch_ns(d.E), received_ts, bids, asks, d.U, d.u),)

    return Route(_depth, outputs, refused_levels(name))


def ticker_route(instrument: Instrument) -> Route[RawTicker]:
    """`ticker`: rolling 24 h, once a second."""
    venue, name = instrument.venue, instrument.name

    def outputs(t: RawTicker, received_ts: int) -> Sequence[Output]:
        figures = map(figure, (t.c, t.o, t.h, t.l, t.v, t.q, t.p))
        return (Ticker(venue, name, epoch_ns(t.E), received_ts, *figures),)

    return Route(_ticker, outputs)


ROUTES: Final[dict[str, MakeRoute]] = {
    "trade": trade_route,
    "aggTrade": agg_trade_route,
    "bookTicker": quote_route,
    "depth": depth_route,
    "depth@100ms": depth_route,
    "ticker": ticker_route,
    **kline_routes(("1s", *TIMEFRAMES)),
}


class Parser(recorded.Parser):
    """Parses the frames of one connection."""

    __slots__ = ()
    channels: ClassVar = ROUTES
    known = KNOWN
    types: ClassVar = {"trade": "trade", "aggTrade": "aggTrade", "depthUpdate": "depth", "24hrTicker": "ticker", "kline": "kline"}
    known_types = frozenset({"24hrMiniTicker", "avgPrice", "referencePrice", "blockTrade", "1hTicker", "4hTicker", "1dTicker"})


def chain(update: BookUpdate, sequence: int) -> Verdict:
    """Whether an update follows that number: the same rule for the first after a snapshot and for all later ones."""
    if update.first is None or update.last is None or update.first > sequence + 1:
        return Verdict.BREAK
    return Verdict.APPLY if update.last > sequence else Verdict.SKIP
