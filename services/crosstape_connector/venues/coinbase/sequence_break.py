"""What one connection has lost, until it is told: the same for both dialects, which differ in how they find out."""

from __future__ import annotations

from crosstape_connector.venues.messages import ConnectionBreak, Output


class Breaks:
    """Whose books are on a connection, and the break that spoiled them. It is told once, with the next frame that can be used."""

    __slots__ = ("_books", "_untold")

    def __init__(self) -> None:
        self._books: dict[str, None] = {}
        self._untold: ConnectionBreak | None = None

    def book(self, instrument: str) -> None:
        """That instrument's book is on the connection."""
        self._books[instrument] = None

    def found(self, received_ts: int, missed: int | None) -> None:
        """All books so far are suspect. `missed`: frames, where that is known."""
        self._untold = ConnectionBreak(received_ts, missed, instruments=tuple(self._books))

    def told_before(self, outputs: list[Output]) -> list[Output]:
        """A frame's outputs, after the break if there is one."""
        if self._untold is not None:
            outputs.insert(0, self._untold)
            self._untold = None
        return outputs
