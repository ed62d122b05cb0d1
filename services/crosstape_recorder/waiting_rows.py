"""The rows of one kind that were read and are not in the store yet."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

import msgspec

from crosstape.bus import Bookmark
from crosstape.history.columns import BatchBuilder
from crosstape.history.store import Position
from crosstape.settings import RecorderSettings
from crosstape_recorder.mark import StreamMark

FULL_BYTES: Final = 64 * 1024 * 1024
"""JSON of the rows at which they are committed sooner: rows of books are large."""
EMPTY: Final = 10
"""Marks without rows (of open candles) are committed after this many times `commit_s`: that they advance only saves reading again."""


class Sealed(msgspec.Struct, frozen=True):
    """Rows that are being committed."""

    builder: BatchBuilder
    marks: Mapping[str, Bookmark]
    """Of the streams that were read since the commit before."""
    size: int


class WaitingRows:
    """The rows of one kind: at most `commit_rows`, and those of one more read, beside as many that are being committed."""

    def __init__(self, kind: str, settings: RecorderSettings, position: Position) -> None:
        self.kind = kind
        self._settings = settings
        self.number = position.number
        """Number of the newest commit that is known."""
        self.committed: dict[str, Bookmark] = dict(position.marks)
        """Stream → its mark in the store."""
        self.marks: dict[str, StreamMark] = {}
        """Stream → how far it was read. Of the streams that are followed."""
        self.changed: dict[str, StreamMark] = {}
        """The marks that have advanced since the commit before."""
        self.generation = 0
        """Grows when what was read is forgotten: see `restart`."""
        self._reset()

    def _reset(self) -> None:
        self.builder = BatchBuilder(self.kind, self._settings.keep)
        self.size = 0
        """About how many bytes of JSON wait."""
        self.read_s = self.rows_s = 0.0
        """Since when marks, and rows, wait (monotonic); 0: there are none."""

    def follow(self, stream: str) -> StreamMark:
        """Returns the mark of a stream, as the store has it."""
        mark = self.marks[stream] = StreamMark(self.committed.get(stream))
        return mark

    def note(self, stream: str, mark: StreamMark, size: int) -> None:
        """Note that a mark has advanced, and that rows were added with about this many bytes of JSON."""
        self.changed[stream] = mark
        self.size += size
        now_s = time.monotonic()
        self.read_s = self.read_s or now_s
        if not self.rows_s and len(self.builder):
            self.rows_s = now_s

    def expect(self) -> None:
        """Commit soon, with rows or without: a gap is reported that comes before them."""
        self.rows_s = self.rows_s or time.monotonic()

    @property
    def is_full(self) -> bool:
        """Whether they are to be committed at once."""
        return len(self.builder) >= self._settings.commit_rows or self.size >= FULL_BYTES

    @property
    def due_s(self) -> float:
        """When they are to be committed (monotonic); infinite: there is nothing to commit."""
        if self.is_full:
            return 0.0
        at = [self.rows_s + self._settings.commit_s] if self.rows_s else []
        at += [self.read_s + EMPTY * self._settings.commit_s] if self.read_s else []
        return min(at, default=float("inf"))

    def seal(self) -> Sealed:
        """Returns what waits, with the marks up to which it is complete; from now on, others wait."""
        marks = {stream: mark.bookmark() for stream, mark in self.changed.items()}
        sealed = Sealed(self.builder, marks, self.size)
        self.changed = {}
        self._reset()
        return sealed

    def is_taken(self, position: Position) -> bool:
        """Whether another recorder has committed events of the streams that are followed."""
        return any(position.marks.get(stream) != self.committed.get(stream) for stream in self.marks)

    def committed_as(self, number: int, sealed: Sealed) -> None:
        """Note that these are in the store."""
        self.number = number
        self.committed.update(sealed.marks)

    def restart(self, position: Position) -> None:
        """Forget what was read: another recorder has committed it, or some of it. Read again from its marks."""
        self.number, self.committed = position.number, dict(position.marks)
        self.generation += 1
        self.changed = {}
        self._reset()
        for stream in list(self.marks):
            self.follow(stream)
