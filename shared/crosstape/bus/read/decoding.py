"""Makes events of the entries that the server answers, checks their numbering, and reports what is foreign, repeated or missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import msgspec

from crosstape.bus.metrics.hooks import ReaderMetrics
from crosstape.bus.read.continuity import Missed
from crosstape.bus.read.entry import Decoded, Entry, Fetched, Foreign, Run
from crosstape.bus.read.followed import FollowedStream, RawEntries
from crosstape.log import get_log

Decode: TypeAlias = Callable[[bytes], Any]
"""Makes an event of an entry's bytes, with at least the fields of `Event`. Raises `ValueError` or `MsgspecError` for what is none."""

DecodeAll: TypeAlias = Callable[[Sequence[bytes]], Decoded | None]
"""Makes the events of several entries at once, with their columns. None: they are to be decoded one by one."""

log = get_log(__name__)


class ReaderCallbacks(msgspec.Struct, frozen=True):
    """What a reader calls for everything that is not an event."""

    missed: Callable[[Missed], None]
    foreign: Callable[[Foreign], None]
    metrics: ReaderMetrics


class EntryDecoder:
    """Decodes the entries of all streams of one connection."""

    def __init__(self, callbacks: ReaderCallbacks, decode: Decode, decode_all: DecodeAll | None) -> None:
        """`decode_all`: runs are wanted."""
        self._callbacks = callbacks
        self.decode_event = decode
        self._decode_all = decode_all

    def decode(self, answers: Iterable[tuple[FollowedStream, RawEntries]]) -> Fetched:
        """Returns the events, and counts their entries as read."""
        entries: list[Entry] = []
        runs: list[Run] = []
        cursors: dict[str, str] = {}
        for stream, raw in answers:
            if stream.accounted is not None:
                stream.accounted += len(raw)
            if self._decode_all is None:
                self._decode(stream, raw, entries)
            elif (run := self._run(stream, raw, self._decode_all)) is not None:
                runs.append(run)
            stream.advance(raw)
            cursors[stream.name] = stream.id.decode()
        self._callbacks.metrics.read(len(entries) + sum(map(len, runs)))
        return Fetched(entries, cursors, runs)

    def note_foreign(self, stream: FollowedStream, entry_id: bytes, reason: str) -> None:
        """Report something that is no event; without an id, the key that is no stream. Logged once for each stream."""
        foreign = Foreign(stream.name, entry_id.decode(), reason)
        self._callbacks.metrics.foreign()
        self._callbacks.foreign(foreign)
        if not stream.logged:
            stream.logged = True
            log.warning("bus.foreign", stream=stream.name, id=foreign.id, reason=reason[:200])

    def miss(self, missed: Missed) -> None:
        """Report that entries are missing."""
        self._callbacks.metrics.missed(missed.count or 0)
        self._callbacks.missed(missed)

    def _run(self, stream: FollowedStream, raw: RawEntries, decode_all: DecodeAll) -> Run | None:
        """Returns the entries of a stream; None: there are none of use. Nearly always all can be decoded, and checked, together."""
        ids, fields = zip(*raw, strict=True)
        try:
            data = [one for field, one in fields if field == b"d"]
        except ValueError:  # more than one field
            data = []
        if len(data) == len(ids) and not stream.trimmed and (decoded := decode_all(data)) is not None and decoded.columns is not None:
            columns = decoded.columns
            if numberings := stream.continuity.check_all(columns["venue"], columns["epoch"], columns["seq"]):
                return Run(stream.name, ids, decoded, numberings)
        entries: list[Entry] = []
        self._decode(stream, raw, entries)
        return Run.of(stream.name, entries) if entries else None

    def _decode(self, stream: FollowedStream, raw: RawEntries, entries: list[Entry]) -> None:
        name, check, append, decode = stream.name, stream.continuity.check, entries.append, self.decode_event
        repeated, trimmed, stream.trimmed = 0, stream.trimmed, False
        for entry_id, fields in raw:
            try:
                field, data = fields
                if field != b"d":
                    raise ValueError(f"field {field!r:.50}")
                event = decode(data)
            except (ValueError, msgspec.MsgspecError) as exc:
                self.note_foreign(stream, entry_id, str(exc))
                continue
            found = check(event)
            if found is not True:
                if found is False:
                    repeated += 1
                    continue
                self.miss(found)
                trimmed = False
                if stream.accounted is not None:
                    stream.accounted += found.count or 0
            append(Entry(name, entry_id.decode(), event, data))
        if trimmed:
            self.miss(stream.missed())
        if repeated:
            self._callbacks.metrics.repeated(repeated)
