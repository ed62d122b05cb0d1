"""The last events on the tape before this connector, or this replica, publishes, and the gaps that follow from them. Pure.

No connector receives data between a predecessor's last event and our first, however the predecessor ended: killed, stopped in order, with
its feed down or its instrument removed. So there is a gap of each kind that was published, from the `received_ts` of its last event.
Quotes, books and tickers are states: their gap means that states in between were not seen. Without a last event (a new instrument) there is
no gap. A candle feed has no gap if the venue's past candles reach back to the last on the tape.

A replica that takes over has received data all the time, but published nothing. Trades continue by their ids (`failover.trade_buffer`),
candles by their times (`CandleSequence.continue_after`). Of the other kinds it publishes the newest state, and a gap if there may be
another state, or another liquidation, between that and the last on the tape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from crosstape_connector.feeds import value_feeds
from crosstape_connector.feeds.candles.sequence import CandleSequence
from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.quote_numbers import sides_of
from crosstape_connector.venues.offers import NO_FEED
from crosstape_schemas import (
    VENUE_WIDE,
    Book,
    Delta,
    Event,
    FeedState,
    Funding,
    Gap,
    GapCause,
    Liquidation,
    Mark,
    OpenInterest,
    Quote,
    Ticker,
    Trade,
)

LastEvents: TypeAlias = Mapping[tuple[str, str], Event]
"""(kind, instrument) → the newest event of our venue on the tape."""

WHOLE_VENUE: Final = ("status", VENUE_WIDE)
"""The key of the newest venue-wide status."""

SAME_QUOTE_NS: Final = 100_000_000
"""Two replicas may receive the same quote this far apart, ns. Used for quotes to which the venue gives no time."""


def wanted(kinds: Iterable[str], names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the keys to look up on the tape for these instruments."""
    ours = [kind for kind in dict.fromkeys(kinds) if kind != NO_FEED]
    return [(kind, name) for name in names for kind in ours]


def trades(left: LastEvents) -> list[Trade]:
    """Return the trades among the last events, one per instrument."""
    return [event for event in left.values() if isinstance(event, Trade)]


def silence(venue: str, left: LastEvents, now: int) -> Iterator[Gap]:
    """Yield the gap in the venue-wide status, if the tape has such a status: states in between were not published."""
    last = left.get(WHOLE_VENUE)
    if last is not None:
        yield Gap(venue, VENUE_WIDE, None, now, "status", min(last.received_ts, now), now, None, GapCause.DISCONNECT)


def unpublished(feeds: FeedHandler, left: LastEvents, now: int) -> Iterator[Gap]:
    """Yield the gaps of all kinds but trades and candles that a replica must report when it takes over, before it publishes states.

    The gap of a feed that is not live is reported when its data resume, as after any loss.
    """
    for record in feeds.records.values():
        last = left.get((record.kind, record.instrument))
        if last is None or record.kind == "trade" or isinstance(record, CandleSequence):
            continue
        if record.state is not FeedState.LIVE:
            record.gap_from = last.received_ts
        elif not _is_newest(feeds, record, last):
            from_ts = min(last.received_ts, now)  # their clock may be ahead of ours
            to_ts = min(max(record.received_ts, from_ts), now)
            yield Gap(record.venue, record.instrument, None, now, record.kind, from_ts, to_ts, None, GapCause.DISCONNECT)


def _is_newest(feeds: FeedHandler, record: FeedRecord, last: Event) -> bool:
    """Whether the last event on the tape is the newest of this live feed, so that none is missing between the two."""
    ours = record.last
    match last:
        case Quote():
            if not isinstance(ours, Quote) or sides_of(ours) != sides_of(last):
                return False
            if ours.venue_ts is None or last.venue_ts is None:
                return record.received_ts <= last.received_ts + SAME_QUOTE_NS
            return ours.venue_ts == last.venue_ts
        case Ticker() | Mark() | Funding() | OpenInterest():
            return type(ours) is type(last) and value_feeds.figures(ours) == value_feeds.figures(last)
        case Liquidation():
            return isinstance(ours, Liquidation) and _order(ours) == _order(last)
        case Book() | Delta():
            sequence, venue_ts = feeds.book_position(record.instrument)
            is_known = None not in (sequence, last.sequence) or None not in (venue_ts, last.venue_ts)
            return is_known and _agree(sequence, last.sequence) and _agree(venue_ts, last.venue_ts)
        case _:
            return False


def _agree(ours: int | None, theirs: int | None) -> bool:
    return ours is None or theirs is None or ours == theirs


def _order(liquidation: Liquidation) -> tuple[object, ...]:
    return liquidation.venue_ts, liquidation.taker, liquidation.price, liquidation.size
