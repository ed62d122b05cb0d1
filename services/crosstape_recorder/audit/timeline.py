"""Keeps values that change in time, to find those that a reader may have known at a moment."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MOST: Final = 4_096
"""Changes that are kept before old ones are dropped …"""
KEPT_MS: Final = 900_000
"""… but those of the last quarter of an hour."""


class Timeline(Generic[T]):
    """A value, and the ids (ms) of the entries that changed it, in order."""

    __slots__ = ("_at", "_values")

    def __init__(self) -> None:
        self._at: list[int] = []
        self._values: list[T] = []

    @property
    def newest(self) -> T | None:
        """The value now; None: there is none."""
        return self._values[-1] if self._values else None

    def set(self, ms: int, value: T) -> None:
        """Add a change; the same value again is none."""
        if self._values and self._values[-1] == value:
            return
        self._at.append(ms)
        self._values.append(value)
        if len(self._at) > MOST and (spent := bisect_left(self._at, ms - KEPT_MS) - 1) > 0:
            del self._at[:spent]
            del self._values[:spent]

    def at(self, ms: int) -> T | None:
        """Return the value after all entries up to this id; None: there was none yet."""
        index = bisect_right(self._at, ms) - 1
        return self._values[index] if index >= 0 else None

    def between(self, sure_ms: int, most_ms: int) -> Sequence[T | None]:
        """Return the values that a reader may know who has read all entries before `sure_ms`, and none after `most_ms`."""
        first = bisect_left(self._at, sure_ms) - 1
        last = bisect_right(self._at, most_ms)
        found: list[T | None] = [None] if first < 0 else []
        found += self._values[max(0, first) : last]
        return found
