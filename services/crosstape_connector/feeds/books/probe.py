"""Judges the stream of a silent book by what REST has. Pure."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import msgspec

from crosstape_connector.feeds.books.levels import BookLevels
from crosstape_connector.feeds.clock_step import ClockStep
from crosstape_connector.venues.messages import BookSnapshot

GRACE_NS: Final = 1_000_000_000
"""How long the stream may take to bring a change that REST has already."""


class Finding(Enum):
    """What a REST snapshot shows of a silent stream."""

    OLD = auto()  # nothing: the stream was further already
    QUIET = auto()  # the stream has brought everything
    AHEAD = auto()  # REST has changes; the stream may still bring them (see `overdue`)


class Probe:
    """Keeps what REST has shown of one book's stream.

    A REST snapshot proves that a silent stream missed nothing only if its number is the one that the *stream* reached. A snapshot with a
    later number refutes the stream, if the stream does not bring that change within `GRACE_NS`. The snapshot then becomes the book, but
    the stream stays `refuted` until an update of it is applied: no later snapshot proves anything of the stream.
    """

    __slots__ = ("newer", "refuted")

    def __init__(self) -> None:
        self.newer: BookSnapshot | None = None
        """A REST snapshot with changes that the stream has not brought yet."""
        self.refuted = False
        """REST showed a change that the stream did not bring, and no update of the stream was applied since."""

    def judge(self, snapshot: BookSnapshot, levels: BookLevels, reached: int | None) -> Finding:
        """Compare the answer to a probe with the book. `reached`: the number up to which the stream has brought every change."""
        number = snapshot.sequence
        if number is not None and reached is not None and number < reached:
            return Finding.OLD
        if number == reached and levels.has_top_of(snapshot):
            return Finding.QUIET
        self.newer = snapshot
        return Finding.AHEAD

    def overdue(self, now: int, *, applied_ts: int, reached: int | None) -> BookSnapshot | None:
        """Return the REST snapshot whose changes the stream did not bring in time: it refutes the stream. None: none, or not yet."""
        newer = self.newer
        if newer is None:
            return None
        if applied_ts > newer.received_ts:
            self.newer = None  # the stream has brought an update since
            return None
        is_ahead = newer.sequence is None or newer.sequence != reached  # else it contradicts what the stream has brought already
        if is_ahead and now - newer.received_ts < GRACE_NS:
            return None
        self.newer = None
        return newer

    def clock_set(self, step: ClockStep) -> None:
        """Shift its times after our clock was set."""
        if self.newer is not None:
            self.newer = msgspec.structs.replace(self.newer, received_ts=step.shifted(self.newer.received_ts))
