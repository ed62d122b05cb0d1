"""Binance spot's REST: books, trades, best bid and ask, instruments.

Limits  a weight of 6,000 a minute for one address: `depth` of 100 levels 5, of 500 25, of 1,000 50; trades 25, `bookTicker` of several
        symbols 4, instruments 20
Quirks  `historicalTrades` needs no key any more, and its ids are those of the `trade` stream: it is asked from an id, as far back as there
        are trades. It is read from a database; the newest are in `trades` sooner. One unknown symbol refuses a whole `bookTicker`
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from crosstape_connector.errors import NotANumber
from crosstape_connector.venues.binance.stream import BUY, SELL
from crosstape_connector.venues.messages import BookSnapshot, Odd, OddRow, TradeSnapshot
from crosstape_connector.venues.parsing.answers import fault_message, list_reader, rest_trade, trade_page, trading_states
from crosstape_connector.venues.parsing.listing import asset_of, listed, step_of
from crosstape_connector.venues.parsing.numbers import is_plain, number
from crosstape_connector.venues.parsing.rows import rows_decoder
from crosstape_connector.venues.parsing.wire import Serial, Stamp, epoch_ns, side_of
from crosstape_connector.venues.spec import Symbols, lookup
from crosstape_schemas import Instrument, Level, Quote, Trade, spot

DEPTHS: Final = {100: 5, 500: 25, 1_000: 50}
"""Levels a side that we ask for → what that weighs."""
MOST: Final = 5_000
"""The most levels a side that the venue gives."""
PAGE: Final = 1_000
"""Trades in an answer: the venue's most."""
STATUSES: Final = frozenset(
    {"TRADING", "END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY", "PRE_TRADING", "POST_TRADING", "AUCTION_MATCH", "PENDING_TRADING"}
)
"""What a symbol's status may be; it trades in the first."""
NULL: Final = msgspec.Raw(b"null")


class RestDepth(msgspec.Struct, frozen=True):
    last_update_id: Serial = msgspec.field(name="lastUpdateId")
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class RestTrade(msgspec.Struct, frozen=True):
    id: Serial
    price: str
    qty: str
    time: Stamp
    buyer_makes: bool = msgspec.field(name="isBuyerMaker")


class RestBookTicker(msgspec.Struct, frozen=True):
    symbol: str
    bid_price: str = msgspec.field(name="bidPrice")
    bid_qty: str = msgspec.field(name="bidQty")
    ask_price: str = msgspec.field(name="askPrice")
    ask_qty: str = msgspec.field(name="askQty")


class RestFilter(msgspec.Struct, frozen=True):
    filter_type: str = msgspec.field(name="filterType")
    tick: msgspec.Raw = msgspec.field(name="tickSize", default=NULL)
    step: msgspec.Raw = msgspec.field(name="stepSize", default=NULL)


class RestSymbol(msgspec.Struct, frozen=True):
    symbol: str
    status: str
    base: str = msgspec.field(name="baseAsset")
    quote: str = msgspec.field(name="quoteAsset")
    is_spot: bool = msgspec.field(name="isSpotTradingAllowed", default=True)
    filters: tuple[RestFilter, ...] = ()


class RestExchangeInfo(msgspec.Struct, frozen=True):
    symbols: list[msgspec.Raw]


class RestTrading(msgspec.Struct, frozen=True):
    symbol: str
    status: str
    is_spot: bool = msgspec.field(name="isSpotTradingAllowed", default=True)


class RestTradings(msgspec.Struct, frozen=True):
    symbols: list[msgspec.Raw]


class RestFault(msgspec.Struct, frozen=True):
    code: int
    msg: str = ""


_depth = msgspec.json.Decoder(RestDepth).decode
_trades = list_reader(RestTrade)
_quotes = list_reader(RestBookTicker)
_symbol = msgspec.json.Decoder(RestSymbol).decode
_info = rows_decoder(RestExchangeInfo, 2)
_trading = msgspec.json.Decoder(RestTrading).decode
_tradings = rows_decoder(RestTradings, 2)


def depth_path(symbol: str, levels: int) -> str:
    """Return path and query of a snapshot. Symbols may contain any letters."""
    return f"/api/v3/depth?symbol={quote(symbol)}&limit={levels}"


def depth_symbol(url: str) -> str | None:
    """Return the symbol if the URL requests a snapshot, else None."""
    parts = urlsplit(url)
    return parse_qs(parts.query).get("symbol", [None])[0] if parts.path.endswith("/api/v3/depth") else None


def parse_depth(body: bytes, instrument: Instrument, received_ts: int) -> BookSnapshot:
    """Return a snapshot. A side is cut if it has as many levels as can be requested: how many were, the answer does not say."""
    d = _depth(body)
    try:
        bids, asks = [(number(p), number(s)) for p, s in d.bids], [(number(p), number(s)) for p, s in d.asks]
    except ArithmeticError as exc:
        raise NotANumber(f"depth of {instrument.name}: no number in a level") from exc
    if not is_plain(body) and not all(price.isascii() and size.isascii() for price, size in (*d.bids, *d.asks)):
        raise NotANumber(f"depth of {instrument.name}: digits that are not ASCII")
    return BookSnapshot(
        instrument.name, None, received_ts, tuple(bids), tuple(asks), d.last_update_id, limit=depth_limit((*DEPTHS, MOST), bids, asks)
    )


