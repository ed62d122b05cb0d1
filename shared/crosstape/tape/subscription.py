"""A subscription: the events of one kind, of some instruments or all, each once and in the order of its stream."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from types import TracebackType
from typing import Final, Generic, Self, TypeAlias, TypeVar, cast

from crosstape.bus import Entry, Missed, Position, Start
from crosstape.errors import BusError
from crosstape.log import get_log
from crosstape.tape.connection import TapeConnection
from crosstape.tape.queue import EventQueue
from crosstape.tape.selection import Selection, nearest_instrument
from crosstape_schemas import VENUE_WIDE, Event

E = TypeVar("E", bound=Event)

OnMissed: TypeAlias = Callable[[Missed], object]
Starts: TypeAlias = Position | Mapping[str, Position]
"""Where to start: one position for all streams, or stream → position; streams that are not named there start now."""

LOOK_S: Final = 1.0
"""How often to look for streams that are new, for a subscription of all instruments."""
NEWEST_LIMIT: Final = 100_000
"""With `newest=True`, closed bars that wait in memory at most."""
MORE_S: Final = 0.05
"""With `newest=True`, longest wait for an answer with entries that are known to be there."""

log = get_log(__name__)


class Losses:
    """Counts what a subscription missed. (Apart from it, so that a subscription that nobody holds any more can be freed.)"""

    def __init__(self, selections: list[Selection], on_missed: OnMissed | None) -> None:
        self.count = 0
        self._selections = selections
        self._on_missed = on_missed
        self._logged: set[str] = set()

    def note(self, missed: Missed) -> None:
        """Count, and call back or log once a stream, unless what is missing is of a venue that is not wanted."""
        if missed.venue and all(selection.venue not in (None, missed.venue) for selection in self._selections):
            return
        self.count += 1 if missed.count is None else missed.count
        if self._on_missed is None:
            if missed.stream not in self._logged:
                self._logged.add(missed.stream)
                log.warning(
                    "tape.missed", stream=missed.stream, venue=missed.venue, epoch=missed.epoch, first=missed.first_missing,
                    count=missed.count, hint="only the first is logged; on_missed gets all",
                )  # fmt: skip
            return
        try:
            self._on_missed(missed)
        except Exception as exc:  # the user's code; events still come
            log.error("tape.callback_failed", callback=name_of(self._on_missed), stream=missed.stream, exc_info=exc)


class Subscription(Generic[E]):
    """Events of the tape, one after the other: `async for`. Made by the methods of `Tape`; ends with the tape, or by `aclose`.

    Each event comes once, in the order of its stream, which has the events of all venues; there is no order between streams. A slow loop
    leaves events on the server: at most one answer of the server is held here (about 2,000 events), and what is trimmed there before it
    was read is reported as missed. While the server is away it waits, and then continues behind the last event. One caller at a time.

    The first read raises `BusError` if waiting cannot help: the server refuses the password, or its certificate is not trusted.
    """

    def __init__(
        self,
        connection: TapeConnection,
        selection: Selection | None,
        *,
        start: Starts = Start.NOW,
        newest: bool = False,
        on_missed: OnMissed | None = None,
    ) -> None:
        self._connection = connection
        self._selections: list[Selection] = []
        self._losses = Losses(self._selections, on_missed)
        self._reader = reader = connection.reader(self._losses.note)
        self._starts: dict[Selection, Starts] = {}
        self._wanted: dict[str, list[Selection]] = {}
        self._ready: deque[Entry] = deque()
        self._newest = EventQueue(NEWEST_LIMIT) if newest else None
        self._positions: dict[str, str] = {}
        self._looked_s = float("-inf")
        self._looked: set[Selection] = set()
        self._may_grow = selection is None
        self._busy = False
        self._closed = False
        self._release = weakref.finalize(self, connection.release_soon, reader)
        self._release.atexit = False
        if selection is not None:
            self.select(selection, start)

    @property
    def missed(self) -> int:
        """How many events were missed so far, because they left the tape unread or never were there; at least, where a count is unknown."""
        return self._losses.count

    @property
    def streams(self) -> Iterable[str]:
        """Names of the streams that are read: `tape:trade:BTC-USDT`."""
        return tuple(self._reader.streams)

    @property
    def positions(self) -> dict[str, str]:
        """Stream → id up to which its events were returned. Given as `start` to another subscription, that one continues behind them."""
        return dict(self._positions)

    def select(self, selection: Selection, start: Starts) -> None:
        """Read these events as well. A stream that is read already stays where it is."""
        self._selections.append(selection)
        self._starts[selection] = start
        names = list(selection.streams(self._connection.keys))
        self._add(selection, names, start)

    async def read(self, *, timeout_s: float | None = None) -> list[E]:
        """Returns the next events, as many as there are at once (a few thousand at most); none when none came within `timeout_s`, or when
        the subscription is closed. Without `timeout_s` it waits without end.
        """
        return [cast("E", entry.event) for entry in await self.entries(timeout_s=timeout_s)]

    async def entries(self, *, timeout_s: float | None = None) -> list[Entry]:
        """The same as `read`, with the stream and the id of each event, and its JSON."""
        await self._fill(timeout_s)
        entries = list(self._ready) if self._newest is None else self._conflate(self._newest)
        self._ready.clear()
        self._positions.update(self._reader.cursors)
        return entries

    def __aiter__(self) -> AsyncIterator[E]:
        return self

    async def __anext__(self) -> E:
        if self._newest is not None:
            return await self._next_newest(self._newest)
        while not self._ready:
            if self._closed:
                raise StopAsyncIteration
            await self._fill(None)
        entry = self._ready.popleft()
        if self._ready:
            self._positions[entry.stream] = entry.id
        else:
            self._positions.update(self._reader.cursors)
        return cast("E", entry.event)

    async def aclose(self) -> None:
        """End it, and close its connection: a loop over it ends, too. More than once does no harm."""
        self._closed = True
        self._release.detach()
        self._ready.clear()
        await self._connection.release(self._reader)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def _next_newest(self, queue: EventQueue) -> E:
        while True:
            if not queue and self._closed:
                raise StopAsyncIteration
            await self._fill(0 if queue else None)
            self._put_ready(queue)
            while self._reader.has_more and await self._fill(MORE_S):
                self._put_ready(queue)
            item = queue.get()
            if not queue:
                self._positions.update(self._reader.cursors)
            if isinstance(item, Missed):
                self._losses.note(item)
            elif item is not None:
                return cast("E", item.event)

    def _conflate(self, queue: EventQueue) -> list[Entry]:
        self._put_ready(queue)
        return [item for item in iter(queue.get, None) if isinstance(item, Entry)]

    def _put_ready(self, queue: EventQueue) -> None:
        for entry in self._ready:
            queue.put(entry)
        self._ready.clear()

    async def _fill(self, timeout_s: float | None) -> bool:
        """Wait until entries are ready, or until closed. Returns False if none came within the time. May be cancelled at any time."""
        if self._busy:
            raise BusError("a subscription has one reader at a time: make another one")
        self._busy = True
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        try:
            while not self._ready and not self._closed:
                if self._connection.closed:
                    self._closed = True
                    break
                await self._look(deadline)
                left = None if deadline is None else max(0.0, deadline - loop.time())
                if self._looks:
                    left = LOOK_S if left is None else min(LOOK_S, left)
                self._ready.extend(entry for entry in await self._reader.read(timeout_s=left) if self._wants(entry))
                if deadline is not None and loop.time() >= deadline:
                    break
            if self._ready:
                await self._connection.know_life()
            return bool(self._ready)
        finally:
            self._busy = False

    def _wants(self, entry: Entry) -> bool:
        return any(selection.wants(entry.event) for selection in self._wanted.get(entry.stream, ()))

    def _add(self, selection: Selection, names: Iterable[str], start: Starts) -> None:
        starts = {name: start.get(name, Start.NOW) for name in names} if isinstance(start, Mapping) else dict.fromkeys(names, start)
        self._reader.add(starts)
        for name in starts:
            self._wanted.setdefault(name, []).append(selection)

    @property
    def _looks(self) -> bool:
        """Whether the registry is read from time to time."""
        return self._may_grow or any(selection.is_open for selection in self._selections)

    async def _look(self, deadline: float | None) -> None:
        """Find streams in the registry: once, to warn of a name that is probably mistyped, and again and again if all instruments are read.

        A stream that is found later is new: it is read from its beginning.
        """
        loop = asyncio.get_running_loop()
        unknown = [selection for selection in self._selections if selection not in self._looked]
        if not unknown and (not self._looks or loop.time() < self._looked_s + LOOK_S):
            return
        try:
            async with asyncio.timeout_at(deadline):
                found = await self._connection.registered()
        except (BusError, TimeoutError):
            return  # the reader waits for the server, and says so
        self._looked_s = loop.time()
        keys = self._connection.keys
        for selection in self._selections:
            if selection.is_open:
                names = [
                    keys.venue(name) if kind == "venue" else keys.stream(kind, name)
                    for kind, name in sorted(found)
                    if selection.includes(kind, name)
                ]
                new = [name for name in names if selection not in self._wanted.get(name, ())]
                self._add(selection, new, Start.BEGINNING if selection in self._looked else self._starts[selection])
        self._looked.update(unknown)
        instruments = {name for kind, name in found if kind != "venue"}
        for selection in unknown:
            for name in selection.instruments:
                if instruments and name not in instruments and name != VENUE_WIDE:
                    nearest = nearest_instrument(name, instruments)
                    log.warning("tape.unknown_instrument", instrument=name, nearest=nearest, kind=selection.kind)


def name_of(callback: Callable[..., object]) -> str:
    """Returns what a callback is called in the log."""
    return str(getattr(callback, "__qualname__", None) or type(callback).__name__)
