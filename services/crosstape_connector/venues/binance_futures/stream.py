"""The streams of Binance's futures: what their frames become, and how the numbers of a book's updates link.

Sizes   USD-M: base units; COIN-M: contracts of some USD each, whose base size depends on the price (`parsing.contracts`)
Times   `T` is the matching engine's, `E` the sender's: events have `T` where the frame has it
Quirks  `m` true: the buyer was the maker, so the taker sold. `trade` is not documented; its rows other than `MARKET` (insurance fund,
        deleveraging, `NA` with a price of 0) are no market trades, but their ids stand in the same row. Dated futures send the funding rate
        as zero or as an empty text, and its time as 0. `forceOrder`: at most one order a second and symbol, so that sums are lower bounds
Book    update ids are those of all symbols: `U` does not follow the `u` before, `pu` is the `u` before
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar, Final

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.binance import recorded
from crosstape_connector.venues.binance.aggregates import agg_trade_route
from crosstape_connector.venues.binance.connection import MakeRoute, Route
from crosstape_connector.venues.binance.klines import TIMEFRAMES, kline_routes
from crosstape_connector.venues.binance.levels import levels_decoder, refused_levels, unread_levels
from crosstape_connector.venues.binance.quotes import base_side
from crosstape_connector.venues.binance.stream import RawTicker
from crosstape_connector.venues.messages import BookUpdate, LastTrade, Output, Unreadable, unreadable
from crosstape_connector.venues.parsing.contracts import base_size, is_in_base_units
from crosstape_connector.venues.parsing.numbers import Unchecked, are_four_amounts, figure, known_price, number
from crosstape_connector.venues.parsing.wire import (
    ZERO,
    Serial,
    Stamp,
    amounts_of_side,
    epoch_ns,
    positive,
    shown,
    trade_amounts,
    trade_numbers,
)
from crosstape_connector.venues.spec import Verdict
from crosstape_schemas import Funding, Instrument, Level, Liquidation, Mark, Quote, Side, Ticker, Trade

MARKET: Final = "MARKET"
SIDES: Final = {"BUY": Side.BUY, "SELL": Side.SELL}
KNOWN: Final = re.compile(
    r"kline_\w+|\w*[kK]line_\w+|miniTicker|depth(5|10|20)(@\w+)?|rpiDepth(@\w+)?|indexPrice(@1s)?|compositeIndex|tradingSession|assetIndex"
    r"|arr(@1s)?|!contractInfo|!bookTicker|!assetIndex@arr"
)
"""Streams that the documents name and that hold nothing for the tape."""


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    t: Serial
    p: str
    q: str
    T: Stamp
    m: bool
    X: str = MARKET


class RawBookTicker(msgspec.Struct, frozen=True, gc=False):
    b: Unchecked
    B: Unchecked
    a: Unchecked
    A: Unchecked
    T: Stamp


class RawDepth(msgspec.Struct, frozen=True, gc=False):
    T: Stamp
    U: Serial
    u: Serial
    pu: Serial
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


class RawMark(msgspec.Struct, frozen=True, gc=False):
    E: Stamp
    p: str
    i: str = ""
    r: str = ""
    T: Stamp = 0


class RawOrder(msgspec.Struct, frozen=True, gc=False):
    S: str
    ap: str
    z: str
    T: Stamp


class RawLiquidation(msgspec.Struct, frozen=True, gc=False):
    o: RawOrder


_trade = msgspec.json.Decoder(RawTrade).decode
_book_ticker = msgspec.json.Decoder(RawBookTicker).decode
_depth = levels_decoder(RawDepth)
_ticker = msgspec.json.Decoder(RawTicker).decode
_mark = msgspec.json.Decoder(RawMark).decode
_liquidation = msgspec.json.Decoder(RawLiquidation).decode


def trade_route(instrument: Instrument) -> Route[RawTrade]:
    """`trade`: one execution a frame; of one that is no market trade only the id counts."""
    venue, name, in_base_units = instrument.venue, instrument.name, is_in_base_units(instrument)

    def outputs(t: RawTrade, received_ts: int) -> Sequence[Output]:
        made_ts = epoch_ns(t.T)
        if t.X != MARKET:
            return (LastTrade(name, made_ts, received_ts, t.t, no_trade=True),)
        what, taker = f"trade {t.t} of {name}", Side.SELL if t.m else Side.BUY
        if in_base_units:
            return (Trade(venue, name, made_ts, received_ts, *trade_amounts(t.p, t.q, what), taker, str(t.t)),)
        price, size = trade_numbers(t.p, t.q, what)
        return (Trade(venue, name, made_ts, received_ts, price, base_size(instrument, size, price), taker, str(t.t)),)

    return Route(_trade, outputs)


def quote_route(instrument: Instrument) -> Route[RawBookTicker]:
    """`bookTicker`: best bid and ask at each change."""
    venue, name, in_base_units = instrument.venue, instrument.name, is_in_base_units(instrument)

    def outputs(q: RawBookTicker, received_ts: int) -> Sequence[Output]:
        made_ts, bid, bid_size, ask, ask_size = epoch_ns(q.T), q.b, q.B, q.a, q.A
        if in_base_units and are_four_amounts(f"{bid} {bid_size} {ask} {ask_size}"):  # `amounts_of_side`, without its calls
            return (Quote(venue, name, made_ts, received_ts, bid, bid_size, ask, ask_size),)
        try:
            if in_base_units:
                return (Quote(venue, name, made_ts, received_ts, *amounts_of_side(bid, bid_size), *amounts_of_side(ask, ask_size)),)
            sides = base_side(instrument, bid, bid_size), base_side(instrument, ask, ask_size)
            return (Quote(venue, name, made_ts, received_ts, *sides[0], *sides[1]),)
        except FrameError as exc:
            return refused(exc, received_ts)

    def refused(error: Exception, received_ts: int) -> Sequence[Output]:
        return unreadable("quote", name, received_ts, error)

    return Route(_book_ticker, outputs, refused)


def levels(instrument: Instrument, rows: Sequence[tuple[str, str]]) -> list[Level]:
    """Return levels with sizes in base units. Raises `ArithmeticError` for one that is no number."""
    if not instrument.inverse and instrument.contract_size == 1:
        return [(known_price(price), number(size)) for price, size in rows]
    return [(price, _size(instrument, size, price)) for price, size in [(known_price(price), number(size)) for price, size in rows]]


def _size(instrument: Instrument, contracts: Decimal, price: Decimal) -> Decimal:
    """Return a level's size; zero removes the level, and NaN is left to the book's own check."""
    return base_size(instrument, contracts, price) if contracts.is_finite() and contracts and price.is_finite() else contracts


def depth_route(instrument: Instrument) -> Route[RawDepth]:
    """`depth`: changed levels, numbered."""
    name = instrument.name

    def outputs(d: RawDepth, received_ts: int) -> Sequence[Output]:
        try:
            bids, asks = levels(instrument, d.b), levels(instrument, d.a)
        except ArithmeticError:
            return unread_levels("a level that is no number", name, received_ts)
        return (BookUpdate(name, epoch_ns(d.T), received_ts, bids, asks, d.U, d.u, d.pu),)

    return Route(_depth, outputs, refused_levels(name))


def ticker_route(instrument: Instrument) -> Route[RawTicker]:
    """`ticker`: rolling 24 h. COIN-M's `v` counts contracts, `q` is in base units."""
    venue, name = instrument.venue, instrument.name

    def outputs(t: RawTicker, received_ts: int) -> Sequence[Output]:
        last, first, high, low, v, q, change = map(figure, (t.c, t.o, t.h, t.l, t.v, t.q, t.p))
        volumes = (q, v * instrument.contract_size) if instrument.inverse else (v, q)
        return (Ticker(venue, name, epoch_ns(t.E), received_ts, last, first, high, low, *volumes, change),)

    return Route(_ticker, outputs)


