"""Decides which streams of a connection are read next, where all are waited for: a reader of few streams. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from crosstape.bus.read.bell import Bell
from crosstape.bus.read.followed import FollowedStream
from crosstape.bus.read.progress import ReadProgress

Streams = Mapping[bytes, FollowedStream]


class Question(msgspec.Struct, frozen=True):
    """What the next call asks the server for."""

    streams: Sequence[FollowedStream]
    bells: Sequence[Bell] = ()
    wait_s: float = 0.0
    """How long to wait for an entry if there is none; 0: not at all."""


class Turns(Protocol):
    """Decides call by call."""

    @property
    def has_more(self) -> bool:
        """Whether entries are known to be left on the server."""

    def begin(self) -> None:
        """Start, or start again: nothing is known of what the server has."""

    def question(self, now_s: float) -> Question:
        """Returns what to ask for next."""

    def note(self, question: Question, read: Mapping[bytes, int], count: int, rung: Collection[bytes] | None, now_s: float) -> None:
        """Note an answer: how many entries of each stream it brought, of `count` at most, and which names its bells had; None: no bell."""

    def forget(self, key: bytes) -> None:
        """Forget a stream."""


def is_readable(stream: FollowedStream) -> bool:
    """Whether a stream can be read: its start is known, and its key is a stream."""
    return bool(stream.id) and not stream.wrong


class EveryStream:
    """Reads all streams in one call, and waits for them. Streams that had more than their share are then read alone, every second time, so
    that a few busy streams among many idle ones are not held back.
    """

    def __init__(self, streams: Streams, progress: ReadProgress[bytes]) -> None:
        self._streams = streams
        self._progress = progress
        self._busy: list[FollowedStream] = []
        self._busy_next = False
        self._every = False  # the last call asked for all streams

    @property
    def has_more(self) -> bool:
        """Whether entries are known to be left on the server."""
        return bool(self._busy)

    def begin(self) -> None:
        """Start, or start again: the first call does not wait."""
        self._busy, self._busy_next, self._every = [], False, False

    def question(self, now_s: float) -> Question:
        """Returns the busy streams alone, or all streams, and waits if none is busy. No streams: none can be read."""
        streams = [stream for stream in self._streams.values() if stream.id and not stream.wrong]
        # whether all was read should be known at once, not when the next event comes
        waits = self._every and not self._progress.incomplete(self._started)
        self._every = True
        if self._busy:
            waits = False
            if self._busy_next and (busy := [stream for stream in self._busy if is_readable(stream)]):
                streams = busy
                self._every = False
            self._busy_next = not self._busy_next
        self._every = self._every and bool(streams)
        self._progress.asking(self._started)
        return Question(streams, wait_s=math.inf if waits else 0.0)

    def note(self, question: Question, read: Mapping[bytes, int], count: int, rung: Collection[bytes] | None, now_s: float) -> None:
        """Note an answer."""
        self._busy = [self._streams[key] for key, entries in read.items() if entries >= count]
        if self._every and not self._busy:
            self._progress.answered(now_s)

    def forget(self, key: bytes) -> None:
        """Forget a stream."""
        self._busy = [stream for stream in self._busy if stream.key != key]

    def _started(self, key: bytes) -> bool:
        return is_readable(self._streams[key])
