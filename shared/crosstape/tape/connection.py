"""The connection of a tape: one client of the server for all that reads it, and the signs of life of its producers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final, Protocol, Self

import msgspec

from crosstape.bus import Client, Missed, Reader, connect
from crosstape.bus.client.availability import Availability
from crosstape.bus.client.call import UNAVAILABLE, execute
from crosstape.bus.client.reasons import place, reason
from crosstape.bus.read.life_watch import LifeWatch
from crosstape.errors import BusError, SettingsError
from crosstape.log import get_log
from crosstape.settings import BusSettings
from crosstape.tape.absent import STEADY, Absent
from crosstape_schemas import Event, Keys

LATE: Final = ":late"
"""End of a field of last values that is none: a trade that was fetched after newer ones."""
LOOKING: Final = 4
"""Sources of one tape that look into the registry at the same time."""

log = get_log(__name__)


class Closing(Protocol):
    """What can be closed."""

    async def aclose(self) -> None:
        """Close it."""


class TapeConnection:
    """What all subscriptions of one tape share."""

    def __init__(self, client: Client, settings: BusSettings) -> None:
        self.client = client
        self.keys = Keys(settings.prefix, settings.partitions)
        self._settings = settings
        self._availability = Availability(client, "tape", backoff_s=settings.backoff_s, reconnected=lambda _: None, starting=True)
        self._life = LifeWatch(client, self.keys, self._availability, lambda _: None)
        self.sources: set[Closing] = set()
        """What is open, and is closed with the tape."""
        self._closing: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._life_awaited = False
        self.looking = asyncio.Semaphore(LOOKING)
        """Held by a source that looks into the registry: hundreds that do so at once would need as many connections again."""
        self.closed = False
        self._absent = Absent()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: BusSettings) -> AsyncIterator[Self]:
        """A connection for the length of the block. It connects when it is first used. Raises `SettingsError` as `connect` does."""
        async with connect(settings) as client:
            connection = cls(client, settings)
            try:
                yield connection
            finally:
                await connection._close()

    def reader(self, on_gap: Callable[[Missed], None]) -> Reader:
        """Makes a reader. It is the caller's to close."""
        return Reader(self.client, self.keys, on_gap=on_gap, backoff_s=self._settings.backoff_s, availability=self._availability)

    def close_soon(self, source: Closing) -> None:
        """Close a source whose subscription was forgotten: from where nothing can be awaited, on any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._close_source, source)

    async def know_life(self) -> None:
        """Return when the signs of life that are on the tape are known. It waits once, for `bus.timeout_s` at most.

        Where they cannot be read, nothing is current.
        """
        if self._life_awaited:
            return
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                await self._life.start()
        except (TimeoutError, BusError) as exc:
            if not self._life_awaited:  # once, however many wait
                log.warning("tape.signs_of_life_unknown", reason=str(exc) or "no answer in time", effect="nothing is current")
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self.closed or (task is not None and task.cancelling()):
                raise  # else only the watch was cancelled
        self._life_awaited = True

    def is_current(self, event: Event) -> bool:
        """See `LifeWatch.is_current`."""
        return self._life.is_current(event)

    async def call(self, *command: str | int | bytes) -> object:
        """Returns the server's answer to one command. Raises `BusError` if there is none within `bus.timeout_s`."""
        with self._errors():
            answer: object = await execute(self.client, *command)
        return answer

    async def registered(self) -> set[tuple[str, str]]:
        """Returns the (kind, instrument) of all streams of the tape, and ("venue", venue) of venues' own.

        Raises `BusError` without an answer, `SettingsError` if the tape has another number of partitions: nothing of it would be read.
        """
        with self._errors():
            return await self._registered()

    async def warn_of_absent(self, kind: str, instrument: str, venue: str | None, registered: set[tuple[str, str]] | None = None) -> None:
        """Log what of this the tape does not have, of each once: the instrument, the timeframe, the venue; and what it has instead.

        `registered`: if it is known already. Without an answer of the server nothing is said. Raises `SettingsError` as `registered`.
        """
        try:
            known = await self.registered() if registered is None else registered
            if (kind, instrument) not in known and await self.call("EXISTS", self.keys.stream(kind, instrument)):
                return  # written by a program that registers nothing
            if self._absent.check(kind, instrument, known) and venue is not None and kind.partition(":")[0] in STEADY:
                fields = await self.call("HKEYS", self.keys.last(kind, instrument))
                assert isinstance(fields, list)
                venues = {field.decode(errors="replace").partition(":")[0] for field in fields}
                self._absent.check_venue(kind, instrument, venue, venues)
        except BusError:
            return  # whoever reads learns of it there

    async def await_registered(self, caller: object) -> set[tuple[str, str]]:
        """The same, and waits for the server. Raises `BusError` as a first read does: where waiting cannot help."""
        return await self._availability.until_answered(self._registered, caller)

    def stream(self, kind: str, name: str) -> str:
        """Returns the name of the stream of a (kind, instrument), or of ("venue", venue)."""
        return self.keys.venue(name) if kind == "venue" else self.keys.stream(kind, name)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except UNAVAILABLE as exc:
            raise BusError(f"the bus {place(self.client)} cannot be asked: {reason(exc)}") from exc

    async def _registered(self) -> set[tuple[str, str]]:
        found: set[tuple[str, str]] = set()
        other = False
        for partition in range(self.keys.partitions):
            names = await execute(self.client, "SMEMBERS", self.keys.registry(partition))
            assert isinstance(names, list | set)
            for name in (raw.decode(errors="replace") for raw in names):
                if (place_of := self.keys.parse(name)) is not None:
                    if name == self.stream(*place_of):
                        found.add(place_of)
                    else:
                        other = True
        if not found:
            elsewhere = msgspec.structs.replace(self.keys, partitions=1 if self.keys.partitions > 1 else 2)
            other = bool(await execute(self.client, "EXISTS", elsewhere.registry()))
        if other and not any(kind != "venue" for kind, _ in found):  # else the number was changed, and some old names are left
            raise SettingsError(
                f"bus.partitions = {self.keys.partitions}, but the tape {self.keys.prefix!r} on {place(self.client)} has another number"
            )
        return found

    def _close_source(self, source: Closing) -> None:
        if source in self.sources:
            task = self._loop.create_task(source.aclose(), name="tape.close")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _close(self) -> None:
        self.closed = True
        await asyncio.gather(*(source.aclose() for source in tuple(self.sources)), *self._closing, self._life.aclose())
