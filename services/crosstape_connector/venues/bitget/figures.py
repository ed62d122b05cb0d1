"""Bitget's figures on its sockets: the day, those of contracts, candles, and liquidations.

Quirks  a ticker's `open24h` need not be the open that its change is of: of spot it is that of the day in UTC+8, so both are null unless
        they agree. A ticker of v3 has no time but its frame's. Candles begin with up to 500 in one frame, the running one among them
Liquidations  `amount` is taken for quote units: divided by the price it is a multiple of the contract's step (2 of 2 rows of 2026-04),
        and that is the size. No document says so, nor that `side` is the forced order's
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final, Literal

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.bitget.stream import BUY, SELL, Decoders, Reader
from crosstape_connector.venues.bitget.values import SPOT, candle, product_of
from crosstape_connector.venues.messages import CandleSnapshot, Odd, Output, Unreadable, unreadable
from crosstape_connector.venues.parsing.numbers import LIMIT, figure
from crosstape_connector.venues.parsing.wire import ZERO, Stamp, epoch_ns, positive
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Candle, Funding, Instrument, Liquidation, Mark, OpenInterest, Ticker

TOLERANCE: Final = Decimal("0.00002")
"""By how much the change of a day may differ from its fraction, which has five decimals."""
CUT: Final = Decimal("1E-9")
"""By how much of it an amount may be less than its size is worth."""
_divide: Final = Context(prec=28, rounding=ROUND_HALF_EVEN).divide


class RawTicker(msgspec.Struct, frozen=True, gc=False):
    last: str = msgspec.field(name="lastPr")
    open: str = msgspec.field(name="open24h", default="")
    high: str = msgspec.field(name="high24h", default="")
    low: str = msgspec.field(name="low24h", default="")
    change: str = msgspec.field(name="change24h", default="")
    base_volume: str = msgspec.field(name="baseVolume", default="")
    quote_volume: str = msgspec.field(name="quoteVolume", default="")
    ts: Stamp | None = None
    mark: str = msgspec.field(name="markPrice", default="")
    index: str = msgspec.field(name="indexPrice", default="")
    rate: str = msgspec.field(name="fundingRate", default="")
    next_ms: str = msgspec.field(name="nextFundingTime", default="")
    interest: str = msgspec.field(name="holdingAmount", default="")


class NewTicker(RawTicker, frozen=True, gc=False):
    last: str = msgspec.field(name="lastPrice")
    open: str = msgspec.field(name="openPrice24h", default="")
    high: str = msgspec.field(name="highPrice24h", default="")
    low: str = msgspec.field(name="lowPrice24h", default="")
    change: str = msgspec.field(name="price24hPcnt", default="")
    base_volume: str = msgspec.field(name="volume24h", default="")
    quote_volume: str = msgspec.field(name="turnover24h", default="")
    interest: str = msgspec.field(name="openInterest", default="")


class RawCandle(msgspec.Struct, frozen=True, gc=False, array_like=True):
    start: Stamp
    open: str
    high: str
    low: str
    close: str
    base: str
    quote: str


class NewCandle(msgspec.Struct, frozen=True, gc=False):
    start: Stamp
    open: str
    high: str
    low: str
    close: str
    base: str = msgspec.field(name="volume")
    quote: str = msgspec.field(name="turnover")


class RawLiquidation(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    side: Literal["buy", "sell"]
    price: str
    amount: str
    ts: Stamp


TICKERS: Final[tuple[Decoders[RawTicker], Decoders[RawTicker]]] = Decoders(RawTicker), Decoders(NewTicker)
CANDLES: Final = Decoders[RawCandle | NewCandle](RawCandle), Decoders[RawCandle | NewCandle](NewCandle)
FORCED: Final = Decoders(RawLiquidation)


def ticker_reader(instrument: Instrument, *, is_first: bool, is_new: bool) -> Reader:
    """`ticker`: the day; of contracts the mark and the index price, the rate to come and the open interest, too."""
    name, decode, is_spot = instrument.name, TICKERS[is_new].all, instrument.venue == SPOT
    parts: Mapping[str, Callable[[RawTicker, int | None, int], Sequence[Output]]] = {
        "ticker": lambda raw, made_ts, now: (_day(instrument, raw, made_ts, now),),
        **({} if is_spot else {"mark": lambda raw, made_ts, now: _mark(instrument, raw, made_ts, now)}),
        **({} if is_spot else {"funding": lambda raw, made_ts, now: _funding(instrument, raw, made_ts, now)}),
        **({} if is_spot else {"open_interest": lambda raw, made_ts, now: _interest(instrument, raw, made_ts, now)}),
    }

    def read(data: bytes, received_ts: int) -> Sequence[Output]:
        try:
            frame = decode(data)
            (raw,) = frame.data
        except (*FRAME_ERRORS, ValueError) as exc:
            first, *others = parts
            return *unreadable(first, name, received_ts, exc), *(Unreadable(kind, name, received_ts) for kind in others)
        sent = raw.ts if raw.ts is not None else frame.ts
        made_ts = None if sent is None else epoch_ns(sent)
        found: list[Output] = []
        for kind, make in parts.items():
            try:
                found += make(raw, made_ts, received_ts)
            except FRAME_ERRORS as exc:
                found += unreadable(kind, name, received_ts, exc)
        return found

    return read


def _day(instrument: Instrument, raw: RawTicker, made_ts: int | None, received_ts: int) -> Ticker:
    last = figure(raw.last)
    first, high, low, share, base, quoted = (
        figure(text) if text else None for text in (raw.open, raw.high, raw.low, raw.change, raw.base_volume, raw.quote_volume)
    )
    if first is None or share is None or abs(last - first - share * first) > TOLERANCE * first:
        first = None
    change = None if first is None else last - first
    return Ticker(instrument.venue, instrument.name, made_ts, received_ts, last, first, high, low, base, quoted, change)


def _mark(instrument: Instrument, raw: RawTicker, made_ts: int | None, received_ts: int) -> Sequence[Output]:
    if not raw.mark:
        return ()
    price, index = figure(raw.mark), figure(raw.index) if raw.index else ZERO
    if not ZERO < price < LIMIT or not ZERO <= index < LIMIT:
        raise FrameError(f"{raw.mark[:40]}, {raw.index[:40]}")
    return (Mark(instrument.venue, instrument.name, made_ts, received_ts, price, index or None),)


def _funding(instrument: Instrument, raw: RawTicker, made_ts: int | None, received_ts: int) -> Sequence[Output]:
    """Return the rate to come of a perpetual. How often it is paid is not in the frame."""
    if not raw.rate or instrument.expiry is not None:
        return ()
    if raw.next_ms and not (raw.next_ms.isascii() and raw.next_ms.isdecimal() and len(raw.next_ms) <= 15):
        raise FrameError(f"not a time: {raw.next_ms[:40]!r}")
    next_ms = int(raw.next_ms or 0)
    return (
        Funding(instrument.venue, instrument.name, made_ts, received_ts, figure(raw.rate), None, epoch_ns(next_ms) if next_ms else None),
    )


def _interest(instrument: Instrument, raw: RawTicker, made_ts: int | None, received_ts: int) -> Sequence[Output]:
    """Return the open interest, which is in base units: of the coin-margined contracts, too."""
    if not raw.interest:
        return ()
    size = figure(raw.interest)
    if not ZERO <= size < LIMIT:
        raise FrameError(raw.interest[:40])
    return (OpenInterest(instrument.venue, instrument.name, made_ts, received_ts, size),)


def candle_reader(instrument: Instrument, timeframe: str, *, is_first: bool, is_new: bool) -> Reader:
    """`candle1m` …, `kline`: the candles that changed, oldest first. None is marked as closed."""
    name, kind, rows = instrument.name, f"candle:{timeframe}", CANDLES[is_new]

    def read(data: bytes, received_ts: int) -> Sequence[Output]:
        sent: Stamp | None = None

        def made(row: RawCandle | NewCandle) -> Candle:
            prices, volumes, sent_ts = (
                (row.open, row.high, row.low, row.close),
                (row.base, row.quote),
                None if sent is None else epoch_ns(sent),
            )
            return candle(instrument, timeframe, row.start, prices, volumes, venue_ts=sent_ts, received_ts=received_ts)

        odd: list[Odd] = []
        try:
            frame = rows.all(data)
            sent = frame.ts
            candles = [made(row) for row in frame.data]
        except FRAME_ERRORS:
            try:
                candles, odd = rows.apart(data, made, f"{kind} of {name}")
            except FRAME_ERRORS as exc:
                return unreadable(kind, name, received_ts, exc)
        candles.sort(key=lambda one: one.open_ts)
        if is_first:
            return (CandleSnapshot(name, timeframe, received_ts, tuple(candles), tuple(odd)),)
        return [*candles, *unreadable(kind, name, received_ts, odd[0].reason.partition(": ")[2])] if odd else candles

    return read


def liquidation_reader(symbols: Symbols, product: str) -> Reader:
    """`liquidation`: positions closed by force in the last second, newest first, of all contracts of a product."""

    def read(data: bytes, received_ts: int) -> Sequence[Output]:
        def made(raw: RawLiquidation) -> Liquidation | None:
            instrument = symbols.get(raw.symbol)
            if instrument is None or product_of(raw.symbol) != product:
                return None  # the channel has those of all contracts
            price, amount = figure(raw.price), figure(raw.amount)
            if not positive(price, amount):
                raise FrameError(f"liquidation of {instrument.name}: {raw.amount[:40]} at {raw.price[:40]}")
            side = BUY if raw.side == "buy" else SELL
            return Liquidation(
                instrument.venue, instrument.name, epoch_ns(raw.ts), received_ts, side, price, size_of(instrument, price, amount)
            )

        made_all, odd = FORCED.apart(data, made, "liquidation")
        return [*odd, *(one for one in reversed(made_all) if one is not None)]

    return read


def size_of(instrument: Instrument, price: Decimal, amount: Decimal) -> Decimal:
    """Return the base size of an amount in quote units: a multiple of the instrument's step if one is worth that amount, else the quotient.

    The venue cuts the decimals of the amount, so that the quotient of an exact size may be less than it by a little.
    """
    quotient, step = _divide(amount, price), instrument.size_step
    if not step:
        return quotient
    size = _divide(quotient, step).to_integral_value(ROUND_HALF_EVEN) * step
    return size if size and abs(size * price - amount) <= amount * CUT else quotient
