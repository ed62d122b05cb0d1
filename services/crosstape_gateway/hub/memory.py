"""Keeps the newest bytes of each venue on one stream, for clients that come later. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from crosstape_gateway.hub.item import Item, last_value
from crosstape_schemas import AnyEvent, Bar, Candle, Status, Trade

VENUES: Final = 256
"""Values kept for a stream at most: the oldest is forgotten."""


class Memory:
    """The last values of one stream, by venue; statuses by feed as well."""

    __slots__ = ("_newest",)

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str, str], tuple[int, Item]] = {}

    def note(self, event: AnyEvent, item: Item) -> None:
        """Keep it unless a newer one is known: a revision of an old bar, or a trade that was fetched late, is none."""
        order = event.open_ts if isinstance(event, Candle | Bar) else 0
        late = isinstance(event, Trade) and event.backfilled
        key = (event.venue, event.instrument, event.kind) if isinstance(event, Status) else (event.venue, "", "")
        known = self._newest.get(key)
        if known is not None:
            if late or order < known[0]:
                return
            del self._newest[key]  # so that the order is that of the last change
        elif len(self._newest) >= VENUES:
            del self._newest[next(iter(self._newest))]
        self._newest[key] = (order, item)

    def values(self, venues: frozenset[str] | None) -> Iterator[Item]:
        """Yields the last values of these venues (None: of all), the one that changed last at the end."""
        for (venue, _, _), (_, item) in self._newest.items():
            if venues is None or venue in venues:
                yield last_value(item)
