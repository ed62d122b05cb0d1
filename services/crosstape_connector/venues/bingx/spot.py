"""BingX spot, WebSocket: trades, and the table of its channels.

Quirks  ids of trades need not ascend; old frames have all fields of a trade as text. The socket is documented, and not seen live
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from crosstape_connector.venues.bingx import candles, frames, routes
from crosstape_connector.venues.bingx.frames import Frame, Route
from crosstape_connector.venues.messages import Output
from crosstape_connector.venues.parsing.wire import Serial, Stamp, epoch_ns, trade_numbers
from crosstape_schemas import Instrument, Trade

ID: Final = "bingx"


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    t: Serial
    p: str
    q: str
    T: Stamp
    m: bool


_trade = msgspec.json.Decoder(RawTrade, strict=False).decode  # numbers and flags may be text


def trade_route(instrument: Instrument) -> Route:
    """`trade`: one execution."""
    name = instrument.name

    def route(frame: Frame, received_ts: int) -> Sequence[Output]:
        raw = _trade(frame.data)
        price, size = trade_numbers(raw.p, raw.q, f"trade {raw.t} of {name}")
        return (Trade(ID, name, epoch_ns(raw.T), received_ts, price, size, routes.TAKER[raw.m], str(raw.t)),)

    return route


class Parser(frames.Parser):
    """Frames of one connection."""

    __slots__ = ()
    channels: ClassVar[Mapping[str, Callable[[Instrument], Route]]] = {
        "trade": trade_route,
        "bookTicker": routes.quote_route,
        "ticker": routes.ticker_route(has_turnover=True),
        "incrDepth": routes.ChangedBook,
        **{f"depth{levels}{speed}": routes.CompleteBook for levels in frames.COMPLETE for speed in routes.SPEEDS},
        **{f"kline_{theirs}": candles.spot_route(ours) for ours, theirs in candles.SPOT.items()},
    }
