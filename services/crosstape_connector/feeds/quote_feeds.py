"""The quotes of one venue: each is complete in itself, so only the newest counts. Pure: no I/O, no clock, no log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.quote_numbers import sides_of, top_of
from crosstape_connector.venues.messages import RepeatedQuote
from crosstape_schemas import AnyNumber, Event, FeedState, Quote

LIVE: Final = FeedState.LIVE  # a global is found sooner than a member of its class
ANSWERED: Final = "the venue answers the subscription with other data, and sends none after that"
_NOTHING: Final[tuple[Event, ...]] = ()


class QuoteFeeds:
    """Applies quotes to their feeds. Quotes that are the top of a book are not here (see `BookFeed`)."""

    def __init__(self, counts: Counter[str]) -> None:
        """`counts`: counts, as `unwanted`, outputs of instruments without such a feed."""
        self._counts = counts
        self._quotes: dict[str, FeedRecord] = {}

    def add_feed(self, record: FeedRecord) -> None:
        """Apply quotes to this feed from now on."""
        self._quotes[record.instrument] = record

    def remove_instrument(self, instrument: str) -> None:
        """Remove the feed of this instrument."""
        self._quotes.pop(instrument, None)

    def apply_quote(self, quote: Quote[AnyNumber]) -> Sequence[Event]:
        """Publish a quote of the stream."""
        record = self._quotes.get(quote.instrument)
        if record is None:
            self._counts["unwanted"] += 1
            return _NOTHING
        if record.state is LIVE:
            record.last = quote
            record.received_ts = quote.received_ts
            record.venue_ts = quote.venue_ts
            record.count += 1
            return (quote,)
        return self._apply_to_silent(record, quote)

    def apply_repeated(self, repeated: RepeatedQuote[AnyNumber]) -> Sequence[Event]:
        """Note that the stream lives, if its quote is live; else the repeated one is as good as a new one."""
        record = self._quotes.get(repeated.quote.instrument)
        if record is None or record.state is not LIVE or record.last is None:
            return self.apply_quote(repeated.quote)
        record.received_ts = repeated.quote.received_ts
        record.venue_ts = repeated.quote.venue_ts
        record.count += 1
        return _NOTHING

    def _apply_to_silent(self, record: FeedRecord, quote: Quote[AnyNumber]) -> Sequence[Event]:
        """Apply a quote to a feed that is not live.

        The first quote after subscribing again may be only the venue's answer to that. If it has our prices, nothing was missed. If it has
        other prices, the stream had missed a change, and only the next quote shows that the stream brings changes again.
        """
        before, events = record.last, list[Event]()
        same = isinstance(before, Quote) and top_of(before) == top_of(quote)
        if not record.check_answer() or (same and not record.refuted_ts):
            events = record.receive(quote)
        else:
            record.fetched_ts = quote.received_ts
            if not same and before is not None:
                events = record.refute(ANSWERED, quote.received_ts, record.received_ts)
        if record.state is not LIVE:
            quote = msgspec.structs.replace(quote, state=record.state)
        record.last = quote
        return [*events, quote]


def apply_polled_quote(record: FeedRecord, quote: Quote, asked_ts: int, reason: str) -> Sequence[Event]:
    """Apply a quote that was requested from REST at `asked_ts` because the stream is away: `recovering`, never `live`.

    `record`: the feed, whether the venue sends its quotes or they are the top of its book. Returns nothing if the stream is live again, or
    if neither prices nor sizes have changed. `reason`: of the feed's state meanwhile.
    """
    if record.state is LIVE or record.confirmed or record.received_ts > asked_ts:
        return _NOTHING
    last, now = record.last, quote.received_ts
    record.last = polled = msgspec.structs.replace(quote, state=FeedState.RECOVERING)
    record.fetched_ts = now
    events = record.set_state(FeedState.RECOVERING, reason, now)
    if not isinstance(last, Quote) or last.state is not FeedState.RECOVERING or sides_of(last) != sides_of(polled):
        events.append(polled)
    return events
