"""Bitget by REST: trades, best prices, candles, errors. What is of spot is v2's `spot`, of contracts its `mix`.

Limits  20 requests a second of one address and path, some 10
Quirks  an error comes with a `code` that is not 00000. Names of candles differ: `1min` on spot, `1m` of contracts and on the socket.
        `fills-history` goes back 90 days, seven of them in one answer, newest first, before an id; the best prices are in the ticker's row
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeVar
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.venues.bitget.values import SIDES, TIMEFRAMES, candle, made_ms, product_of
from crosstape_connector.venues.messages import CandleSnapshot, Odd, TradeSnapshot
from crosstape_connector.venues.parsing.answers import fault_message, read_rows, rest_trade, trade_page
from crosstape_connector.venues.parsing.rows import rows_decoder
from crosstape_connector.venues.parsing.wire import Serial, Stamp, epoch_ns, side_of
from crosstape_connector.venues.spec import Symbols, lookup
from crosstape_schemas import Candle, Instrument, Quote, Trade
from crosstape_schemas.timeframes import LENGTHS

R = TypeVar("R")
T = TypeVar("T")
PAGE: Final = 1_000
"""Rows in an answer of trades or candles: the venue's most."""
OLD_PAGE: Final = 200
"""The same of `history-candles`."""
FIRST_ID: Final = 1 << 58
"""Ids below this would be of 2017-09 or before: they are not made of the time."""
WEEK_MS: Final = 7 * 86_400_000
SPOT_NAMES: Final = {
    "1m": "1min", "5m": "5min", "15m": "15min", "30m": "30min", "1h": "1h", "4h": "4h",
    "6h": "6Hutc", "12h": "12Hutc", "1d": "1Dutc", "1w": "1Wutc", "1M": "1Mutc",
}  # fmt: skip
"""Our timeframes → theirs, by REST of spot."""
Market = Literal["spot", "mix"]


class Fault(msgspec.Struct, frozen=True):
    code: str
    msg: str = ""


class RestTrade(msgspec.Struct, frozen=True):
    id: Serial = msgspec.field(name="tradeId")
    price: str
    size: str
    side: str
    ts: Stamp


class RestTop(msgspec.Struct, frozen=True):
    symbol: str
    bid: str = msgspec.field(name="bidPr")
    bid_size: str = msgspec.field(name="bidSz")
    ask: str = msgspec.field(name="askPr")
    ask_size: str = msgspec.field(name="askSz")
    ts: Stamp | None = None


class RestCandle(msgspec.Struct, frozen=True, array_like=True):
    start: Stamp
    open: str
    high: str
    low: str
    close: str
    base: str
    quote: str
    other: str | None = None


class Rows(msgspec.Struct, frozen=True):
    data: list[msgspec.Raw]


rows_of = rows_decoder(Rows, 2)
rest_error = fault_message(
    msgspec.json.Decoder(Fault).decode, lambda fault: "" if fault.code == "00000" else f"{fault.code} {fault.msg}".strip()
)
"""`{"code": "40034", "msg": "…"}`."""


def unknown(error: str) -> bool:
    """Whether an error says that a symbol is not listed."""
    return "40034" in error or "does not exist" in error


def _reader(row: type[R]) -> Callable[[bytes, Callable[[R], T], str], tuple[list[T], list[Odd]]]:
    """Return `read_rows` of an answer whose `data` is a list of these rows."""
    decode = msgspec.json.Decoder(row, strict=False).decode  # numbers are texts

    def reader(body: bytes, read: Callable[[R], T], what: str) -> tuple[list[T], list[Odd]]:
        return read_rows(lambda: map(decode, rows_of(body).data), lambda: rows_of(body).data, decode, read, what)

    return reader


_trades = _reader(RestTrade)
_tops = _reader(RestTop)
_candles = _reader(RestCandle)


def about(symbol: str) -> str:
    """Return the query of one symbol: of a contract it names the product."""
    return f"symbol={quoted(symbol)}&productType={product_of(symbol)}"


def newest_path(market: Market) -> Callable[[str], str]:
    """Return what makes the path of the newest trades."""
    query = quoted_symbol if market == "spot" else about
    return lambda symbol: f"/api/v2/{market}/market/fills-history?{query(symbol)}&limit={PAGE}"


