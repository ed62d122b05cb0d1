"""Gate's REST: errors of both markets, and spot's answers.

Docs    https://www.gate.com/docs/developers/apiv4/en/
Limits  200 requests in 10 s for each path of an address, of which we count all together
Quirks  an error is `{"label", "message"}` with HTTP 4xx. Trades are newest first, with ids of all pairs. Candles are oldest first,
        `[s, turnover, close, high, low, open, volume, closed]`, flat where there were no trades; more than 1,000 of them between two times
        are refused, as are those before the newest 10,000. `tickers` of all pairs have no sizes: the quote is the first level of a book
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.gateio.values import SECOND, SIDES, SPOT, TIMEFRAMES, candle, moment, text_of
from crosstape_connector.venues.messages import CandleSnapshot, OddRow, TradeSnapshot
from crosstape_connector.venues.parsing import candles
from crosstape_connector.venues.parsing.answers import (
    RestLevel,
    best_quote,
    fault_message,
    list_reader,
    rest_trade,
    trade_page,
    trading_states,
)
from crosstape_connector.venues.parsing.listing import asset_of, listed
from crosstape_connector.venues.parsing.numbers import figure
from crosstape_connector.venues.parsing.rows import rows_decoder
from crosstape_connector.venues.parsing.wire import Serial
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Candle, Instrument, Quote, Trade, spot

API: Final = "/api/v4"
PAGE: Final = 1_000
"""Trades in an answer: the venue's most."""
REACH: Final = 10_000
"""How many intervals candles go back."""
MONTH: Final = {"1M": "30d"}
"""A timeframe of past candles: their 30 days are a month of the calendar."""
TRADABLE: Final = "tradable"
STATUSES: Final = frozenset({TRADABLE, "buyable", "sellable", "untradable"})
DIGITS: Final = 24
"""Decimals of a price or a size at most."""
STEP: Final = Decimal(1)


class Paths(NamedTuple):
    """The paths of the requests of one market. `what`: how they call a symbol; `timeframes`: ours → theirs; `candles`: the most at once."""

    base: str
    what: str
    timeframes: Mapping[str, str]
    candles: int

    def newest(self, symbol: str) -> str:
        """Return the path of the newest trades."""
        return f"{self.base}/trades?{self.what}={quoted(symbol)}&limit={PAGE}"

    def below(self, symbol: str, before: int) -> str:
        """See `TradesById.path`: the newest trades with an id below that."""
        return f"{self.newest(symbol)}&last_id={before}&reverse=true"

    def best(self, symbols: Sequence[str]) -> str:
        """Return the path of the first level a side of one symbol's book."""
        (symbol,) = symbols
        return f"{self.base}/order_book?{self.what}={quoted(symbol)}&limit=1"

    def since(self, symbol: str, timeframe: str, since_ts: int) -> str:
        """Return the path of the candles from that time (ns) up to now."""
        query = f"{self.what}={quoted(symbol)}&interval={self.timeframes[timeframe]}"
        return f"{self.base}/candlesticks?{query}&from={max(0, since_ts) // SECOND}"

    def between(self, symbol: str, timeframe: str, first_ts: int, last_ts: int) -> str:
        """See `PastCandles.path`."""
        return f"{self.since(symbol, timeframe, first_ts)}&to={last_ts // SECOND}"


class RestTrade(msgspec.Struct, frozen=True):
    id: msgspec.Raw
    side: str
    amount: str
    price: str
    create_time_ms: msgspec.Raw


class RestBook(msgspec.Struct, frozen=True):
    current: msgspec.Raw
    bids: list[RestLevel]
    asks: list[RestLevel]


class RestPair(msgspec.Struct, frozen=True):
    id: str
    base: str
    quote: str
    trade_status: str
    precision: int | None = None
    amount_precision: int | None = None


class RestState(msgspec.Struct, frozen=True):
    id: str
    trade_status: str


