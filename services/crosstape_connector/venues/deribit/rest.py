"""Deribit by REST: instruments, whether they trade, best prices, trades and candles.

Limits  500 credits a request of 50,000, which come back at 10,000 a second: 20 requests a second; the list of instruments once a second.
        What one address may ask without an account is not published. At most 32 connections of an address, REST included
Quirks  all answers are JSON-RPC: `result`, or `error` with HTTP 400. Trades are asked for by `trade_seq`; candles come as one list a
        figure, with a flat row for an interval without trades
Docs    https://docs.deribit.com/#market-data
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.deribit.frames import NOTHING, RawError, RawQuote
from crosstape_connector.venues.deribit.outputs import quote_side
from crosstape_connector.venues.deribit.values import ID, RESOLUTIONS, RawTrade, candle_of, trade_of
from crosstape_connector.venues.messages import CandleSnapshot, Odd, OddRow, TradeSnapshot
from crosstape_connector.venues.parsing.answers import fault_message, read_rows, trade_page, trading_states
from crosstape_connector.venues.parsing.candles import snapshot
from crosstape_connector.venues.parsing.listing import asset_of, listed, step_of
from crosstape_connector.venues.parsing.numbers import check
from crosstape_connector.venues.parsing.rows import ROW, rows_decoder
from crosstape_connector.venues.parsing.wire import Stamp, epoch_ns
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Candle, Instrument, Quote, Trade, future, perpetual
from crosstape_schemas.timeframes import LENGTHS

T = TypeVar("T")
PLACE: Final = "/api/v2/public"
INSTRUMENTS: Final = f"{PLACE}/get_instruments"
LIST: Final = f"{INSTRUMENTS}?currency=any&kind=future"
PAGE: Final = 1_000
"""Trades in an answer at most."""
CANDLES: Final = 1_000
"""Candles that we ask for at once. The venue has about 5,000 at most."""
KIND, PERPETUAL, OPEN = "future", "perpetual", "open"
STATES: Final = frozenset({OPEN, "settlement", "delivered", "inactive", "locked", "halted", "archivized", "closed", "created"})
"""What an instrument's state may be; it trades when it is open."""


class Result(msgspec.Struct, Generic[T], frozen=True):
    result: T


class RestFault(msgspec.Struct, frozen=True):
    error: RawError


class RestInstrument(msgspec.Struct, frozen=True):
    instrument_name: str
    kind: str
    base_currency: str
    quote_currency: str
    settlement_period: str
    contract_size: msgspec.Raw
    is_active: bool
    counter_currency: str | None = None
    instrument_type: str | None = None
    expiration_timestamp: Stamp | None = None
    state: str = OPEN
    tick_size: msgspec.Raw = NOTHING
    min_trade_amount: msgspec.Raw = NOTHING


class RestKind(msgspec.Struct, frozen=True):
    kind: str


class RestState(msgspec.Struct, frozen=True):
    instrument_name: str
    is_active: bool
    state: str = OPEN


class RestTrades(msgspec.Struct, frozen=True):
    trades: list[msgspec.Raw]


class RestCandles(msgspec.Struct, frozen=True):
    ticks: list[Stamp]
    open: list[Decimal]
    high: list[Decimal]
    low: list[Decimal]
    close: list[Decimal]
    volume: list[Decimal]
    cost: list[Decimal]


_list = rows_decoder(Result[list[msgspec.Raw]], 2)
_row = msgspec.json.Decoder(RestInstrument).decode
_kind = msgspec.json.Decoder(RestKind).decode
_state = msgspec.json.Decoder(RestState).decode
_ticker = msgspec.json.Decoder(Result[RawQuote]).decode
_trade_rows = rows_decoder(Result[RestTrades], 3)
_trade = msgspec.json.Decoder(RawTrade).decode
_chart = msgspec.json.Decoder(Result[RestCandles]).decode
rest_error = fault_message(msgspec.json.Decoder(RestFault).decode, lambda fault: f"{fault.error.code} {fault.error.message}")


def parse_instruments(body: bytes) -> Sequence[Instrument | OddRow]:
    """`get_instruments`: perpetuals and dated futures. Options, combinations and spot pairs, if there are any, are left out."""
    return listed(_list(body).result, _instrument, _named)


