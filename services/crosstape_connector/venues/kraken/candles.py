"""Kraken's candles: `ohlc` on the stream, `OHLC` by REST.

Docs    https://docs.kraken.com/api/docs/websocket-v2/ohlc, https://docs.kraken.com/api/docs/rest-api/get-ohlc-data
Quirks  a candle is identified by `interval_begin`; the `timestamp` in its row is its end. Nothing says that it is over: the next one does.
        The stream sends nothing of an interval without trades, REST has a row for it, flat at the close before. `vwap` is rounded, so that
        there is no exact quote volume. REST goes back 720 intervals, whatever is asked for, and its last row is running
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, TypeVar
from urllib.parse import quote as quoted

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError, UnknownFrame
from crosstape_connector.venues.kraken.names import ID, rest_name
from crosstape_connector.venues.messages import CandleSnapshot, Output, Unreadable
from crosstape_connector.venues.parsing.answers import read_rows
from crosstape_connector.venues.parsing.candles import candle, snapshot
from crosstape_connector.venues.parsing.numbers import figure
from crosstape_connector.venues.parsing.rows import rows_decoder
from crosstape_connector.venues.parsing.wire import Serial, known_ns
from crosstape_connector.venues.spec import CandleRules, Symbols, lookup
from crosstape_schemas import CANDLE, Candle, Instrument
from crosstape_schemas.timeframes import LENGTHS

CHANNEL: Final = "ohlc"
PAGE: Final = 720
"""Candles in an answer, besides the running one."""
_SECOND: Final = 1_000_000_000
T = TypeVar("T")

RULES: Final = CandleRules(
    timeframes={"1m": "1", "5m": "5", "15m": "15", "30m": "30", "1h": "60", "4h": "240", "1d": "1440"},
    refused={"1w": "the venue's 10080 minutes begin on a Thursday", "15d": "the venue's 21600 minutes are no timeframe of ours"},
    open="first trade",
    empty="stream: nothing; REST: a row at the close before, with volume 0",
    closed="next candle",
    volume="base units",
    first="snapshot",
)
OURS: Final[Mapping[int, str]] = {int(theirs): ours for ours, theirs in RULES.timeframes.items()}


class RawCandle(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: Serial
    interval_begin: str
    interval: int


class Named(msgspec.Struct, frozen=True):
    """The feed of a row in which nothing else can be read."""

    symbol: str
    interval: int


class RestCandle(msgspec.Struct, frozen=True, array_like=True):
    time: Serial
    open: str
    high: str
    low: str
    close: str
    vwap: str
    volume: str
    count: Serial


class RestCandles(msgspec.Struct, frozen=True):
    error: list[str]
    result: dict[str, list[RestCandle] | int] = {}


class RestRows(msgspec.Struct, frozen=True):
    """Candles of which one cannot be read: each is read for itself."""

    result: dict[str, list[msgspec.Raw] | int]


decode_row = msgspec.json.Decoder(RawCandle).decode
_named = msgspec.json.Decoder(Named).decode
_candles = msgspec.json.Decoder(RestCandles).decode
_rows = rows_decoder(RestRows, 3)
_row = msgspec.json.Decoder(RestCandle).decode


def timeframe_of(interval: int) -> str:
    """Our name of a timeframe in minutes. Raises `UnknownFrame`."""
    found = OURS.get(interval)
    if found is None:
        raise UnknownFrame(f"candles of {interval} minutes")
    return found


def outputs(kind: str, rows: Sequence[RawCandle], venue_ts: int | None, symbols: Symbols, received_ts: int) -> list[Output]:
    """Candles of a frame; of a snapshot, one for each symbol and timeframe. Raises one of `FRAME_ERRORS` if one of them cannot be used."""
    made = [_candle(raw, symbols, venue_ts, received_ts) for raw in rows]
    if kind == "update":
        return list(made)
    if kind != "snapshot":
        raise UnknownFrame(f"candles of type {kind!r}")
    feeds = dict.fromkeys((one.instrument, one.timeframe) for one in made)
    return [
        snapshot(name, timeframe, [one for one in made if (one.instrument, one.timeframe) == (name, timeframe)], received_ts)
        for name, timeframe in feeds
    ]


def suspects(raw: msgspec.Raw, symbols: Symbols, received_ts: int) -> list[Output]:
    """The feed that a row which cannot be used is of; none if it names none."""
    try:
        row = _named(raw)
        instrument, timeframe = lookup(symbols, row.symbol).name, timeframe_of(row.interval)
    except FRAME_ERRORS:
        return []
    return [Unreadable(f"{CANDLE}{timeframe}", instrument, received_ts)]


def _candle(raw: RawCandle, symbols: Symbols, venue_ts: int | None, received_ts: int) -> Candle:
    timeframe, open_ts = timeframe_of(raw.interval), known_ns(raw.interval_begin)
    if open_ts is None:
        raise FrameError(f"candle of {raw.symbol} without a time")
    return candle(
        ID, lookup(symbols, raw.symbol).name, timeframe, open_ts, (raw.open, raw.high, raw.low, raw.close),
        volume=raw.volume, venue_ts=venue_ts, received_ts=received_ts, trades=raw.trades,
    )  # fmt: skip


def path(symbol: str, timeframe: str, since_ts: int) -> str:
    """What begins after `since` is answered, so ask from an interval before. Older than 720 intervals is not to be had."""
    since = max(0, (since_ts - LENGTHS[timeframe]) // _SECOND)
    return f"/0/public/OHLC?pair={quoted(rest_name(symbol))}&interval={RULES.timeframes[timeframe]}&since={since}"


def range_path(symbol: str, timeframe: str, first_ts: int, last_ts: int) -> str:
    """See `PastCandles.path`: there is no end of a range."""
    return path(symbol, timeframe, first_ts)


def parse(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """Rows of the one pair in the answer; `last` beside them is the time of the newest closed one."""

    def read(raw: RestCandle) -> Candle:
        prices = figure(raw.open), figure(raw.high), figure(raw.low), figure(raw.close)
        return candle(
            ID, instrument.name, timeframe, raw.time * _SECOND, prices,
            volume=figure(raw.volume), venue_ts=None, received_ts=received_ts, trades=raw.count,
        )  # fmt: skip

    what = f"{timeframe} candles of {instrument.name}"
    made, odd = read_rows(lambda: _only_pair(_candles(body).result, what), lambda: _only_pair(_rows(body).result, what), _row, read, what)
    return snapshot(instrument.name, timeframe, made, received_ts, odd)


def _only_pair(result: Mapping[str, list[T] | int], what: str) -> list[T]:
    pairs = [rows for name, rows in result.items() if name != "last"]
    if len(pairs) != 1 or isinstance(pairs[0], int):
        raise FrameError(f"{what}: not one pair but {', '.join(result) or 'none'}")
    return pairs[0]