def mark_route(instrument: Instrument) -> Route[RawMark]:
    """`markPrice`: mark and index price, and the funding rate of a perpetual. COIN-M sends no index price here."""
    venue, name = instrument.venue, instrument.name

    def outputs(m: RawMark, received_ts: int) -> Sequence[Output]:
        try:
            price, index, rate = figure(m.p), figure(m.i) if m.i else None, figure(m.r) if m.r else None
            if price <= ZERO or (index is not None and index < ZERO):
                raise FrameError(f"{shown(price)}, {shown(index)}")
        except FrameError as exc:
            return refused(exc, received_ts)
        made_ts = epoch_ns(m.E)
        mark = Mark(venue, name, made_ts, received_ts, price, index or None)  # an index of zero is none
        if rate is None or not m.T:
            return (mark,)
        return mark, Funding(venue, name, made_ts, received_ts, rate, None, epoch_ns(m.T))

    def refused(error: Exception, received_ts: int) -> Sequence[Output]:
        return *unreadable("mark", name, received_ts, error), Unreadable("funding", name, received_ts)

    return Route(_mark, outputs, refused)


def liquidation_route(instrument: Instrument) -> Route[RawLiquidation]:
    """`forceOrder`: the newest forced order of a second. Its average price and its filled size count; nothing, if none is filled.

    There is no id. As the venue sends one order a second and symbol, one that is equal to the last, with its time, is the same.
    """
    venue, name = instrument.venue, instrument.name
    last: RawOrder | None = None

    def outputs(raw: RawLiquidation, received_ts: int) -> Sequence[Output]:
        nonlocal last
        o = raw.o
        price, size = figure(o.ap), figure(o.z)
        if size.is_zero() or o == last:
            return ()
        last = o
        if not positive(price, size):
            raise FrameError(f"liquidation of {name}: {shown(size)} at {shown(price)}")
        return (Liquidation(venue, name, epoch_ns(o.T), received_ts, SIDES.get(o.S), price, base_size(instrument, size, price)),)

    return Route(_liquidation, outputs)


