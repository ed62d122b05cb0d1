"""Books that a venue sends complete each time, compared as text: only levels that have changed become numbers. Pure.

A complete book of 100 levels a side mostly repeats the one before. To make numbers of 400 texts costs more than all else that is done with
the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate
from crosstape_connector.venues.parsing.numbers import known_price, number
from crosstape_connector.venues.parsing.wire import ZERO
from crosstape_schemas import Level

Row = tuple[str, str]
"""Price and size of a level."""
RESTART_NS: Final = 1_000_000_000
"""A book that is older than the one before by its number, and newer by this much by its time, shows that the numbers began again."""


class TextBooks:
    """The newest complete book of each instrument on one connection.

    A lost frame only delays the book, because the next frame is complete again. A book that is older than the one before is ignored.
    """

    __slots__ = ("_books",)

    def __init__(self) -> None:
        self._books: dict[str, _Book] = {}

    def forget(self, instrument: str) -> None:
        """Forget the book of this instrument: its next book will be a snapshot, whatever its number and time."""
        self._books.pop(instrument, None)

    def changed(
        self, instrument: str, bids: Sequence[Row], asks: Sequence[Row], *, number: int | None, venue_ts: int | None, received_ts: int
    ) -> BookSnapshot | BookUpdate | None:
        """Return the snapshot or update that a complete book stands for; None if it is older than the one before.

        `bids`, `asks`: in any order, their text in ASCII. `number`: what the venue numbers its books by, if it does.
        Raises one of `FRAME_ERRORS` or an `ArithmeticError` for levels that cannot be read; `forget` the book then.
        """
        book = self._books.get(instrument)
        if book is None:
            book = self._books[instrument] = _Book(number, venue_ts)
            levels = sorted(book.bids.change(bids), reverse=True), sorted(book.asks.change(asks))
            return BookSnapshot(instrument, venue_ts, received_ts, *levels, number)
        if book.is_older(number, venue_ts):
            return None
        return BookUpdate(instrument, venue_ts, received_ts, book.bids.change(bids), book.asks.change(asks), None, number)


class _Book:
    """The text of one book, its number and its time."""

    __slots__ = ("asks", "bids", "number", "venue_ts")

    def __init__(self, number: int | None, venue_ts: int | None) -> None:
        self.bids, self.asks = _Side(), _Side()
        self.number, self.venue_ts = number, venue_ts

    def is_older(self, number: int | None, venue_ts: int | None) -> bool:
        """Whether a book with this number and time is older; if not, they are those of the newest."""
        later_ns = 0 if venue_ts is None or self.venue_ts is None else venue_ts - self.venue_ts
        if number is not None and self.number is not None:
            if number < self.number and later_ns <= RESTART_NS:
                return True
        elif later_ns < 0:
            return True
        self.number = self.number if number is None else number
        self.venue_ts = self.venue_ts if venue_ts is None else venue_ts
        return False


class _Side:
    """The levels of one side, as text."""

    __slots__ = ("_sizes",)

    def __init__(self) -> None:
        self._sizes: dict[str, str] = {}  # by price

    def change(self, rows: Sequence[Row]) -> list[Level]:
        """Replace the levels. Returns those that are gone, with size zero, and those that are new or have another size.

        The book refuses impossible ones.
        """
        before, sizes = self._sizes, dict(rows)
        if len(sizes) != len(rows):
            raise FrameError("a price that is there twice")
        self._sizes = sizes
        changed = [(known_price(price), number(size)) for price, size in rows if before.get(price) != size]
        gone = before.keys() - sizes.keys()
        return [*((known_price(price), ZERO) for price in sorted(gone)), *changed] if gone else changed
