"""Keeps a break of a connection's books until a frame can report it: for venues that number all frames of a connection. Pure."""

from __future__ import annotations

from crosstape_connector.venues.messages import ConnectionBreak, Output


class Breaks:
    """The books on a connection, and a break that makes them suspect, which is reported once, with the next frame that can be used."""

    __slots__ = ("_books", "_unreported")

    def __init__(self) -> None:
        self._books: dict[str, None] = {}
        self._unreported: ConnectionBreak | None = None

    def book(self, instrument: str) -> None:
        """Note that the connection has this instrument's book, or its trades if their ids show no gap."""
        self._books[instrument] = None

    def found(self, received_ts: int, missed: int | None) -> None:
        """Note a break: all books so far are suspect. `missed`: how many frames, if that is known."""
        self._unreported = ConnectionBreak(received_ts, missed, instruments=tuple(self._books))

    def with_break(self, outputs: list[Output]) -> list[Output]:
        """A frame's outputs, with the break before them if there is one."""
        if self._unreported is not None:
            outputs.insert(0, self._unreported)
            self._unreported = None
        return outputs
