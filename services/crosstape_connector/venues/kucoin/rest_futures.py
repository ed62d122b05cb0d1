"""KuCoin's REST of futures: trades, best prices, candles, contracts and whether they trade.

Limits  as on spot: contracts 3, trades 5, best prices 2, candles 3 of the weight of 2,000 in 30 s
Quirks  sizes are contracts; XBT is BTC; a multiplier of -1 is an inverse contract of one US dollar. `trade/history` is newest first, 100 at
        most; the time in `ticker` is that of the last trade. Candles are oldest first, `[ms, open, high, low, close, contracts]`: another
        order than on the stream, JSON numbers, no quote volume, none of three minutes or six hours, none without trades
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.kucoin.futures import top_side
from crosstape_connector.venues.kucoin.rest import NULL, data_reader, decode_rows
from crosstape_connector.venues.kucoin.values import FUTURES, SIDES, Figures, candle
from crosstape_connector.venues.messages import CandleSnapshot, OddRow, TradeSnapshot
from crosstape_connector.venues.parsing.answers import rest_trade, trade_page, trading_states
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_connector.venues.parsing.listing import asset_of, listed, step_of
from crosstape_connector.venues.parsing.numbers import figure
from crosstape_connector.venues.parsing.wire import Serial, Stamp, epoch_ns
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Candle, Instrument, Quote, Trade, asset, future, perpetual

CANDLES: Final = 200
"""Candles in an answer at most: the documents say 500, clients have met 200."""
MINUTES: Final[Mapping[str, int]] = {
    "1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "8h": 480, "12h": 720, "1d": 1_440,
}  # fmt: skip
"""Our timeframes → theirs, in minutes."""
PERPETUAL, DATED = "FFWCSX", "FFICSX"
STATUSES: Final = frozenset({"Init", "Open", "Paused", "BeingSettled", "Settled", "Closed", "PrepareSettled", "CancelOnly"})
"""What a contract's status may be; it trades when it is open."""


class RestTrade(msgspec.Struct, frozen=True):
    sequence: Serial
    side: str
    size: int
    price: str
    ts: Serial


class RestTop(msgspec.Struct, frozen=True):
    bid: str | None = msgspec.field(name="bestBidPrice")
    bid_size: int | None = msgspec.field(name="bestBidSize")
    ask: str | None = msgspec.field(name="bestAskPrice")
    ask_size: int | None = msgspec.field(name="bestAskSize")


class RestTicker(msgspec.Struct, frozen=True):
    data: RestTop


class RestContract(msgspec.Struct, frozen=True):
    symbol: str
    type: str
    base: str = msgspec.field(name="baseCurrency")
    quote: str = msgspec.field(name="quoteCurrency")
    multiplier: msgspec.Raw
    status: str
    inverse: bool = msgspec.field(name="isInverse", default=False)
    expiry: Stamp | None = msgspec.field(name="expireDate", default=None)
    tick: msgspec.Raw = msgspec.field(name="tickSize", default=NULL)
    lot: msgspec.Raw = msgspec.field(name="lotSize", default=NULL)


class RestTrading(msgspec.Struct, frozen=True):
    symbol: str
    status: str


class RestCandle(msgspec.Struct, frozen=True, array_like=True):
    start: Stamp
    open: msgspec.Raw
    high: msgspec.Raw
    low: msgspec.Raw
    close: msgspec.Raw
    contracts: msgspec.Raw


_trades = data_reader(RestTrade)
_candles = data_reader(RestCandle)
_ticker = msgspec.json.Decoder(RestTicker).decode
_contract = msgspec.json.Decoder(RestContract).decode
_trading = msgspec.json.Decoder(RestTrading).decode


def newest_path(symbol: str) -> str:
    """Return the path of the newest trades: the venue has no request for older ones."""
    return f"/api/v1/trade/history?symbol={quoted(symbol)}"


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """`side` is the taker's."""

    def read(raw: RestTrade) -> Trade:
        trade = rest_trade(
            FUTURES, instrument.name, received_ts,
            trade_id=raw.sequence, price=raw.price, size=str(raw.size), taker=SIDES.get(raw.side), venue_ts=raw.ts,
        )  # fmt: skip
        return msgspec.structs.replace(trade, size=base_size(instrument, trade.size, trade.price))

    return trade_page(instrument.name, received_ts, _trades(body, read, f"trades of {instrument.name}"))


