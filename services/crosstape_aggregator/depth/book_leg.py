"""Decides whether the book of a leg counts.

It counts if the leg counts in the consolidated quote and the book has no fault of its own. The prices of a leg usually come from quotes,
whose feed may be live while that of books is not. The faults of a book, in this order:

- `state`: the feed of books is not live, or has not sent a book in the present epoch of its venue;
- `stale`: the book is `stale_s` old, and its venue, in the same epoch, has given no sign of life for `stale_s`;
- `empty`: it has neither bids nor asks;
- `crossed`: its best bid is not below its best ask.
"""

from __future__ import annotations

from decimal import InvalidOperation

from crosstape_aggregator.consolidation.leg import LIVE, VenueLeg
from crosstape_schemas import Book, DepthLeg, Exclusion, FeedState


def counting_book(leg: VenueLeg, now: int, stale_ns: int) -> Book | None:
    """Return the book of a leg if it counts."""
    return leg.last_book if exclusion(leg, leg.book_state, now, stale_ns) is None else None


def exclusion(leg: VenueLeg, state: FeedState, now: int, stale_ns: int) -> Exclusion | None:
    """Return why the book of a leg does not count; None: it counts. `state`: that of its feed of books."""
    if leg.excluded is not None:
        return leg.excluded
    book = leg.last_book
    if state is not LIVE or book is None:
        return Exclusion.STATE
    if now - book.received_ts >= stale_ns and now >= stale_ts(leg, book, stale_ns):
        return Exclusion.STALE
    if not book.bids or not book.asks:
        return None if book.bids or book.asks else Exclusion.EMPTY
    try:
        return None if book.bids[0][0] < book.asks[0][0] else Exclusion.CROSSED
    except InvalidOperation:  # a price is no number
        return Exclusion.CROSSED


def stale_ts(leg: VenueLeg, book: Book, stale_ns: int) -> int:
    """Return when (ns) the book goes stale if nothing more is received from its venue."""
    alive_ts = leg.liveness.alive_ts
    return (book.received_ts if book.received_ts > alive_ts else alive_ts) + stale_ns  # noqa: FURB136 — `max` costs three times as much


def show(leg: VenueLeg, now: int, stale_ns: int) -> DepthLeg:
    """Return the leg as it is published."""
    state = leg.book_state
    excluded = exclusion(leg, state, now, stale_ns)
    book = leg.last_book
    if book is None:
        return DepthLeg(leg.venue, None, state, excluded, 0, 0)
    return DepthLeg(leg.venue, book.received_ts, state, excluded, book.epoch, book.seq)
