"""Bybit's REST: best prices, trades and candles (`listing` has the instruments). Requests name a category; answers are in one envelope.

Limits  600 requests in five seconds for one address; beyond them HTTP 403 with "access too frequent", which stays for ten minutes. A 403
        with another body is a refusal of our country
Trades  `recent-trade`: the newest 60 on spot, newest first, without paging; ids are those of the stream
Candles newest first, the last one running; the candle that contains `start` is in the answer
Quirks  errors come with HTTP 200 and a `retCode`
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.bybit.figures import made_candle
from crosstape_connector.venues.bybit.frames import TIMEFRAMES
from crosstape_connector.venues.bybit.stream import SIDES, is_number
from crosstape_connector.venues.messages import CandleSnapshot, Odd, TradeSnapshot
from crosstape_connector.venues.parsing.answers import fault_message, read_rows, rest_trade, trade_page
from crosstape_connector.venues.parsing.candles import snapshot
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_connector.venues.parsing.rows import readable, rows_decoder
from crosstape_connector.venues.parsing.wire import Stamp, epoch_ns, side_of
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Candle, Instrument, Quote, Trade
from crosstape_schemas.timeframes import LENGTHS

SPOT: Final = "spot"
PAGE: Final = 60
"""Trades in an answer about spot: the venue's most."""
CANDLES: Final = 1_000
"""Candles in an answer: the venue's most."""
BAN_S: Final = 600.0
BUSY_S: Final = 5.0
BUSY: Final = frozenset({10006, 10429})
"""`retCode` of an answer that asks for fewer requests."""
_MS: Final = 1_000_000
_MONTH_NS: Final = 31 * LENGTHS["1d"]
R = TypeVar("R")
T = TypeVar("T")


class RestRows(msgspec.Struct, frozen=True):
    rows: list[msgspec.Raw] = msgspec.field(name="list")


class RestResult(msgspec.Struct, frozen=True):
    result: RestRows
    time: Stamp | None = None


class RestTop(msgspec.Struct, frozen=True):
    symbol: str
    bid: str = msgspec.field(name="bid1Price")
    bid_size: str = msgspec.field(name="bid1Size")
    ask: str = msgspec.field(name="ask1Price")
    ask_size: str = msgspec.field(name="ask1Size")


class RestTrade(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="execId")
    price: str
    size: str
    side: str
    time: str


class RestCandle(msgspec.Struct, frozen=True, array_like=True):
    start: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    turnover: str


class RestFault(msgspec.Struct, frozen=True):
    code: int = msgspec.field(name="retCode")
    text: str = msgspec.field(name="retMsg", default="")


decode_result: Final = rows_decoder(RestResult, 3)
_top = msgspec.json.Decoder(RestTop).decode
_fault = msgspec.json.Decoder(RestFault).decode


def _reader(row: type[R]) -> Callable[[bytes, Callable[[R], T], str], tuple[list[T], list[Odd]]]:
    """Return `answers.read_rows` for answers whose `result` has a `list`: (body, `read`, `what`) → what is read, and the odd rows."""
    rows = msgspec.defstruct("Rows", [("list", list[row])], frozen=True)  # type: ignore[valid-type]
    answer = msgspec.defstruct("Answer", [("result", rows)], frozen=True)
    all_rows: Callable[[bytes], Any] = msgspec.json.Decoder(answer).decode
    one_row = msgspec.json.Decoder(row).decode

    def reader(body: bytes, read: Callable[[R], T], what: str) -> tuple[list[T], list[Odd]]:
        return read_rows(lambda: all_rows(body).result.list, lambda: decode_result(body).result.rows, one_row, read, what)

    return reader


_trades = _reader(RestTrade)
_candles = _reader(RestCandle)


def stamp_of(text: str) -> int:
    """Return a time in ms from its text. Raises `FrameError`."""
    if is_number(text) and len(text) <= len("9000000000000000"):
        return int(text)
    raise FrameError(f"not a time: {text[:40]!r}")