def past_path(market: Market) -> Callable[[str, int], str]:
    """Return `TradesById.path`: the newest trades before an id, whose time says which week to ask for."""
    newest = newest_path(market)

    def of(symbol: str, trade_id: int) -> str:
        if trade_id < FIRST_ID:
            return f"{newest(symbol)}&idLessThan={trade_id}"
        end_ms = made_ms(trade_id) + 1
        return f"{newest(symbol)}&idLessThan={trade_id}&startTime={end_ms - WEEK_MS}&endTime={end_ms}"

    return of


def quoted_symbol(symbol: str) -> str:
    """Return the query of one symbol of spot."""
    return f"symbol={quoted(symbol)}"


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """`side` is the taker's."""

    def read(raw: RestTrade) -> Trade:
        return rest_trade(
            instrument.venue, instrument.name, received_ts,
            trade_id=raw.id, price=raw.price, size=raw.size, taker=SIDES.get(raw.side), venue_ts=epoch_ns(raw.ts),
        )  # fmt: skip

    return trade_page(instrument.name, received_ts, _trades(body, read, f"trades of {instrument.name}"))


def quotes_path(market: Market) -> Callable[[Sequence[str]], str]:
    """Return what makes the path of the best prices of one symbol."""
    place, query = ("tickers", quoted_symbol) if market == "spot" else ("ticker", about)
    return lambda symbols: f"/api/v2/{market}/market/{place}?{query(symbols[0])}"


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> Sequence[Quote | Odd]:
    """Return the best prices of the one requested symbol."""

    def read(raw: RestTop) -> Quote:
        instrument = lookup(symbols, raw.symbol)
        venue_ts = None if raw.ts is None else epoch_ns(raw.ts)
        bid, ask = side_of(raw.bid, raw.bid_size), side_of(raw.ask, raw.ask_size)
        return Quote(instrument.venue, instrument.name, venue_ts, received_ts, *bid, *ask)

    quotes, odd = _tops(body, read, "quotes")
    return [*quotes, *odd]


def candles_path(market: Market) -> Callable[[str, str, int], str]:
    """Return `CandleSource.path`: one interval more, as clients have found that the beginning itself is left out."""
    query, names = (quoted_symbol, SPOT_NAMES) if market == "spot" else (about, TIMEFRAMES)

    def of(symbol: str, timeframe: str, since_ts: int) -> str:
        start_ms = max(0, since_ts - LENGTHS.get(timeframe, 31 * LENGTHS["1d"])) // 1_000_000
        return f"/api/v2/{market}/market/candles?{query(symbol)}&granularity={names[timeframe]}&startTime={start_ms}&limit={PAGE}"

    return of


def range_path(market: Market) -> Callable[[str, str, int, int], str]:
    """Return `PastCandles.path`. `history-candles` of spot takes an end and a number of rows, that of contracts both ends."""
    query, names = (quoted_symbol, SPOT_NAMES) if market == "spot" else (about, TIMEFRAMES)

    def of(symbol: str, timeframe: str, first_ts: int, last_ts: int) -> str:
        start = f"&startTime={max(0, first_ts) // 1_000_000}" if market == "mix" else ""
        end_ms = last_ts // 1_000_000 + 1  # whether a candle that opens at the end is included is not documented
        times = f"{start}&endTime={end_ms}&limit={OLD_PAGE}"
        return f"/api/v2/{market}/market/history-candles?{query(symbol)}&granularity={names[timeframe]}{times}"

    return of


def parse_candles(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """Return the candles of an answer, oldest first."""

    def read(row: RestCandle) -> Candle:
        volumes = (row.base, row.quote) if row.other is None else (row.base, row.quote, row.other)
        prices = row.open, row.high, row.low, row.close
        return candle(instrument, timeframe, row.start, prices, volumes, venue_ts=None, received_ts=received_ts)

    found, odd = _candles(body, read, f"candle:{timeframe} of {instrument.name}")
    by_open = {one.open_ts: one for one in sorted(found, key=lambda one: one.open_ts)}
    return CandleSnapshot(instrument.name, timeframe, received_ts, tuple(by_open.values()), tuple(odd))
