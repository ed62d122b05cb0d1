"""Bitstamp's REST: trades, best bid and ask, instruments and whether they trade.

Limits  400 requests a second, and 10,000 in ten minutes, for one client
Candles `ohlc`, oldest first: with `end`, `start` is ignored, so that a range is asked for by its start alone. A row may be there twice,
        with different figures. An interval without trades has a row at the close of the *next* one, which nobody could know then
Quirks  `transactions` are those of the last minute, hour or day, newest first, without paging; their times are whole seconds, and `type` is
        a text; `ticker` has the best prices without their sizes, so a quote is the top of `order_book`, which comes complete
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.venues.bitstamp.stream import ID, micros_ns
from crosstape_connector.venues.messages import CandleSnapshot, Odd, OddRow, TradeSnapshot
from crosstape_connector.venues.parsing.answers import (
    RestLevel,
    best_quote,
    fault_message,
    list_reader,
    rest_trade,
    trade_page,
    trading_states,
)
from crosstape_connector.venues.parsing.candles import candle, snapshot
from crosstape_connector.venues.parsing.listing import asset_of, listed
from crosstape_connector.venues.parsing.numbers import figure
from crosstape_connector.venues.parsing.rows import readable, rows_decoder
from crosstape_connector.venues.parsing.wire import Serial, seconds_ns
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Candle, Instrument, Quote, Side, Trade, asset, spot
from crosstape_schemas.timeframes import LENGTHS, SECOND

PAGE: Final = 1_000_000
"""Trades in an answer at most: it holds all of the hour, so that it is never cut."""
SIDES: Final = {"0": Side.BUY, "1": Side.SELL}
"""The taker's."""
ASSETS: Final = {"UST": "USTC"}
"""Their name of an asset → ours: `UST` was TerraUSD here (https://github.com/ccxt/ccxt, `commonCurrencies` of Bitstamp)."""
STATES: Final = frozenset({"Enabled", "Disabled"})
"""What `trading` may be."""
PERPETUAL: Final = "-PERP"
_serial = msgspec.json.Decoder(Serial).decode


class RestTrade(msgspec.Struct, frozen=True):
    tid: str
    date: str
    price: str
    amount: str
    type: str


class RestCandle(msgspec.Struct, frozen=True):
    timestamp: str
    open: str
    high: str
    low: str
    close: str
    volume: str


class RestOhlc(msgspec.Struct, frozen=True):
    ohlc: list[msgspec.Raw]


class RestCandles(msgspec.Struct, frozen=True):
    data: RestOhlc


class RestBook(msgspec.Struct, frozen=True):
    microtimestamp: str
    bids: list[RestLevel]
    asks: list[RestLevel]


class RestPair(msgspec.Struct, frozen=True):
    name: str
    url_symbol: str
    trading: str
    base_decimals: int | None = None
    counter_decimals: int | None = None


class RestFault(msgspec.Struct, frozen=True):
    reason: msgspec.Raw
    code: str = ""


_trades = list_reader(RestTrade)
_book = msgspec.json.Decoder(RestBook).decode
_pairs = rows_decoder(list[msgspec.Raw], 1)
_candles = rows_decoder(RestCandles, 3)
_candle = msgspec.json.Decoder(RestCandle).decode
_pair = msgspec.json.Decoder(RestPair).decode


def ours(name: str) -> str:
    """Return our name of the venue's asset."""
    return ASSETS.get(name) or asset(name)


def trades_path(market: str) -> str:
    """Return the path of all trades of the last hour: the venue has no request from an id or a time."""
    return f"/api/v2/transactions/{quoted(market)}/?time=hour"


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """`type` 0: the taker bought."""

    def read(raw: RestTrade) -> Trade:
        return rest_trade(
            ID, instrument.name, received_ts,
            trade_id=_serial(raw.tid), price=raw.price, size=raw.amount, taker=SIDES.get(raw.type),
            venue_ts=seconds_ns(figure(raw.date)),
        )  # fmt: skip

    return trade_page(instrument.name, received_ts, _trades(body, read, f"trades of {instrument.name}"))


