"""The way of Bybit's frames to what reads their topics.

Speed   the venue writes the topic first: of a topic that was met before, the text up to its end finds what decodes the frame, once
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

from crosstape_connector.errors import UnknownFrame
from crosstape_connector.venues.bybit import figures, stream
from crosstape_connector.venues.bybit.frames import BOOK, OURS, QUOTE, Route, decode_envelope, reply
from crosstape_connector.venues.messages import Output
from crosstape_connector.venues.spec import Symbols, lookup
from crosstape_schemas import Instrument

MakeRoute = Callable[[Instrument], Route]
KNOWN: Final = frozenset(
    {"priceLimit", "insurance", "adlAlert", "orderbook.rpi", "orderbook.full", "system", "kline_lt", "tickers_lt", "lt", "greeks"}
)
"""Topics without their symbols that the documents name and that hold nothing for the tape."""
_HEAD: Final = b'{"topic":"'
_LONGEST_DEPTH: Final = 5


class SpotParser:
    """Frames of one connection to spot. It learns each topic's route with its first frame.

    A connection has one book of an instrument: where a recording has several depths of it, the depth that came first counts.
    """

    __slots__ = ("_depths", "_heads", "_routes", "_symbols")
    channels: ClassVar[Mapping[str, MakeRoute]] = {
        "publicTrade": stream.trade_route(stream.is_number),
        "tickers": figures.spot_ticker_route,
    }
    """Channel → what makes the route of one of its symbols."""

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._routes: dict[str, Route] = {}
        self._heads: dict[bytes, Route] = {}
        self._depths: dict[str, int] = {}

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`."""
        route = self._heads.get(data[: data.find(b'"', len(_HEAD))])
        if route is not None:
            return route(data, received_ts)
        frame = decode_envelope(data)
        if not frame.topic:
            return reply(frame)
        route = self._routes.get(frame.topic)
        if route is None:
            route = self._route(frame.topic)
            if route is None:
                return ()
            self._routes[frame.topic] = self._heads[_HEAD + frame.topic.encode()] = route
        return route(data, received_ts)

    def _route(self, topic: str) -> Route | None:
        """Return the route of a topic that is met for the first time; None: it holds nothing for the tape. Raises `UnknownFrame`."""
        channel, _, tail = topic.partition(".")
        make = self.channels.get(channel)
        if make is not None:
            return make(lookup(self._symbols, tail))
        parameter, _, symbol = tail.partition(".")
        if f"{channel}.{parameter}" == QUOTE:
            return stream.QuoteRoute(lookup(self._symbols, symbol))
        if channel == BOOK and parameter.isdecimal() and len(parameter) <= _LONGEST_DEPTH:
            instrument, depth = lookup(self._symbols, symbol), int(parameter)
            is_first = self._depths.setdefault(instrument.name, depth) == depth
            return stream.book_route(instrument, depth) if is_first else None
        if channel == "kline" and parameter in OURS:
            return figures.candle_route(lookup(self._symbols, symbol), OURS[parameter])
        if channel in KNOWN or f"{channel}.{parameter}" in KNOWN:
            return None
        raise UnknownFrame(f"topic {topic[:80]!r}")


class Parser(SpotParser):
    """Frames of one connection to contracts."""

    __slots__ = ()
    channels: ClassVar[Mapping[str, MakeRoute]] = {
        "publicTrade": stream.trade_route(stream.is_unique),
        "tickers": figures.TickerRoute,
        "allLiquidation": stream.liquidation_route,
        "liquidation": stream.old_liquidation_route,
    }
