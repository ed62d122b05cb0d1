"""How far one connection of a reader has read: whether all that there was on its streams has been given out, and as of when. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable
from typing import Final, Generic, TypeVar

S = TypeVar("S", bound=Hashable)

LIMIT_S: Final = 3.0
"""A connection whose last complete answer is older counts as behind. Answers come at least every `follower.BLOCK_S`, also empty ones."""


class Progress(Generic[S]):
    """One connection's. It has caught up when one answer covered all of its streams, left nothing behind, and was given out.

    `turned` is called when the connection loses or regains that.
    """

    def __init__(self, turned: Callable[[], None]) -> None:
        self.caught_up_s = -math.inf
        """Monotonic: when an answer was last complete; -inf: not since the connection was lost, or never."""
        self._turned = turned
        self._unread: set[S] = set()  # added since the last complete answer
        self._asked: frozenset[S] = frozenset()
        self._answer_s: float | None = None  # of a complete answer that is not given out yet

    def added(self, stream: S) -> None:
        """A stream was added: it counts as unread until a complete answer covers it."""
        self._unread.add(stream)
        self._turned()

    def removed(self, stream: S) -> None:
        """A stream was removed."""
        self._unread.discard(stream)

    def waits(self, begun: Callable[[S], bool]) -> bool:
        """Whether a complete answer would tell something new at once: the connection, or a stream that has `begun`, counts as behind."""
        return self.caught_up_s == -math.inf or (bool(self._unread) and any(map(begun, self._unread)))

    def asks(self, begun: Callable[[S], bool]) -> None:
        """All streams are about to be asked for that have `begun`."""
        self._answer_s = None
        self._asked = frozenset(filter(begun, self._unread)) if self._unread else frozenset()

    def answered(self, now_s: float) -> None:
        """The answer has come, and no stream had more than it could bring."""
        self._answer_s = now_s

    def given_out(self) -> None:
        """What was answered so far has been given out."""
        if self._answer_s is None:
            return
        turned = self.caught_up_s == -math.inf or bool(self._asked)
        self.caught_up_s, self._answer_s = self._answer_s, None
        self._unread -= self._asked
        if turned:
            self._turned()

    def lost(self) -> None:
        """The connection is away."""
        self._answer_s = None
        if self.caught_up_s != -math.inf:
            self.caught_up_s = -math.inf
            self._turned()

    def behind(self, now_s: float, streams: Collection[S]) -> Collection[S]:
        """The streams, of all that it has, that have not been read up to nearly `now_s`."""
        return streams if now_s - self.caught_up_s > LIMIT_S else self._unread
