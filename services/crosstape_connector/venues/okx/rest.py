"""OKX's REST: trades, best prices, candles, and errors.

Limits  by request and address, in two seconds: `trades` 100, `candles` 40, all others 20 or more
Quirks  an error comes with HTTP 200 and a `code` that is not "0". Lists are newest first; `after` means older than, `before` newer than,
        both without the one that is named, and `before` alone gives the newest page. Trades can be asked for by id, 100 at a time, of the
        last three months. Of instruments see `instruments`
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.messages import CandleSnapshot, Odd, TradeSnapshot
from crosstape_connector.venues.okx.stream import RawCandle, read_candle
from crosstape_connector.venues.okx.values import SIDES, SPOT_ID, TIMEFRAMES, best, moment
from crosstape_connector.venues.parsing.answers import fault_message, read_rows, rest_trade, trade_page
from crosstape_connector.venues.parsing.candles import snapshot
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_connector.venues.parsing.rows import rows_decoder
from crosstape_connector.venues.parsing.wire import Stamp, epoch_ns
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Candle, Instrument, Quote, Trade
from crosstape_schemas.timeframes import LENGTHS

PAGE: Final = 100
"""Trades in an answer by id: the venue's most. Of the newest it would give 500."""
CANDLES: Final = 300
PAST: Final = 100
"""Candles in an answer of the past: older documents' number, which clients use."""
GOOD: Final = "0"
TOO_MANY: Final = "50011"
WINDOW_S: Final = 2.0
"""The venue counts requests in so many seconds."""
_MONTH: Final = 31 * LENGTHS["1d"]
R = TypeVar("R")
T = TypeVar("T")


class RestRows(msgspec.Struct, frozen=True):
    data: list[msgspec.Raw]


class RestTrade(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="tradeId")
    px: str
    sz: str
    side: str
    ts: str


class RestTop(msgspec.Struct, frozen=True):
    symbol: str = msgspec.field(name="instId")
    bid: str = msgspec.field(name="bidPx")
    bid_size: str = msgspec.field(name="bidSz")
    ask: str = msgspec.field(name="askPx")
    ask_size: str = msgspec.field(name="askSz")
    ts: Stamp


class RestFault(msgspec.Struct, frozen=True):
    code: str
    msg: str = ""


decode_rows: Final = rows_decoder(RestRows, 2)


def data_reader(row: type[R]) -> Callable[[bytes, Callable[[R], T], str], tuple[list[T], list[Odd]]]:
    """Return `answers.read_rows` for the `data` of an answer: (body, `read`, `what`) → what is read, and the odd rows."""
    answer = msgspec.defstruct("Answer", [("data", list[row])], frozen=True)  # type: ignore[valid-type]
    all_rows: Callable[[bytes], Any] = msgspec.json.Decoder(answer, strict=False).decode
    one_row = msgspec.json.Decoder(row, strict=False).decode

    def reader(body: bytes, read: Callable[[R], T], what: str) -> tuple[list[T], list[Odd]]:
        return read_rows(lambda: all_rows(body).data, lambda: decode_rows(body).data, one_row, read, what)

    return reader


_trades = data_reader(RestTrade)
_tops = data_reader(RestTop)
_candles = data_reader(RawCandle)


def newest_path(symbol: str) -> str:
    """Return the path of the newest trades."""
    return f"/api/v5/market/trades?instId={quoted(symbol)}&limit={PAGE}"


def below_path(symbol: str, before: int) -> str:
    """Return the path of the trades with ids below one: the last page of them."""
    return f"/api/v5/market/history-trades?instId={quoted(symbol)}&type=1&after={before}&limit={PAGE}"


def trades_path(symbol: str, first: int, since_ts: int) -> str:
    """Return the path of the page that begins with an id: ids have no gaps, so it ends below the id that is a page later."""
    return below_path(symbol, first + PAGE)


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """`side` is the taker's."""

    def read(raw: RestTrade) -> Trade:
        number, made_ts = raw.id, moment(raw.ts)
        if not (number.isascii() and number.isdecimal() and len(number) <= 19 and int(number) < 1 << 63) or made_ts is None:
            raise FrameError(f"trade {number[:40]!r} of {raw.ts[:40]!r}")
        trade = rest_trade(
            instrument.venue, instrument.name, received_ts,
            trade_id=int(number), price=raw.px, size=raw.sz, taker=SIDES.get(raw.side), venue_ts=made_ts,
        )  # fmt: skip
        return trade if instrument.venue == SPOT_ID else msgspec.structs.replace(trade, size=base_size(instrument, trade.size, trade.price))

    return trade_page(instrument.name, received_ts, _trades(body, read, f"trades of {instrument.name}"))


def quotes_path(symbols: Sequence[str]) -> str:
    """Return the path of the best prices of one instrument."""
    (symbol,) = symbols
    return f"/api/v5/market/ticker?instId={quoted(symbol)}"


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> Sequence[Quote | Odd]:
    """Return the best prices of those that were asked for. An empty side has empty texts."""

    def read(raw: RestTop) -> Quote | None:
        instrument = symbols.get(raw.symbol)
        if instrument is None:
            return None
        sides = (raw.bid, raw.bid_size), (raw.ask, raw.ask_size)
        bid, ask = (best(instrument, *side) if any(side) else (None, None) for side in sides)
        return Quote(instrument.venue, instrument.name, epoch_ns(raw.ts), received_ts, *bid, *ask)

    quotes, odd = _tops(body, read, "quotes")
    return [*(quote for quote in quotes if quote is not None), *odd]


def span(timeframe: str, intervals: int) -> int:
    """Return the length of so many intervals in ms; a month counts 31 days."""
    return LENGTHS.get(timeframe, _MONTH) // 1_000_000 * intervals


def candles_path(symbol: str, timeframe: str, since_ts: int) -> str:
    """Return the path of the page of candles that begins at that time (ns); the venue has the newest 1,440."""
    since_ms = since_ts // 1_000_000
    times = f"before={since_ms - 1}&after={since_ms + span(timeframe, CANDLES)}"
    return f"/api/v5/market/candles?instId={quoted(symbol)}&bar={TIMEFRAMES[timeframe]}&{times}&limit={CANDLES}"


def range_path(symbol: str, timeframe: str, first_ts: int, last_ts: int) -> str:
    """See `PastCandles.path`. Neither bound is included."""
    times = f"before={max(0, first_ts // 1_000_000 - 1)}&after={last_ts // 1_000_000 + 1}"
    return f"/api/v5/market/history-candles?instId={quoted(symbol)}&bar={TIMEFRAMES[timeframe]}&{times}&limit={PAST}"


def parse_candles(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """Return the candles of an answer, oldest first."""

    def read(row: RawCandle) -> Candle:
        return read_candle(instrument, timeframe, row, received_ts)

    candles, odd = _candles(body, read, f"candles of {instrument.name}")
    return snapshot(instrument.name, timeframe, candles, received_ts, odd)


def asked_to_wait(status: int, body: bytes) -> float | None:
    """See `Venue.asked_to_wait`: too many requests may be told with HTTP 200."""
    error = rest_error(body)
    return WINDOW_S if error is not None and error.partition(" ")[0] == TOO_MANY else None


rest_error = fault_message(
    msgspec.json.Decoder(RestFault).decode, lambda fault: "" if fault.code == GOOD else f"{fault.code} {fault.msg}".strip()
)
"""`{"code": "51001", "msg": "…"}`, with HTTP 200."""
