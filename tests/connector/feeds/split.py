"""A handler that keeps its snapshot requests and odd data apart from its events, so that a test sees only the one it checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from crosstape_connector.feeds.books.order_book import OrderBook
from crosstape_connector.feeds.effects import Effect, SnapshotRequest
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import FeedKey, Topic
from crosstape_connector.venues.messages import Odd, Output
from crosstape_schemas import Event, Quote


class SplitFeeds(FeedHandler):
    """Returns only events; `requested` has the snapshot requests so far, `odd` the data that cannot be right."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """As a `FeedHandler`."""
        self.requested: list[SnapshotRequest] = []
        self.odd: list[Odd] = []
        super().__init__(*args, **options)

    def split(self, effects: Sequence[Effect]) -> Sequence[Event]:
        """Keep the requests, return the events."""
        events = [one for one in effects if isinstance(one, Event)]
        self.odd += (one for one in effects if isinstance(one, Odd))
        self.requested += (one for one in effects if isinstance(one, SnapshotRequest))
        return tuple(events) if isinstance(effects, tuple) else events

    def apply(self, output: Output) -> Sequence[Event]:
        """See `FeedHandler`, as all below."""
        return self.split(super().apply(output))

    def confirm_topics(self, topics: Iterable[Topic], now: int) -> Sequence[Event]:
        """Returns the events."""
        return self.split(super().confirm_topics(topics, now))

    def probe(self, feed: FeedKey) -> Sequence[SnapshotRequest]:
        """Returns nothing."""
        self.split(super().probe(feed))
        return ()

    def due_books(self, now: int) -> Sequence[Event]:
        """Returns the books."""
        return self.split(super().due_books(now))

    def check_streams(self, instruments: Iterable[str], now: int) -> Sequence[Event]:
        """Returns the events."""
        return self.split(super().check_streams(instruments, now))

    def compare_best_prices(self, quote: Quote, asked_ts: int, now: int) -> Sequence[Event]:
        """Returns the events."""
        return self.split(super().compare_best_prices(quote, asked_ts, now))

    def adopt_book(self, instrument: str, order_book: OrderBook, venue_ts: int | None, now: int) -> Sequence[Event]:
        """Returns the events."""
        return self.split(super().adopt_book(instrument, order_book, venue_ts, now))
