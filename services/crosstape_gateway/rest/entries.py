"""Reads the rows of a stream: newest first in pages, as far as a request needs them. Of an event that is not wanted only what decides is
decoded; what is sent is an event of ours, as all that the streams send.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, NamedTuple, TypeVar

import msgspec

from crosstape_gateway import metrics
from crosstape_gateway.parts import Parts
from crosstape_gateway.rest import bus
from crosstape_schemas import decode

PAGE: Final = 1_000
"""Entries in one answer of the bus at most: it does nothing else meanwhile, here for about half a millisecond."""
FIRST_PAGE: Final = 100
"""Entries in the first page at least."""
READ_ENTRIES: Final = 100_000
"""Entries that one request reads at most. Beyond that the answer says `more`, and from where to go on."""
READ_S: Final = 2.0
"""How long one request reads, at most: less than `bus.DEADLINE_S`, so that it answers with what it has."""
SKEW_MS: Final = 10_000
"""How far a producer's clock may be ahead of the bus's: an event is on the tape this much before its own time at most."""
LATE_MS: Final = 300_000
"""How late an event may be on the tape to be found by `to_ts`: those that waited longer, in an outage of the bus, are found without it."""


class Head(msgspec.Struct, frozen=True, gc=False):
    """What all events have, and decides whether one is wanted."""

    type: str
    venue: str
    instrument: str
    received_ts: int
    epoch: int
    seq: int


class Row(NamedTuple):
    """One entry of a stream."""

    id: str
    head: Head
    data: bytes
    """The event's JSON, as it is on the tape."""


class Range(msgspec.Struct, frozen=True):
    """Which rows of a stream are wanted: those received from `from_ts` on and before `to_ts`, of one venue or (empty) of all."""

    limit: int
    venue: str = ""
    from_ts: int | None = None
    to_ts: int | None = None
    before: str = ""
    """Only entries before this id."""
    after: str = ""
    """Only entries behind this id, the oldest of them first."""
    type: str = ""
    """Only events of this type; empty: all that are there."""

    def row(self, entry_id: bytes, data: bytes) -> Row | None:
        """Returns the row of an entry; None if it is not wanted, or is no event."""
        if self.venue.encode() not in data or self.type.encode() not in data:
            return None  # it is not wanted, whatever else it says: most entries are not decoded
        head = decoded(decode_head, data)
        return Row(entry_id.decode(), head, data) if head is not None and self._has(head) and is_event(data) else None

    def _has(self, head: Head) -> bool:
        return (
            (not self.venue or head.venue == self.venue)
            and (not self.type or head.type == self.type)
            and (self.from_ts is None or head.received_ts >= self.from_ts)
            and (self.to_ts is None or head.received_ts < self.to_ts)
        )

    @property
    def newest_id(self) -> str:
        """The id from which reading goes back."""
        if self.before:
            ms, _, number = self.before.partition("-")
            return f"({ms}-{number or 0}" if int(ms) or int(number or 0) else "0-0"  # nothing is before the first id; the bus refuses it
        return "+" if self.to_ts is None else str(self.to_ts // 1_000_000 + LATE_MS)

    @property
    def oldest_id(self) -> str:
        """The id before which no wanted entry is."""
        return "-" if self.from_ts is None else str(max(0, self.from_ts // 1_000_000 - SKEW_MS))


class Budget:
    """What one request may still read, of all streams together."""

    def __init__(self) -> None:
        self.entries = READ_ENTRIES
        self.until_s = time.monotonic() + READ_S
        self.cut = False
        """Whether reading ended because nothing was left."""

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self.entries <= 0 or time.monotonic() >= self.until_s


class Found(NamedTuple):
    """Rows in the order of the tape, oldest first."""

    rows: list[Row]
    more: bool
    """Whether there are more rows in the range than `limit`, or more entries than are read at once."""
    oldest: str
    """Everything from this id on was read: `before` it are the older ones. Empty: nothing was read."""
    newest: str
    """Everything up to this id was read: `after` it are those that came since."""


T = TypeVar("T")
decode_head: Final = msgspec.json.Decoder(Head).decode


def decoded(decode_part: Callable[[bytes], T], data: bytes) -> T | None:
    """Returns what a decoder makes of an entry; None, which is counted, for what some other program may have written."""
    try:
        return decode_part(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        metrics.FOREIGN.inc()
        return None


def is_event(data: bytes) -> bool:
    """Whether this is an event of ours as a whole. What is not is counted."""
    return decoded(decode, data) is not None


def data_of(fields: list[bytes]) -> bytes:
    """Returns the event's JSON of an entry; empty for an entry that some other program may have written."""
    if len(fields) == 2 and fields[0] == b"d":
        return fields[1]
    return next((value for name, value in zip(fields[::2], fields[1::2], strict=False) if name == b"d"), b"")


async def backwards(parts: Parts, stream: str, places: tuple[str, str], first: int, budget: Budget) -> AsyncGenerator[tuple[bytes, bytes]]:
    """Yields (id, the event's JSON) of the entries of a stream, newest first, between two `places`: the newest and the oldest id.

    `first`: how many entries will do if all are wanted. Sets `budget.cut` if it ends before the oldest.
    """
    newest, oldest = places
    count = min(max(first, FIRST_PAGE), PAGE)
    while not budget.is_spent:
        count = min(count, budget.entries)
        entries = await bus.page(parts, stream, newest, oldest, count)
        for entry in entries:
            yield entry[0], data_of(entry[1])
        budget.entries -= len(entries)
        if len(entries) < count:
            return
        newest, count = f"({entries[-1][0].decode()}", PAGE
    budget.cut = True


async def newest_rows(parts: Parts, stream: str, wanted: Range, budget: Budget) -> Found:
    """Returns the newest rows of the range, `limit` at most."""
    rows: list[Row] = []
    oldest = newest = b""
    async with aclosing(backwards(parts, stream, (wanted.newest_id, wanted.oldest_id), wanted.limit + 1, budget)) as entries:
        async for entry_id, data in entries:
            if (row := wanted.row(entry_id, data)) is not None:
                if len(rows) == wanted.limit:
                    return Found(rows[::-1], True, oldest.decode(), newest.decode())
                rows.append(row)
            oldest, newest = entry_id, newest or entry_id
    return Found(rows[::-1], budget.cut, oldest.decode(), newest.decode())


async def next_rows(parts: Parts, stream: str, wanted: Range, budget: Budget) -> Found:
    """Returns the oldest rows of the range behind the id `after`, `limit` at most."""
    rows: list[Row] = []
    oldest, newest = "", wanted.after
    while not budget.is_spent:
        count = min(max(wanted.limit + 1, FIRST_PAGE), PAGE, budget.entries)
        entries = await bus.page_after(parts, stream, newest, count)
        for entry in entries:
            if (row := wanted.row(entry[0], data_of(entry[1]))) is not None:
                if len(rows) == wanted.limit:
                    return Found(rows, True, oldest, newest)
                rows.append(row)
            newest = entry[0].decode()
            oldest = oldest or newest
        budget.entries -= len(entries)
        if len(entries) < count:
            return Found(rows, False, oldest, newest)
    return Found(rows, True, oldest, newest)
