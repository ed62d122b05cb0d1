"""The reading side of the bus: typed events of many streams, each once, in each stream's order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

from redis.asyncio import RedisCluster

from crosstape.bus.client.availability import Availability
from crosstape.bus.client.call import Client
from crosstape.bus.metrics.hooks import ReaderMetrics
from crosstape.bus.read.continuity import Missed
from crosstape.bus.read.entry import Entry, Fetched, Foreign, Position, Start, check_position
from crosstape.bus.read.life_watch import LifeWatch
from crosstape.bus.read.poller import STREAMS, Followed, Poller, Tell
from crosstape.errors import BusError
from crosstape.liveness import Life
from crosstape_schemas import Event, Keys


class Reader:
    """Events of many streams. Resumes after any disconnect without loss or repeat; checks `seq` per (stream, venue, epoch).

    Streams need not exist yet. Up to 512 are read over one connection; more (or more slots of a cluster) over several at once, so there is
    no order between streams. Each connection holds at most one answer that was not asked for yet: a slow caller leaves events on the
    server, where only trimming loses them, which `on_gap` then tells. One caller at a time.

    Several reads at once need tasks that outlive one `read`: the reader owns them, and `aclose` (or `async with`) ends them.
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
    ) -> None:
        """`signs_of_life`: follow them, too, from the first read on, so that `is_current` can answer; their entries are not given out.

        `on_life` (which implies it) hears of each connector and aggregator that begins or ends to give signs of life, at any time: also
        while no event comes, and between two reads.
        """
        self.cursors: dict[str, str] = {}
        """Stream → id up to which its events were given out: where to begin next time."""
        metrics = metrics or ReaderMetrics()
        self._client = client
        self._keys = keys
        self._tell = Tell(on_gap or _ignore, on_foreign or _ignore, metrics)
        self._availability = Availability(client, "reader", backoff_s=backoff_s, reconnected=metrics.reconnected, begins=True)
        follows = signs_of_life or on_life is not None
        self._life = LifeWatch(client, keys, self._availability, on_life or _ignore) if follows else None
        self._home: dict[str, Poller] = {}
        self._followers: dict[int, list[Poller]] = {}
        self._tasks: dict[Poller, asyncio.Task[Fetched]] = {}
        self._changed: asyncio.Future[None] | None = None
        self._given: deque[Entry] = deque()
        self.turns = 0
        """Grows whenever a connection falls behind or has caught up again: `behind` may then give another answer."""
        self._marks: dict[str, str] = {}
        self.add(streams, start)

    @property
    def streams(self) -> Iterable[str]:
        """Those that are read."""
        return self._home.keys()

    def add(self, streams: Mapping[str, Position] | Iterable[str], start: Position = Start.NOW) -> None:
        """Read these, too, from now on; what is read already stays as it is. A read under way takes them up at once.

        Raises `TypeError` or `ValueError` for what is no place on a stream.
        """
        starts = streams if isinstance(streams, Mapping) else dict.fromkeys(streams, start)
        for name, position in starts.items():
            check_position(name, position)
        grown = set()
        for name, position in starts.items():
            if name not in self._home:
                follower = self._follower(name)
                follower.add(Followed(name, position, self._keys))
                self._home[name] = follower
                grown.add(follower)
        for follower in grown:
            if (task := self._tasks.get(follower)) is not None:
                task.cancel()  # it may wait for long; what it has not brought yet, the next one will
        self._wake()

    def remove(self, streams: Iterable[str]) -> None:
        """Read these no more; nothing of them is given out from now on."""
        for name in streams:
            if (follower := self._home.pop(name, None)) is not None:
                follower.remove(name.encode())
                self.cursors.pop(name, None)
                self._marks.pop(name, None)
        for followers in self._followers.values():
            for follower in followers:  # one without streams stays, and its connection with it, for what is added next
                if not follower.streams and (task := self._tasks.get(follower)) is not None:
                    task.cancel()
        self._given = deque(entry for entry in self._given if entry.stream in self._home)

    def behind(self, now_s: float) -> list[str]:
        """The streams that are not known to have been read up to nearly `now_s`, by the monotonic clock.

        A connection that is away is behind at once, one that got no answer for `progress.LIMIT_S` from then on, until an answer has brought
        all that there is and that has been given out. A stream that was added is behind until the same is true of it.
        """
        return [key.decode() for followers in self._followers.values() for follower in followers for key in follower.behind(now_s)]

    def is_current(self, event: Event) -> bool:
        """Whether the producer of `event` gives signs of life, so that a last value is the present one: see `SignsOfLife.is_current`.

        Ask at the moment of use. While the server is away nothing is current. Raises `BusError` without `signs_of_life`.
        """
        if self._life is None:
            raise BusError("a reader answers is_current if it was made with signs_of_life=True or on_life")
        return self._life.is_current(event)

    async def read(self, *, timeout_s: float | None) -> Sequence[Entry]:
        """The next events, as many as there are at once (a few thousand at most); none when there were none for `timeout_s`.

        None waits for as long as it takes. The server being away is waited out, too. Raises `BusError` if nothing was ever read
        and waiting cannot help: it refuses the password, or what its user may do is not enough, or its certificate is not trusted, or one
        side speaks TLS and the other does not. Once a read has worked, that is waited out, too, and logged every minute.
        """
        entries = list(self._given) or await self._gather(timeout_s)
        self._given.clear()
        self.cursors.update(self._marks)
        self._marks = {}
        return entries

    def __aiter__(self) -> AsyncIterator[Entry]:
        return self

    async def __anext__(self) -> Entry:
        while not self._given:
            self._given.extend(await self._gather(None))
        entry = self._given.popleft()
        self.cursors[entry.stream] = entry.id
        if not self._given:
            self.cursors.update(self._marks)
            self._marks = {}
        return entry

    async def aclose(self) -> None:
        """End what is under way, and the reader. `cursors` stay: what was not given out does not count as read."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        if self._life is not None:
            await self._life.aclose()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for followers in self._followers.values():
            for follower in followers:
                await follower.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def _gather(self, timeout_s: float | None) -> list[Entry]:
        """What the next follower (or several at once) brings."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        if self._life is not None:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._life.begin()
            except TimeoutError:
                return []
        while True:
            for followers in self._followers.values():
                for follower in followers:
                    if follower.streams and follower not in self._tasks:
                        self._tasks[follower] = loop.create_task(follower.fetch(), name="bus.reader")
            changed = self._changed = loop.create_future()
            left = None if deadline is None else max(0.0, deadline - loop.time())
            done, _ = await asyncio.wait({*self._tasks.values(), changed}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            entries: list[Entry] = []
            for follower, task in [(follower, task) for follower, task in self._tasks.items() if task.done()]:
                del self._tasks[follower]
                if task.cancelled():
                    continue  # by `add` or `remove`
                batch = task.result()
                self._marks.update((name, at) for name, at in batch.cursors.items() if name in self._home)
                entries += batch.entries if batch.cursors.keys() <= self._home.keys() else self._wanted(batch)
            if entries or not done:
                return entries

    def _wanted(self, batch: Fetched) -> list[Entry]:
        return [entry for entry in batch.entries if entry.stream in self._home]

    def _follower(self, name: str) -> Poller:
        """One with room; of a cluster, one of the same slot."""
        slot = self._client.keyslot(name) if isinstance(self._client, RedisCluster) else 0
        followers = self._followers.setdefault(slot, [])
        for follower in followers:
            if len(follower.streams) < STREAMS:
                return follower
        followers.append(Poller(self._client, self._availability, self._tell, self._turned))
        return followers[-1]

    def _turned(self) -> None:
        self.turns += 1

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)


def _ignore(_: object) -> None:
    pass
