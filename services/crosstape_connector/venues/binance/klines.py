"""Candles of Binance's markets, by stream and by REST. Their names of timeframes are ours.

Open    of the first trade
Empty   the venue goes on with a candle at the close before it, without trades (`n` 0, `f` and `L` -1)
Closed  `x` true, sent with the first trade of the next interval or up to two seconds after the end
Volume  spot and USD-M: `v` base, `q` quote, `V` what takers bought; COIN-M: `v` contracts, `q` and `Q` base
Quirks  `T` is the last millisecond of the interval; `3d` begins on the day on which the symbol was listed, weeks on Monday
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.binance.connection import MakeRoute, Route
from crosstape_connector.venues.messages import CandleSnapshot, Output, unreadable
from crosstape_connector.venues.parsing.answers import list_reader
from crosstape_connector.venues.parsing.numbers import figure
from crosstape_connector.venues.parsing.wire import ZERO, Serial, Stamp, epoch_ns
from crosstape_connector.venues.spec import CandleRules
from crosstape_schemas import Candle, Instrument
from crosstape_schemas.timeframes import LENGTHS, close_of

TIMEFRAMES: Final = {name: name for name in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w", "1M")}
"""Ours → theirs, of all markets. Spot has `1s`, too."""
REFUSED: Final = {
    "3d": "Binance's begins on the day on which the symbol was listed: another day for each symbol",
    "3h": "Binance has none: add up candles of 1h",
}
MOST: Final = 200 * 86_400_000
"""COIN-M: milliseconds between `startTime` and `endTime` at most."""


class RawKline(msgspec.Struct, frozen=True, gc=False):
    t: Stamp
    o: str
    h: str
    l: str  # noqa: E741
    c: str
    v: str
    q: str
    n: Serial
    V: str
    Q: str
    x: bool


class KlineFrame(msgspec.Struct, frozen=True, gc=False):
    E: Stamp
    k: RawKline


class RestKline(msgspec.Struct, frozen=True, gc=False, array_like=True):
    t: Stamp
    o: str
    h: str
    l: str  # noqa: E741
    c: str
    v: str
    T: Stamp
    q: str
    n: Serial
    V: str
    Q: str


_frame = msgspec.json.Decoder(KlineFrame).decode
_rows = list_reader(RestKline)


def rules(*, seconds: bool, volume: str) -> CandleRules:
    """Return what the candles of one market are. `seconds`: it has those of one second."""
    refused = REFUSED if seconds else {**REFUSED, "1s": "this market of Binance has none"}
    return CandleRules(
        timeframes={"1s": "1s", **TIMEFRAMES} if seconds else TIMEFRAMES,
        refused=refused,
        open="first trade",
        empty="a flat candle at the close before it, with no volume and no trades; none while trading is halted",
        every_interval=True,
        closed="flag",
        volume=volume,
        first="none",
    )


def kline_route(timeframe: str) -> MakeRoute:
    """`kline_TIMEFRAME`: the running candle a few times a second, and once more when it is final."""
    kind = f"candle:{timeframe}"

    def make(instrument: Instrument) -> Route[KlineFrame]:
        def outputs(frame: KlineFrame, received_ts: int) -> Sequence[Output]:
            try:
                return (_candle(instrument, timeframe, frame.k, epoch_ns(frame.E), received_ts, closed=frame.k.x),)
            except FRAME_ERRORS as exc:
                return refused(exc, received_ts)

        def refused(error: Exception, received_ts: int) -> Sequence[Output]:
            return unreadable(kind, instrument.name, received_ts, error)

        return Route(_frame, outputs, refused)

    return make


def kline_routes(timeframes: Sequence[str]) -> dict[str, MakeRoute]:
    """Return channel → what makes its routes."""
    return {f"kline_{timeframe}": kline_route(timeframe) for timeframe in timeframes}


def path(prefix: str, page: int) -> Callable[[str, str, int], str]:
    """See `CandleSource.path`. The venue answers with `page` candles from `startTime` on."""

    def made(symbol: str, timeframe: str, since_ts: int) -> str:
        query = f"symbol={quote(symbol)}&interval={timeframe}&startTime={since_ts // 1_000_000}&limit={page}"
        return f"{prefix}/klines?{query}"

    return made


def path_with_end(prefix: str, page: int) -> Callable[[str, str, int], str]:
    """See `CandleSource.path`. COIN-M counts `limit` candles back from `endTime`, which is therefore that of a page from `startTime` on."""
    forward = path(prefix, page)

    def made(symbol: str, timeframe: str, since_ts: int) -> str:
        span = min(page * LENGTHS.get(timeframe, LENGTHS["1d"] * 28) // 1_000_000 - 1, MOST)
        return f"{forward(symbol, timeframe, since_ts)}&endTime={since_ts // 1_000_000 + span}"

    return made


def range_path(prefix: str, page: int) -> Callable[[str, str, int, int], str]:
    """See `PastCandles.path`. Both bounds are included; COIN-M counts back from the end, the other markets on from the start."""

    def made(symbol: str, timeframe: str, first_ts: int, last_ts: int) -> str:
        times = f"startTime={max(0, first_ts) // 1_000_000}&endTime={last_ts // 1_000_000}"
        return f"{prefix}/klines?symbol={quote(symbol)}&interval={timeframe}&{times}&limit={page}"

    return made


def parse(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """Parse a page of candles. The last one is running, and nothing in its row says so."""

    def read(row: RestKline) -> Candle:
        return _candle(instrument, timeframe, row, None, received_ts, closed=False)

    candles, odd = _rows(body, read, f"{timeframe} candles of {instrument.name}")
    return CandleSnapshot(instrument.name, timeframe, received_ts, tuple(sorted(candles, key=lambda one: one.open_ts)), tuple(odd))


def _candle(
    instrument: Instrument, timeframe: str, raw: RawKline | RestKline, venue_ts: int | None, received_ts: int, *, closed: bool
) -> Candle:
    """Return a candle with base volumes. Raises `FrameError` for figures that contradict each other."""
    first, high, low, last = figure(raw.o), figure(raw.h), figure(raw.l), figure(raw.c)
    v, q, bought = figure(raw.v), figure(raw.q), figure(raw.Q if instrument.inverse else raw.V)
    if not ZERO < low <= min(first, last) <= max(first, last) <= high or min(v, q, bought) < ZERO:
        raise FrameError(f"a candle of {first}, {high}, {low}, {last} with {v}, {q}, {bought}")
    open_ts = epoch_ns(raw.t)
    base, quoted = (q, v * instrument.contract_size) if instrument.inverse else (v, q)
    return Candle(
        instrument.venue, instrument.name, venue_ts, received_ts, timeframe, open_ts, close_of(timeframe, open_ts),
        first, high, low, last, base, quoted, raw.n, bought, closed,
    )  # fmt: skip
