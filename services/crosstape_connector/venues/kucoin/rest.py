"""KuCoin's REST: the envelope of all its answers, tokens for the older WebSocket protocol, and spot.

Limits  a weight of 2,000 in 30 s for one address: symbols 4, candles and trades 3, best prices 2, a token 10
Quirks  an error comes with HTTP 200 and a `code` that is not "200000"; `histories` are the newest 100 trades, oldest first, and cannot be
        paged; candles are newest first, `[s, open, close, high, low, base, quote]`, without those that had no trades
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar
from urllib.parse import quote as quoted
from urllib.parse import urlsplit

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.kucoin.values import SIDES, SPOT, TIMEFRAMES, Figures, candle, serial
from crosstape_connector.venues.messages import CandleSnapshot, Odd, OddRow, TradeSnapshot
from crosstape_connector.venues.parsing.answers import fault_message, read_rows, rest_trade, trade_page, trading_states
from crosstape_connector.venues.parsing.listing import asset_of, listed, step_of
from crosstape_connector.venues.parsing.rows import rows_decoder
from crosstape_connector.venues.parsing.wire import Serial, Stamp, epoch_ns, side_of
from crosstape_connector.venues.spec import Grant, Symbols
from crosstape_schemas import Candle, Instrument, Quote, Trade, spot

PAGE: Final = 100
"""Trades in an answer: the venue's most."""
CANDLES: Final = 1_500
"""Candles in an answer: the venue's most."""
PING: Final = 0.9
"""The share of the venue's interval after which the next ping is sent."""
GOOD: Final = "200000"
NULL: Final = msgspec.Raw(b"null")
R = TypeVar("R")
T = TypeVar("T")


class RestServer(msgspec.Struct, frozen=True):
    endpoint: str
    ping_interval: Stamp = msgspec.field(name="pingInterval")


class RestToken(msgspec.Struct, frozen=True):
    token: str
    servers: list[RestServer] = msgspec.field(name="instanceServers")


class RestBullet(msgspec.Struct, frozen=True):
    data: RestToken


class RestRows(msgspec.Struct, frozen=True):
    data: list[msgspec.Raw]


class RestTrade(msgspec.Struct, frozen=True):
    sequence: str
    price: str
    size: str
    side: str
    time: Serial


class RestTop(msgspec.Struct, frozen=True):
    time: Stamp
    bid: str | None = msgspec.field(name="bestBid")
    bid_size: str | None = msgspec.field(name="bestBidSize")
    ask: str | None = msgspec.field(name="bestAsk")
    ask_size: str | None = msgspec.field(name="bestAskSize")


class RestLevel1(msgspec.Struct, frozen=True):
    data: RestTop


class RestSymbol(msgspec.Struct, frozen=True):
    symbol: str
    base: str = msgspec.field(name="baseCurrency")
    quote: str = msgspec.field(name="quoteCurrency")
    trades: bool = msgspec.field(name="enableTrading")
    tick: msgspec.Raw = msgspec.field(name="priceIncrement", default=NULL)
    step: msgspec.Raw = msgspec.field(name="baseIncrement", default=NULL)


class RestTrading(msgspec.Struct, frozen=True):
    symbol: str
    trades: bool = msgspec.field(name="enableTrading")


class RestFault(msgspec.Struct, frozen=True):
    code: str
    msg: str = ""


class RestCandle(msgspec.Struct, frozen=True, array_like=True):
    start: str
    open: str
    close: str
    high: str
    low: str
    volume: str
    turnover: str


_bullet = msgspec.json.Decoder(RestBullet).decode
_level1 = msgspec.json.Decoder(RestLevel1).decode
_symbol = msgspec.json.Decoder(RestSymbol).decode
_trading = msgspec.json.Decoder(RestTrading).decode
decode_rows: Final = rows_decoder(RestRows, 2)


def data_reader(row: type[R]) -> Callable[[bytes, Callable[[R], T], str], tuple[list[T], list[Odd]]]:
    """Return `answers.read_rows` for answers whose `data` are a list: (body, `read`, `what`) → what is read, and the odd rows."""
    answer = msgspec.defstruct("Answer", [("data", list[row])], frozen=True)  # type: ignore[valid-type]
    all_rows: Callable[[bytes], Any] = msgspec.json.Decoder(answer).decode
    one_row = msgspec.json.Decoder(row).decode

    def reader(body: bytes, read: Callable[[R], T], what: str) -> tuple[list[T], list[Odd]]:
        return read_rows(lambda: all_rows(body).data, lambda: decode_rows(body).data, one_row, read, what)

    return reader


_trades = data_reader(RestTrade)
_candles = data_reader(RestCandle)


