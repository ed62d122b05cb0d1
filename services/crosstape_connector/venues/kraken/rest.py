"""Kraken's REST: trades, best bid and ask, instruments.

Limits  about one request a second for one address
Quirks  names are older than the WebSocket's: XBT and XDG, no slash (`XBTUSD`), and the answer is keyed by yet another (`XXBTZUSD`); errors
        come with HTTP 200; trades are asked by time, those after it, in ns; their times are JSON numbers, of seconds, all digits of which
        count. Sizes have three decimals in `Depth`; in `Ticker` they are whole units (`1.000` where `Depth` says `0.136`), so quotes are
        not taken from there, though it would tell many pairs at once
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.kraken.values import ID, ours
from crosstape_connector.venues.messages import Odd, OddRow, TradeSnapshot, page
from crosstape_connector.venues.parsing.listing import asset_of, listed, step_of
from crosstape_connector.venues.parsing.rows import UNREADABLE, readable, rows_decoder
from crosstape_connector.venues.parsing.wire import Serial, seconds_ns, side_of, trade_numbers
from crosstape_connector.venues.spec import NOT_LISTED, Symbols
from crosstape_schemas import Instrument, Quote, Side, Trade, asset, spot

PAGE: Final = 1_000
"""Trades in an answer: the venue's most."""
MARGIN_NS: Final = 1_000
"""The WebSocket's times are of µs, and what is exactly of the time asked for is left out of an answer: ask from so much before."""
SIDES: Final = {"b": Side.BUY, "s": Side.SELL}
"""The taker's."""
EMPTY: Final = (None, None)
STATUSES: Final = frozenset({"online", "cancel_only", "post_only", "limit_only", "reduce_only", "maintenance", "delisted"})
"""What a pair's status may be."""
T = TypeVar("T")
OLD_NAMES: Final = {"BTC": "XBT", "DOGE": "XDG"}
"""The WebSocket's names → those of REST."""


class RestTrade(msgspec.Struct, frozen=True, array_like=True):
    price: str
    volume: str
    time: Decimal
    side: str
    kind: str
    misc: str
    trade_id: Serial


class RestTrades(msgspec.Struct, frozen=True):
    error: list[str]
    result: dict[str, list[RestTrade] | str] = {}


class RestRows(msgspec.Struct, frozen=True):
    """Trades of which one cannot be read: each is read for itself."""

    result: dict[str, list[msgspec.Raw] | str]


class RestLevel(msgspec.Struct, frozen=True, array_like=True):
    price: str
    volume: str


class RestBook(msgspec.Struct, frozen=True):
    bids: list[RestLevel]
    asks: list[RestLevel]


class RestDepth(msgspec.Struct, frozen=True):
    error: list[str]
    result: dict[str, RestBook] = {}


class RestPair(msgspec.Struct, frozen=True):
    wsname: str | None = None
    status: str = "online"
    tick_size: msgspec.Raw = msgspec.Raw(b"null")
    lot_decimals: int | None = None


class RestPairs(msgspec.Struct, frozen=True):
    error: list[str]
    result: dict[str, msgspec.Raw] = {}


class RestTrading(msgspec.Struct, frozen=True):
    altname: str
    status: str


class RestTradings(msgspec.Struct, frozen=True):
    error: list[str]
    result: dict[str, msgspec.Raw] = {}


class RestFault(msgspec.Struct, frozen=True):
    error: list[str]


_pairs = rows_decoder(RestPairs, 2)
_pair = msgspec.json.Decoder(RestPair).decode
_trade = msgspec.json.Decoder(RestTrade).decode
_trade_rows = rows_decoder(RestRows, 3)
_trades = msgspec.json.Decoder(RestTrades).decode
_depth = msgspec.json.Decoder(RestDepth).decode
_trading = msgspec.json.Decoder(RestTrading).decode
_tradings = rows_decoder(RestTradings, 2)
_fault = rows_decoder(RestFault, 3)


def rest_name(symbol: str) -> str:
    """`BTC/USD` → `XBTUSD`: the pair's `altname`, which is that of `wsname` without the slash."""
    base, _, quote = symbol.partition("/")
    return OLD_NAMES.get(base, base) + OLD_NAMES.get(quote, quote)


def trades_path(symbol: str, first: int, since_ts: int) -> str:
    """The page that begins shortly before that time. Without a time it would be that of the market's first trades."""
    return f"/0/public/Trades?pair={quoted(rest_name(symbol))}&since={max(0, since_ts - MARGIN_NS)}&count={PAGE}"


def newest_path(symbol: str) -> str:
    """The newest trades."""
    return f"/0/public/Trades?pair={quoted(rest_name(symbol))}&count={PAGE}"


