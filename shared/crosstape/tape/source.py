"""Reads the events of selections that may change: what stands behind subscriptions, callbacks and the queue."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from crosstape.bus import Entry, Missed, Position, Start
from crosstape.bus.read.entry import check_position
from crosstape.errors import BusError, CrosstapeError, SettingsError
from crosstape.log import get_log
from crosstape.tape.connection import TapeConnection
from crosstape.tape.losses import Losses, OnMissed
from crosstape.tape.queue import EventQueue
from crosstape.tape.selection import Selection

Starts: TypeAlias = Position | Mapping[str, Position]
"""Where to start: one position for all streams, or stream → position; streams that are not named there start now."""

LOOK_S: Final = 1.0
"""How often to look for streams that are new, for a selection of all instruments."""
NEWEST_AHEAD: Final = 20_000
"""With `newest`, no more is read while so many closed bars wait in memory: they stay on the server."""
NEWEST_LIMIT: Final = 200_000
"""With `newest`, closed bars that are kept in any case: one answer of the server comes on top of `NEWEST_AHEAD`."""
MORE_S: Final = 0.02
"""With `newest`, how long to wait for an answer before it is looked again whether there is more."""
NEWEST_S: Final = 2.0
"""With `newest`, longest time to read before an event is returned, where events come faster than we read."""

log = get_log(__name__)


class EventSource:
    """One reader, and what is wanted of it. At most one answer of the server is held, in memory, until it is asked for. One caller."""

    def __init__(self, connection: TapeConnection, *, newest: bool = False, on_missed: OnMissed | None = None) -> None:
        self._connection = connection
        self._selections: list[Selection] = []
        self.losses = Losses(lambda stream: self._wanted.get(stream, ()), on_missed)
        self.reader = connection.reader(self.losses.note)
        connection.sources.add(self)
        self._starts: dict[Selection, Starts] = {}
        self._wanted: dict[str, list[Selection]] = {}
        self._start_of: dict[str, Position] = {}
        self._ready: deque[Entry] = deque()
        self._newest = EventQueue(NEWEST_LIMIT) if newest else None
        self.positions: dict[str, str] = {}
        """Stream → id up to which its events were returned."""
        self._looked: set[Selection] = set()
        self._checked: set[Selection] = set()
        """Selections of which it was said what the tape does not have."""
        self._looking: asyncio.Task[None] | None = None
        self._failure: CrosstapeError | None = None
        self._busy = False
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._closed or self._connection.closed

    def select(self, selection: Selection, start: Starts) -> None:
        """Read these events as well. A stream that is read already goes on from where it is.

        Raises `ValueError` if it has another start than this one, and this one is not now; `TypeError` or `ValueError` for a start that is
        none.
        """
        for name, position in start.items() if isinstance(start, Mapping) else [("start", start)]:
            check_position(name, position)
        if (known := self._starts.get(selection)) is not None and start not in (Start.NOW, known):
            raise ValueError(f"{selection.kind} is read already, from {known} on, and one stream has one start here")
        names = list(selection.streams(self._connection.keys))
        for name in names:
            if name in self._wanted and _start_of(name, start) not in (Start.NOW, self._start_of[name]):
                raise ValueError(f"{name} is read already, from {self._start_of[name]} on, and one stream has one start here")
        if selection not in self._starts:
            self._add(selection, names, start)
            self._selections.append(selection)
            self._starts[selection] = start
            if self._looking is not None and not self.closed:
                self._begin_looking()

    def deselect(self, selection: Selection) -> None:
        """Do not read these events any more. Does nothing if they were not selected."""
        if self._starts.pop(selection, None) is None:
            return
        self._selections.remove(selection)
        self._looked.discard(selection)
        self._checked.discard(selection)
        for name, wanting in list(self._wanted.items()):
            if selection in wanting:
                wanting.remove(selection)
            if not wanting:
                del self._wanted[name], self._start_of[name]
                self.reader.remove((name,))
                self.positions.pop(name, None)

    def wanting(self, entry: Entry) -> list[Selection]:
        """Returns the selections that an entry belongs to."""
        return [selection for selection in self._wanted.get(entry.stream, ()) if selection.wants(entry.event)]

    async def entries(self, *, timeout_s: float | None) -> list[Entry]:
        """Returns the next entries, as many as there are at once; none within the time, or when closed. May be cancelled at any time."""
        await self._fill(timeout_s)
        entries = list(self._ready) if self._newest is None else []
        if self._newest is not None:
            self._put_ready(self._newest)
            while (item := self._newest.get()) is not None:
                if isinstance(item, Missed):
                    self.losses.note(item)
                else:
                    entries.append(item)
        self._ready.clear()
        self.positions.update(self.reader.cursors)
        return entries

    async def next_entry(self, *, timeout_s: float | None) -> Entry | None:
        """Returns the next entry; None: none came within the time, or it is closed. May be cancelled at any time."""
        if self._newest is not None:
            return await self._next_newest(self._newest, timeout_s)
        if not self._ready:
            await self._fill(timeout_s)
        if not self._ready:
            self.positions.update(self.reader.cursors)  # behind what was read and is not wanted
            return None
        entry = self._ready.popleft()
        if self._ready:
            self.positions[entry.stream] = entry.id
        else:
            self.positions.update(self.reader.cursors)
        return entry

    async def aclose(self) -> None:
        """End it: a caller that waits gets nothing."""
        self._closed = True
        self._ready.clear()
        if self._newest is not None:
            self._newest = EventQueue(NEWEST_LIMIT)
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self.reader.aclose()
        self._connection.sources.discard(self)

    async def _next_newest(self, queue: EventQueue, timeout_s: float | None) -> Entry | None:
        """`next_entry`, after what is there was read: a state that is returned is the newest."""
        while not self.closed:
            until_s = None
            wait_s = 0 if queue else timeout_s
            while queue.events < NEWEST_AHEAD and not self.closed:
                await self._fill(wait_s)
                self._put_ready(queue)
                until_s = until_s or time.monotonic() + NEWEST_S
                if not self.reader.has_more or time.monotonic() >= until_s:
                    break
                wait_s = MORE_S
            if self.closed:
                break
            item = queue.get()
            if not queue:
                self.positions.update(self.reader.cursors)
            if not isinstance(item, Missed):
                return item
            self.losses.note(item)
        return None

    def _put_ready(self, queue: EventQueue) -> None:
        for entry in self._ready:
            queue.put(entry)
        self._ready.clear()

    async def _fill(self, timeout_s: float | None) -> bool:
        """Wait until entries are ready, or until closed. Returns False if none came within the time."""
        if self._busy:
            raise BusError("a subscription has one caller at a time: make another subscription")
        self._busy = True
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        try:
            if self._looking is None and not self.closed:
                self._begin_looking()
            while not self._ready and not self.closed:
                left = None if deadline is None else max(0.0, deadline - loop.time())
                self._ready.extend(entry for entry in await self.reader.read(timeout_s=left) if self.wanting(entry))
                if self._failure is not None:
                    raise self._failure
                if deadline is not None and loop.time() >= deadline:
                    break
            if self._ready:
                await self._connection.know_life()
            return bool(self._ready)
        finally:
            self._busy = False

    def _add(self, selection: Selection, names: Iterable[str], start: Starts) -> None:
        starts = {name: _start_of(name, start) for name in names}
        self.reader.add(starts)
        for name, position in starts.items():
            self._start_of.setdefault(name, position)
            self._wanted.setdefault(name, []).append(selection)

    def _begin_looking(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        self._looking = asyncio.create_task(self._look(), name="tape.look")

    async def _look(self) -> None:
        """Look into the registry: once, or again and again if all instruments are wanted."""
        while True:
            is_open = any(selection.is_open for selection in self._selections)
            try:
                async with self._connection.looking:
                    found = await (self._connection.await_registered(self) if is_open else self._connection.registered())
                    self._find_streams(found)
                    await self._warn_of_absent(found)
                if not is_open:
                    return
            except BusError as exc:
                if is_open:  # the reader has no stream that would say so
                    await self._fail(exc)
                    return
            except SettingsError as exc:  # nothing would ever come
                await self._fail(exc)
                return
            await asyncio.sleep(LOOK_S)

    async def _warn_of_absent(self, found: set[tuple[str, str]]) -> None:
        for selection in tuple(self._selections):
            if selection not in self._checked:
                for name in selection.instruments:
                    await self._connection.warn_of_absent(selection.kind, name, selection.venue, found)
                self._checked.add(selection)

    async def _fail(self, exc: CrosstapeError) -> None:
        """Raise this where somebody waits."""
        self._failure = exc
        await self.reader.aclose()

    def _find_streams(self, found: set[tuple[str, str]]) -> None:
        """Add the streams of open selections.

        A stream that is found later is new: it is read from its beginning.
        """
        for selection in self._selections:
            if selection.is_open:
                places = [place for place in sorted(found) if selection.includes(*place)]
                names = [self._connection.stream(*place) for place in places]
                start = Start.BEGINNING if selection in self._looked else self._starts[selection]
                self._add(selection, [name for name in names if selection not in self._wanted.get(name, ())], start)
        self._looked.update(self._selections)


def _start_of(name: str, start: Starts) -> Position:
    return start.get(name, Start.NOW) if isinstance(start, Mapping) else start
