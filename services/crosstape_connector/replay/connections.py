"""The connections of a capture, and which of two connections with the same feed is used. Pure: time is that of the lines.

A capture of a connector that replaced a connection has the frames of both. As in the running connector, the newer one waits (`Handover`)
until the older one is closed. A recorder may leave out the closing: a connection that is silent for `SILENT_NS` counts as closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from crosstape_connector.feeds.effects import Effect
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.handover import CAPACITY, Handover
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, CandleSnapshot, LastTrade, Output, TradeSnapshot
from crosstape_connector.venues.spec import Endpoint, Parser, Venue
from crosstape_schemas import CANDLE, KIND_OF, Candle, Funding, Liquidation, Mark, OpenInterest, Quote, Ticker, Trade

SILENT_NS: Final = 10_000_000_000

_KINDS: Final[Mapping[type[Any], tuple[str, ...]]] = {
    TradeSnapshot: ("trade",),
    LastTrade: ("trade",),
    BookSnapshot: ("book", "delta"),
    BookUpdate: ("book", "delta"),
    **{cls: (KIND_OF[cls],) for cls in (Trade, Quote, Ticker, Mark, Funding, OpenInterest, Liquidation)},
}


def _kinds_of(output: Output, venue: Venue) -> tuple[str, ...]:
    """Return the kinds of feeds that an output has data for."""
    if isinstance(output, BookSnapshot | BookUpdate) and venue.quote_from_book:
        return ("book", "delta", "quote")
    if isinstance(output, Candle | CandleSnapshot):
        return (f"{CANDLE}{output.timeframe}",)
    return _KINDS.get(type(output), ())


class RecordedConnection:
    """The state of one connection of a capture."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.parser: Parser | None = None
        self.endpoint: Endpoint | None = None
        """The endpoint that `parser` is of; both are set with the first frame."""
        self.feeds: dict[FeedKey, None] = {}
        """Feeds that it has brought data for, in their order of appearance."""
        self.heard_ts = 0
        """Time of its newest output; 0 = none yet."""
        self.older: RecordedConnection | None = None
        """The connection that it waits for; None: it feeds the tape."""
        self.handover: Handover | None = None
        """What it has received while it waited."""
        self.waiting = 0
        """Number of outputs in `handover`."""


class RecordedConnections:
    """Keeps the connections that are open at one point of a capture, and applies their outputs to the feeds."""

    def __init__(self, feeds: FeedHandler) -> None:
        self._feeds = feeds
        self._open: dict[int, RecordedConnection] = {}

    def __contains__(self, number: int) -> bool:
        """Whether the connection with this number is open."""
        return number in self._open

    def open(self, number: int, url: str) -> None:
        """Note that a connection is open from here on."""
        self._open[number] = RecordedConnection(url)

    def get(self, number: int, url: str) -> RecordedConnection:
        """Return the connection with this number; opened here, if the capture does not say where."""
        return self._open.setdefault(number, RecordedConnection(url))

    def close(self, number: int, now: int, reason: str) -> list[Effect]:
        """Close a connection: one that waited for it takes over, and feeds that no other connection has are interrupted."""
        closed = self._open.pop(number, None)
        if closed is None or closed.older is not None:
            return []
        effects: list[Effect] = []
        for other in [other for other in self._open.values() if other.older is closed]:
            other.older = self._find_older(other, other.feeds)  # of several that waited the first takes over, and the others wait for that
            if other.older is None:
                effects += self._take_over(other, now)
        left = [feed for feed in closed.feeds if not any(feed in other.feeds for other in self._open.values())]
        return effects + list(self._feeds.interrupt(left, now, reason))

    def apply(self, connection: RecordedConnection, output: Output, now: int) -> list[Effect]:
        """Apply one output of a connection, or keep it while an older connection has the same feed."""
        instrument = getattr(output, "instrument", "")
        feeds = [FeedKey(kind, instrument) for kind in _kinds_of(output, self._feeds.venue)]
        connection.feeds.update(dict.fromkeys(feeds))
        connection.heard_ts = now
        effects: list[Effect] = []
        if connection.older is None and feeds:
            connection.older = self._find_older(connection, feeds)
        if connection.older is not None:
            if connection.waiting < CAPACITY and now - connection.older.heard_ts < SILENT_NS:
                connection.handover = connection.handover or Handover(self._feeds)
                connection.handover.hold(output)
                connection.waiting += 1
                return []
            effects = self._take_over(connection, now)
        return effects + list(self._feeds.apply(output))

    def _find_older(self, connection: RecordedConnection, feeds: Iterable[FeedKey]) -> RecordedConnection | None:
        """Return another connection that feeds the tape with one of these."""
        for other in self._open.values():
            if other is not connection and other.older is None and any(feed in other.feeds for feed in feeds):
                return other
        return None

    def _take_over(self, connection: RecordedConnection, now: int) -> list[Effect]:
        """Apply what a connection has received while it waited; from here on it feeds the tape."""
        if connection.older is not None:
            for feed in connection.feeds:
                connection.older.feeds.pop(feed, None)
        handover, connection.older, connection.handover, connection.waiting = connection.handover, None, None, 0
        if handover is None:
            return []
        books = [feed.instrument for feed in connection.feeds if feed.kind == "book"]
        return list(handover.hand_over(books, now))
