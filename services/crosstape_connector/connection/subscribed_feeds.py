"""The feeds of one connection: which topic brings which feeds, and which instruments they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crosstape_connector.connection.subscriptions import TopicState
from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import Topic
from crosstape_schemas import Instrument


class SubscribedFeeds:
    """Maps the topics of one connection to the records of their feeds. A topic may bring several feeds: a book and its deltas."""

    def __init__(self, feeds: FeedHandler, topics: Sequence[Topic]) -> None:
        self.by_topic: dict[Topic, list[FeedRecord]] = {}
        self.symbols: dict[str, Instrument] = {}
        """The venue's symbol → our instrument. The parser reads this; symbols stay after `remove`, for frames still on their way."""
        self.instruments: set[str] = set()
        self._feeds = feeds
        self.add(topics)

    def add(self, topics: Sequence[Topic]) -> None:
        """Track these topics. Their feeds must exist in `FeedHandler`."""
        found = _records(self._feeds, topics)
        self.by_topic.update(found)
        listed = self._feeds.listed
        self.symbols.update({record.symbol: listed[record.instrument] for records in found.values() for record in records})
        self.instruments.update(instrument.name for instrument in self.symbols.values())

    def remove(self, topics: Sequence[Topic]) -> None:
        """Stop tracking these topics."""
        for topic in topics:
            self.by_topic.pop(topic, None)

    def has_received(self, topic: Topic, since_ts: int) -> bool:
        """Whether a feed of this topic has received data after `since_ts` (ns since the epoch)."""
        return any(record.received_ts > since_ts for record in self.by_topic[topic])

    def books(self, states: Mapping[Topic, TopicState]) -> list[str]:
        """Return the instruments whose books this connection subscribes, without those that the venue rejected."""
        return [
            records[0].instrument
            for topic, records in self.by_topic.items()
            if states[topic] is not TopicState.REJECTED and any(record.kind in ("book", "delta") for record in records)
        ]

    def trading(self) -> list[FeedRecord]:
        """Return the feeds of instruments that trade. A halt explains any silence."""
        return [record for records in self.by_topic.values() for record in records if not self._feeds.is_halted(record.instrument)]


def _records(feeds: FeedHandler, topics: Sequence[Topic]) -> dict[Topic, list[FeedRecord]]:
    """Topic → the records of its feeds. A kind that two endpoints offer comes from the first."""
    source: dict[str, tuple[str, str]] = {}
    for endpoint in feeds.venue.endpoints:
        for kind, channel in endpoint.channels.items():
            source.setdefault(kind, (endpoint.name, channel))
    records = {(record.kind, record.symbol): record for record in feeds.records.values()}
    return {
        topic: [records[kind, topic.symbol] for kind, at in source.items() if at == topic[:2] and (kind, topic.symbol) in records]
        for topic in topics
    }
