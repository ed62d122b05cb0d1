"""Binance's REST: books, trades, best bid and ask, instruments.

Limits  a weight of 6,000 a minute for one address: `depth` of 1,000 levels 50, trades 25, `bookTicker` of several symbols 4, instruments 20
Quirks  `historicalTrades` needs no key any more, and its ids are those of the `trade` stream: it is asked from an id, as far back as there
        are trades. It is read from a database; the newest are in `trades` sooner. One unknown symbol refuses a whole `bookTicker`
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from crosstape_connector.errors import FrameError, UnknownSymbol
from crosstape_connector.venue import NOT_LISTED, BookSnapshot, Symbols, TradeSnapshot, page
from crosstape_connector.venues.binance.values import BUY, ID, SELL
from crosstape_connector.wire import Serial, Stamp, epoch_ns, positive, side
from crosstape_schemas import Instrument, Quote, Trade, spot

LEVELS: Final = 1_000
PAGE: Final = 1_000
"""Trades in an answer: the venue's most."""


class RestDepth(msgspec.Struct, frozen=True):
    last_update_id: Serial = msgspec.field(name="lastUpdateId")
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]


class RestTrade(msgspec.Struct, frozen=True):
    id: Serial
    price: Decimal
    qty: Decimal
    time: Stamp
    buyer_makes: bool = msgspec.field(name="isBuyerMaker")


class RestBookTicker(msgspec.Struct, frozen=True):
    symbol: str
    bid_price: Decimal = msgspec.field(name="bidPrice")
    bid_qty: Decimal = msgspec.field(name="bidQty")
    ask_price: Decimal = msgspec.field(name="askPrice")
    ask_qty: Decimal = msgspec.field(name="askQty")


class RestFilter(msgspec.Struct, frozen=True):
    filter_type: str = msgspec.field(name="filterType")
    tick: Decimal | None = msgspec.field(name="tickSize", default=None)
    step: Decimal | None = msgspec.field(name="stepSize", default=None)


class RestSymbol(msgspec.Struct, frozen=True):
    symbol: str
    status: str
    base: str = msgspec.field(name="baseAsset")
    quote: str = msgspec.field(name="quoteAsset")
    is_spot: bool = msgspec.field(name="isSpotTradingAllowed", default=True)
    filters: tuple[RestFilter, ...] = ()


class RestExchangeInfo(msgspec.Struct, frozen=True):
    symbols: tuple[RestSymbol, ...]


class RestTrading(msgspec.Struct, frozen=True):
    symbol: str
    status: str
    is_spot: bool = msgspec.field(name="isSpotTradingAllowed", default=True)


class RestTradings(msgspec.Struct, frozen=True):
    symbols: list[msgspec.Raw]


class RestFault(msgspec.Struct, frozen=True):
    code: int
    msg: str = ""


_rest_depth = msgspec.json.Decoder(RestDepth).decode
_rest_trades = msgspec.json.Decoder(list[RestTrade]).decode
_rest_quotes = msgspec.json.Decoder(list[RestBookTicker]).decode
_rest_info = msgspec.json.Decoder(RestExchangeInfo).decode
_rest_trading = msgspec.json.Decoder(RestTrading).decode
_rest_tradings = msgspec.json.Decoder(RestTradings).decode
_rest_fault = msgspec.json.Decoder(RestFault).decode


def depth_path(symbol: str) -> str:
    """Path and query of a snapshot. Symbols may hold any letters."""
    return f"/api/v3/depth?symbol={quote(symbol)}&limit={LEVELS}"


def depth_symbol(url: str) -> str | None:
    """The symbol if the URL asks for a snapshot."""
    parts = urlsplit(url)
    return parse_qs(parts.query).get("symbol", [None])[0] if parts.path.endswith("/api/v3/depth") else None


def parse_depth(body: bytes, instrument: str, received_ts: int) -> BookSnapshot:
    """A snapshot; a side with as many levels as were asked for has more."""
    d = _rest_depth(body)
    partial = max(len(d.bids), len(d.asks)) >= LEVELS
    return BookSnapshot(instrument, None, received_ts, d.bids, d.asks, d.last_update_id, partial=partial)


def trades_path(symbol: str, first: int, since_ts: int) -> str:
    """The page that begins with that id."""
    return f"/api/v3/historicalTrades?symbol={quote(symbol)}&fromId={first}&limit={PAGE}"


def newest_path(symbol: str) -> str:
    """The newest trades, from the venue's memory."""
    return f"/api/v3/trades?symbol={quote(symbol)}&limit={PAGE}"


def parse_trades(body: bytes, instrument: str, received_ts: int) -> TradeSnapshot:
    """Either answer. `isBuyerMaker` true: the taker sold."""
    trades: list[Trade] = []
    for raw in _rest_trades(body):
        if not positive(raw.price, raw.qty):
            raise FrameError(f"trade {raw.id} of {instrument}: {raw.qty} at {raw.price}")
        taker = SELL if raw.buyer_makes else BUY
        trades.append(Trade(ID, instrument, epoch_ns(raw.time), received_ts, raw.price, raw.qty, taker, str(raw.id), True))
    return page(instrument, trades, received_ts)


def quotes_path(symbols: Sequence[str]) -> str:
    """Of several symbols in one answer: `symbols` is a list in JSON, without spaces."""
    return f"/api/v3/ticker/bookTicker?symbols={quote(msgspec.json.encode(list(symbols)))}"


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> list[Quote]:
    """`bookTicker` has no time; a side that is empty is zeros."""
    quotes: list[Quote] = []
    for raw in _rest_quotes(body):
        instrument = symbols.get(raw.symbol)
        if instrument is None:
            raise UnknownSymbol(f"symbol {raw.symbol!r}")
        quotes.append(Quote(ID, instrument, None, received_ts, *side(raw.bid_price, raw.bid_qty), *side(raw.ask_price, raw.ask_qty)))
    return quotes


def parse_instruments(body: bytes) -> list[Instrument]:
    """`exchangeInfo`: what may be traded spot."""
    found: list[Instrument] = []
    for row in _rest_info(body).symbols:
        if row.is_spot:
            tick = next((f.tick for f in row.filters if f.filter_type == "PRICE_FILTER"), None)
            step = next((f.step for f in row.filters if f.filter_type == "LOT_SIZE"), None)
            name = spot(row.base, row.quote)
            found.append(Instrument(name, ID, row.symbol, row.base, row.quote, tick, step, active=row.status == "TRADING"))
    return found


def trading_path(symbols: Sequence[str]) -> str:
    """`exchangeInfo` of these only. One that is not listed refuses them all."""
    return f"/api/v3/exchangeInfo?symbols={quote(msgspec.json.encode(list(symbols)))}&showPermissionSets=false"


def parse_trading(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """Anything but `TRADING` (`BREAK`, `HALT`, `CANCEL_ONLY` …) is no trading."""
    found: dict[str, str] = {}
    unread = False
    for raw in _rest_tradings(body).symbols:
        try:
            row = _rest_trading(raw)
        except msgspec.ValidationError:
            unread = True
            continue
        status = row.status if row.is_spot else "not traded spot"
        found[row.symbol] = "" if status == "TRADING" else status
    return {symbol: found.get(symbol, NOT_LISTED) for symbol in symbols if symbol in found or not unread}


def rest_error(body: bytes) -> str | None:
    """`{"code": -1121, "msg": "Invalid symbol."}`; Binance sends it with a 4xx status, proxies do not always."""
    try:
        fault = _rest_fault(body)
    except msgspec.MsgspecError:
        return None
    return f"{fault.code} {fault.msg}"