class RestCandle(msgspec.Struct, frozen=True, array_like=True):
    start: str
    turnover: str
    close: str
    high: str
    low: str
    open: str
    volume: str
    closed: str | bool = ""


class RestFault(msgspec.Struct, frozen=True):
    label: str
    message: str = ""


PATHS: Final = Paths(f"{API}/spot", "currency_pair", {**TIMEFRAMES, **MONTH}, 1_000)
_trades = list_reader(RestTrade)
_candles = list_reader(RestCandle)
_book = msgspec.json.Decoder(RestBook).decode
_pair = msgspec.json.Decoder(RestPair).decode
_state = msgspec.json.Decoder(RestState).decode
_number = msgspec.json.Decoder(Serial, strict=False).decode
decode_rows: Final = rows_decoder(list[msgspec.Raw], 1)


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """`side` is the taker's."""

    def read(raw: RestTrade) -> Trade:
        return rest_trade(
            SPOT, instrument.name, received_ts,
            trade_id=_number(raw.id), price=raw.price, size=raw.amount, taker=SIDES.get(raw.side),
            venue_ts=moment(text_of(raw.create_time_ms)),
        )  # fmt: skip

    return trade_page(instrument.name, received_ts, _trades(body, read, f"trades of {instrument.name}"))


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> list[Quote]:
    """Return the best levels of the one requested pair."""
    (instrument,) = symbols.values()
    book = _book(body)
    venue_ts = moment(text_of(book.current))
    return best_quote(SPOT, instrument.name, book.bids, book.asks, venue_ts=venue_ts, received_ts=received_ts)


def parse_candles(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """Return the candles of an answer, oldest first. The last column is missing in old answers, as is the volume's in older ones."""

    def read(row: RestCandle) -> Candle:
        return candle(
            instrument, timeframe, moment(row.start) // SECOND, (row.open, row.high, row.low, row.close),
            volume=figure(row.volume), turnover=figure(row.turnover), received_ts=received_ts, closed=row.closed in (True, "true"),
        )  # fmt: skip

    found, odd = _candles(body, read, f"candles of {instrument.name}")
    return candles.snapshot(instrument.name, timeframe, found, received_ts, odd)


def parse_instruments(body: bytes) -> Sequence[Instrument | OddRow]:
    """`currency_pairs`: all pairs, leveraged tokens among them."""
    return listed(decode_rows(body), _instrument, _named)


def _instrument(raw: msgspec.Raw) -> tuple[Instrument, str]:
    row = _pair(raw)
    base, quote, symbol = asset_of(row.base, "base"), asset_of(row.quote, "quote"), asset_of(row.id, "id")
    trouble = "" if row.trade_status in STATUSES else f"status {row.trade_status[:40]!r} is not known"
    steps = _step(row.precision), _step(row.amount_precision)
    return Instrument(spot(base, quote), SPOT, symbol, base, quote, *steps, active=row.trade_status == TRADABLE), trouble


def _step(digits: int | None) -> Decimal | None:
    """Return the step of a number with so many decimals. Raises `FrameError`."""
    if digits is None:
        return None
    if not 0 <= digits <= DIGITS:
        raise FrameError(f"a precision of {digits} decimals")
    return STEP.scaleb(-digits)


def _named(row: Any) -> tuple[str, str]:
    symbol, base, quote = row.get("id"), row.get("base"), row.get("quote")
    name = spot(base, quote) if isinstance(base, str) and isinstance(quote, str) and base and quote else ""
    return symbol if isinstance(symbol, str) else "", name


def parse_trading(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """`currency_pairs`: a pair that can only be bought, or only be sold, does not trade."""

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _state(raw)
        return row.id, "" if row.trade_status == TRADABLE else row.trade_status or "no status"

    return trading_states(decode_rows(body), read, dict(zip(symbols, symbols, strict=True)))


rest_error = fault_message(msgspec.json.Decoder(RestFault).decode, lambda fault: f"{fault.label} {fault.message}".strip())
"""`{"label": "INVALID_CURRENCY_PAIR", "message": "…"}`."""
