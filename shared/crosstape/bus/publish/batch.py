"""A batch: numbered and encoded entries of several streams, as one call of the script."""

from __future__ import annotations

from typing import Final

from crosstape.bus.publish.script import WriteCall
from crosstape.bus.publish.stream import Stream
from crosstape_schemas import Event, stamp

BATCH_BYTES: Final = 1 << 20
"""A batch is closed after the stream that takes it past this size: long deltas must not make one call of many megabytes."""


class Group:
    """Consecutive entries of one stream in one batch."""

    __slots__ = ("count", "entries_at", "first", "from_ts", "stream", "to_ts")

    def __init__(self, stream: Stream, first: int, chunk: list[Event], entries_at: int) -> None:
        """`first`: the number of the first entry. `entries_at`: where the entries are in the call, see `WriteCall.add_group`."""
        self.stream = stream
        self.first = first
        self.count = len(chunk)
        self.from_ts = chunk[0].received_ts
        self.to_ts = chunk[-1].received_ts
        self.entries_at = entries_at


class Batch:
    """One script call, as it is sent and, if need be, sent again."""

    __slots__ = ("call", "entries", "groups", "number", "size", "spooled_to", "written_at")

    def __init__(self, number: int, *, cursor: bytes, registry: bytes, epoch: bytes, position: bytes = b"", spooled_to: int = 0) -> None:
        self.number = number
        self.call = WriteCall(cursor=cursor, registry=registry, epoch=epoch, number=number, position=position)
        self.groups: list[Group] = []
        self.entries = 0
        """Count of the entries of all groups."""
        self.size = 0
        """Bytes of all entries."""
        self.spooled_to = spooled_to
        """Entries of the spool up to this count are on the tape once this batch is; 0 = it has none of them."""
        self.written_at = 0.0
        """When it was acknowledged, by the monotonic clock."""

    def add(self, stream: Stream, chunk: list[Event], epoch: int) -> None:
        """Number and encode these events. Most of an entry's whole cost is paid here."""
        first = stream.seq + 1
        entries = [stamp(event, epoch, seq) for seq, event in enumerate(chunk, first)]
        count = len(entries)
        stream.seq += count
        stream.numbered_ts = chunk[-1].received_ts
        at = self.call.add_group(
            stream.key, stream.last_key, stream.max_length, new=not stream.registered, last_pairs=stream.last_pairs(chunk), entries=entries
        )
        self.groups.append(Group(stream, first, chunk, at))
        self.entries += count
        self.size += sum(map(len, entries))

    def lossless_entries(self) -> list[bytes]:
        """Its lossless entries. They are read from the call, so that a batch that is never asked for them need not keep them apart."""
        found: list[bytes] = []
        for group in self.groups:
            if not group.stream.conflatable:
                found += self.call.entries(group.entries_at, group.count)
        return found
