"""What a reader is asked for and what it gives."""

from __future__ import annotations

import enum
import re
from typing import Final, TypeAlias

import msgspec

from crosstape_schemas import AnyEvent


class Start(enum.Enum):
    """Where a reader begins on a stream. In place of one, the id of an entry or a `Mark`: what follows it."""

    NOW = "now"
    """What is added from now on."""
    BEGINNING = "beginning"
    """The oldest entry that the stream has."""
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

_ID: Final = re.compile(r"\d+(-\d+)?")


def check_position(stream: str, position: Position) -> None:
    """Raise `TypeError` for what is none: a mapping of streams to something else would do for `Iterable[str]`, to a type checker too.

    Raise `ValueError` for a text that is no id.
    """
    if not isinstance(position, Position):
        raise TypeError(f"{stream}: where to begin is a Start, a Mark or the id of an entry, not {position!r:.50}")
    place = position.id if isinstance(position, Mark) else position
    if isinstance(place, str) and not _ID.fullmatch(place):
        raise ValueError(f"{stream}: {place!r:.50} is no id of an entry: those are like 1526919030474-55")


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One event as it stands on the tape. Of a last value, `id` is that of the stream's last entry at the time."""

    stream: str
    """Name of the stream, such as `tape:trade:BTC-USDT`."""
    id: str
    """The server's id: its ms since the epoch and a counter, such as `1526919030474-55`."""
    event: AnyEvent


class Foreign(msgspec.Struct, frozen=True):
    """Something on a stream that is none of ours. `id` is empty if it is the key itself, which is no stream."""

    stream: str
    id: str
    reason: str
    """What is wrong with it, in words."""


class Fetched(msgspec.Struct, frozen=True):
    """What one read brought, and the id it leaves each of its streams at."""

    entries: list[Entry]
    cursors: dict[str, str]
