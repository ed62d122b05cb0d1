"""The tape that lives on a thread of its own, with what must be called there as coroutines."""

from __future__ import annotations

from crosstape.tape.connection import TapeConnection
from crosstape.tape.selection import Selection
from crosstape.tape.source import EventSource, Starts
from crosstape.tape.tape import Tape
from crosstape_schemas import Event


class ThreadTape(Tape):
    """For `SyncTape` and others that own a `LoopThread`."""

    @property
    def connection(self) -> TapeConnection:
        """What its sources share. Raises `BusError` if it is not open."""
        return self._connection

    async def source(self, *, newest: bool) -> EventSource:
        """Makes a source, which the connection closes."""
        return EventSource(self._connection, newest=newest)

    async def select(self, source: EventSource, selection: Selection, start: Starts) -> None:
        """`EventSource.select`."""
        source.select(selection, start)

    async def follow_selection(self, selection: Selection, start: Starts) -> None:
        """`follow`."""
        self._followed.follow(selection, start)

    async def unfollow_soon(self, kind: str, *instruments: str, venue: str | None) -> None:
        """`unfollow`."""
        self.unfollow(kind, *instruments, venue=venue)

    async def knows_current(self, event: Event) -> bool:
        """`is_current`."""
        return self.is_current(event)