def _instrument(raw: msgspec.Raw) -> tuple[Instrument, str] | None:
    if _kind(raw).kind != KIND:
        return None
    row = _row(raw)
    base = asset_of(row.base_currency, "base_currency")
    quote = asset_of(row.counter_currency or row.quote_currency, "counter_currency")
    symbol, size, step = _symbol(row.instrument_name), step_of(row.contract_size), step_of(row.min_trade_amount)
    if not size:
        raise FrameError("no contract_size")
    if row.settlement_period == PERPETUAL:
        name, expiry = perpetual(base, quote), None
    elif row.expiration_timestamp:
        expiry = epoch_ns(row.expiration_timestamp)
        name = future(base, quote, expiry)
    else:
        raise FrameError("a dated future without a date")
    inverse = row.instrument_type == "reversed" if row.instrument_type else quote == "USD"
    trouble = "" if row.state in STATES else f"state {row.state[:40]!r} is not known"
    active = row.is_active and row.state == OPEN
    return Instrument(name, ID, symbol, base, quote, step_of(row.tick_size), step, size, active, inverse, expiry), trouble


def _symbol(text: str) -> str:
    for part in text.split("-"):
        asset_of(part, "a part of instrument_name")
    return text


def _named(row: Any) -> tuple[str, str]:
    symbol, base, quote = row.get("instrument_name"), row.get("base_currency"), row.get("counter_currency")
    is_named = row.get("settlement_period") == PERPETUAL and isinstance(base, str) and isinstance(quote, str) and base and quote
    return symbol if isinstance(symbol, str) else "", perpetual(base, quote) if is_named else ""


def parse_trading(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """`get_instruments`: an instrument that has expired is not in it any more."""

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _state(raw)
        if row.state != OPEN:
            return row.instrument_name, row.state or "no state"
        return row.instrument_name, "" if row.is_active else "not active"

    return trading_states(_list(body).result, read, dict(zip(symbols, symbols, strict=True)))


def quotes_path(symbols: Sequence[str]) -> str:
    """Return the path of the ticker of one instrument, which has its best prices."""
    (symbol,) = symbols
    return f"{PLACE}/ticker?instrument_name={quoted(symbol)}"


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> list[Quote]:
    """Return the best prices of the one requested instrument."""
    (instrument,) = symbols.values()
    top = _ticker(body).result
    check(body)
    sides = quote_side(instrument, top.bid, top.bid_size), quote_side(instrument, top.ask, top.ask_size)
    return [Quote(ID, instrument.name, epoch_ns(top.timestamp), received_ts, *sides[0], *sides[1])]


def trades_path(symbol: str, first: int) -> str:
    """Return the path of the trades from a number on, oldest first."""
    page = f"count={PAGE}&sorting=asc"
    return f"{PLACE}/get_last_trades_by_instrument?instrument_name={quoted(symbol)}&start_seq={max(1, first)}&{page}"


def newest_path(symbol: str) -> str:
    """Return the path of the newest trades."""
    return f"{PLACE}/get_last_trades_by_instrument?instrument_name={quoted(symbol)}&count={PAGE}&sorting=desc"


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """Return the trades of an answer. Block trades and legs of combinations are no trades of the tape: their numbers are missing."""

    def read(raw: msgspec.Raw) -> Trade | None:
        check(raw)
        row = _trade(raw)
        trade = trade_of(row, instrument, received_ts, backfilled=True)
        return None if row.is_off_book else trade

    rows = _trade_rows(body).result.trades
    found, odd = read_rows(lambda: rows, lambda: rows, lambda raw: raw, read, f"trades of {instrument.name}")
    return trade_page(instrument.name, received_ts, ([one for one in found if one is not None], odd))


def candles_path(symbol: str, timeframe: str, since_ts: int) -> str:
    """See `CandleSource.path`."""
    return range_path(symbol, timeframe, since_ts, since_ts + (CANDLES - 1) * LENGTHS[timeframe])


def range_path(symbol: str, timeframe: str, first_ts: int, last_ts: int) -> str:
    """See `PastCandles.path`."""
    times = f"start_timestamp={max(0, first_ts) // 1_000_000}&end_timestamp={max(0, last_ts) // 1_000_000}"
    return f"{PLACE}/get_tradingview_chart_data?instrument_name={quoted(symbol)}&{times}&resolution={RESOLUTIONS[timeframe]}"


def parse_candles(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """Return the candles of an answer, oldest first: one list a figure. Raises `FrameError` if these have different lengths."""
    chart = _chart(body).result
    check(body)
    figures = [chart.open, chart.high, chart.low, chart.close, chart.volume, chart.cost]
    if {len(column) for column in figures} != {len(chart.ticks)}:
        raise FrameError(f"candles of {instrument.name}: lists of different lengths")
    good: list[Candle] = []
    odd: list[Odd] = []
    for tick, row in zip(chart.ticks, zip(*figures, strict=True), strict=True):
        try:
            good.append(candle_of(instrument, timeframe, row, tick, received_ts))
        except FRAME_ERRORS as exc:
            odd.append(Odd(ROW, f"{timeframe} candles of {instrument.name}: {exc}"))
    return snapshot(instrument.name, timeframe, good, received_ts, odd)
