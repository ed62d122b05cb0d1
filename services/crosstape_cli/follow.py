"""Follows a tape: the newest consolidated quote of each instrument, and whether its aggregator is alive."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

from crosstape.bus import Client, Reader, Start
from crosstape.bus.client.call import UNAVAILABLE, execute
from crosstape.errors import BusError
from crosstape_cli.causes import Causes
from crosstape_schemas import CONSOLIDATED, Cbbo, Keys, Status, is_composite

DISCOVER_S: Final = 1.0
"""Seconds between two searches for new instruments."""

FIRST_POLL_S: Final = 0.1
"""How often to check whether the tape was read for the first time."""

AWAY: Final = "the server is away, this is from before"

COMPOSITE_NEEDS: Final = "a composite: aggregator.composites must name it, and parts of it must be on the tape"


class Quotes:
    """Follows the quotes of some instruments, or of all that appear. Its attributes change while `run` runs."""

    def __init__(self, client: Client, keys: Keys, instruments: Sequence[str] = ()) -> None:
        self.latest: dict[str, Cbbo] = {}
        """Instrument → its newest consolidated quote."""
        self.most_venues: dict[str, int] = {}
        """Instrument → the most venues that were in one of its quotes so far."""
        self.away = False
        """Whether the server did not answer when it was asked last, or what it has published since was not read yet."""
        self._causes = Causes()
        self._is_read = asyncio.Event()
        self._client = client
        self._keys = keys
        self._wanted = tuple(instruments)

    async def run(self) -> None:
        """Follow the tape until cancelled. While the server is away, it waits."""
        wanted = [self._keys.stream(kind, instrument) for kind in ("status", "cbbo") for instrument in self._wanted]
        names = [self._keys.venue(CONSOLIDATED), *wanted]  # signs of life first: they decide whether a quote is current
        async with Reader(self._client, self._keys, streams=names, start=Start.LAST_THEN_NOW) as reader, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._discover(reader), name="discover instruments")
            tasks.create_task(self._read(reader), name="read quotes")

    def silent(self) -> dict[str, float]:
        """Returns the instruments whose aggregator is dead, each with the seconds since its last sign of life.

        While the server is away nobody knows: then there is none.
        """
        if self.away:
            return {}
        now_s, now_ts = time.monotonic(), time.time_ns()
        found = {name: self._causes.silent_s(quote, now_s, now_ts) for name, quote in self.latest.items()}
        return {name: silent_s for name, silent_s in found.items() if silent_s is not None}

    def titled(self, title: str) -> str:
        """Returns a title that begins with the server, while it is away."""
        return f"{AWAY}; {title}" if self.away else title

    async def read_once(self, timeout_s: float) -> None:
        """Return once the tape has been read up to now for the first time, or `timeout_s` is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._is_read.wait()

    def why_nothing(self) -> list[str]:
        """The causes why there may be no quote, as far as the tape shows them; empty before the tape was read once."""
        return self._causes.why_nothing(time.monotonic(), time.time_ns()) if self._is_read.is_set() else []

    def named(self, instrument: str) -> str:
        """Returns an instrument and, in brackets, why it may have no quote: who refuses it, with reasons; of a composite, what it needs."""
        why = COMPOSITE_NEEDS if is_composite(instrument) else self._causes.why_not(instrument)
        return f"{instrument} ({why})" if why else instrument

    async def _read(self, reader: Reader) -> None:
        async for entry in reader:
            event = entry.event
            if isinstance(event, Cbbo):
                self.latest[event.instrument] = event
                self.most_venues[event.instrument] = max(event.venues, self.most_venues.get(event.instrument, 0))
            elif isinstance(event, Status):
                self._causes.apply(event, time.monotonic(), time.time_ns())

    async def _discover(self, reader: Reader) -> None:
        pause_s = FIRST_POLL_S
        while True:
            try:
                kinds = ("venue",) if self._wanted else ("venue", "status", "cbbo")
                reader.add(await streams(self._client, self._keys, *kinds), Start.LAST_THEN_NOW)
                is_behind = bool(reader.behind(time.monotonic()))
            except UNAVAILABLE:
                is_behind = self.away = True  # and the reader waits for the server
            if is_behind:
                self._is_read.clear()
            else:
                self.away = False
                self._is_read.set()
                pause_s = DISCOVER_S
            await asyncio.sleep(pause_s)


async def streams(client: Client, keys: Keys, *kinds: str) -> list[str]:
    """Returns the names of all streams of these kinds, in the order of the kinds. Raises one of `UNAVAILABLE`."""
    found: list[str] = []
    for partition in range(keys.partitions):
        members: Iterable[Any] = await execute(client, "SMEMBERS", keys.registry(partition))
        names = [member.decode() for member in members]
        found += [name for name in names if (parsed := keys.parse(name)) is not None and parsed[0] in kinds]
    return sorted(found, key=lambda name: kinds.index((keys.parse(name) or ("", ""))[0]))


async def reachable(client: Client) -> None:
    """Return if the server answers. Raises `BusError` if not, for commands that should fail at once instead of waiting for it."""
    try:
        await execute(client, "PING")
    except UNAVAILABLE as exc:
        raise BusError(f"the server does not answer: {exc}") from exc
