"""Kraken's REST: trades, best bid and ask, instruments.

Limits  about one request a second for one address
Quirks  names are older than the WebSocket's: XBT and XDG, no slash (`XBTUSD`), and the answer is keyed by yet another (`XXBTZUSD`); errors
        come with HTTP 200; trades are asked by time, those after it, in ns; their times are JSON numbers, of seconds, all digits of which
        count. Sizes have three decimals in `Depth`; in `Ticker` they are whole units (`1.000` where `Depth` says `0.136`), so quotes are
        not taken from there, though it would tell many pairs at once
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venue import NOT_LISTED, Symbols, TradeSnapshot, page
from crosstape_connector.venues.kraken.values import ID
from crosstape_connector.wire import Serial, positive, seconds_ns, side
from crosstape_schemas import Instrument, Quote, Side, Trade, asset, spot

PAGE: Final = 1_000
"""Trades in an answer: the venue's most."""
MARGIN_NS: Final = 1_000
"""The WebSocket's times are of µs, and what is exactly of the time asked for is left out of an answer: ask from so much before."""
SIDES: Final = {"b": Side.BUY, "s": Side.SELL}
"""The taker's."""
EMPTY: Final = (None, None)
OLD_NAMES: Final = {"BTC": "XBT", "DOGE": "XDG"}
"""What `asset` made of them, undone."""


class RestTrade(msgspec.Struct, frozen=True, array_like=True):
    price: Decimal
    volume: Decimal
    time: Decimal
    side: str
    kind: str
    misc: str
    trade_id: Serial


class RestTrades(msgspec.Struct, frozen=True):
    error: list[str]
    result: dict[str, list[RestTrade] | str] = {}


class RestLevel(msgspec.Struct, frozen=True, array_like=True):
    price: Decimal
    volume: Decimal


class RestBook(msgspec.Struct, frozen=True):
    bids: list[RestLevel]
    asks: list[RestLevel]


class RestDepth(msgspec.Struct, frozen=True):
    error: list[str]
    result: dict[str, RestBook] = {}


class RestPair(msgspec.Struct, frozen=True):
    wsname: str | None = None
    status: str = "online"
    tick_size: Decimal | None = None
    lot_decimals: int | None = None


class RestPairs(msgspec.Struct, frozen=True):
    error: list[str]
    result: dict[str, RestPair] = {}


class RestTrading(msgspec.Struct, frozen=True):
    altname: str
    status: str


class RestTradings(msgspec.Struct, frozen=True):
    error: list[str]
    result: dict[str, msgspec.Raw] = {}


class RestFault(msgspec.Struct, frozen=True):
    error: list[str]


_pairs = msgspec.json.Decoder(RestPairs).decode
_trades = msgspec.json.Decoder(RestTrades).decode
_depth = msgspec.json.Decoder(RestDepth).decode
_trading = msgspec.json.Decoder(RestTrading).decode
_tradings = msgspec.json.Decoder(RestTradings).decode
_fault = msgspec.json.Decoder(RestFault).decode


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
    answer = _trades(body)
    _refused("Trades", answer.error)
    pairs = [rows for name, rows in answer.result.items() if name != "last"]
    if len(pairs) != 1 or isinstance(pairs[0], str):
        raise FrameError(f"Trades of {instrument}: not one pair but {', '.join(answer.result) or 'none'}")
    trades: list[Trade] = []
    for raw in pairs[0]:
        if not positive(raw.price, raw.volume):
            raise FrameError(f"trade {raw.trade_id} of {instrument}: {raw.volume} at {raw.price}")
        if raw.side not in SIDES:
            raise FrameError(f"trade {raw.trade_id} of {instrument}: side {raw.side!r}")
        trades.append(
            Trade(
                ID, instrument, seconds_ns(raw.time), received_ts, raw.price, raw.volume, SIDES[raw.side], str(raw.trade_id), True
            )
        )  # fmt: skip
    return page(instrument, trades, received_ts)


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
    return side(levels[0].price, levels[0].volume) if levels else EMPTY


def _refused(what: str, error: Sequence[str]) -> None:
    if error:
        raise FrameError(f"{what}: {', '.join(error)}")


def parse_instruments(body: bytes) -> list[Instrument]:
    """`AssetPairs`. The names are those of `wsname`, with our names of the assets; pairs without one and dark pools are left out."""
    answer = _pairs(body)
    _refused("AssetPairs", answer.error)
    found: list[Instrument] = []
    for name, pair in answer.result.items():
        base, slash, quote = (pair.wsname or "").partition("/")
        if not slash or name.endswith(".d"):
            continue
        base, quote = asset(base), asset(quote)
        step = Decimal(1).scaleb(-pair.lot_decimals) if pair.lot_decimals is not None and 0 <= pair.lot_decimals <= 18 else None
        found.append(
            Instrument(spot(base, quote), ID, f"{base}/{quote}", base, quote, pair.tick_size, step, active=pair.status == "online")
        )
    return found


def parse_trading(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """Of `AssetPairs`. With limit orders only a pair can still be traded; with `cancel_only`, `post_only`, `delisted` … it cannot."""
    answer = _tradings(body)
    _refused("AssetPairs", answer.error)
    found: dict[str, str] = {}
    unread = False
    for raw in answer.result.values():
        try:
            row = _trading(raw)
        except msgspec.ValidationError:
            unread = True
            continue
        found[row.altname] = "" if row.status in ("online", "limit_only") else row.status
    names = {symbol: rest_name(symbol) for symbol in symbols}
    return {symbol: found.get(name, NOT_LISTED) for symbol, name in names.items() if name in found or not unread}


def rest_error(body: bytes) -> str | None:
    """Errors come with HTTP 200: `{"error": ["EAPI:Rate limit exceeded"]}`."""
    try:
        return ", ".join(_fault(body).error) or None
    except msgspec.MsgspecError:
        return None
