"""Gemini's REST: trades, best bid and ask, candles, instruments and whether they trade.

Docs    https://docs.gemini.com/rest/market-data
Limits  120 requests a minute for one address; one a second is recommended
Quirks  of an instrument `tick_size` is the step of sizes and `quote_increment` that of prices, both JSON numbers that may have an exponent.
        Trades are newest first; `since_tid` is that before the first one wanted, and overrules `timestamp`. Levels of a book have a time,
        which is a filler. Candles are newest first, JSON numbers, a fixed number of them: the range that is asked for is ignored
Candles `6hr` and `1day` are left out: the day begins at 04:00 UTC
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.venues.gemini.values import ID, SIDES, TIMEFRAMES, RawCandle, candle_of
from crosstape_connector.venues.messages import CandleSnapshot, OddRow, TradeSnapshot
from crosstape_connector.venues.parsing.answers import (
    RestLevel,
    best_quote,
    fault_message,
    list_reader,
    rest_trade,
    trade_page,
    trading_states,
)
from crosstape_connector.venues.parsing.candles import snapshot
from crosstape_connector.venues.parsing.listing import asset_of, listed, step_of
from crosstape_connector.venues.parsing.numbers import check, doubtful
from crosstape_connector.venues.parsing.rows import rows_decoder
from crosstape_connector.venues.parsing.wire import Serial, Stamp, epoch_ns
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Instrument, Quote, Trade, asset, spot

PAGE: Final = 500
"""Trades in an answer at most."""
CANDLES: Final = 2_015
"""Candles in an answer at most: of `5m`, as seen in 2026-08."""
REACH: Final = 1_343
"""Candles in an answer at least: of `15m`."""
SPOT: Final = "spot"
STATUSES: Final = frozenset({"open", "closed", "cancel_only", "post_only", "limit_only"})
"""What a status may be."""
TRADES: Final = frozenset({"open", "limit_only"})
"""With these it trades; with `post_only` nobody may take."""
NULL: Final = msgspec.Raw(b"null")


class RestTrade(msgspec.Struct, frozen=True):
    tid: Serial
    timestampms: Stamp
    price: str
    amount: str
    type: str


class Level(msgspec.Struct, frozen=True):
    price: str
    amount: str


class RestBook(msgspec.Struct, frozen=True):
    bids: list[Level]
    asks: list[Level]


class RestSymbol(msgspec.Struct, frozen=True):
    symbol: str
    base: str = msgspec.field(name="base_currency")
    quote: str = msgspec.field(name="quote_currency")
    status: str
    product: str = msgspec.field(name="product_type", default=SPOT)
    tick: msgspec.Raw = msgspec.field(name="quote_increment", default=NULL)
    step: msgspec.Raw = msgspec.field(name="tick_size", default=NULL)


class RestStatus(msgspec.Struct, frozen=True):
    symbol: str
    status: str


class RestFault(msgspec.Struct, frozen=True):
    result: str
    reason: str = ""
    message: str = ""


_trades = list_reader(RestTrade)
_candles = list_reader(RawCandle)
_book = msgspec.json.Decoder(RestBook).decode
_symbols = rows_decoder(list[msgspec.Raw], 1)
_symbol = msgspec.json.Decoder(RestSymbol).decode
_status = msgspec.json.Decoder(RestStatus).decode


def newest_path(symbol: str) -> str:
    """Return the path of the newest trades."""
    return f"/v1/trades/{quoted(symbol)}?limit_trades={PAGE}"


def trades_path(symbol: str, first: int) -> str:
    """Return the path of the trades from an id on: the venue wants the one before."""
    return f"{newest_path(symbol)}&since_tid={max(0, first - 1)}"


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """`type` is the taker's side."""

    def read(raw: RestTrade) -> Trade:
        return rest_trade(
            ID, instrument.name, received_ts,
            trade_id=raw.tid, price=raw.price, size=raw.amount, taker=SIDES.get(raw.type), venue_ts=epoch_ns(raw.timestampms),
        )  # fmt: skip

    return trade_page(instrument.name, received_ts, _trades(body, read, f"trades of {instrument.name}"))


def quotes_path(symbols: Sequence[str]) -> str:
    """Return the path of the best levels of one symbol."""
    (symbol,) = symbols
    return f"/v1/book/{quoted(symbol)}?limit_bids=1&limit_asks=1"


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> list[Quote]:
    """Return the best levels of the one requested symbol, without a time: theirs is a filler."""
    (instrument,) = symbols.values()
    book = _book(body)
    bids, asks = ([RestLevel(one.price, one.amount) for one in side] for side in (book.bids, book.asks))
    return best_quote(ID, instrument.name, bids, asks, venue_ts=None, received_ts=received_ts)


def candles_path(symbol: str, timeframe: str, first_ts: int, last_ts: int) -> str:
    """See `PastCandles.path`: the newest, whatever is asked for."""
    return f"/v2/candles/{quoted(symbol)}/{TIMEFRAMES[timeframe]}"


def parse_candles(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """Return the candles of an answer, oldest first."""
    if doubtful(body):
        check(body)

    made, odd = _candles(
        body, lambda row: candle_of(row, instrument.name, timeframe, received_ts), f"{timeframe} candles of {instrument.name}"
    )
    return snapshot(instrument.name, timeframe, made, received_ts, odd)


def parse_instruments(body: bytes) -> Sequence[Instrument | OddRow]:
    """`symbols/details`: of all symbols or, in old recordings, of one. Perpetuals are left out."""
    one_or_all = b"[%s]" % body if body.lstrip()[:1] == b"{" else body
    return listed(_symbols(one_or_all), _instrument, _named)


def _instrument(raw: msgspec.Raw) -> tuple[Instrument, str] | None:
    row = _symbol(raw)
    if row.product != SPOT:
        return None
    base, quote = asset(asset_of(row.base, "base_currency")), asset(asset_of(row.quote, "quote_currency"))
    symbol = asset_of(row.symbol, "symbol").lower()
    trouble = "" if row.status in STATUSES else f"status {row.status[:40]!r} is not known"
    return Instrument(
        spot(base, quote), ID, symbol, base, quote, step_of(row.tick), step_of(row.step), active=row.status in TRADES
    ), trouble


def _named(row: Any) -> tuple[str, str]:
    symbol, base, quote = row.get("symbol"), row.get("base_currency"), row.get("quote_currency")
    is_named = isinstance(base, str) and isinstance(quote, str) and base and quote and row.get("product_type", SPOT) == SPOT
    return symbol.lower() if isinstance(symbol, str) else "", spot(base, quote) if is_named else ""


def parse_trading(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """`symbols/details/all`: with limit orders only it can still be traded."""

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _status(raw)
        return row.symbol.lower(), "" if row.status in TRADES else row.status or "no status"

    return trading_states(_symbols(body), read, dict(zip(symbols, symbols, strict=True)))


rest_error = fault_message(
    msgspec.json.Decoder(RestFault).decode,
    lambda fault: " ".join(filter(None, (fault.reason, fault.message))) if fault.result == "error" else "",
)
"""`{"result": "error", "reason": "Bad Request", "message": …}`."""
