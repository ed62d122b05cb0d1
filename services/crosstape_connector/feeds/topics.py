"""Changes the states of feeds when topics are subscribed, confirmed, refused or lost. Pure: no I/O, no clock, no log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from crosstape_connector.feeds.books.book_feeds import BookFeeds
from crosstape_connector.feeds.effects import Effect
from crosstape_connector.feeds.feed_state import RARE, FeedRecord
from crosstape_connector.feeds.keys import FeedKey, Topic
from crosstape_connector.feeds.stops import Stops
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import Event, FeedState


class Topics:
    """Knows which feeds a topic brings, and sets their state as connections come and go."""

    def __init__(self, venue: Venue, records: Mapping[FeedKey, FeedRecord], books: BookFeeds, stops: Stops) -> None:
        """`records`: the state of each feed that is published."""
        self._records = records
        self._books = books
        self._stops = stops
        self._names: dict[str, str] = {}  # the venue's symbol → our instrument
        self._kinds: dict[tuple[str, str], tuple[str, ...]] = {}  # endpoint and channel → the kinds that it brings
        for endpoint in venue.endpoints:
            for kind, channel in endpoint.channels.items():
                self._kinds[endpoint.name, channel] = (*self._kinds.get((endpoint.name, channel), ()), kind)

    def add_symbol(self, symbol: str, instrument: str) -> None:
        """Map a symbol of the venue to our instrument."""
        self._names[symbol] = instrument

    def remove_symbol(self, symbol: str) -> None:
        """Forget a symbol of the venue."""
        self._names.pop(symbol, None)

    def open(self, topics: Iterable[Topic], now: int, since: int | None = None) -> Sequence[Event]:
        """See `FeedHandler.open_topics`."""
        events: list[Event] = []
        for topic in topics:
            for record in self._feeds_of(topic):
                record.sessions += 1
                record.opened_ts = now if since is None else since
                record.confirmed = False
                if record.sessions == 1:
                    known = record.count or record.fetched_ts
                    state, reason = (FeedState.RECOVERING, "reconnected") if known else (FeedState.CONNECTING, "subscribing")
                    events += record.set_state(state, reason, now)
                book = self._books.book_of(record)
                if book is not None:
                    book.topic = topic
                    book.order_book.connection_changed()
        return events

    def confirm(self, topics: Iterable[Topic], now: int) -> Sequence[Effect]:
        """See `FeedHandler.confirm_topics`."""
        effects: list[Effect] = []
        for topic in topics:
            for record in self._feeds_of(topic):
                record.confirmed = True
                book = self._books.book_of(record)
                if book is not None:
                    book.order_book.start()
                    effects += book.request_snapshot()
                elif record.kind in RARE and record.state is not FeedState.LIVE:
                    effects += [*record.set_live(now), *record.end_gap(now)]
        return effects

    def reject(self, topic: Topic, now: int, reason: str) -> Sequence[Event]:
        """See `FeedHandler.reject_topic`."""
        return self.interrupt([FeedKey(record.kind, record.instrument) for record in self._feeds_of(topic)], now, reason)

    def close(self, topics: Iterable[Topic], now: int, reason: str) -> Sequence[Event]:
        """See `FeedHandler.close_topics`."""
        interrupted: list[FeedKey] = []
        for record in [record for topic in topics for record in self._feeds_of(topic)]:
            record.sessions = max(0, record.sessions - 1)
            if record.sessions == 0:
                interrupted.append(FeedKey(record.kind, record.instrument))
        return self.interrupt(interrupted, now, reason)

    def interrupt(self, feeds: Iterable[FeedKey], now: int, reason: str) -> Sequence[Event]:
        """See `FeedHandler.interrupt`."""
        events: list[Event] = []
        for feed in feeds:
            record = self._records.get(feed)
            if record is None:
                continue
            book = self._books.book_of(record)
            if book is None:
                record.interrupt(self._stops.complete_until(record.received_ts))
            else:
                record.interrupt(self._stops.complete_until(book.order_book.applied_ts))
                book.reset()
            events += record.set_state(FeedState.DOWN, reason, now)
        return events

    def _feeds_of(self, topic: Topic) -> list[FeedRecord]:
        """Return the feeds that a topic brings."""
        name = self._names.get(topic.symbol, "")
        kinds = self._kinds.get((topic.endpoint, topic.channel), ())
        return [self._records[feed] for feed in (FeedKey(kind, name) for kind in kinds) if feed in self._records]
