"""The connections of a capture, and which of them speaks for a feed where two carry it. Pure: time is that of the lines.

A capture of a connector that replaced a connection has the frames of both. As in the running connector, the younger one waits (`standby`)
until the older one is closed. A recorder may leave out the closing: one that has been silent for `SILENT_NS` is taken for closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from crosstape_connector.feeds.effects import Effect
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.handover import CAPACITY, Handover
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, LastTrade, Output, TradeSnapshot
from crosstape_connector.venues.spec import Endpoint, Parser
from crosstape_schemas import Quote, Ticker, Trade

SILENT_NS: Final = 10_000_000_000

_KINDS: Final[Mapping[type[Any], tuple[str, ...]]] = {
    Trade: ("trade",),
    TradeSnapshot: ("trade",),
    LastTrade: ("trade",),
    Quote: ("quote",),
    Ticker: ("ticker",),
    BookSnapshot: ("book", "delta", "quote"),
    BookUpdate: ("book", "delta", "quote"),
}


class RecordedConnection:
    """One connection."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.parser: Parser | None = None
        self.endpoint: Endpoint | None = None
        self.feeds: dict[FeedKey, None] = {}
        self.heard_ts = 0
        self.older: RecordedConnection | None = None
        """Whom it waits for, …"""
        self.handover: Handover | None = None
        """… and what it has found meanwhile."""
        self.waiting = 0


class RecordedConnections:
    """All that are open at some place of a capture."""

    def __init__(self, feeds: FeedHandler) -> None:
        self._feeds = feeds
        self._open: dict[int, RecordedConnection] = {}

    def __contains__(self, number: int) -> bool:
        """Whether it is open."""
        return number in self._open

    def open(self, number: int, url: str) -> None:
        """It is open from here on."""
        self._open[number] = RecordedConnection(url)

    def get(self, number: int, url: str) -> RecordedConnection:
        """The one of that number; as if opened here, if the capture has not said so."""
        return self._open.setdefault(number, RecordedConnection(url))

    def close(self, number: int, now: int, reason: str) -> list[Effect]:
        """It is gone: who waited for it takes over, and what nobody else has is interrupted."""
        gone = self._open.pop(number, None)
        if gone is None or gone.older is not None:
            return []
        events: list[Effect] = []
        for other in [other for other in self._open.values() if other.older is gone]:
            other.older = self._elder(other, other.feeds)  # of several that waited the first takes over, and the others wait for that
            if other.older is None:
                events += self._take_over(other, now)
        left = [feed for feed in gone.feeds if not any(feed in other.feeds for other in self._open.values())]
        return events + list(self._feeds.interrupt(left, now, reason))

    def apply(self, connection: RecordedConnection, output: Output, now: int) -> list[Effect]:
        """What one output of a connection puts on the tape."""
        instrument = getattr(output, "instrument", "")
        feeds = [FeedKey(kind, instrument) for kind in _KINDS.get(type(output), ())]
        connection.feeds.update(dict.fromkeys(feeds))
        connection.heard_ts = now
        events: list[Effect] = []
        if connection.older is None and feeds:
            connection.older = self._elder(connection, feeds)
        if connection.older is not None:
            if connection.waiting < CAPACITY and now - connection.older.heard_ts < SILENT_NS:
                connection.handover = connection.handover or Handover(self._feeds)
                connection.handover.hold(output)
                connection.waiting += 1
                return []
            events = self._take_over(connection, now)
        return events + list(self._feeds.apply(output))

    def _elder(self, connection: RecordedConnection, feeds: Iterable[FeedKey]) -> RecordedConnection | None:
        """Who has spoken for one of these before, and still may."""
        for other in self._open.values():
            if other is not connection and other.older is None and any(feed in other.feeds for feed in feeds):
                return other
        return None

    def _take_over(self, connection: RecordedConnection, now: int) -> list[Effect]:
        if connection.older is not None:
            for feed in connection.feeds:
                connection.older.feeds.pop(feed, None)
        standby, connection.older, connection.handover, connection.waiting = connection.handover, None, None, 0
        if standby is None:
            return []
        books = [feed.instrument for feed in connection.feeds if feed.kind == "book"]
        return list(standby.hand_over(books, now))
