"""Tells an event's own time, by which the history orders events: the `ts` of its rows."""

from __future__ import annotations

from crosstape_schemas import AnyEvent, Trade
from crosstape_schemas.trade_time import counts_at


def own_time(event: AnyEvent) -> int:
    """Returns the event's own time, ns: of a trade the moment that it counts at, of a candle or bar its `open_ts`, of a computed event its
    `ts`, of a gap its `from_ts`, of all others `received_ts`.
    """
    if isinstance(event, Trade):
        return counts_at(event.venue_ts, event.received_ts)
    for name in ("ts", "open_ts", "from_ts"):
        own: int | None = getattr(event, name, None)
        if own is not None:
            return own
    return event.received_ts
