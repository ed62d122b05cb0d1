"""A subscription: the events of one kind, of some instruments or all, each once and in the order of its stream."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

from crosstape.bus import Entry
from crosstape.tape.connection import TapeConnection
from crosstape.tape.losses import OnMissed
from crosstape.tape.selection import Selection
from crosstape.tape.source import EventSource, Starts
from crosstape_schemas import Event

E = TypeVar("E", bound=Event)


class Subscription(Generic[E]):
    """Events of the tape, one after the other: `async for`. Made by the methods of `Tape`; ends with the tape, or by `aclose`.

    Each event comes once, in the order of its stream, which has the events of all venues; there is no order between streams. A slow loop
    leaves events on the server: at most one answer of the server is held here (about 2,000 events), and what is trimmed there before it
    was read is reported as missed. While the server is away it waits, and then continues behind the last event. One caller at a time.

    With `Start.NOW` it begins where its streams end at the first read; what comes between two reads is returned by the second.

    The first read raises `BusError` if waiting cannot help: the server refuses the password, or its certificate is not trusted.
    """

    def __init__(
        self, connection: TapeConnection, selection: Selection, *, start: Starts, newest: bool = False, on_missed: OnMissed | None = None
    ) -> None:
        self._source = EventSource(connection, newest=newest, on_missed=on_missed)
        self._release = weakref.finalize(self, connection.close_soon, self._source)
        self._release.atexit = False
        self._source.select(selection, start)

    @property
    def missed(self) -> int:
        """How many events were missed so far, because they left the tape unread or never were there; at least, where a count is unknown."""
        return self._source.losses.count

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams that are read: `tape:trade:BTC-USDT`."""
        return tuple(self._source.reader.streams)

    @property
    def positions(self) -> dict[str, str]:
        """Stream → id up to which its events were returned. Given as `start` to another subscription, that one continues behind them."""
        return dict(self._source.positions)

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._source.closed

    async def read(self, *, timeout_s: float | None = None) -> list[E]:
        """Returns the next events, as many as there are at once (a few thousand at most); none when none came within `timeout_s`, or when
        the subscription is closed. Without `timeout_s` it waits without end.
        """
        return [cast("E", entry.event) for entry in await self.entries(timeout_s=timeout_s)]

    async def entries(self, *, timeout_s: float | None = None) -> list[Entry]:
        """The same as `read`, with the stream and the id of each event, and its JSON."""
        return await self._source.entries(timeout_s=timeout_s)

    async def next(self, *, timeout_s: float | None = None) -> E | None:
        """Returns the next event; None when none came within `timeout_s`, or when the subscription is closed."""
        entry = await self._source.next_entry(timeout_s=timeout_s)
        return None if entry is None else cast("E", entry.event)

    def __aiter__(self) -> AsyncIterator[E]:
        return self

    async def __anext__(self) -> E:
        if (event := await self.next()) is None:
            raise StopAsyncIteration
        return event

    async def aclose(self) -> None:
        """End it, and close its connection: a loop over it ends, too. More than once does no harm."""
        self._release.detach()
        await self._source.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()
