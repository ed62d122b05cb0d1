"""HTX's trades and candles on a stream, as spot and contracts write them alike.

Trades  the rows of a frame are the trades of one order. The first frame after subscribing is the last trade from before
Candles the running one, while there are trades; nothing says that one is final, but the next
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.venues.htx.frames import MakeRoute, Route
from crosstape_connector.venues.htx.values import Frame, RawCandle, Rows, TimedFrame, by_id, candle, checked
from crosstape_connector.venues.messages import Odd, Output, TradeSnapshot, Unreadable, unreadable
from crosstape_connector.venues.parsing.rows import readable, rows_decoder
from crosstape_connector.venues.parsing.wire import epoch_ns
from crosstape_schemas import Instrument, Trade

T = TypeVar("T")
Figures = tuple[Sequence[Odd], tuple[Decimal, Decimal | None], int | None]
"""Of a candle: what is odd of it, base and quote volume, and how many trades."""
_rows: Final = rows_decoder(Frame[Rows[msgspec.Raw]], 3)
_kline = msgspec.json.Decoder(TimedFrame[RawCandle]).decode


def trade_route(name: str, raw: type[T], made: Callable[[T, int, list[Odd], bool], Trade], *, are_numbered: bool) -> Route:
    """Return the route of `trade.detail`.

    `made`: (row, received_ts, what is odd of it, whether it is from before) → its trade. `are_numbered`: ids show that a trade is missing.
    """
    decode, decode_row, is_first = msgspec.json.Decoder(Frame[Rows[raw]]).decode, msgspec.json.Decoder(raw).decode, True  # type: ignore[valid-type]

    def read(row: msgspec.Raw) -> T:
        checked(bytes(row), 0)
        return decode_row(row)

    def route(data: bytes, received_ts: int) -> Sequence[Output]:
        nonlocal is_first
        odd, bad, lost = list[Odd](), list[Odd](), list[Unreadable]()
        try:
            rows = decode(data).tick.data
            checked(data, len(rows))
            trades = [made(row, received_ts, odd, is_first) for row in rows]
        except FRAME_ERRORS as exc:
            odd = []
            try:
                raws = _rows(data).tick.data
            except FRAME_ERRORS:
                if are_numbered:
                    raise
                return unreadable("trade", name, received_ts, exc)
            trades = readable(raws, lambda row: made(read(row), received_ts, odd, is_first), f"trades of {name}", bad)
            lost = [] if are_numbered else [Unreadable("trade", name, received_ts)]
        if len(trades) > 1:
            trades = by_id(trades)
        if is_first and trades:
            is_first = False
            return [*bad, *lost, *odd, TradeSnapshot(name, received_ts, tuple(trades), len(bad))]
        return [*bad, *lost, *odd, *trades] if bad or odd else trades

    return route


def candle_routes(timeframes: dict[str, str], figures: Callable[[Any, Instrument, RawCandle, str], Figures]) -> dict[str, MakeRoute]:
    """Return the channels `kline.1min` … `figures`: (parser, instrument, candle, its name) → the figures of it that differ."""

    def maker(timeframe: str) -> MakeRoute:
        def make(parser: Any, instrument: Instrument, topic: str) -> Route:
            name = instrument.name

            def route(data: bytes, received_ts: int) -> Sequence[Output]:
                try:
                    frame = _kline(data)
                    checked(data)
                    odd, volumes, trades = figures(parser, instrument, frame.tick, f"a {timeframe} candle of {name}")
                    made_ts = epoch_ns(frame.ts)
                    k = candle(instrument, timeframe, frame.tick, volumes, venue_ts=made_ts, received_ts=received_ts, trades=trades)
                    return *odd, k
                except FRAME_ERRORS as exc:
                    return unreadable(f"candle:{timeframe}", name, received_ts, exc)

            return route

        return make

    return {f"kline.{theirs}": maker(ours) for ours, theirs in timeframes.items()}
