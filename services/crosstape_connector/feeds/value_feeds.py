"""Tickers and the figures of derivatives: of each feed only the newest counts. Pure: no I/O, no clock, no log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, TypeAlias

from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.feeds.quote_feeds import ANSWERED
from crosstape_schemas import KIND_OF, Event, FeedState, Funding, Mark, OpenInterest, Ticker

Value: TypeAlias = Ticker | Mark | Funding | OpenInterest
VALUE_KINDS: Final = ("ticker", "mark", "funding", "open_interest")
LIVE: Final = FeedState.LIVE
_NOTHING: Final[tuple[Event, ...]] = ()


class ValueFeeds:
    """Applies these values to their feeds, whether they come by a stream or only by REST."""

    def __init__(self, counts: Counter[str]) -> None:
        """`counts`: counts, as `unwanted`, values of instruments without such a feed."""
        self._counts = counts
        self._records: dict[FeedKey, FeedRecord] = {}

    def add_feed(self, record: FeedRecord) -> None:
        """Apply values to this feed from now on."""
        self._records[FeedKey(record.kind, record.instrument)] = record

    def remove_instrument(self, instrument: str) -> None:
        """Remove the feeds of this instrument."""
        for kind in VALUE_KINDS:
            self._records.pop(FeedKey(kind, instrument), None)

    def apply(self, value: Value) -> Sequence[Event]:
        """Publish a value of the stream if a figure has changed: many venues send all figures when one of them changes."""
        record = self._records.get(FeedKey(KIND_OF[type(value)], value.instrument))
        if record is None:
            self._counts["unwanted"] += 1
            return _NOTHING
        last = record.last
        changed = last is None or figures(last) != figures(value)
        if record.state is not LIVE and record.check_answer() and last is not None and changed:
            record.last, record.fetched_ts = value, value.received_ts
            return [*record.refute(ANSWERED, value.received_ts, record.received_ts), value]
        events = record.receive(value)
        if not events and not changed:
            return _NOTHING
        record.last = value
        return [*events, value]


def figures(value: Event) -> tuple[object, ...]:
    """Return the figures of a value. Raises `TypeError` for an event of another kind."""
    match value:
        case Ticker():
            return value.last, value.open, value.high, value.low, value.base_volume, value.quote_volume, value.change
        case Mark():
            return value.mark_price, value.index_price
        case Funding():
            return value.rate, value.interval_s, value.next_ts
        case OpenInterest():
            return value.size, value.value
        case _:
            raise TypeError(f"not a value: {value}")