ROUTES: Final[dict[str, MakeRoute]] = {
    "trade": trade_route,
    "aggTrade": agg_trade_route,
    "bookTicker": quote_route,
    "depth": depth_route,
    "depth@0ms": depth_route,
    "depth@100ms": depth_route,
    "depth@250ms": depth_route,
    "depth@500ms": depth_route,
    "ticker": ticker_route,
    "markPrice": mark_route,
    "markPrice@1s": mark_route,
    "forceOrder": liquidation_route,
    **kline_routes(tuple(TIMEFRAMES)),
}


class Parser(recorded.Parser):
    """Parses the frames of one connection, of either market and any route: recordings are older than the routes."""

    __slots__ = ()
    channels: ClassVar = ROUTES
    known = KNOWN
    types: ClassVar = {
        "trade": "trade",
        "aggTrade": "aggTrade",
        "bookTicker": "bookTicker",
        "depthUpdate": "depth",
        "24hrTicker": "ticker",
        "markPriceUpdate": "markPrice",
        "kline": "kline",
        "forceOrder": "forceOrder",
    }
    known_types = frozenset(
        {"24hrMiniTicker", "continuous_kline", "indexPriceUpdate", "indexPrice_kline", "markPrice_kline", "compositeIndex", "contractInfo"}
        | {"assetIndexUpdate", "EquityUpdate"}
    )


def bridges(update: BookUpdate, sequence: int) -> Verdict:
    """Whether an update is the first after a snapshot: it must span the snapshot's number, or follow it; those before are dropped."""
    if update.first is None or update.last is None:
        return Verdict.BREAK
    if update.last < sequence:
        return Verdict.SKIP
    return Verdict.APPLY if update.first <= sequence or update.previous == sequence else Verdict.BREAK


def follows(update: BookUpdate, sequence: int) -> Verdict:
    """Whether an update follows the one that ended at that number."""
    if update.last is None or update.previous is None:
        return Verdict.BREAK
    if update.previous == sequence:
        return Verdict.APPLY
    return Verdict.SKIP if update.last <= sequence else Verdict.BREAK