def quotes_path(symbols: Sequence[str]) -> str:
    """Return the path of the best prices of one contract."""
    (symbol,) = symbols
    return f"/api/v1/ticker?symbol={quoted(symbol)}"


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> list[Quote]:
    """Return the best prices of the one requested contract, without a time: the answer has that of the last trade only."""
    (instrument,) = symbols.values()
    top = _ticker(body).data
    bid, ask = _side(instrument, top.bid, top.bid_size), _side(instrument, top.ask, top.ask_size)
    return [Quote(FUTURES, instrument.name, None, received_ts, *bid, *ask)]


def _side(instrument: Instrument, price: str | None, contracts: int | None) -> tuple[Decimal, Decimal] | tuple[None, None]:
    return (None, None) if price is None or contracts is None else top_side(instrument, figure(price), Decimal(contracts))


def candles_path(symbol: str, timeframe: str, since_ts: int) -> str:
    """Return the path of the candles from one before that time (ns) on: clients have found that `from` itself is left out."""
    minutes = MINUTES[timeframe]
    return f"/api/v1/kline/query?symbol={quoted(symbol)}&granularity={minutes}&from={since_ts // 1_000_000 - minutes * 60_000}"


def range_path(symbol: str, timeframe: str, first_ts: int, last_ts: int) -> str:
    """See `PastCandles.path`. The beginning is not included, clients have found."""
    minutes = MINUTES[timeframe]
    times = f"from={max(0, first_ts) // 1_000_000}&to={last_ts // 1_000_000}"
    return f"/api/v1/kline/query?symbol={quoted(symbol)}&granularity={minutes}&{times}"


def parse_candles(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """Return the candles of an answer, oldest first."""

    def read(row: RestCandle) -> Candle:
        texts = [bytes(raw).decode() for raw in (row.open, row.high, row.low, row.close, row.contracts)]
        return candle(FUTURES, instrument, timeframe, Figures(row.start // 1_000, *texts), received_ts=received_ts)

    candles, odd = _candles(body, read, f"candles of {instrument.name}")
    candles.sort(key=lambda one: one.open_ts)
    return CandleSnapshot(instrument.name, timeframe, received_ts, tuple(candles), tuple(odd))


def parse_instruments(body: bytes) -> Sequence[Instrument | OddRow]:
    """`contracts/active`: perpetuals and dated futures."""
    return listed(decode_rows(body).data, _instrument, _named)


def _instrument(raw: msgspec.Raw) -> tuple[Instrument, str] | None:
    row = _contract(raw)
    base, quote, symbol = asset_of(row.base, "baseCurrency"), asset_of(row.quote, "quoteCurrency"), asset_of(row.symbol, "symbol")
    multiplier, lot = bytes(row.multiplier), step_of(row.lot)
    size = step_of(msgspec.Raw(multiplier.replace(b"-", b"", 1) if row.inverse else multiplier))
    if not size:
        raise FrameError(f"a multiplier of {multiplier[:40]!r}")
    if row.type == PERPETUAL:
        name, expiry = perpetual(base, quote), None
    elif row.type == DATED and row.expiry:
        expiry = epoch_ns(row.expiry)
        name = future(base, quote, expiry)
    else:
        return None
    trouble = "" if row.status in STATUSES else f"status {row.status[:40]!r} is not known"
    return Instrument(
        name, FUTURES, symbol, asset(base), asset(quote), step_of(row.tick), None if lot is None else lot * size, size,
        active=row.status == "Open", inverse=row.inverse, expiry=expiry,
    ), trouble  # fmt: skip


def _named(row: Any) -> tuple[str, str]:
    symbol, base, quote = row.get("symbol"), row.get("baseCurrency"), row.get("quoteCurrency")
    is_named = row.get("type") == PERPETUAL and isinstance(base, str) and isinstance(quote, str) and base and quote
    return symbol if isinstance(symbol, str) else "", perpetual(base, quote) if is_named else ""


def parse_trading(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """`contracts/active`: a contract that has ended is not in it any more."""

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _trading(raw)
        return row.symbol, "" if row.status == "Open" else row.status or "no status"

    return trading_states(decode_rows(body).data, read, dict(zip(symbols, symbols, strict=True)))
