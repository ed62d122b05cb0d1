"""Leaves streams alone that fail again and again, or cannot be had: each try may close the connection of all others. Pure: times come in as
values.
"""

from __future__ import annotations

from typing import Final

TRIES: Final = 3
"""A stream that failed so often in a row, without data between, is parked."""
PARKED_S: Final = 300.0
"""For how long."""
PAUSE_S: Final = 0.5
PAUSE_MAX_S: Final = 30.0
"""Shortest and longest pause before a stream that failed alone is asked for again."""

Stream = tuple[str, str]
"""Channel and symbol."""


class Parking:
    """The failures of each stream, across connections."""

    def __init__(self) -> None:
        self._failures: dict[Stream, int] = {}
        self._until: dict[Stream, tuple[float, str]] = {}  # until when a stream is left alone, and why

    def failed(self, stream: Stream, now: float) -> float:
        """Count a failure. Returns the seconds until the stream may be asked for again."""
        count = self._failures[stream] = self._failures.get(stream, 0) + 1
        if count >= TRIES:
            self.park(stream, now, "it failed again and again")
            return PARKED_S
        return min(PAUSE_MAX_S, PAUSE_S * 2.0**count)

    def park(self, stream: Stream, now: float, reason: str) -> None:
        """Leave a stream alone from now on."""
        self._until[stream] = now + PARKED_S, reason

    def worked(self, stream: Stream) -> None:
        """Note that the stream brought data."""
        self._failures.pop(stream, None)
        self._until.pop(stream, None)

    def parked_s(self, stream: Stream, now: float) -> float:
        """Return for how many seconds the stream is still to be left alone; 0 = it is not parked."""
        return max(0.0, self._until[stream][0] - now) if stream in self._until else 0.0

    def reason(self, stream: Stream) -> str:
        """Return why the stream is parked."""
        return self._until[stream][1]
