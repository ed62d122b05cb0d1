"""Kraken's REST: trades, best bid and ask, instruments.

Limits  about one request a second for one address
Quirks  names are older than the WebSocket's: XBT and XDG, no slash (`XBTUSD`), and the answer is keyed by yet another (`XXBTZUSD`); errors
        come with HTTP 200; trades are asked by time, those after it, in ns; their times are JSON numbers, of seconds, all digits of which
        count. Sizes have three decimals in `Depth`; in `Ticker` they are whole units (`1.000` where `Depth` says `0.136`), so quotes are
        not taken from there, though it has many pairs at once
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.kraken.names import ID, OLD_NAMES, rest_name
from crosstape_connector.venues.messages import OddRow, TradeSnapshot
from crosstape_connector.venues.parsing.answers import (
    RestLevel,
    best_quote,
    fault_message,
    read_rows,
    rest_trade,
    trade_page,
    trading_states,
)
from crosstape_connector.venues.parsing.listing import asset_of, listed, step_of
from crosstape_connector.venues.parsing.rows import UNREADABLE, rows_decoder
from crosstape_connector.venues.parsing.wire import Serial, seconds_ns
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Instrument, Quote, Side, Trade, asset, spot

PAGE: Final = 1_000
"""Trades in an answer: the venue's most."""
MARGIN_NS: Final = 1_000
"""The WebSocket's times are of µs, and what is exactly of the time asked for is left out of an answer: ask from so much before."""
SIDES: Final = {"b": Side.BUY, "s": Side.SELL}
"""The taker's."""
STATUSES: Final = frozenset({"online", "cancel_only", "post_only", "limit_only", "reduce_only", "maintenance", "delisted"})
"""What a pair's status may be."""
T = TypeVar("T")
ASSETS: Final = {"XBT": "BTC", "XDG": "DOGE", "LUNA": "LUNC", "LUNA2": "LUNA", "UST": "USTC", "REP": "REPV1", "REPV2": "REP"}
"""Their name of an asset → ours. Terra Classic stayed LUNA here, its dollar UST, and the new Terra is LUNA2:
https://support.kraken.com/hc/en-us/articles/6548163943956-LUNA-and-UST-updates-on-Kraken. Augur's second token, REP everywhere else, is
REPV2. The WebSocket says BTC and DOGE, and all others as REST does."""


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


def ours(name: str) -> str:
    """Our name of their asset."""
    return ASSETS.get(name) or asset(name)


def trades_path(symbol: str, first: int, since_ts: int) -> str:
    """The page that begins shortly before that time. Without a time it would be that of the market's first trades."""
    return f"/0/public/Trades?pair={quoted(rest_name(symbol))}&since={max(0, since_ts - MARGIN_NS)}&count={PAGE}"


def past_path(symbol: str, since_ts: int, until_ts: int) -> str:
    """See `TradesByTime.path`: there is no end of a range."""
    return trades_path(symbol, 0, since_ts)


def newest_path(symbol: str) -> str:
    """The newest trades."""
    return f"/0/public/Trades?pair={quoted(rest_name(symbol))}&count={PAGE}"


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """Rows of the one pair in the answer; `last` beside them is the time to go on from."""

    def read(raw: RestTrade) -> Trade:
        return rest_trade(
            ID, instrument.name, received_ts,
            trade_id=raw.trade_id, price=raw.price, size=raw.volume, taker=SIDES.get(raw.side), venue_ts=seconds_ns(raw.time),
        )  # fmt: skip

    _refused("Trades", _fault(body).error)
    found = read_rows(
        lambda: _only_pair(_trades(body).result, instrument.name),
        lambda: _only_pair(_trade_rows(body).result, instrument.name),
        _trade,
        read,
        f"trades of {instrument.name}",
    )
    return trade_page(instrument.name, received_ts, found)


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
    """The answer has no time. No quote if a best size is below the three decimals that are written: there is a price all the same."""
    instrument = next(iter(symbols.values())).name
    answer = _depth(body)
    _refused("Depth", answer.error)
    if len(answer.result) != 1:
        raise FrameError(f"Depth of {instrument}: not one pair but {', '.join(answer.result) or 'none'}")
    (book,) = answer.result.values()
    return best_quote(ID, instrument, book.bids, book.asks, venue_ts=None, received_ts=received_ts)


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

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _trading(raw)
        return row.altname, "" if row.status in ("online", "limit_only") else row.status

    return trading_states(answer.result.values(), read, {symbol: rest_name(symbol) for symbol in symbols})


rest_error = fault_message(_fault, lambda fault: ", ".join(fault.error))
"""Errors come with HTTP 200: `{"error": ["EAPI:Rate limit exceeded"]}`."""
