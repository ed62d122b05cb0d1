"""One stream that is recorded: hands its events to the kinds of the history that it feeds, and moves their marks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from crosstape.bus import Bookmark
from crosstape.bus.read.entry import Run
from crosstape.history.columns import TextEntry
from crosstape.history.text_events import TextEvent, kind_of, text_type
from crosstape_recorder.mark import oldest
from crosstape_recorder.waiting_rows import WaitingRows


class Feed:
    """A stream. Most feed one kind; a venue's own feeds two, whose marks differ where a crash came between the two commits."""

    def __init__(self, stream: str, rows: Sequence[WaitingRows]) -> None:
        self.stream = stream
        self.rows = rows
        """Of the kinds that it feeds."""
        for one in rows:
            one.follow(stream)
        self.is_new = not self.rewind()
        """Whether it was never recorded: its history begins with the first entry that is there."""

    def rewind(self) -> Bookmark | None:
        """Returns where a reader is to start, for all kinds; None: at the beginning. What some kinds have read already, they leave out."""
        marks = [one.marks[self.stream] for one in self.rows]
        for mark in marks:
            mark.floor = mark.id
        return oldest(marks)

    @property
    def venues(self) -> set[str]:
        """The venues whose events were read."""
        return set().union(*(one.marks[self.stream].venues for one in self.rows))

    def is_before(self, entry_id: str) -> bool:
        """Whether the stream was read further than to the last entry that was accepted."""
        return all(one.marks[self.stream].is_before(entry_id) for one in self.rows)

    def accept(self, run: Run) -> None:
        """Take entries of this stream, at least one, in order."""
        rows, decoded = self.rows[0], run.decoded
        if len(self.rows) > 1 or set(map(type, decoded.events)) != {text_type(rows.kind)}:
            for entry in cast("list[TextEntry]", run.entries()):
                self._accept_for_some(entry)
            return
        mark = rows.marks[self.stream]
        if decoded.columns is not None:  # for each event of the tape nothing more than must be
            mark.newest.update(_newest(run))
            rows.builder.extend_run(run)
        else:
            mark.newest.update({(event.venue, event.epoch): event for event in decoded.events})
            rows.builder.extend(cast("list[TextEntry]", run.entries()))
        mark.id = run.ids[-1].decode()
        rows.note(self.stream, mark, len(run) * len(decoded.data[-1]))

    def _accept_for_some(self, entry: TextEntry) -> None:
        """Take an entry of a venue's own stream, or of one that has events of other kinds than its name says: those are left out."""
        event, kind = entry.event, kind_of(entry.event)
        for rows in self.rows:
            mark = rows.marks[self.stream]
            if mark.has_read(entry.id, event):
                continue
            mark.advance(entry.id, event)
            if rows.kind == kind:
                ms, _, n = entry.id.partition("-")
                rows.builder.add(int(ms), int(n), event, entry.data)
            rows.note(self.stream, mark, len(entry.data) if rows.kind == kind else 0)

    def move(self, entry_id: str) -> None:
        """Note that nothing of use is up to an id: entries that are no events of ours, or came a second time."""
        for rows in self.rows:
            mark = rows.marks[self.stream]
            if mark.move(entry_id):
                rows.note(self.stream, mark, 0)


def _newest(run: Run) -> dict[tuple[str, int], TextEvent]:
    """Return the last event of each numbering; they are among the last of the run."""
    found: dict[tuple[str, int], TextEvent] = {}
    for event in reversed(run.decoded.events):
        found.setdefault((event.venue, event.epoch), event)
        if len(found) == len(run.numberings):
            break
    return found