def depth_limit(limits: Collection[int], bids: Sequence[Level], asks: Sequence[Level]) -> int | None:
    """Return `BookSnapshot.limit`. `limits`: how many levels a side can be requested."""
    longest = max(len(bids), len(asks))
    return longest if longest in limits else None


def trades_path(symbol: str, first: int, since_ts: int) -> str:
    """Return the path of the page that begins with this id."""
    return f"/api/v3/historicalTrades?symbol={quote(symbol)}&fromId={first}&limit={PAGE}"


def newest_path(symbol: str) -> str:
    """Return the path of the newest trades, which are in the venue's memory."""
    return f"/api/v3/trades?symbol={quote(symbol)}&limit={PAGE}"


def past_path(symbol: str, first: int) -> str:
    """See `TradesById.path`."""
    return trades_path(symbol, first, 0)


WEIGHTS: Final[dict[str, int | Mapping[int, int]]] = {
    "/api/v3/depth": DEPTHS,
    "/api/v3/trades": 25,
    "/api/v3/historicalTrades": 25,
    "/api/v3/ticker/bookTicker": 4,
    "/api/v3/exchangeInfo": 20,
    "/api/v3/klines": 2,
}
"""What our requests weigh; best prices are of several symbols."""


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """Parse the answer to either path. `isBuyerMaker` true: the taker sold."""

    def read(raw: RestTrade) -> Trade:
        taker = SELL if raw.buyer_makes else BUY
        return rest_trade(
            venue, name, received_ts, trade_id=raw.id, price=raw.price, size=raw.qty, taker=taker, venue_ts=epoch_ns(raw.time)
        )

    venue, name = instrument.venue, instrument.name
    return trade_page(name, received_ts, _trades(body, read, f"trades of {name}"))


def quotes_path(symbols: Sequence[str]) -> str:
    """Return the path of the quotes of several symbols: `symbols` is a JSON list without spaces."""
    return f"/api/v3/ticker/bookTicker?symbols={quote(msgspec.json.encode(list(symbols)))}"


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> Sequence[Quote | Odd]:
    """Parse `bookTicker`, which has no time; an empty side is zeros."""

    def read(raw: RestBookTicker) -> Quote:
        found = lookup(symbols, raw.symbol)
        return Quote(found.venue, found.name, None, received_ts, *side_of(raw.bid_price, raw.bid_qty), *side_of(raw.ask_price, raw.ask_qty))

    quotes, odd = _quotes(body, read, "quotes")
    return [*quotes, *odd]


def instruments(venue: str) -> Callable[[bytes], Sequence[Instrument | OddRow]]:
    """Return the parser of `exchangeInfo`: the symbols that can be traded spot on this venue."""
    return lambda body: listed(_info(body).symbols, lambda raw: _instrument(venue, raw), _named)


def _instrument(venue: str, raw: msgspec.Raw) -> tuple[Instrument, str] | None:
    row = _symbol(raw)
    if not row.is_spot:
        return None
    base, quoted = asset_of(row.base, "baseAsset"), asset_of(row.quote, "quoteAsset")
    tick = next((step_of(f.tick) for f in row.filters if f.filter_type == "PRICE_FILTER"), None)
    step = next((step_of(f.step) for f in row.filters if f.filter_type == "LOT_SIZE"), None)
    trouble = "" if row.status in STATUSES else f"status {row.status!r} is not known"
    symbol = asset_of(row.symbol, "symbol")
    return Instrument(spot(base, quoted), venue, symbol, base, quoted, tick, step, active=row.status == "TRADING"), trouble


def _named(row: Any) -> tuple[str, str]:
    symbol, base, quoted = row.get("symbol"), row.get("baseAsset"), row.get("quoteAsset")
    name = spot(base, quoted) if isinstance(base, str) and isinstance(quoted, str) and base and quoted else ""
    return symbol if isinstance(symbol, str) else "", name


def trading_path(symbols: Sequence[str]) -> str:
    """Return the path of `exchangeInfo` for these symbols only. One unlisted symbol makes the venue refuse all."""
    return f"/api/v3/exchangeInfo?symbols={quote(msgspec.json.encode(list(symbols)))}&showPermissionSets=false"


def is_unknown_symbol(error: str) -> bool:
    """See `TradingSource.unknown`."""
    return "-1121" in error or error.endswith("HTTP 400")


def parse_trading(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """Parse the states: any other than `TRADING` (`BREAK`, `HALT`, `CANCEL_ONLY` …) means that the symbol does not trade."""

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _trading(raw)
        status = row.status if row.is_spot else "not traded spot"
        return row.symbol, "" if status == "TRADING" else status

    return trading_states(_tradings(body).symbols, read, dict(zip(symbols, symbols, strict=True)))


rest_error = fault_message(msgspec.json.Decoder(RestFault).decode, lambda fault: f"{fault.code} {fault.msg}")
"""`{"code": -1121, "msg": "Invalid symbol."}`; Binance sends it with a 4xx status, proxies do not always."""
