"""Books rebuilt from what is on the tape, by the simplest means: what a consumer of deltas would do."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from crosstape_schemas import Delta, Event

Side = dict[Decimal, Decimal]


def rebuilt(events: Iterable[Event]) -> tuple[Side, Side]:
    """Bids and asks after all deltas."""
    bids: Side = {}
    asks: Side = {}
    for event in events:
        assert isinstance(event, Delta)
        if event.snapshot:
            bids, asks = {}, {}
        for side, levels in ((bids, event.bids), (asks, event.asks)):
            for price, size in levels:
                if size:
                    side[price] = size
                else:
                    side.pop(price, None)
    return bids, asks


def changes(events: Iterable[Event], after: int | None) -> list[tuple[object, ...]]:
    """Raw changes whose sequence is above `after`, without our own times and numbers; where the venue has no sequence, all."""
    return [
        (event.venue_ts, event.bids, event.asks, event.sequence)
        for event in events
        if isinstance(event, Delta) and not event.snapshot and (after is None or (event.sequence or 0) > after)
    ]


def begun(events: Iterable[Event]) -> int | None:
    """Returns the venue's number of the first complete book."""
    return next((event.sequence for event in events if isinstance(event, Delta) and event.snapshot), None)
