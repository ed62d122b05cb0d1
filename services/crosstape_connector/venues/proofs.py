"""Says in a few words by what each kind of a venue's feeds is proven, from its table. Pure."""

from __future__ import annotations

from typing import Final

from crosstape_connector.venues.spec import Endpoint, Venue

UNPROVEN: Final = "unproven"
"""Of a book that a library keeps: it does not say what it checks."""
NONE: Final = "none"
"""There is nothing to prove it by."""
BY_IDS: Final = {"contiguous": "id continuity", "increasing": "id order", "unique": "each id once"}


def from_book(venue: Venue, kind: str) -> bool:
    """Whether the book's proof is that of this kind."""
    return kind in ("book", "delta") or (kind == "quote" and venue.quote_from_book)


def proof(venue: Venue, endpoint: Endpoint, kind: str) -> str:
    """Return by what data of this kind are proven, from this endpoint."""
    if from_book(venue, kind):
        if venue.library_class:
            return UNPROVEN
        names = [
            name
            for name, has in (
                ("sequence", venue.book.follows is not None),
                ("sequence of the connection", endpoint.numbered),
                ("checksum", venue.book.checksum is not None),
                ("times in order", venue.book.ordered),
            )
            if has
        ]
        return ", ".join([*names, "never crossed"])
    return BY_IDS.get(venue.trade_ids, NONE) if kind == "trade" else NONE
