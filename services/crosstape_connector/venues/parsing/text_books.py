"""Books that a venue sends complete each time, compared as text: only levels that have changed become numbers. Pure.

A complete book of 100 levels a side mostly repeats the one before. To decode 400 texts and make numbers of them costs more than all else
that is done with the frame. Here a side is cut into the texts of its levels, two sets are compared, and what differs is decoded.
"""

from __future__ import annotations

from typing import Final

import msgspec

from crosstape_connector.errors import FrameError
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate
from crosstape_connector.venues.parsing.numbers import BACKSLASH, SPACE, known_price, number
from crosstape_connector.venues.parsing.wire import ZERO
from crosstape_schemas import Level

RESTART_NS: Final = 1_000_000_000
"""A book that is older than the one before by its number, and newer by this much by its time, shows that the numbers began again."""

NEWLINE, RETURN, TAB = b"\n\r\t"
_BETWEEN: Final = b"],["
_EMPTY: Final = (b"[]", b"null")
_COMMA: Final = b'","'
_rows: Final = msgspec.json.Decoder(list[tuple[str, str]]).decode
_encode: Final = msgspec.json.encode


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
        self, instrument: str, bids: msgspec.Raw, asks: msgspec.Raw, *, number: int | None, venue_ts: int | None, received_ts: int
    ) -> BookSnapshot | BookUpdate | None:
        """Return the snapshot or update that a complete book stands for; None if it is older than the one before.

        `bids`, `asks`: the JSON lists of `["price","size"]`, in any order. `number`: what the venue numbers its books by, if it does.
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

    __slots__ = ("_prices", "_rows", "_text")

    def __init__(self) -> None:
        self._text = b"[]"
        self._rows: set[bytes] = set()
        self._prices: set[bytes] = set()

    def change(self, raw: msgspec.Raw) -> list[Level]:
        """Replace the levels. Returns those that are gone, with size zero, and those that are new or have another size."""
        text = bytes(raw)
        if text == self._text:
            return []
        self._text = text
        before = self._rows
        rows = self._rows = _cut(text)
        fresh, stale = rows - before, before - rows
        levels = _levels(fresh) if fresh else []
        gone, new = {row.partition(_COMMA)[0] for row in stale}, {row.partition(_COMMA)[0] for row in fresh}
        prices = self._prices
        prices -= gone
        stated = len(prices) + len(fresh)
        prices |= new
        if len(prices) != stated:
            raise FrameError("a price that is there twice")
        gone -= new
        return [*((known_price(price[1:].decode()), ZERO) for price in sorted(gone)), *levels] if gone else levels


def _cut(text: bytes) -> set[bytes]:
    """Return the text between the brackets of each level. Raises `FrameError` for what is no list of lists, or not ASCII."""
    if SPACE in text or BACKSLASH in text or NEWLINE in text or RETURN in text or TAB in text:
        text = _encode(_rows(text))
    if not text.isascii():
        raise FrameError("digits that are not ASCII")
    if text in _EMPTY:
        return set()
    if text[:2] != b"[[" or text[-2:] != b"]]":
        raise FrameError("a side of a book that is no list of levels")
    return set(text[2:-2].split(_BETWEEN))


def _levels(rows: set[bytes]) -> list[Level]:
    """Return the levels of these texts, in the order of the texts. The book refuses impossible ones."""
    return [(known_price(price), number(size)) for price, size in _rows(b"[[%s]]" % _BETWEEN.join(sorted(rows)))]
