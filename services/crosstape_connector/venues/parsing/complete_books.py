"""Books that a venue sends complete each time: the first becomes a snapshot, each later one the changes since the one before. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from crosstape_connector.venues.messages import BookSnapshot, BookUpdate
from crosstape_connector.venues.parsing.wire import ZERO
from crosstape_schemas import Level

Side = Mapping[Decimal, Decimal]
"""Price → size."""
_NOTHING: Final[tuple[Side, Side]] = ({}, {})


class CompleteBooks:
    """The newest complete book of each instrument on one connection.

    A lost frame only delays the book, because the next frame is complete again. A frame that is not newer than the one before is ignored,
    so that a book never goes back in time.
    """

    __slots__ = ("_books", "_times")

    def __init__(self) -> None:
        self._books: dict[str, tuple[Side, Side]] = {}
        self._times: dict[str, int] = {}

    def forget(self, instrument: str) -> None:
        """Forget the book of this instrument: its next book will be a snapshot, whatever its time."""
        self._books.pop(instrument, None)
        self._times.pop(instrument, None)

    def changed(
        self, instrument: str, bids: list[Level], asks: list[Level], *, venue_ts: int, received_ts: int
    ) -> BookSnapshot | BookUpdate | None:
        """Return the snapshot or update that a complete book stands for; None if it is not newer than the one before."""
        if venue_ts <= self._times.get(instrument, -1):
            return None
        self._times[instrument] = venue_ts
        old_bids, old_asks = self._books.get(instrument, _NOTHING)
        new_bids, new_asks = dict(bids), dict(asks)
        is_first = instrument not in self._books
        self._books[instrument] = new_bids, new_asks
        if is_first:
            return BookSnapshot(instrument, venue_ts, received_ts, bids, asks)
        return BookUpdate(instrument, venue_ts, received_ts, _changes(old_bids, new_bids), _changes(old_asks, new_asks))


def _changes(old: Side, new: Side) -> list[Level]:
    """Return the removed levels, then those that are new or have another size."""
    gone = [(price, ZERO) for price in old if price not in new]
    return [*gone, *((price, size) for price, size in new.items() if old.get(price) != size)]
