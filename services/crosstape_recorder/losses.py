"""What the recorder could not read, because it had left the tape: as gaps of the history, in rows of the source `recorder`. Pure.

Such a gap says, in `epoch` and `seq`, which events are missing: the numbering, and the first number of `missed` ones in a row. Both are 0
where it is only known that entries were removed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import msgspec

from crosstape.bus import Missed
from crosstape.history.columns import TextEntry
from crosstape.history.text_events import TextEvent, decode
from crosstape_recorder.feed import Feed
from crosstape_schemas import VENUE_WIDE, Gap, GapCause, encode


class Report(msgspec.Struct, frozen=True):
    """A gap that is to be in the history before the events behind it are."""

    kinds: frozenset[str]
    """Kinds of the history whose events are missing."""
    gap: Gap
    id_ms: int
    """Id of the entry behind it."""
    id_n: int

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for reports of the same loss: after a crash it is found again, and is not to be in the history twice."""
        gap = self.gap
        return gap.kind, gap.instrument, gap.venue, gap.epoch, gap.seq, gap.missed, self.id_ms, self.id_n

    @property
    def row(self) -> tuple[int, int, TextEvent, bytes]:
        """Returns it for `BatchBuilder.add`."""
        data = encode(self.gap)
        return self.id_ms, self.id_n, decode(data), data


class Losses:
    """What the reader has reported of each stream, until the entry behind it comes."""

    def __init__(self) -> None:
        self._noted: dict[str, list[Missed]] = {}

    def note(self, missed: Missed) -> None:
        """A callback for `Reader`. It is called when entries are fetched, which may be before they are returned."""
        self._noted.setdefault(missed.stream, []).append(missed)

    def __contains__(self, stream: str) -> bool:
        return stream in self._noted

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._noted))

    def forget(self) -> None:
        """Forget all: the streams are read again, from before what is missing."""
        self._noted.clear()

    def behind(self, stream: str, entries: Sequence[TextEntry]) -> list[tuple[Missed, TextEntry]]:
        """Returns what is missing before some of these entries, which are of this stream: with the entry that follows it.

        Losses without a number are left out if others show what they are.
        """
        noted = self._noted.pop(stream, [])
        wanted = {(missed.venue, missed.epoch, missed.first_missing + (missed.count or 0)): missed for missed in noted if missed.venue}
        found = []
        for entry in entries if wanted else ():
            event = entry.event
            missed = wanted.pop((event.venue, event.epoch, event.seq), None)
            if missed is not None:
                found.append((missed, entry))
        if not found and (vague := [missed for missed in noted if not missed.venue]):
            found.append((vague[0], entries[0]))
        if wanted:  # the entry was fetched, and is not returned yet
            self._noted[stream] = list(wanted.values())
        return found

    def at_end(self, stream: str) -> bool:
        """Whether entries of this stream are missing of which nothing more is known; they are forgotten."""
        vague = [missed for missed in self._noted[stream] if not missed.venue]
        if vague:
            self._noted[stream] = [missed for missed in self._noted[stream] if missed.venue]
            if not self._noted[stream]:
                del self._noted[stream]
        return bool(vague)


def report(feed: Feed, named: tuple[str, str], missed: Missed, following: TextEntry, run: Sequence[TextEntry]) -> Iterator[Report]:
    """Yields the gaps for what is missing before the entry `following`. If the venue is not known: one for each venue of the stream,
    but for those whose numbering goes on without a gap.

    `named`: kind and instrument of the stream's feed. `run`: the entries that were read together with it, and are not accepted yet.
    """
    to_ts, before = following.event.received_ts, run[: run.index(following)]
    mark = feed.rows[0].marks[feed.stream]
    going_on = {entry.event.venue for entry in run if mark.numbers_of(entry.event)}
    for venue in [missed.venue] if missed.venue else [venue for venue in _venues(feed) if venue not in going_on]:
        from_ts = next((entry.event.received_ts for entry in reversed(before) if entry.event.venue == venue), 0)
        one = msgspec.structs.replace(missed, venue=venue)
        yield _report(feed, named, one, (from_ts or _received_ts(feed, venue), to_ts), following.id)


def report_at_end(feed: Feed, named: tuple[str, str], entry_id: str) -> Iterator[Report]:
    """Yields the gaps for entries that were removed up to an id, where no entry follows."""
    missed, to_ts = Missed(feed.stream, "", 0, 0, None), int(entry_id.partition("-")[0]) * 1_000_000
    for venue in _venues(feed):
        yield _report(feed, named, msgspec.structs.replace(missed, venue=venue), (_received_ts(feed, venue), to_ts), entry_id)


def _report(feed: Feed, named: tuple[str, str], missed: Missed, times: tuple[int, int], entry_id: str) -> Report:
    """Return the gap of one venue, between two times (the first is 0 where it is not known), before an entry."""
    (kind, instrument), (from_ts, to_ts) = named, times
    gap = Gap(
        missed.venue, instrument, None, time.time_ns(), kind, min(from_ts or to_ts, to_ts), to_ts, missed.count, GapCause.BUS,
        epoch=missed.epoch, seq=missed.first_missing,
    )  # fmt: skip
    ms, _, n = entry_id.partition("-")
    return Report(frozenset(rows.kind for rows in feed.rows), gap, int(ms), int(n))


def _venues(feed: Feed) -> list[str]:
    return sorted(feed.venues) or [VENUE_WIDE]


def _received_ts(feed: Feed, venue: str) -> int:
    """Return when the last event of a venue was received that was accepted, ns; 0: it is not known."""
    return max(rows.marks[feed.stream].received_ts(venue) for rows in feed.rows)
