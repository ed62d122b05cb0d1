"""Frames of Binance that only recordings have: aggregate trades, and raw streams (`/ws/STREAM`), whose frames have no wrapper."""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec

from crosstape_connector.errors import UnknownFrame
from crosstape_connector.venues.binance import stream
from crosstape_connector.venues.binance.stream import BUY, ID, SELL, Route
from crosstape_connector.venues.messages import Output
from crosstape_connector.venues.parsing.wire import Serial, Stamp, epoch_ns, trade_numbers
from crosstape_connector.venues.spec import Symbols
from crosstape_schemas import Trade

TRADES: Final = ("trade", "aggTrade")
TYPES: Final = {"trade": "trade", "aggTrade": "aggTrade", "depthUpdate": "depth", "24hrTicker": "ticker"}
"""Event type of a frame without wrapper → channel."""
KNOWN_TYPES: Final = frozenset({"kline", "24hrMiniTicker", "avgPrice", "referencePrice", "blockTrade", "1hTicker", "4hTicker", "1dTicker"})
"""Types that the documents name and that hold nothing for the tape."""


class RawAggTrade(msgspec.Struct, frozen=True, gc=False):
    a: Serial
    p: str
    q: str
    T: Stamp
    m: bool


class RawStream(msgspec.Struct, frozen=True):
    e: str = ""
    s: str = ""
    u: int | None = None
    last_update_id: int | None = msgspec.field(default=None, name="lastUpdateId")


_agg_trade = msgspec.json.Decoder(RawAggTrade).decode
_raw_stream = msgspec.json.Decoder(RawStream).decode


def agg_trade_route(instrument: str) -> Route:
    """`aggTrade`: the executions of one taker order at one price, with a numbering of their own."""

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        t = _agg_trade(raw)
        price, size = trade_numbers(t.p, t.q, "an aggregate trade")
        return (Trade(ID, instrument, epoch_ns(t.T), received_ts, price, size, SELL if t.m else BUY, str(t.a)),)

    return route


def ignored(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
    """The route of a stream whose data come by another stream."""
    return ()


class Parser(stream.Parser):
    """Frames of one connection, recorded ones too. Of a symbol's `trade` and `aggTrade` the first counts: they are the same trades."""

    __slots__ = ("_trades",)
    channels: ClassVar = {**stream.ROUTES, "aggTrade": agg_trade_route}

    def __init__(self, symbols: Symbols) -> None:
        super().__init__(symbols)
        self._trades: dict[str, str] = {}  # symbol → the first of the two that was met

    def route(self, stream: str, symbol: str, channel: str) -> Route:
        """See `stream.Parser.route`."""
        route = super().route(stream, symbol, channel)
        if channel in TRADES and self._trades.setdefault(symbol, channel) != channel:
            route = self._routes[stream] = ignored
        return route

    def unwrapped(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """A frame of a raw stream, whose type stands in it or shows by its fields; else a reply."""
        raw = _raw_stream(data)
        if raw.e and raw.e != "serverShutdown":
            channel = TYPES.get(raw.e)
            if channel is not None:
                return self._raw(raw.s, channel, data, received_ts)
            if raw.e in KNOWN_TYPES:
                return ()
            raise UnknownFrame(f"type {raw.e!r}")
        if raw.u is not None and raw.s:
            return self._raw(raw.s, "bookTicker", data, received_ts)
        return () if raw.last_update_id is not None else super().unwrapped(data, received_ts)

    def _raw(self, symbol: str, channel: str, data: bytes, received_ts: int) -> Sequence[Output]:
        name = f"{symbol.lower()}@{channel}"
        return (self._routes.get(name) or self.route(name, symbol, channel))(msgspec.Raw(data), received_ts)
