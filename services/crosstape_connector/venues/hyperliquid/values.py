"""What the parsers of Hyperliquid's frames and answers share: ids, names of timeframes, levels, candles. Pure.

Names   A builder's perpetual keeps the prefix of its builder: `xyz:SP500` is our `xyz.SP500-USDC-PERP`, as a name of ours has no colon.
        It is another contract than the `SP500` of another builder, and `hyna:BTC` another than `BTC`. `kPEPE` is a contract on 1,000
        PEPE under that name. On spot, `UBTC`, `UETH` and `USOL` are the venue's BTC, ETH and SOL, which its own pages call so, too
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from typing import Annotated, Final

import msgspec

from crosstape_connector.venues.parsing.candles import candle
from crosstape_connector.venues.parsing.numbers import figure
from crosstape_connector.venues.parsing.wire import Serial, Stamp, epoch_ns
from crosstape_schemas import Candle, Instrument, asset

PERPS: Final = "hyperliquid"
SPOT: Final = "hyperliquid_spot"
TIMEFRAMES: Final = {name: name for name in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d")}
"""Our timeframe → theirs."""
REFUSED: Final = {
    "1w": "its weeks begin on Thursday; 1w begins on Monday",
    "1M": "nothing says when it begins",
    "3d": "three days are no timeframe of ours",
}
ASSETS: Final = {"UBTC": "BTC", "UETH": "ETH", "USOL": "SOL"}
"""Tokens of spot whose name differs from ours: bridged coins, which the venue's pages call by the second name."""
_TIDS: Final = 10**16
"""More than any `tid`, which has 50 bits."""
Tid = Annotated[int, msgspec.Meta(ge=0, lt=_TIDS)]


class RawLevel(msgspec.Struct, frozen=True, gc=False):
    px: str
    sz: str


class RawCandle(msgspec.Struct, frozen=True, gc=False):
    t: Stamp
    s: str
    i: str
    o: str
    c: str
    h: str
    l: str  # noqa: E741 (the venue's name)
    v: str
    n: Serial


def trade_id(time_ms: int, tid: int) -> str:
    """Return the id of a trade. `tid` is a hash, which neither grows nor is proven to be unique, so that its time stands before it."""
    return f"{time_ms}{tid:016d}"


def ours(name: str) -> str:
    """Return our name of a token."""
    return ASSETS.get(name) or asset(name)


def candle_of(raw: RawCandle, instrument: Instrument, timeframe: str, received_ts: int) -> Candle:
    """Return a candle; `v` is in base units. The frame has no time of its own. Raises `FrameError`."""
    return candle(
        instrument.venue, instrument.name, timeframe, epoch_ns(raw.t),
        (figure(raw.o), figure(raw.h), figure(raw.l), figure(raw.c)),
        volume=figure(raw.v), venue_ts=None, received_ts=received_ts, trades=raw.n,
    )  # fmt: skip