def span_path(span: str) -> Callable[[str], str]:
    """Return what makes the path of all trades of the last `hour` or `day`."""
    return lambda market: f"/api/v2/transactions/{quoted(market)}/?time={span}"


STEPS: Final = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
"""What `ohlc` has of our timeframes."""
CANDLES: Final = 1_000
"""Candles in an answer: the venue's most."""


def candles_path(market: str, timeframe: str, first_ts: int, last_ts: int) -> str:
    """See `PastCandles.path`: from the start, as many as an answer holds."""
    start = max(0, first_ts) // SECOND
    return f"/api/v2/ohlc/{quoted(market)}/?step={LENGTHS[timeframe] // SECOND}&limit={CANDLES}&start={start}"


def parse_candles(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """Return the candles in which something was traded; of two with one time the later row."""

    def read(raw: msgspec.Raw) -> Candle | None:
        row = _candle(raw)
        volume = figure(row.volume)
        if not volume:
            return None
        prices = figure(row.open), figure(row.high), figure(row.low), figure(row.close)
        open_ts = _serial(row.timestamp) * SECOND
        return candle(ID, instrument.name, timeframe, open_ts, prices, volume=volume, venue_ts=None, received_ts=received_ts)

    odd: list[Odd] = []
    what = f"{timeframe} candles of {instrument.name}"
    made = [one for one in readable(_candles(body).data.ohlc, read, what, odd) if one is not None]
    by_open = {one.open_ts: one for one in made}
    return snapshot(instrument.name, timeframe, by_open.values(), received_ts, odd)


def quotes_path(markets: Sequence[str]) -> str:
    """Return the path of the book of one market, with one level per price."""
    (market,) = markets
    return f"/api/v2/order_book/{quoted(market)}/?group=1"


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> list[Quote]:
    """Return the best levels of the one requested market."""
    instrument = next(iter(symbols.values())).name
    book = _book(body)
    return best_quote(ID, instrument, book.bids, book.asks, venue_ts=micros_ns(book.microtimestamp), received_ts=received_ts)


def parse_instruments(body: bytes) -> Sequence[Instrument | OddRow]:
    """`trading-pairs-info`. Perpetuals are left out: they are another venue's here."""
    return listed(_pairs(body), _instrument, _named)


def _instrument(raw: msgspec.Raw) -> tuple[Instrument, str] | None:
    pair = _pair(raw)
    if pair.name.endswith(PERPETUAL):
        return None
    base, _, quote = pair.name.partition("/")
    base, quote = ours(asset_of(base, "the base in name")), ours(asset_of(quote, "the quote in name"))
    trouble = "" if pair.trading in STATES else f"trading {pair.trading!r} is not known"
    tick, step, active = _step(pair.counter_decimals), _step(pair.base_decimals), pair.trading == "Enabled"
    return Instrument(spot(base, quote), ID, asset_of(pair.url_symbol, "url_symbol"), base, quote, tick, step, active=active), trouble


def _step(decimals: int | None) -> Decimal | None:
    return Decimal(1).scaleb(-decimals) if decimals is not None and 0 <= decimals <= 18 else None


def _named(row: Any) -> tuple[str, str]:
    name, symbol = row.get("name"), row.get("url_symbol")
    base, slash, quote = name.partition("/") if isinstance(name, str) else ("", "", "")
    return symbol if isinstance(symbol, str) else "", spot(ours(base), ours(quote)) if slash and base and quote else ""


def parse_trading(body: bytes, markets: Sequence[str]) -> dict[str, str]:
    """Parse `trading-pairs-info`, which lists all pairs."""

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        pair = _pair(raw)
        return pair.url_symbol, "" if pair.trading == "Enabled" else pair.trading or "no state"

    return trading_states(_pairs(body), read, dict(zip(markets, markets, strict=True)))


rest_error = fault_message(
    msgspec.json.Decoder(RestFault).decode, lambda fault: f"{fault.code} {bytes(fault.reason).decode()}".replace('"', "").strip()
)
"""`{"status": "error", "reason": …, "code": "400.002"}`; the reason is a text, or a table of texts by field."""
