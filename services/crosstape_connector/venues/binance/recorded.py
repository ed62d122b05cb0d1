"""Frames that only recordings have: raw streams (`/ws/STREAM`), whose frames have no wrapper, and a symbol's trades in two forms."""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from crosstape_connector.errors import UnknownFrame
from crosstape_connector.venues.binance import connection
from crosstape_connector.venues.binance.connection import Route
from crosstape_connector.venues.messages import Output
from crosstape_connector.venues.spec import Symbols

TRADES: Final = ("trade", "aggTrade")
"""Two forms of the same trades."""
ORDER: Final = "forceOrder"
KLINE: Final = "kline"


class RawStream(msgspec.Struct, frozen=True):
    e: str = ""
    s: str = ""
    u: int | None = None
    last_update_id: int | None = msgspec.field(default=None, name="lastUpdateId")


class RawInterval(msgspec.Struct, frozen=True):
    i: str


class RawKline(msgspec.Struct, frozen=True):
    k: RawInterval


class RawSymbol(msgspec.Struct, frozen=True):
    s: str


class RawOrder(msgspec.Struct, frozen=True):
    o: RawSymbol


_raw_stream = msgspec.json.Decoder(RawStream).decode
_raw_kline = msgspec.json.Decoder(RawKline).decode
_raw_order = msgspec.json.Decoder(RawOrder).decode


IGNORED: Final = Route(msgspec.json.Decoder(msgspec.Raw).decode, lambda raw, received_ts: ())
"""The route of a stream whose data come by another stream."""


class Parser(connection.Parser):
    """Parses the frames of one connection, recorded ones too. Of a symbol's `trade` and `aggTrade` the first counts."""

    __slots__ = ("_trades",)
    types: ClassVar[Mapping[str, str]] = {}
    """Event type of a frame without wrapper → channel. `kline` and `forceOrder` are in it if they are parsed."""
    known_types: ClassVar[frozenset[str]] = frozenset()
    """Event types that the documents name and that hold nothing for the tape."""

    def __init__(self, symbols: Symbols) -> None:
        super().__init__(symbols)
        self._trades: dict[str, str] = {}  # symbol → the first of the two that was met

    def route(self, stream: str, symbol: str, channel: str) -> Route[Any]:
        """See `connection.Parser.route`."""
        route = super().route(stream, symbol, channel)
        if channel in TRADES and self._trades.setdefault(symbol, channel) != channel:
            route = self.keep(stream, IGNORED)
        return route

    def unwrapped(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """Parse a frame of a raw stream, whose type stands in it or shows by its fields; else a reply."""
        raw = _raw_stream(data)
        if raw.e and raw.e != "serverShutdown":
            channel = self.types.get(raw.e)
            if channel == KLINE:
                channel = f"{KLINE}_{_raw_kline(data).k.i}"
                if channel not in self.channels and self.known.fullmatch(channel):
                    return ()
            if channel is not None:
                return self._raw(_raw_order(data).o.s if channel == ORDER else raw.s, channel, data, received_ts)
            if raw.e in self.known_types:
                return ()
            raise UnknownFrame(f"type {raw.e!r}")
        if raw.u is not None and raw.s:
            return self._raw(raw.s, "bookTicker", data, received_ts)
        return () if raw.last_update_id is not None else super().unwrapped(data, received_ts)

    def _raw(self, symbol: str, channel: str, data: bytes, received_ts: int) -> Sequence[Output]:
        if channel not in self.channels:
            raise UnknownFrame(f"channel {channel!r}")
        name = f"{symbol.lower()}@{channel}"
        return (self._routes.get(name) or self.route(name, symbol, channel)).read(data, received_ts)
