"""A batch: numbered, encoded, and laid out as the script wants it; see `script.WRITE`."""

from __future__ import annotations

from typing import Final

from crosstape.bus.publish.stream import Stream
from crosstape_schemas import Event, stamp

BATCH_BYTES: Final = 1 << 20
"""A batch is closed after the stream that takes it past this: long deltas must not make one call of many megabytes."""

ENTRIES_AT: Final = 4
"""Where in a call's arguments its groups begin; each has four, its last values, and its entries."""


class Group:
    """Consecutive entries of one stream in one batch."""

    __slots__ = ("count", "first", "from_ts", "stream", "to_ts")

    def __init__(self, stream: Stream, first: int, chunk: list[Event]) -> None:
        self.stream = stream
        self.first = first
        self.count = len(chunk)
        self.from_ts = chunk[0].received_ts
        self.to_ts = chunk[-1].received_ts


class Batch:
    """One script call, as it is sent and, if need be, sent again."""

    __slots__ = ("args", "entries", "groups", "keys", "number", "size", "spooled_to", "written_at")

    def __init__(self, number: int, *, cursor: bytes, registry: bytes, epoch: bytes, position: bytes = b"", spooled_to: int = 0) -> None:
        self.number = number
        self.keys = [cursor, registry]
        self.args = [epoch, b"%d" % number, b"", position]
        self.groups: list[Group] = []
        self.entries = 0
        self.size = 0
        self.spooled_to = spooled_to
        """Once it is written, so many entries of the spool are."""
        self.written_at = 0.0

    def add(self, stream: Stream, chunk: list[Event], epoch: int) -> None:
        """Number these, and encode them. The cost of an entry is paid here, and is most of what it costs at all."""
        first = stream.seq + 1
        entries = [stamp(event, epoch, seq) for seq, event in enumerate(chunk, first)]
        count = len(entries)
        stream.seq += count
        stream.numbered_ts = chunk[-1].received_ts
        pairs = stream.last_pairs(chunk)
        self.keys += (stream.key, stream.last_key)
        self.args += (stream.max_length, b"0" if stream.registered else b"1", b"%d" % count, b"%d" % (len(pairs) // 2), *pairs)
        self.args += entries
        self.groups.append(Group(stream, first, chunk))
        self.entries += count
        self.size += sum(map(len, entries))

    def happenings(self) -> list[bytes]:
        """Its entries that are no states: found in what is sent, so that a batch that is never asked for them need not keep them."""
        found: list[bytes] = []
        at = ENTRIES_AT
        for group in self.groups:
            first = at + 4 + 2 * int(self.args[at + 3])
            at = first + group.count
            if not group.stream.conflates:
                found += self.args[first:at]
        return found
