"""OKX's books: the channel that we subscribe to, and all others that a recording may have.

Book    `books` begins with a snapshot of 400 levels a side; each update has its number (`seqId`) and that of the frame before
        (`prevSeqId`). What falls out of the 400 is removed by an update. Without a change for a minute an empty update repeats the number.
        In maintenance numbers may fall: such an update still names the frame before
Quirks  the checksum is 0 since June 2026; frames of 2022 have one, and no numbers. Frames of the same change come by several channels if
        several are subscribed: the book is made of one of them. `books5` and `bbo-tbt` are complete in each frame; `books-rpi` and
        `books-elp` count orders in that others cannot take
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, Odd, Output, unread
from crosstape_connector.venues.okx.connection import Route
from crosstape_connector.venues.okx.stream import list_decoder
from crosstape_connector.venues.okx.values import RawLevel, check_digits, levels_reader
from crosstape_connector.venues.parsing.contracts import base_level
from crosstape_connector.venues.parsing.text_books import TextBooks
from crosstape_connector.venues.parsing.wire import Stamp, epoch_ns
from crosstape_connector.venues.spec import Verdict
from crosstape_schemas import Instrument

CHANNEL: Final = "books"
LEVELS: Final = 400
COMPLETE: Final = "books5"
CHANNELS: Final = (CHANNEL, "books-l2-tbt", "books50-l2-tbt", "books-rpi", "books-elp", COMPLETE)
"""Channels of books, the best first: a book is made of the best one that the connection has brought."""
Number = Annotated[int, msgspec.Meta(ge=-1, le=2**63 - 1)]


class RawBook(msgspec.Struct, frozen=True, gc=False):
    asks: list[RawLevel]
    bids: list[RawLevel]
    ts: Stamp
    checksum: int = 0
    previous: Number | None = msgspec.field(name="prevSeqId", default=None)
    number: Number | None = msgspec.field(name="seqId", default=None)


_books = list_decoder(RawBook)


class Books:
    """The books of one connection: which channel each is made of."""

    __slots__ = ("_channels", "_complete")

    def __init__(self) -> None:
        self._channels: dict[str, int] = {}  # instrument → place of its channel in `CHANNELS`
        self._complete = TextBooks()

    def takes(self, instrument: str, place: int, action: str) -> bool:
        """Whether a frame of the channel at this place is for the book: a better channel takes over with a snapshot."""
        present = self._channels.get(instrument)
        if present is None or (place < present and action == "snapshot"):
            self._channels[instrument] = place
            return True
        return place == present

    def _changed(self, instrument: Instrument, raw: RawBook, made_ts: int, received_ts: int) -> Sequence[Output]:
        """Return what a complete book has changed. Its number tells which is newer, and no more: it names none before it."""
        sides = ([(row.price, row.size) for row in side] for side in (raw.bids, raw.asks))
        found = self._complete.changed(instrument.name, *sides, number=raw.number, venue_ts=made_ts, received_ts=received_ts)
        if found is None:
            return ()
        bids, asks = ([base_level(instrument, *level) for level in side] for side in (found.bids, found.asks))
        made = BookSnapshot if isinstance(found, BookSnapshot) else BookUpdate
        return (made(instrument.name, made_ts, received_ts, bids, asks),)

    def route(self, instrument: Instrument, channel: str, action: str) -> Route[list[RawBook]]:
        """Return the route of the frames of one channel and action."""
        name, complete, place, levels = instrument.name, channel == COMPLETE, CHANNELS.index(channel), levels_reader(instrument)

        def outputs(rows: list[RawBook], text: bytes, received_ts: int) -> Sequence[Output]:
            if self._channels.get(name) != place and not self.takes(name, place, action):
                return ()
            try:
                return read(rows[0], text, received_ts) if len(rows) == 1 else [one for row in rows for one in read(row, text, received_ts)]
            except (*FRAME_ERRORS, ArithmeticError) as exc:
                return lost(exc, received_ts)

        def read(raw: RawBook, text: bytes, received_ts: int) -> Sequence[Output]:
            check_digits(text, raw.bids, raw.asks)
            made_ts = epoch_ns(raw.ts)
            if complete:
                return self._changed(instrument, raw, made_ts, received_ts)
            bids, asks, check, number = levels(raw.bids), levels(raw.asks), raw.checksum or None, raw.number
            if action == "snapshot":
                return (BookSnapshot(name, made_ts, received_ts, bids, asks, number, check),)
            if action != "update":
                raise FrameError(f"neither snapshot nor update: {action[:20]!r}")
            if number is None and check is None:
                raise FrameError("neither a number nor a checksum")
            return (BookUpdate(name, made_ts, received_ts, bids, asks, None, number, raw.previous, check),)

        def refused(error: Exception, text: bytes, received_ts: int) -> Sequence[Output]:
            return lost(error, received_ts) if self.takes(name, place, action) else ()

        def lost(error: Exception, received_ts: int) -> Sequence[Output]:
            """The book lacks what this frame says."""
            self._complete.forget(name)
            return Odd("book", f"{name}: {error}"), unread(name, received_ts)

        return Route(_books, outputs, refused)


def follows(update: BookUpdate, sequence: int) -> Verdict:
    """Whether an update follows the one with that number: it names it. An older one is one that came before."""
    if update.last is None or update.previous is None:
        return Verdict.BREAK
    if update.previous == sequence:
        return Verdict.APPLY
    return Verdict.SKIP if update.last <= sequence else Verdict.BREAK
