"""Gate's REST of perpetuals: contracts and whether they trade, trades, best prices, candles.

Docs    https://www.gate.com/docs/developers/apiv4/en/#futures
Quirks  as on spot; sizes are contracts, which are whole numbers unless the header `X-Gate-Size-Decimal` is sent; times of trades are in s
        with decimals. Trades can be asked for between two times, but nothing says which come if there are more than a page holds. Of
        candles 2,000 come at once; `1w` begins on Monday, `7d` on Thursday, `30d` is a month of the calendar. `contract_type` names what
        is no cryptocurrency: stocks, metals, currencies
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.gateio.futures import sized
from crosstape_connector.venues.gateio.rest import API, MONTH, Paths, decode_rows
from crosstape_connector.venues.gateio.values import FUTURES, TIMEFRAMES, candle, contracts_of, moment, text_of
from crosstape_connector.venues.messages import CandleSnapshot, OddRow, TradeSnapshot
from crosstape_connector.venues.parsing import candles
from crosstape_connector.venues.parsing.answers import RestLevel, best_quote, list_reader, rest_trade, trade_page, trading_states
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_connector.venues.parsing.listing import asset_of, listed, step_of
from crosstape_connector.venues.parsing.numbers import figure
from crosstape_connector.venues.parsing.wire import ZERO, Serial, Stamp, side_of
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Candle, Instrument, Quote, Side, Trade, asset, perpetual

PATHS: Final = Paths(f"{API}/futures/usdt", "contract", {**TIMEFRAMES, "1w": "1w", **MONTH}, 2_000)
CRYPTO: Final = frozenset({"", "crypto"})
TRADING: Final = frozenset({"", "trading"})
STATUSES: Final = frozenset({*TRADING, "prelaunch", "delisting", "delisted", "circuit_breaker"})
DELISTING: Final = "in delisting"
NULL: Final = msgspec.Raw(b"null")
DOLLAR: Final = Decimal(1)


class RestTrade(msgspec.Struct, frozen=True):
    id: msgspec.Raw
    size: int | str
    price: str
    create_time: msgspec.Raw = NULL
    create_time_ms: msgspec.Raw = NULL
    is_internal: bool = False


class RestRow(msgspec.Struct, frozen=True):
    p: str
    s: int | str


class RestBook(msgspec.Struct, frozen=True):
    current: msgspec.Raw
    bids: list[RestRow]
    asks: list[RestRow]


class RestContract(msgspec.Struct, frozen=True):
    name: str
    multiplier: str = msgspec.field(name="quanto_multiplier")
    type: str = ""
    kind: str = msgspec.field(name="contract_type", default="")
    status: str = ""
    in_delisting: bool = False
    tick: msgspec.Raw = msgspec.field(name="order_price_round", default=NULL)
    least: msgspec.Raw = msgspec.field(name="order_size_min", default=NULL)
    has_decimals: bool = msgspec.field(name="enable_decimal", default=False)


class RestCandle(msgspec.Struct, frozen=True):
    t: Stamp
    o: str
    h: str
    l: str  # noqa: E741
    c: str
    v: int | str
    sum: str | None = None


_trades = list_reader(RestTrade)
_candles = list_reader(RestCandle)
_book = msgspec.json.Decoder(RestBook).decode
_contract = msgspec.json.Decoder(RestContract).decode
_number = msgspec.json.Decoder(Serial, strict=False).decode


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """What was sold has a negative size; takeovers by the venue are no market trades, and left out."""

    def read(raw: RestTrade) -> Trade | None:
        if raw.is_internal:
            return None
        contracts = contracts_of(raw.size)
        stamp = raw.create_time if raw.create_time_ms == NULL else raw.create_time_ms
        trade = rest_trade(
            FUTURES, instrument.name, received_ts,
            trade_id=_number(raw.id), price=raw.price, size=str(abs(contracts)), taker=Side.BUY if contracts > ZERO else Side.SELL,
            venue_ts=moment(text_of(stamp)),
        )  # fmt: skip
        return msgspec.structs.replace(trade, size=sized(instrument, trade.price, trade.size, f"trade {trade.trade_id}"))

    found, odd = _trades(body, read, f"trades of {instrument.name}")
    return trade_page(instrument.name, received_ts, ([trade for trade in found if trade is not None], odd))


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> list[Quote]:
    """Return the best levels of the one requested contract."""
    (instrument,) = symbols.values()
    book = _book(body)
    bids, asks = _levels(instrument, book.bids), _levels(instrument, book.asks)
    venue_ts = moment(text_of(book.current))
    return best_quote(FUTURES, instrument.name, bids, asks, venue_ts=venue_ts, received_ts=received_ts)


def _levels(instrument: Instrument, rows: Sequence[RestRow]) -> list[RestLevel]:
    """Return the first level in base units; a size that was cut to zero stays zero."""
    made = []
    for row in rows[:1]:
        price, contracts = side_of(row.p, str(row.s))
        size = "0" if price is None or contracts is None else f"{base_size(instrument, contracts, price):f}"
        made.append(RestLevel(row.p, size))
    return made


def parse_candles(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """Return the candles of an answer, oldest first. `v` counts contracts, `sum` is the turnover."""

    def read(row: RestCandle) -> Candle:
        turnover = None if row.sum is None or instrument.inverse else figure(row.sum)
        prices = row.o, row.h, row.l, row.c
        return candle(instrument, timeframe, row.t, prices, volume=contracts_of(row.v), turnover=turnover, received_ts=received_ts)

    found, odd = _candles(body, read, f"candles of {instrument.name}")
    return candles.snapshot(instrument.name, timeframe, found, received_ts, odd)


def parse_instruments(body: bytes) -> Sequence[Instrument | OddRow]:
    """`contracts`: perpetuals. An inverse one, whose multiplier is 0, is one US dollar."""
    return listed(decode_rows(body), _instrument, _named)


def _instrument(raw: msgspec.Raw) -> tuple[Instrument, str] | None:
    row = _contract(raw)
    if row.kind not in CRYPTO:
        return None
    base, quote = _assets(row.name)
    multiplier, inverse = figure(row.multiplier), row.type == "inverse"
    if multiplier < ZERO or (multiplier == ZERO) != inverse:
        raise FrameError(f"a multiplier of {row.multiplier[:40]!r}")
    size = DOLLAR if inverse else multiplier
    least = None if row.has_decimals else step_of(row.least)
    trouble = "" if row.status in STATUSES else f"status {row.status[:40]!r} is not known"
    return Instrument(
        perpetual(base, quote), FUTURES, row.name, asset(base), asset(quote), step_of(row.tick), None if least is None else least * size,
        size, active=not _halted(row), inverse=inverse,
    ), trouble  # fmt: skip


def _assets(name: str) -> tuple[str, str]:
    base, _, quote = name.rpartition("_")
    return asset_of(base, "the base in the name"), asset_of(quote, "the quote in the name")


def _halted(row: RestContract) -> str:
    """Return why a contract does not trade; empty: it does."""
    if row.status not in TRADING:
        return row.status
    return DELISTING if row.in_delisting else ""


def _named(row: Any) -> tuple[str, str]:
    symbol = row.get("name")
    if not isinstance(symbol, str):
        return "", ""
    base, _, quote = symbol.rpartition("_")
    return symbol, perpetual(base, quote) if base and quote else ""


def parse_trading(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """`contracts`: a contract that has ended is not in it any more."""

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _contract(raw)
        return row.name, _halted(row)

    return trading_states(decode_rows(body), read, dict(zip(symbols, symbols, strict=True)))
