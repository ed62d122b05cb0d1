"""The reader: typed events of many streams, each once, in the order of each stream."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from redis.asyncio import RedisCluster

from crosstape.bus.client.availability import Availability
from crosstape.bus.client.call import Client
from crosstape.bus.metrics.hooks import ReaderMetrics
from crosstape.bus.read.connections import Connections
from crosstape.bus.read.continuity import Missed
from crosstape.bus.read.decoding import Decode, DecodeAll, ReaderCallbacks
from crosstape.bus.read.entry import Entry, Fetched, Foreign, Position, Run, Start, check_position
from crosstape.bus.read.followed import FollowedStream
from crosstape.bus.read.life_watch import LifeWatch
from crosstape.bus.read.poller import Poller
from crosstape.errors import BusError
from crosstape.liveness import Life
from crosstape_schemas import Event, Keys, decode


class Reader:
    """Reads the events of many streams. Resumes after any disconnect without loss or repeat; checks `seq` per (stream, venue, epoch).

    Streams need not exist yet. The streams of one server, or of one slot of a cluster, are read over one connection; more than 512 of them
    over several, if there is no bell that can be relied on (`Keys.bell`). There is no order between streams. Each connection holds at most
    one answer that was not returned yet: a slow caller leaves events on the server, where only trimming loses them, which `on_gap` then
    reports. One caller at a time.

    Several connections need tasks that outlive one `read`: the reader owns them, and `aclose` (or `async with`) ends them.
    """

    def __init__(
        self,
        client: Client,
        keys: Keys,
        *,
        streams: Mapping[str, Position] | Iterable[str] = (),
        start: Position = Start.NOW,
        on_gap: Callable[[Missed], None] | None = None,
        on_foreign: Callable[[Foreign], None] | None = None,
        on_life: Callable[[Life], None] | None = None,
        signs_of_life: bool = False,
        metrics: ReaderMetrics | None = None,
        backoff_s: float = 5.0,
        availability: Availability | None = None,
        decode: Decode = decode,
        decode_all: DecodeAll | None = None,
    ) -> None:
        """`signs_of_life`: follow them as well, from the first read on, so that `is_current` can answer; their entries are not returned.

        `on_life` (which implies it) is called for each connector and aggregator that starts or stops giving signs of life, at any time:
        also while no event comes, and between two reads. `availability`: shared with other readers of the client, so that an outage is
        logged once for all of them. `decode`: what makes the events of entries; an entry that it raises for is foreign.
        `decode_all`: decodes many at once; then call `read_runs` in the place of `read`.
        """
        self.cursors: dict[str, str] = {}
        """Stream → id up to which its events were returned: where to start next time."""
        metrics = metrics or ReaderMetrics()
        self._client = client
        self._decode = decode
        self._decode_all = decode_all
        self._keys = keys
        self._callbacks = ReaderCallbacks(on_gap or _ignore, on_foreign or _ignore, metrics)
        self._availability = availability or Availability(
            client, "reader", backoff_s=backoff_s, reconnected=metrics.reconnected, starting=True
        )
        follows = signs_of_life or on_life is not None
        self._life = LifeWatch(client, keys, self._availability, on_life or _ignore) if follows else None
        self._followed: dict[str, Connections] = {}
        self._connections: dict[int, Connections] = {}
        self._tasks: dict[Poller, asyncio.Task[Fetched]] = {}
        self._changed: asyncio.Future[None] | None = None
        self._closed = False
        self._ready: deque[Entry] = deque()
        self._runs: list[Run] = []
        self.turns = 0
        """Grows whenever a connection falls behind or has caught up again: then `behind` may return something else."""
        self._next_cursors: dict[str, str] = {}
        self.add(streams, start)

    @property
    def streams(self) -> Iterable[str]:
        """Names of the streams that are read."""
        return self._followed.keys()

    def add(self, streams: Mapping[str, Position] | Iterable[str], start: Position = Start.NOW) -> None:
        """Read these streams as well, from now on, also in a `read` that is waiting. A stream that is read already stays where it is.

        Raises `TypeError` or `ValueError` for a position that is none.
        """
        starts = streams if isinstance(streams, Mapping) else dict.fromkeys(streams, start)
        for name, position in starts.items():
            check_position(name, position)
        grown = set()
        for name, position in starts.items():
            if name not in self._followed:
                stream = FollowedStream(name, position, self._keys)
                connections = self._followed[name] = self._connections_for(stream)
                grown.add(connections.add(stream))
        self._interrupt(grown)
        self._wake()

    def remove(self, streams: Iterable[str]) -> None:
        """Stop reading these streams; no event of them is returned from now on."""
        removed = {name for name in streams if name in self._followed}
        for name in removed:
            self._followed.pop(name).remove(name.encode())
            self.cursors.pop(name, None)
            self._next_cursors.pop(name, None)
        for task in self._tasks.values():
            if _has_answer(task):
                task.result().leave_out(removed)
        self._interrupt(poller for poller in self._pollers() if not poller.streams)
        self._ready = deque(entry for entry in self._ready if entry.stream in self._followed)
        self._runs = [run for run in self._runs if run.stream in self._followed]

    @property
    def has_more(self) -> bool:
        """Whether the last `read` left entries on the server that the next one returns without waiting, as far as is known."""
        return any(poller.has_more for poller in self._pollers()) or any(map(_has_entries, self._tasks.values()))

    def behind(self, now_s: float) -> list[str]:
        """Returns the streams that are not known to have been read up to nearly `now_s`, by the monotonic clock.

        The streams of a connection are behind once it is lost, or has had no answer for `progress.LIMIT_S`, until an answer has brought all
        that there is and `read` has returned it. A stream that was added is behind until then, too.
        """
        return [key.decode() for poller in self._pollers() for key in poller.behind(now_s)]

    def is_current(self, event: Event) -> bool:
        """Whether the producer of `event` is alive, so that a last value is still the present one: see `SignsOfLife.is_current`.

        Call it at the moment of use. While the server is away nothing is current. Raises `BusError` without `signs_of_life`.
        """
        if self._life is None:
            raise BusError("a reader answers is_current if it was made with signs_of_life=True or on_life")
        return self._life.is_current(event)

    async def read(self, *, timeout_s: float | None) -> Sequence[Entry]:
        """Returns the next events, as many as there are at once (some thousands at most); none when none came within `timeout_s`.

        `timeout_s` None waits without end, also while the server is away. Raises `BusError` if nothing was ever read and waiting cannot
        help: the server refuses the password, or does not allow its user what is needed, or its certificate is not trusted, or only one
        side speaks TLS. Once a read has worked, the reader waits then, too, and logs it every minute.
        """
        entries = list(self._ready) or await self._gather(timeout_s)
        self._ready.clear()
        self.cursors.update(self._next_cursors)
        self._next_cursors = {}
        return entries

    async def read_runs(self, *, timeout_s: float | None) -> Sequence[Run]:
        """Returns the next events as `read` does, those of each stream as a run. Only with `decode_all`, and without last values."""
        if not self._runs:
            await self._gather(timeout_s)
        if self.has_more and not self._closed:
            self._fetch(asyncio.get_running_loop())  # the server makes the next answer while the caller works on this one
            for _ in range(2):  # the task writes in its turn, and the loop sends at the end of that
                await asyncio.sleep(0)
        runs, self._runs = self._runs, []
        self.cursors.update(self._next_cursors)
        self._next_cursors = {}
        return runs

    def __aiter__(self) -> AsyncIterator[Entry]:
        return self

    async def __anext__(self) -> Entry:
        while not self._ready:
            if self._closed:
                raise StopAsyncIteration
            self._ready.extend(await self._gather(None))
        entry = self._ready.popleft()
        self.cursors[entry.stream] = entry.id
        if not self._ready:
            self.cursors.update(self._next_cursors)
            self._next_cursors = {}
        return entry

    async def aclose(self) -> None:
        """End all reads, also one that waits: it returns nothing. Close the connections.

        `cursors` stay as they are: what was not returned does not count as read.
        """
        self._closed = True
        self._wake()
        tasks = list(self._tasks.values())
        self._tasks.clear()
        if self._life is not None:
            await self._life.aclose()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for poller in self._pollers():
            await poller.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def _gather(self, timeout_s: float | None) -> list[Entry]:
        """Returns what the next connection (or several at once) brings."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        if self._life is not None and not self._closed:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._life.start()
            except TimeoutError:
                return []
        while not self._closed:
            self._fetch(loop)
            changed = self._changed = loop.create_future()
            left = None if deadline is None else max(0.0, deadline - loop.time())
            done, _ = await asyncio.wait({*self._tasks.values(), changed}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            entries: list[Entry] = []
            for poller, task in [(poller, task) for poller, task in self._tasks.items() if task.done()]:
                del self._tasks[poller]
                if task.cancelled():
                    continue  # by `add` or `remove`
                batch = task.result()
                self._next_cursors.update(batch.cursors)
                self._runs += batch.runs
                entries += batch.entries
            if entries or self._runs or not done:
                return entries
        return []

    def _fetch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ask on each connection for what comes next."""
        for connections in self._connections.values():
            self._interrupt(connections.rearrange())
        for poller in self._pollers():
            if poller.streams and poller not in self._tasks:
                self._tasks[poller] = loop.create_task(poller.fetch(), name="bus.reader")

    def _interrupt(self, pollers: Iterable[Poller]) -> None:
        """Let these connections ask again: they may wait for long, and for other streams. What was not answered yet is asked for then."""
        for poller in pollers:
            if (task := self._tasks.get(poller)) is not None:
                task.cancel()

    def _connections_for(self, stream: FollowedStream) -> Connections:
        """Returns the connections that a stream belongs to: in a cluster, those of its slot."""
        slot = 0
        if isinstance(self._client, RedisCluster):
            slot = self._client.keyslot(stream.name)
            if stream.bell and self._client.keyslot(stream.bell.decode()) != slot:
                stream.bell = b""  # one call cannot read both
        if slot not in self._connections:
            self._connections[slot] = Connections(self._connect)
        return self._connections[slot]

    def _connect(self) -> Poller:
        return Poller(self._client, self._availability, self._callbacks, self._count_turn, self._decode, decode_all=self._decode_all)

    def _pollers(self) -> Iterator[Poller]:
        return itertools.chain.from_iterable(self._connections.values())

    def _count_turn(self) -> None:
        self.turns += 1

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)


def _has_answer(task: asyncio.Task[Fetched]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _has_entries(task: asyncio.Task[Fetched]) -> bool:
    return _has_answer(task) and bool(task.result().entries or task.result().runs)


def _ignore(_: object) -> None:
    pass
