"""Gate, perpetuals: trades, best bid and ask, the day with mark, funding and open interest, candles, forced orders, books.

Docs    https://www.gate.com/docs/developers/futures/ws/en/
Quirks  sizes are contracts, as integers or, with the header `X-Gate-Size-Decimal`, as texts with decimals; a negative size is a seller's.
        An inverse contract, whose multiplier is 0, is one US dollar. `is_internal` marks takeovers by the insurance fund and deleveraged
        positions, which are no market trades. A ticker frame may have only some fields: the others are as they were. An empty text is no
        value, as a price of a side without orders. A forced order's time is in s or ms, under `time` or `time_ms`
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, ClassVar, Final

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.gateio import books
from crosstape_connector.venues.gateio.connection import NOTHING, Channel, Envelope, Head, Parser, Read, Timed, always, sent_ts
from crosstape_connector.venues.gateio.spot import candle_kinds
from crosstape_connector.venues.gateio.values import FUTURES, MS, OURS, SECOND, candle, contracts_of, moment, text_of
from crosstape_connector.venues.messages import LastTrade, Output
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_connector.venues.parsing.numbers import figure, is_amount
from crosstape_connector.venues.parsing.wire import ZERO, Serial, Stamp, positive, shown, side
from crosstape_connector.venues.spec import Symbols, lookup
from crosstape_schemas import Amount, Funding, Instrument, Liquidation, Mark, OpenInterest, Quote, Side, Ticker, Trade, to_amount

PREFIXES: Final = ("mark_", "index_")
"""How the symbols of candles of other prices begin."""
KNOWN: Final = 16_384
"""Sizes of trades that are remembered."""


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    id: Serial
    contract: str
    size: int | str
    price: str
    create_time: Stamp = 0
    create_time_ms: Stamp = 0
    is_internal: bool = False


class RawTop(msgspec.Struct, frozen=True, gc=False):
    t: Stamp
    s: str
    b: str
    B: int | str
    a: str
    A: int | str


class RawTicker(msgspec.Struct, frozen=True, gc=False):
    contract: str
    t: Stamp | None = None
    last: str | None = None
    high_24h: str | None = None
    low_24h: str | None = None
    volume_24h: str | None = None
    volume_24h_base: str | None = None
    volume_24h_quote: str | None = None
    change_price: str | None = None
    total_size: str | None = None
    mark_price: str | None = None
    index_price: str | None = None
    funding_rate: str | None = None
    funding_interval: int | None = None
    funding_next_apply: Stamp | None = None


class RawCandle(msgspec.Struct, frozen=True, gc=False):
    t: Stamp
    n: str
    o: str
    h: str
    l: str  # noqa: E741
    c: str
    v: int | str | None = None
    a: str | None = None
    w: bool = False


class RawForced(msgspec.Struct, frozen=True, gc=False):
    contract: str
    size: int | str
    price: msgspec.Raw
    time: msgspec.Raw = NOTHING
    time_ms: msgspec.Raw = NOTHING


class RawStats(msgspec.Struct, frozen=True, gc=False):
    contract: str
    time: Stamp
    open_interest: int | str


class Trades(Timed, tag="futures.trades", frozen=True, kw_only=True, gc=False):
    result: RawTrade | list[RawTrade]


class Tops(Head, tag="futures.book_ticker", frozen=True, kw_only=True, gc=False):
    result: RawTop | list[RawTop]


class BookFrame(Head, tag="futures.obu", frozen=True, kw_only=True, gc=False):
    result: books.RawBook | list[books.RawBook]


class Tickers(Timed, tag="futures.tickers", frozen=True, kw_only=True, gc=False):
    result: RawTicker | list[RawTicker]


decode: Final = msgspec.json.Decoder(Trades | Tops | BookFrame | Tickers).decode
FIGURES: Final = tuple(field for field in RawTicker.__struct_fields__ if field not in ("contract", "t"))


class FuturesParser(Parser):
    """Frames of one connection. Of each contract it remembers the figures of the day, of which a frame may have some."""

    __slots__ = ("_days", "_sizes")
    ignored: ClassVar = frozenset(
        {"futures.order_book", "futures.order_book_update", "futures.contract_info", "futures.adl_warning", "futures.liquidates"}
    )

    def __init__(self, symbols: Symbols) -> None:
        obu = books.Books(symbols).read
        readers: dict[Any, Read] = {Trades: self._trade, Tops: self._quote, BookFrame: obu, Tickers: self._day}
        super().__init__(symbols, decode, self.channels(obu), readers)
        self._days: dict[str, RawTicker] = {}
        self._sizes: dict[tuple[str, int | str], tuple[Amount, Side]] = {}
        """(symbol, contracts) → base units and taker of trades, which have few sizes. Not of inverse contracts."""

    def channels(self, obu: Any) -> dict[str, Channel]:
        """Return channel → how its rows are read. `obu`: what reads a book."""
        return {
            "futures.trades": Channel(msgspec.json.Decoder(RawTrade).decode, self._trade, always("trade")),
            "futures.book_ticker": Channel(msgspec.json.Decoder(RawTop).decode, self._quote, always("quote")),
            "futures.tickers": Channel(
                msgspec.json.Decoder(RawTicker).decode, self._day, always("ticker", "mark", "funding", "open_interest")
            ),
            "futures.candlesticks": Channel(msgspec.json.Decoder(RawCandle).decode, self._candle, candle_kinds),
            "futures.obu": Channel(msgspec.json.Decoder(books.RawBook).decode, obu, always("book")),
            "futures.public_liquidates": Channel(msgspec.json.Decoder(RawForced).decode, self._forced, always("liquidation")),
            "futures.contract_stats": Channel(msgspec.json.Decoder(RawStats).decode, self._stats, always("open_interest")),
        }

    def _trade(self, raw: RawTrade, frame: Timed | Envelope, received_ts: int) -> Sequence[Output]:
        instrument = lookup(self.symbols, raw.contract)
        made_ts = raw.create_time_ms * MS or raw.create_time * SECOND or sent_ts(frame)
        if raw.is_internal:
            return (LastTrade(instrument.name, made_ts, received_ts, raw.id, no_trade=True),)
        key = raw.contract, raw.size
        known = self._sizes.get(key)
        if known is not None and is_amount(raw.price):
            return (Trade(FUTURES, instrument.name, made_ts, received_ts, raw.price, *known, str(raw.id)),)
        price, contracts = figure(raw.price), contracts_of(raw.size)
        taker = Side.BUY if contracts > ZERO else Side.SELL
        size = to_amount(sized(instrument, price, abs(contracts), f"trade {raw.id}"))
        if not instrument.inverse and len(self._sizes) < KNOWN:
            self._sizes[key] = size, taker
        return (Trade(FUTURES, instrument.name, made_ts, received_ts, to_amount(price), size, taker, str(raw.id)),)

    def _quote(self, raw: RawTop, frame: Head | Envelope, received_ts: int) -> Sequence[Output]:
        instrument = lookup(self.symbols, raw.s)
        bid, ask = _side(instrument, raw.b, raw.B), _side(instrument, raw.a, raw.A)
        return (Quote(FUTURES, instrument.name, raw.t * MS or None, received_ts, *bid, *ask),)

    def _day(self, raw: RawTicker, frame: Timed | Envelope, received_ts: int) -> Sequence[Output]:
        """The day, and what is known of mark, funding and open interest, each with the figures that came last."""
        instrument = lookup(self.symbols, raw.contract)
        before = self._days.get(raw.contract)
        if before is not None:
            kept = {field: old for field in FIGURES if (old := getattr(before, field)) is not None and getattr(raw, field) in (None, "")}
            raw = msgspec.structs.replace(raw, **kept) if kept else raw
        key = FUTURES, instrument.name, sent_ts(frame) if raw.t is None else raw.t * MS, received_ts
        outputs: list[Output] = []
        if raw.last:
            last, high, low, change = map(_figure, (raw.last, raw.high_24h, raw.low_24h, raw.change_price))
            outputs.append(Ticker(*key, last, None, high, low, _volume(instrument, raw), _figure(raw.volume_24h_quote), change))
        if raw.mark_price:
            mark, index = figure(raw.mark_price), _figure(raw.index_price)
            if mark <= ZERO or (index is not None and index < ZERO):
                raise FrameError(f"mark and index prices of {shown(mark)} and {shown(index)}")
            outputs.append(Mark(*key, mark, index or None))  # an index of zero is none
        if raw.funding_rate:
            next_ts = None if not raw.funding_next_apply else raw.funding_next_apply * SECOND
            outputs.append(Funding(*key, figure(raw.funding_rate), raw.funding_interval or None, next_ts))
        if raw.total_size:
            price = _figure(raw.mark_price) or _figure(raw.last)
            if price is not None or not instrument.inverse:
                outputs.append(interest(instrument, raw.total_size, price, key))
        self._days[raw.contract] = raw
        return outputs

    def _candle(self, raw: RawCandle, frame: Envelope, received_ts: int) -> Sequence[Output]:
        interval, _, symbol = raw.n.partition("_")
        timeframe = OURS.get(interval)
        if timeframe is None or symbol.startswith(PREFIXES):
            return ()  # a timeframe that is not ours, or not the price of trades
        instrument = lookup(self.symbols, symbol)
        if raw.v is None:
            raise FrameError("a candle without a volume")
        turnover = None if raw.a is None or instrument.inverse else figure(raw.a)
        made = candle(
            instrument, timeframe, raw.t, (raw.o, raw.h, raw.l, raw.c),
            volume=contracts_of(raw.v), turnover=turnover, venue_ts=sent_ts(frame), received_ts=received_ts, closed=raw.w,
        )  # fmt: skip
        return (made,)

    def _forced(self, raw: RawForced, frame: Envelope, received_ts: int) -> Sequence[Output]:
        """A forced order: one that sells closes a long position."""
        instrument = lookup(self.symbols, raw.contract)
        stamp = text_of(raw.time if raw.time_ms == NOTHING else raw.time_ms)
        price, contracts = figure(text_of(raw.price)), contracts_of(raw.size)
        size = sized(instrument, price, abs(contracts), "a forced order")
        taker = Side.BUY if contracts > ZERO else Side.SELL
        return (Liquidation(FUTURES, instrument.name, moment(stamp), received_ts, taker, price, size),)

    def _stats(self, raw: RawStats, frame: Envelope, received_ts: int) -> Sequence[Output]:
        """Statistics of an interval, of which the open interest counts; recordings have them."""
        instrument = lookup(self.symbols, raw.contract)
        if instrument.inverse:
            return ()  # its price is not the book's
        return (interest(instrument, str(raw.open_interest), None, (FUTURES, instrument.name, sent_ts(frame), received_ts)),)


def sized(instrument: Instrument, price: Decimal, contracts: Decimal, what: str) -> Decimal:
    """Return the base units of so many contracts. Raises `FrameError` if these are no price and size."""
    if not positive(price, contracts):
        raise FrameError(f"{what} of {instrument.name}: {shown(contracts)} at {shown(price)}")
    return base_size(instrument, contracts, price)


def _side(instrument: Instrument, price: str, contracts: int | str) -> tuple[Decimal, Decimal] | tuple[None, None]:
    """Return one side of a quote; an empty text stands for an empty side."""
    if not price:
        return None, None
    best, size = side(figure(price), contracts_of(contracts))
    return (None, None) if best is None or size is None else (best, base_size(instrument, size, best))


def interest(instrument: Instrument, contracts: str, price: Decimal | None, key: tuple[str, str, int | None, int]) -> OpenInterest:
    """Return the open interest. Of an inverse contract it is a value in US dollars, and its size is that value at the price."""
    number = figure(contracts)
    if number < ZERO:
        raise FrameError(f"an open interest of {shown(number)}")
    value = number * instrument.contract_size if instrument.inverse else None
    return OpenInterest(*key, base_size(instrument, number, price or Decimal(1)), value)


def _volume(instrument: Instrument, raw: RawTicker) -> Decimal | None:
    """Return the base units traded in the day: contracts are exact where they are base units, `volume_24h_base` may be rounded."""
    if raw.volume_24h and not instrument.inverse:
        return base_size(instrument, figure(raw.volume_24h), Decimal(1))
    return _figure(raw.volume_24h_base)


def _figure(text: str | None) -> Decimal | None:
    return figure(text) if text else None