def trades_path(symbol: str) -> str:
    """Return the path of spot's newest trades: the venue has no request for older ones."""
    return f"/v5/market/recent-trade?category={SPOT}&symbol={quoted(symbol)}&limit={PAGE}"


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """`side` is the taker's."""

    def read(raw: RestTrade) -> Trade:
        if not is_number(raw.id):
            raise FrameError(f"not the id of a trade: {raw.id[:40]!r}")
        return rest_trade(
            instrument.venue, instrument.name, received_ts,
            trade_id=int(raw.id), price=raw.price, size=raw.size, taker=SIDES.get(raw.side), venue_ts=epoch_ns(stamp_of(raw.time)),
        )  # fmt: skip

    return trade_page(instrument.name, received_ts, _trades(body, read, f"trades of {instrument.name}"))


def quotes_path(category: str) -> Callable[[Sequence[str]], str]:
    """Return what makes the path of the best prices: of one symbol, or of all."""

    def path(symbols: Sequence[str]) -> str:
        symbol = f"&symbol={quoted(symbols[0])}" if len(symbols) == 1 else ""
        return f"/v5/market/tickers?category={category}{symbol}"

    return path


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> list[Quote | Odd]:
    """Return the best prices of those that were asked for, with the time of the answer. A side without orders is null."""
    answer = decode_result(body)
    made_ts = None if answer.time is None else epoch_ns(answer.time)
    odd: list[Odd] = []

    def read(raw: msgspec.Raw) -> Quote | None:
        row = _top(raw)
        instrument = symbols.get(row.symbol)
        if instrument is None:
            return None
        sides = _side(instrument, row.bid, row.bid_size), _side(instrument, row.ask, row.ask_size)
        return Quote(instrument.venue, instrument.name, made_ts, received_ts, *sides[0], *sides[1])

    found = readable(answer.result.rows, read, "quote", odd)
    return [*(one for one in found if one is not None), *odd]


def _side(instrument: Instrument, price: str, size: str) -> tuple[Decimal, Decimal] | tuple[None, None]:
    found, contracts = side_of(price or "0", size or "0")
    return (None, None) if found is None or contracts is None else (found, base_size(instrument, contracts, found))


def range_path(category: str) -> Callable[[str, str, int, int], str]:
    """Return what makes the path of candles, see `PastCandles.path`. It names both bounds."""

    def path(symbol: str, timeframe: str, first_ts: int, last_ts: int) -> str:
        times = f"start={max(0, first_ts) // _MS}&end={last_ts // _MS}"
        return f"/v5/market/kline?category={category}&symbol={quoted(symbol)}&interval={TIMEFRAMES[timeframe]}&{times}&limit={CANDLES}"

    return path


def candles_path(category: str) -> Callable[[str, str, int], str]:
    """Return what makes the path of a page of candles from a time on, see `CandleSource.path`."""
    between = range_path(category)

    def path(symbol: str, timeframe: str, since_ts: int) -> str:
        return between(symbol, timeframe, since_ts, since_ts + (CANDLES - 1) * LENGTHS.get(timeframe, _MONTH_NS))

    return path


def parse_candles(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """Return the candles of an answer, oldest first. Nothing in a row says that it is closed."""

    def read(row: RestCandle) -> Candle:
        texts = row.open, row.high, row.low, row.close, row.volume, row.turnover
        return made_candle(instrument, timeframe, stamp_of(row.start), texts, received_ts)

    candles, odd = _candles(body, read, f"{timeframe} candles of {instrument.name}")
    return snapshot(instrument.name, timeframe, candles, received_ts, odd)


def asked_to_wait(status: int, body: bytes) -> float | None:
    """See `Venue.asked_to_wait`: the ban of an address is a 403, as is the refusal of a country, which no waiting ends."""
    if status == 403:
        return BAN_S if b"too frequent" in body.lower() else None
    try:
        return BUSY_S if _fault(body).code in BUSY else None
    except FRAME_ERRORS:
        return None


rest_error = fault_message(_fault, lambda fault: f"{fault.code} {fault.text}".strip() if fault.code else "")
"""`{"retCode": 10001, "retMsg": "…"}`, with HTTP 200."""
