"""Tickers and the figures of derivatives: of each feed only the newest counts. Pure: no I/O, no clock, no log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Final, TypeAlias

from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.quote_feeds import ANSWERED
from crosstape_schemas import KINDS, Event, FeedState, Funding, Mark, OpenInterest, Ticker

Value: TypeAlias = Ticker | Mark | Funding | OpenInterest
VALUE_KINDS: Final = ("ticker", "mark", "funding", "open_interest")
LIVE: Final = FeedState.LIVE
_NOTHING: Final[tuple[Event, ...]] = ()


class ValueFeeds:
    """Applies these values to their feeds, whether they come by a stream or only by REST."""

    def __init__(self, counts: Counter[str]) -> None:
        """`counts`: counts, as `unwanted`, values of instruments without such a feed."""
        self._counts = counts
        self._records: dict[type[Event], dict[str, FeedRecord]] = {KINDS[kind]: {} for kind in VALUE_KINDS}  # by instrument

    def add_feed(self, record: FeedRecord) -> None:
        """Apply values to this feed from now on."""
        self._records[KINDS[record.kind]][record.instrument] = record

    def remove_instrument(self, instrument: str) -> None:
        """Remove the feeds of this instrument."""
        for records in self._records.values():
            records.pop(instrument, None)

    def apply(self, value: Value) -> Sequence[Event]:
        """Publish a value of the stream if a figure has changed: many venues send all figures when one of them changes."""
        record = self._records[type(value)].get(value.instrument)
        if record is None:
            self._counts["unwanted"] += 1
            return _NOTHING
        last, figures_of = record.last, _FIGURES[type(value)]
        changed = last is None or figures_of(last) != figures_of(value)
        if record.state is not LIVE and record.check_answer() and last is not None and changed:
            record.last, record.fetched_ts = value, value.received_ts
            return [*record.refute(ANSWERED, value.received_ts, record.received_ts), value]
        events = record.receive(value)
        if not events and not changed:
            return _NOTHING
        record.last = value
        return [*events, value]


_FIGURES: Final[Mapping[type[Event], Callable[[Event], tuple[object, ...]]]] = {
    Ticker: attrgetter("last", "open", "high", "low", "base_volume", "quote_volume", "change"),
    Mark: attrgetter("mark_price", "index_price"),
    Funding: attrgetter("rate", "interval_s", "next_ts"),
    OpenInterest: attrgetter("size", "value"),
}


def figures(value: Event) -> tuple[object, ...]:
    """Return the figures of a value. Raises `KeyError` for an event of another kind."""
    return _FIGURES[type(value)](value)