def parse_trades(body: bytes, instrument: str, received_ts: int) -> TradeSnapshot:
    """Rows of the one pair in the answer; `last` beside them is the time to go on from."""

    def trade(raw: RestTrade) -> Trade:
        price, size = trade_numbers(raw.price, raw.volume, f"trade {raw.trade_id}")
        if raw.side not in SIDES:
            raise FrameError(f"trade {raw.trade_id}: side {raw.side!r}")
        return Trade(ID, instrument, seconds_ns(raw.time), received_ts, price, size, SIDES[raw.side], str(raw.trade_id), True)

    _refused("Trades", _fault(body).error)
    odd: list[Odd] = []
    try:
        trades = [trade(raw) for raw in _only_pair(_trades(body).result, instrument)]
    except FRAME_ERRORS:
        rows = _only_pair(_trade_rows(body).result, instrument)
        trades = readable(rows, lambda raw: trade(_trade(raw)), f"trades of {instrument}", odd)
        if not trades:
            raise
    return page(instrument, trades, received_ts, len(odd), odd)


def _only_pair(result: Mapping[str, list[T] | str], instrument: str) -> list[T]:
    pairs = [rows for name, rows in result.items() if name != "last"]
    if len(pairs) != 1 or isinstance(pairs[0], str):
        raise FrameError(f"Trades of {instrument}: not one pair but {', '.join(result) or 'none'}")
    return pairs[0]


def quotes_path(symbols: Sequence[str]) -> str:
    """The best level of one pair's book: `Depth` knows one at a time."""
    (symbol,) = symbols
    return f"/0/public/Depth?pair={quoted(rest_name(symbol))}&count=1"


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> list[Quote]:
    """The answer has no time. None for a market whose best size is below the three decimals that are told: it has a price all the same."""
    (instrument,) = symbols.values()
    answer = _depth(body)
    _refused("Depth", answer.error)
    if len(answer.result) != 1:
        raise FrameError(f"Depth of {instrument}: not one pair but {', '.join(answer.result) or 'none'}")
    (book,) = answer.result.values()
    bid, ask = _best(book.bids), _best(book.asks)
    if (book.bids and bid == EMPTY) or (book.asks and ask == EMPTY):
        return []
    return [Quote(ID, instrument, None, received_ts, *bid, *ask)]


def _best(levels: Sequence[RestLevel]) -> tuple[Decimal, Decimal] | tuple[None, None]:
    return side_of(levels[0].price, levels[0].volume) if levels else EMPTY


def _refused(what: str, error: Sequence[str]) -> None:
    if error:
        raise FrameError(f"{what}: {', '.join(error)}")


def parse_instruments(body: bytes) -> Sequence[Instrument | OddRow]:
    """`AssetPairs`. Symbols are those of the WebSocket, by `wsname`; pairs without one and dark pools are left out."""
    answer = _pairs(body)
    _refused("AssetPairs", answer.error)
    return listed((raw for name, raw in answer.result.items() if not name.endswith(".d")), _instrument, _named)


def _instrument(raw: msgspec.Raw) -> tuple[Instrument, str] | None:
    pair = _pair(raw)
    if pair.wsname is None:
        return None
    base, _, quote = pair.wsname.partition("/")
    base, quote = asset_of(base, "the base in wsname"), asset_of(quote, "the quote in wsname")
    symbol = f"{asset(base)}/{asset(quote)}"
    step = Decimal(1).scaleb(-pair.lot_decimals) if pair.lot_decimals is not None and 0 <= pair.lot_decimals <= 18 else None
    base, quote = ours(base), ours(quote)
    trouble = "" if pair.status in STATUSES else f"status {pair.status!r} is not known"
    return Instrument(spot(base, quote), ID, symbol, base, quote, step_of(pair.tick_size), step, active=pair.status == "online"), trouble


def _named(row: Any) -> tuple[str, str]:
    name, other = row.get("wsname"), row.get("altname")
    base, slash, quote = name.partition("/") if isinstance(name, str) else ("", "", "")
    if slash and base and quote and UNREADABLE not in name:
        return f"{asset(base)}/{asset(quote)}", spot(ours(base), ours(quote))
    if not isinstance(other, str):
        return "", ""
    for new, old in OLD_NAMES.items():
        other = other.replace(old, new)
    return other, ""


def parse_trading(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """Of `AssetPairs`. With limit orders only a pair can still be traded; with `cancel_only`, `post_only`, `delisted` … it cannot."""
    answer = _tradings(body)
    _refused("AssetPairs", answer.error)
    found: dict[str, str] = {}
    unread = False
    for raw in answer.result.values():
        try:
            row = _trading(raw)
        except FRAME_ERRORS:
            unread = True
            continue
        found[row.altname] = "" if row.status in ("online", "limit_only") else row.status
    names = {symbol: rest_name(symbol) for symbol in symbols}
    return {symbol: found.get(name, NOT_LISTED) for symbol, name in names.items() if name in found or not unread}


def rest_error(body: bytes) -> str | None:
    """Errors come with HTTP 200: `{"error": ["EAPI:Rate limit exceeded"]}`."""
    try:
        return ", ".join(_fault(body).error) or None
    except FRAME_ERRORS:
        return None
