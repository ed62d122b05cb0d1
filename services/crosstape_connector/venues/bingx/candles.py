"""The candles of BingX: prices on the instrument's tick, and which intervals begin when ours do.

Quirks  spot and swap name their intervals differently, and `T` is the *end* of a spot candle but the *beginning* of one of the swap.
        Nothing says that a candle is closed. Prices of spot candles are binary floats (121137.93299999999), so they are rounded to the
        tick; volumes have up to 18 digits and keep them
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.bingx.frames import Frame, Route
from crosstape_connector.venues.messages import Odd, Output, unreadable
from crosstape_connector.venues.parsing.numbers import LIMIT, figure
from crosstape_connector.venues.parsing.rows import readable
from crosstape_connector.venues.parsing.wire import ZERO, Serial, Stamp, epoch_ns
from crosstape_schemas import Candle, Instrument, timeframes

SPOT: Final = {
    "1m": "1min", "3m": "3min", "5m": "5min", "15m": "15min", "30m": "30min",
    "1h": "60min", "2h": "2hour", "4h": "4hour", "6h": "6hour", "8h": "8hour", "12h": "12hour",
}  # fmt: skip
"""Our timeframe → theirs, on the spot socket."""
SWAP: Final = {name: name for name in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")}
"""The same on the swap socket, and by REST on both."""
NO_DAY: Final = "its days begin at 16:00 UTC by REST, and nothing says when those of the socket do"
UNPROVEN: Final = "nothing says when it begins"
_context: Final = Context(prec=100, rounding=ROUND_HALF_EVEN)


class RawSpot(msgspec.Struct, frozen=True, gc=False):
    t: Stamp
    o: str
    h: str
    l: str  # noqa: E741 (the venue's name)
    c: str
    v: str
    q: str | None = None
    n: Serial | None = None


class RawSpotFrame(msgspec.Struct, frozen=True, gc=False):
    K: RawSpot
    E: Stamp | None = None


class RawSwap(msgspec.Struct, frozen=True, gc=False):
    T: Stamp
    o: str
    h: str
    l: str  # noqa: E741 (the venue's name)
    c: str
    v: str


_spot = msgspec.json.Decoder(RawSpotFrame).decode
_swap = msgspec.json.Decoder(RawSwap).decode
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode


def on_tick(price: Decimal, tick: Decimal | None) -> Decimal:
    """Return the price rounded to the instrument's tick; as it is if the tick is not known."""
    if not tick:
        return price
    return _context.multiply(_context.divide(price, tick).to_integral_value(ROUND_HALF_EVEN), tick)


def candle(
    instrument: Instrument,
    timeframe: str,
    open_ts: int,
    prices: Sequence[Decimal],
    volume: Decimal,
    *,
    venue_ts: int | None,
    received_ts: int,
    quote_volume: Decimal | None = None,
    trades: int | None = None,
) -> Candle:
    """Return a candle. `prices`: open, high, low, close. Raises `FrameError` for figures that no candle has."""
    first, high, low, last = (on_tick(price, instrument.price_tick) for price in prices)
    if not ZERO < low <= min(first, last) <= max(first, last) <= high < LIMIT or volume < ZERO or (quote_volume or ZERO) < ZERO:
        raise FrameError(f"no candle: open {first}, high {high}, low {low}, close {last}, volume {volume}")
    close_ts = timeframes.close_of(timeframe, open_ts)
    return Candle(
        instrument.venue, instrument.name, venue_ts, received_ts, timeframe, open_ts, close_ts,
        first, high, low, last, volume, quote_volume, trades,
    )  # fmt: skip


def spot_route(timeframe: str) -> Callable[[Instrument], Route]:
    """`kline_1min` … of spot: one candle, with the time of the frame."""

    def of(instrument: Instrument) -> Route:
        def route(frame: Frame, received_ts: int) -> Sequence[Output]:
            try:
                raw = _spot(frame.data)
                k, sent = raw.K, raw.E
                made = candle(
                    instrument, timeframe, epoch_ns(k.t), [figure(text) for text in (k.o, k.h, k.l, k.c)], figure(k.v),
                    venue_ts=None if sent is None else epoch_ns(sent), received_ts=received_ts,
                    quote_volume=None if k.q is None else figure(k.q), trades=k.n,
                )  # fmt: skip
            except FRAME_ERRORS as exc:
                return unreadable(f"candle:{timeframe}", instrument.name, received_ts, exc)
            return (made,)

        return route

    return of


def swap_route(timeframe: str) -> Callable[[Instrument], Route]:
    """`kline_1m` … of the swap: a list of candles, without a time of the frame."""

    def of(instrument: Instrument) -> Route:
        def read(row: msgspec.Raw, received_ts: int) -> Candle:
            k = _swap(row)
            prices = [figure(text) for text in (k.o, k.h, k.l, k.c)]
            return candle(instrument, timeframe, epoch_ns(k.T), prices, figure(k.v), venue_ts=None, received_ts=received_ts)

        def route(frame: Frame, received_ts: int) -> Sequence[Output]:
            odd: list[Odd] = []
            kind = f"candle:{timeframe}"
            try:
                rows = readable(_raws(frame.data), lambda row: read(row, received_ts), f"{kind} of {instrument.name}", odd)
            except FRAME_ERRORS as exc:
                return unreadable(kind, instrument.name, received_ts, exc)
            rows.sort(key=lambda row: row.open_ts)
            return (*rows, *unreadable(kind, instrument.name, received_ts, odd[0].reason)) if odd else rows

        return route

    return of