def parse_grant(body: bytes) -> Grant:
    """`bullet-public`: a token for one connection, and where to connect. The address may change, and may end with a slash."""
    found = _bullet(body).data
    if not found.servers or not found.token:
        raise FrameError("no server, or no token")
    server = found.servers[0]
    parts = urlsplit(server.endpoint)
    if parts.scheme not in ("ws", "wss") or not parts.netloc or parts.query:
        raise FrameError(f"not the address of a WebSocket: {server.endpoint[:80]!r}")
    ping_s = server.ping_interval * PING / 1_000 if server.ping_interval else None
    return Grant(server.endpoint, {"token": found.token, "connectId": "{id}"}, ping_s)


def newest_path(symbol: str) -> str:
    """Return the path of the newest trades: the venue has no request for older ones."""
    return f"/api/v1/market/histories?symbol={quoted(symbol)}"


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """`side` is the taker's."""

    def read(raw: RestTrade) -> Trade:
        return rest_trade(
            SPOT, instrument.name, received_ts,
            trade_id=serial(raw.sequence), price=raw.price, size=raw.size, taker=SIDES.get(raw.side), venue_ts=raw.time,
        )  # fmt: skip

    return trade_page(instrument.name, received_ts, _trades(body, read, f"trades of {instrument.name}"))


def quotes_path(symbols: Sequence[str]) -> str:
    """Return the path of the best prices of one symbol."""
    (symbol,) = symbols
    return f"/api/v1/market/orderbook/level1?symbol={quoted(symbol)}"


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> list[Quote]:
    """Return the best prices of the one requested symbol. A side without orders is null."""
    (instrument,) = symbols.values()
    top = _level1(body).data
    bid, ask = _side(top.bid, top.bid_size), _side(top.ask, top.ask_size)
    return [Quote(SPOT, instrument.name, epoch_ns(top.time), received_ts, *bid, *ask)]


def _side(price: str | None, size: str | None) -> tuple[Decimal, Decimal] | tuple[None, None]:
    return side_of(price, size) if price and size else (None, None)


def candles_path(symbol: str, timeframe: str, since_ts: int) -> str:
    """Return the path of the candles that opened at that time (ns) or later: the newest, if there are more than one answer holds."""
    return f"/api/v1/market/candles?symbol={quoted(symbol)}&type={TIMEFRAMES[timeframe]}&startAt={since_ts // 1_000_000_000}"


def range_path(symbol: str, timeframe: str, first_ts: int, last_ts: int) -> str:
    """See `PastCandles.path`. The end is not included, it seems."""
    return f"{candles_path(symbol, timeframe, max(0, first_ts))}&endAt={last_ts // 1_000_000_000}"


WEIGHTS: Final = {
    "/api/v1/symbols": 4,
    "/api/v2/symbols": 4,
    "/api/v1/market/candles": 3,
    "/api/v1/market/histories": 3,
    "/api/v1/market/orderbook/level1": 2,
    "/api/v1/bullet-public": 10,
    "/api/v1/contracts/active": 3,
    "/api/v1/trade/history": 5,
    "/api/v1/ticker": 2,
    "/api/v1/kline/query": 3,
}
"""What our requests weigh, of spot and of futures."""


def parse_candles(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """Return the candles of an answer, oldest first."""

    def read(row: RestCandle) -> Candle:
        figures = Figures(serial(row.start), row.open, row.high, row.low, row.close, row.volume, row.turnover)
        return candle(SPOT, instrument, timeframe, figures, received_ts=received_ts)

    candles, odd = _candles(body, read, f"candles of {instrument.name}")
    candles.sort(key=lambda one: one.open_ts)
    return CandleSnapshot(instrument.name, timeframe, received_ts, tuple(candles), tuple(odd))


def parse_instruments(body: bytes) -> Sequence[Instrument | OddRow]:
    """`symbols`: all pairs."""
    return listed(decode_rows(body).data, _instrument, _named)


def _instrument(raw: msgspec.Raw) -> tuple[Instrument, str] | None:
    row = _symbol(raw)
    for part in row.symbol.split("-", 1):
        asset_of(part, "symbol")
    base, quote = asset_of(row.base, "baseCurrency"), asset_of(row.quote, "quoteCurrency")
    return Instrument(spot(base, quote), SPOT, row.symbol, base, quote, step_of(row.tick), step_of(row.step), active=row.trades), ""


def _named(row: Any) -> tuple[str, str]:
    symbol, base, quote = row.get("symbol"), row.get("baseCurrency"), row.get("quoteCurrency")
    name = spot(base, quote) if isinstance(base, str) and isinstance(quote, str) and base and quote else ""
    return symbol if isinstance(symbol, str) else "", name


def parse_trading(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """`symbols`, which lists all pairs and whether they trade."""

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _trading(raw)
        return row.symbol, "" if row.trades else "trading is disabled"

    return trading_states(decode_rows(body).data, read, dict(zip(symbols, symbols, strict=True)))


rest_error = fault_message(
    msgspec.json.Decoder(RestFault).decode, lambda fault: "" if fault.code == GOOD else f"{fault.code} {fault.msg}".strip()
)
"""`{"code": "400100", "msg": "…"}`, with HTTP 200."""
