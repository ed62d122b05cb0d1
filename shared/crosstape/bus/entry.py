"""What a reader is asked for and what it gives."""

from __future__ import annotations

import enum
from typing import TypeAlias

import msgspec

from crosstape_schemas import AnyEvent


class Start(enum.Enum):
    """Where a reader begins on a stream. In place of one, the id of an entry or a `Mark`: what follows it."""

    NOW = "now"
    BEGINNING = "beginning"
    LAST_THEN_NOW = "last_then_now"
    """The last value of each venue, then exactly what follows them."""


class Mark(msgspec.Struct, frozen=True):
    """A place on a stream, and what was known of its numbering there: what has been seen before is then not given out again, even where a
    server that lost data got it anew under other ids; and what is missing right behind the place is told.
    """

    id: str
    numbers: tuple[tuple[str, int, int], ...] = ()
    """Venue, epoch, and the `seq` of its last event up to here."""


Position: TypeAlias = Start | str | Mark


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One event as it stands on the tape. Of a last value, `id` is that of the stream's last entry at the time."""

    stream: str
    id: str
    event: AnyEvent


class Foreign(msgspec.Struct, frozen=True):
    """Something on a stream that is none of ours. `id` is empty if it is the key itself, which is no stream."""

    stream: str
    id: str
    reason: str


class Batch(msgspec.Struct, frozen=True):
    """What one read brought, and the id it leaves each of its streams at."""

    entries: list[Entry]
    cursors: dict[str, str]
