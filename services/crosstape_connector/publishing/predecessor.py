"""What was on the tape before this connector, or this replica, began to publish, and the gaps that follow from it. Pure.

Nobody listened from a predecessor's last event on until data resume, however it ended: killed, stopped in order, or with its feed down or
its instrument removed. So the tape has a gap of each kind that was published, from the `received_ts` of its last event. A quote, a book
and a ticker are states: their gap says that states between were not seen. Where the tape has no last event, as when an instrument is new,
there is no gap.

A replica that takes over has listened all the time, but what it read was not published. Trades go on by their ids (`hold`). Of the other
kinds it publishes the newest state, and a gap if there may have been one between that and the last on the tape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_schemas import VENUE_WIDE, Book, Delta, Event, FeedState, Gap, GapCause, Quote, Ticker, Trade

LastEvents: TypeAlias = Mapping[tuple[str, str], Event]
"""(kind, instrument) → the newest event of our venue that is on the tape."""

WHOLE_VENUE: Final = ("status", VENUE_WIDE)
"""Under this, the last sign of life."""

FEEDS: Final = ("trade", "quote", "book", "delta", "ticker")
"""Kinds of events that are feeds."""

TOGETHER_NS: Final = 100_000_000
"""Two replicas may receive the same quote so far apart. Where a quote has no time of its venue's, that is all to know it by."""


def wanted(kinds: Iterable[str], names: Iterable[str]) -> list[tuple[str, str]]:
    """What to look up on the tape for these instruments."""
    ours = [kind for kind in FEEDS if kind in set(kinds)]
    return [(kind, name) for name in names for kind in ours]


def trades(left: LastEvents) -> list[Trade]:
    """The newest trades among these, one an instrument."""
    return [event for event in left.values() if isinstance(event, Trade)]


def silence(venue: str, left: LastEvents, now: int) -> Iterator[Gap]:
    """The gap in the venue's sign of life. A state that the venue or a feed was in meanwhile has not been published either."""
    last = left.get(WHOLE_VENUE)
    if last is not None:
        yield Gap(venue, VENUE_WIDE, None, now, "status", min(last.received_ts, now), now, None, GapCause.DISCONNECT)


def unpublished(feeds: FeedHandler, left: LastEvents, now: int) -> Iterator[Gap]:
    """What a replica that takes over now has to report of its feeds, before it publishes their states; but for trades.

    Of a feed that is not live the gap is reported when data resume, as after any loss.
    """
    for record in feeds.records.values():
        last = left.get((record.kind, record.instrument))
        if last is None or record.kind == "trade":
            continue
        if record.state is not FeedState.LIVE:
            record.gap_from = last.received_ts
        elif not _is_newest(feeds, record, last):
            from_ts = min(last.received_ts, now)  # their clock may be ahead of ours
            to_ts = min(max(record.received_ts, from_ts), now)
            yield Gap(record.venue, record.instrument, None, now, record.kind, from_ts, to_ts, None, GapCause.DISCONNECT)


def _is_newest(feeds: FeedHandler, record: FeedRecord, last: Event) -> bool:
    """Whether the last event on the tape is the newest that this live feed knows, so that none can be between."""
    ours = record.last
    match last:
        case Quote():
            if not isinstance(ours, Quote) or _figures(ours) != _figures(last):
                return False
            if ours.venue_ts is None or last.venue_ts is None:
                return record.received_ts <= last.received_ts + TOGETHER_NS
            return ours.venue_ts == last.venue_ts
        case Ticker():
            return isinstance(ours, Ticker) and _figures(ours) == _figures(last)
        case Book() | Delta():
            sequence, venue_ts = feeds.book_position(record.instrument)
            is_known = None not in (sequence, last.sequence) or None not in (venue_ts, last.venue_ts)
            return is_known and _agree(sequence, last.sequence) and _agree(venue_ts, last.venue_ts)
        case _:
            return False


def _agree(ours: int | None, theirs: int | None) -> bool:
    return ours is None or theirs is None or ours == theirs


def _figures(event: Quote | Ticker) -> tuple[object, ...]:
    if isinstance(event, Quote):
        return event.bid_price, event.bid_size, event.ask_price, event.ask_size
    return event.last, event.open, event.high, event.low, event.base_volume, event.quote_volume, event.change
