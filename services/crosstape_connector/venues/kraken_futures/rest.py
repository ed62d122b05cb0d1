"""Kraken Futures' REST: contracts and whether they trade, best bid and ask, candles.

Docs    https://docs.kraken.com/api/docs/futures-api/trading/market-data
Quirks  errors differ by family: `{"result": "error", "error": …}` of prices and contracts, with HTTP 200, `{"errors": […]}` of charts.
        Contracts without `lastTradingTime` are perpetual. In lists of 2021 symbols are in small letters, without `base` and `quote`.
        `contractValueTradePrecision` is of sizes, and may be negative. Candles are asked for in s, and have ms
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.kraken_futures.names import ID, INVERSE, LINEAR, TOKENISED, divided, named
from crosstape_connector.venues.messages import CandleSnapshot, Odd, OddRow
from crosstape_connector.venues.parsing.answers import fault_message, trading_states
from crosstape_connector.venues.parsing.candles import candle, snapshot
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_connector.venues.parsing.listing import asset_of, listed, step_of
from crosstape_connector.venues.parsing.numbers import check, figure
from crosstape_connector.venues.parsing.rows import readable, rows_decoder
from crosstape_connector.venues.parsing.wire import Stamp, epoch_ns, finite, iso_ns, side
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Candle, Instrument, Quote, asset
from crosstape_schemas.timeframes import LENGTHS, SECOND

INSTRUMENTS: Final = "/derivatives/api/v3/instruments"
TICKERS: Final = "/derivatives/api/v3/tickers"
CHARTS: Final = "/api/charts/v1/trade"
CANDLES: Final = 2_000
"""Candles in an answer at most."""
TIMEFRAMES: Final = ("1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d")
"""Those that the venue calls as we do. On which day its week begins is not documented."""
NULL: Final = msgspec.Raw(b"null")
ONE: Final = msgspec.Raw(b"1")


class RestContract(msgspec.Struct, frozen=True):
    symbol: str
    type: str
    base: str = ""
    quote: str = ""
    tradeable: bool = False
    post_only: bool = msgspec.field(name="postOnly", default=False)
    ends: str | None = msgspec.field(name="lastTradingTime", default=None)
    tick: msgspec.Raw = msgspec.field(name="tickSize", default=NULL)
    size: msgspec.Raw = msgspec.field(name="contractSize", default=ONE)
    precision: int | None = msgspec.field(name="contractValueTradePrecision", default=None)


class RestState(msgspec.Struct, frozen=True):
    symbol: str
    tradeable: bool
    post_only: bool = msgspec.field(name="postOnly", default=False)


class RestContracts(msgspec.Struct, frozen=True):
    instruments: list[msgspec.Raw]


class RestTicker(msgspec.Struct, frozen=True):
    symbol: str
    bid: Decimal | None = None
    bid_size: Decimal | None = msgspec.field(name="bidSize", default=None)
    ask: Decimal | None = None
    ask_size: Decimal | None = msgspec.field(name="askSize", default=None)


class RestTickers(msgspec.Struct, frozen=True):
    tickers: list[msgspec.Raw]
    time: str = msgspec.field(name="serverTime")


class RestCandle(msgspec.Struct, frozen=True):
    time: Stamp
    open: str
    high: str
    low: str
    close: str
    volume: msgspec.Raw


class RestCandles(msgspec.Struct, frozen=True):
    candles: list[msgspec.Raw]


class RestFault(msgspec.Struct, frozen=True):
    error: str = ""
    errors: list[msgspec.Raw] = []


_contracts = rows_decoder(RestContracts, 2)
_contract = msgspec.json.Decoder(RestContract).decode
_state = msgspec.json.Decoder(RestState).decode
_tickers = rows_decoder(RestTickers, 2)
_ticker = msgspec.json.Decoder(RestTicker).decode
_candles = rows_decoder(RestCandles, 2)
_candle = msgspec.json.Decoder(RestCandle).decode


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> Sequence[Quote | Odd]:
    """`tickers`: the best prices of those that were asked for, of the time of the answer; it has all others, too."""
    answer = _tickers(body)
    made_ts = iso_ns(answer.time)
    odd: list[Odd] = []

    def read(raw: msgspec.Raw) -> Quote | None:
        row = _ticker(raw)
        instrument = symbols.get(row.symbol.upper())
        if instrument is None:
            return None
        check(raw)
        bid, ask = _side(instrument, row.bid, row.bid_size), _side(instrument, row.ask, row.ask_size)
        return Quote(ID, instrument.name, made_ts, received_ts, *bid, *ask)

    return [*(one for one in readable(answer.tickers, read, "quotes", odd) if one is not None), *odd]


def _side(instrument: Instrument, price: Decimal | None, contracts: Decimal | None) -> tuple[Decimal, Decimal] | tuple[None, None]:
    if price is None or contracts is None:
        return None, None
    finite(price, contracts)
    best, size = side(price, contracts)
    return (None, None) if best is None or size is None else (best, base_size(instrument, size, best))


def candles_path(symbol: str, timeframe: str, first_ts: int, last_ts: int) -> str:
    """See `PastCandles.path`."""
    bounds = f"from={max(0, first_ts) // SECOND}&to={(last_ts + LENGTHS[timeframe]) // SECOND}"
    return f"{CHARTS}/{quoted(symbol)}/{timeframe}?{bounds}"


def parse_candles(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """Return the candles of an answer. The volume of an inverse contract is dollars: its base units are those at the close."""

    def read(raw: msgspec.Raw) -> Candle:
        row = _candle(raw)
        prices = figure(row.open), figure(row.high), figure(row.low), figure(row.close)
        contracts = figure(bytes(row.volume).decode().strip('"'))
        made = candle(
            ID, instrument.name, timeframe, epoch_ns(row.time), prices,
            volume=contracts, venue_ts=None, received_ts=received_ts,
        )  # fmt: skip
        value = contracts * instrument.contract_size if instrument.inverse else None
        return msgspec.structs.replace(made, volume=base_size(instrument, contracts, prices[3]), quote_volume=value)

    odd: list[Odd] = []
    rows = readable(_candles(body).candles, read, f"{timeframe} candles of {instrument.name}", odd)
    return snapshot(instrument.name, timeframe, rows, received_ts, odd)


def parse_instruments(body: bytes) -> Sequence[Instrument | OddRow]:
    """`instruments`: perpetuals and dated futures."""
    return listed(_contracts(body).instruments, _instrument, _named)


def _instrument(raw: msgspec.Raw) -> tuple[Instrument, str] | None:
    row = _contract(raw)
    if row.type != INVERSE and row.type not in LINEAR:
        return None
    symbol, pair = asset_of(row.symbol, "symbol").upper(), divided(row.symbol)
    base, quote = asset_of(row.base or pair[0], "base"), asset_of(row.quote or pair[1], "quote")
    if TOKENISED.fullmatch(base):
        return None
    size, inverse = step_of(row.size), row.type == INVERSE
    if not size:
        raise FrameError(f"a contract of {size}")
    expiry = None if row.ends is None else iso_ns(row.ends)
    lots = row.precision if row.precision is not None else 0 if inverse else None
    if lots is not None and not -12 <= lots <= 18:
        raise FrameError(f"a precision of {lots}")
    step = None if lots is None else Decimal(1).scaleb(-lots) * size
    return Instrument(
        named(base, quote, inverse=inverse, expiry=expiry), ID, symbol, asset(base), asset(quote), step_of(row.tick), step, size,
        active=row.tradeable and not row.post_only, inverse=inverse, expiry=expiry,
    ), ""  # fmt: skip


def _named(row: Any) -> tuple[str, str]:
    symbol, kind, ends = row.get("symbol"), row.get("type"), row.get("lastTradingTime")
    if not isinstance(symbol, str):
        return "", ""
    pair = divided(symbol)
    base, quote = row.get("base", pair[0]), row.get("quote", pair[1])
    is_known = kind == INVERSE or (isinstance(kind, str) and kind in LINEAR)
    if not (is_known and isinstance(base, str) and isinstance(quote, str) and base and quote):
        return symbol.upper(), ""
    return symbol.upper(), named(base, quote, inverse=kind == INVERSE, expiry=None if ends is None else iso_ns(ends))


def parse_trading(body: bytes, symbols: Sequence[str]) -> dict[str, str]:
    """`instruments`: a contract that has ended is not in it any more."""

    def read(raw: msgspec.Raw) -> tuple[str, str]:
        row = _state(raw)
        return row.symbol.upper(), "not tradeable" if not row.tradeable else "post only" if row.post_only else ""

    return trading_states(_contracts(body).instruments, read, dict(zip(symbols, symbols, strict=True)))


rest_error = fault_message(
    msgspec.json.Decoder(RestFault).decode,
    lambda fault: fault.error or ", ".join(bytes(one).decode().strip('"') for one in fault.errors[:3]),
)
"""`{"result": "error", "error": "apiLimitExceeded"}`, or `{"errors": […]}`."""
