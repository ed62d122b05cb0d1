"""Gate, spot: trades, best bid and ask, the day, candles, books.

Docs    https://www.gate.com/docs/developers/apiv4/ws/en/
Quirks  `create_time_ms` is a text of ms with decimals; ids of trades are those of all pairs, so that they grow and are not contiguous.
        A candle's `v` is its turnover in the quote asset, and `a` its volume; frames of 2021 have neither `a` nor `w`. An interval without
        trades is sent flat at the close before, and its `open` moves to the first trade. The day has no time of its own, and no open
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

import msgspec

from crosstape_connector.venues.gateio import books
from crosstape_connector.venues.gateio.connection import Channel, Envelope, Head, Parser, always, sent_ts
from crosstape_connector.venues.gateio.values import MS, OURS, SIDES, SPOT, candle, moment
from crosstape_connector.venues.messages import Output
from crosstape_connector.venues.parsing.numbers import Unchecked, are_amounts, are_four_amounts, figure
from crosstape_connector.venues.parsing.wire import Serial, Stamp, amounts_of_side, trade_amounts
from crosstape_connector.venues.spec import Symbols, lookup
from crosstape_schemas import Amount, Quote, Ticker, Trade

_INTERVAL: Final = re.compile(rb'"n":"([0-9a-zA-Z]+)_')
"""The timeframe of a candle that cannot be read."""


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    id: Serial
    currency_pair: str
    side: str
    amount: Unchecked
    price: Unchecked
    create_time_ms: str


class RawTop(msgspec.Struct, frozen=True, gc=False):
    t: Stamp
    s: str
    b: Unchecked
    B: Unchecked
    a: Unchecked
    A: Unchecked


class RawTicker(msgspec.Struct, frozen=True, gc=False):
    currency_pair: str
    last: str
    base_volume: str
    quote_volume: str
    high_24h: str
    low_24h: str


class RawCandle(msgspec.Struct, frozen=True, gc=False):
    t: str
    n: str
    o: str
    h: str
    l: str  # noqa: E741
    c: str
    v: str
    a: str | None = None
    w: bool = False


class Trades(Head, tag="spot.trades", frozen=True, kw_only=True, gc=False):
    result: RawTrade | list[RawTrade]


class Tops(Head, tag="spot.book_ticker", frozen=True, kw_only=True, gc=False):
    result: RawTop | list[RawTop]


class BookFrame(Head, tag="spot.obu", frozen=True, kw_only=True, gc=False):
    result: books.RawBook | list[books.RawBook]


decode: Final = msgspec.json.Decoder(Trades | Tops | BookFrame).decode


class SpotParser(Parser):
    """Frames of one connection. It remembers nothing: books have numbers, and all else replaces what was before."""

    __slots__ = ()
    ignored: ClassVar = frozenset({"spot.order_book", "spot.order_book_update", "spot.order_book_v2"})

    def __init__(self, symbols: Symbols) -> None:
        obu = books.Books(symbols).read
        super().__init__(symbols, decode, self.channels(obu), {Trades: self._trade, Tops: self._quote, BookFrame: obu})

    def channels(self, obu: Any) -> dict[str, Channel]:
        """Return channel → how its rows are read. `obu`: what reads a book."""
        return {
            "spot.trades": Channel(msgspec.json.Decoder(RawTrade).decode, self._trade, always("trade")),
            "spot.book_ticker": Channel(msgspec.json.Decoder(RawTop).decode, self._quote, always("quote")),
            "spot.tickers": Channel(msgspec.json.Decoder(RawTicker).decode, self._ticker, always("ticker")),
            "spot.candlesticks": Channel(msgspec.json.Decoder(RawCandle).decode, self._candle, candle_kinds),
            "spot.obu": Channel(msgspec.json.Decoder(books.RawBook).decode, obu, always("book")),
        }

    def _trade(self, raw: RawTrade, frame: Head | Envelope, received_ts: int) -> Sequence[Output]:
        name = lookup(self.symbols, raw.currency_pair).name
        price, size, made_ts, taker = raw.price, raw.amount, moment(raw.create_time_ms), SIDES.get(raw.side)
        if are_amounts(f"{price} {size}"):  # `trade_amounts`, without its calls
            return (Trade(SPOT, name, made_ts, received_ts, price, size, taker, str(raw.id)),)
        amounts = trade_amounts(price, size, f"trade {raw.id} of {name}")
        return (Trade(SPOT, name, made_ts, received_ts, *amounts, taker, str(raw.id)),)

    def _quote(self, raw: RawTop, frame: Head | Envelope, received_ts: int) -> Sequence[Output]:
        name = lookup(self.symbols, raw.s).name
        bid, bid_size, ask, ask_size = raw.b, raw.B, raw.a, raw.A
        if are_four_amounts(f"{bid} {bid_size} {ask} {ask_size}"):
            return (Quote(SPOT, name, raw.t * MS or None, received_ts, bid, bid_size, ask, ask_size),)
        return (Quote(SPOT, name, raw.t * MS or None, received_ts, *_side(bid, bid_size), *_side(ask, ask_size)),)

    def _ticker(self, raw: RawTicker, frame: Envelope, received_ts: int) -> Sequence[Output]:
        name = lookup(self.symbols, raw.currency_pair).name
        last, high, low, base, quote = map(figure, (raw.last, raw.high_24h, raw.low_24h, raw.base_volume, raw.quote_volume))
        return (Ticker(SPOT, name, sent_ts(frame), received_ts, last, None, high, low, base, quote),)

    def _candle(self, raw: RawCandle, frame: Envelope, received_ts: int) -> Sequence[Output]:
        interval, _, symbol = raw.n.partition("_")
        instrument, timeframe = lookup(self.symbols, symbol), OURS.get(interval)
        if timeframe is None:
            return ()  # a timeframe that is not ours
        made = candle(
            instrument, timeframe, moment(raw.t) // 1_000_000_000, (raw.o, raw.h, raw.l, raw.c),
            volume=None if raw.a is None else figure(raw.a), turnover=figure(raw.v),
            venue_ts=sent_ts(frame), received_ts=received_ts, closed=raw.w,
        )  # fmt: skip
        return (made,)


def _side(price: str, size: str) -> tuple[Amount, Amount] | tuple[None, None]:
    """Return one side of a quote; an empty text stands for an empty side."""
    return amounts_of_side(price, size) if price else (None, None)


def candle_kinds(row: bytes) -> Iterable[str]:
    """See `Channel.kinds`: the candles of the timeframe that the row names, or of all if it names none."""
    found = _INTERVAL.search(row)
    if found is None:
        return [f"candle:{ours}" for ours in OURS.values()]
    ours = OURS.get(found[1].decode())
    return () if ours is None else (f"candle:{ours}",)
