"""Tracks how far one connection of a reader has read: whether all that was on its streams was passed on, and as of when. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable
from typing import Final, Generic, TypeVar

S = TypeVar("S", bound=Hashable)

LIMIT_S: Final = 3.0
"""A connection whose last complete answer is older counts as behind. Complete answers, also empty ones, come at least every
`poller.BLOCK_S`; where a bell is waited for, with every sweep."""


class ReadProgress(Generic[S]):
    """The progress of one connection. It has caught up when an answer (or those of a sweep) covered all its streams, left nothing unread,
    and was passed on.

    `changed` is called when the connection falls behind or has caught up.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.caught_up_s = -math.inf
        """When an answer was complete last, by the monotonic clock; -inf: not since the connection was lost, or never."""
        self._changed = changed
        self._unread: set[S] = set()  # added since the last complete answer
        self._asked: set[S] = set()  # those of them that the next complete answer covers
        self._answer_s: float | None = None  # of a complete answer that is not passed on yet

    def added(self, stream: S) -> None:
        """Note a new stream: it counts as unread until a complete answer covers it."""
        self._unread.add(stream)
        self._asked.discard(stream)  # what is asked for at present is not about this stream, or not from where it is read now
        self._changed()

    def removed(self, stream: S) -> None:
        """Forget a stream."""
        self._unread.discard(stream)

    def incomplete(self, started: Callable[[S], bool]) -> bool:
        """Whether a complete answer would change something now: the connection, or a stream that has `started`, counts as behind."""
        return self.caught_up_s == -math.inf or (bool(self._unread) and any(map(started, self._unread)))

    def asking(self, started: Callable[[S], bool]) -> None:
        """Note that all streams that have `started` are about to be read."""
        self._answer_s = None
        self._asked = set(filter(started, self._unread)) if self._unread else set()

    def answered(self, now_s: float) -> None:
        """Note that no stream had more than what was answered. `now_s`: when that was so, or before."""
        self._answer_s = now_s

    def passed_on(self) -> None:
        """Note that all answers so far were passed on to the caller."""
        if self._answer_s is None:
            return
        changed = self.caught_up_s == -math.inf or bool(self._asked)
        self.caught_up_s, self._answer_s = self._answer_s, None
        self._unread -= self._asked
        if changed:
            self._changed()

    def lost(self) -> None:
        """Note that the connection was lost."""
        self._answer_s = None
        if self.caught_up_s != -math.inf:
            self.caught_up_s = -math.inf
            self._changed()

    def behind(self, now_s: float, streams: Collection[S]) -> Collection[S]:
        """Returns those of its `streams` that have not been read up to nearly `now_s`."""
        return streams if now_s - self.caught_up_s > LIMIT_S else self._unread
