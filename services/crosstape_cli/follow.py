"""The newest consolidated quote of each instrument, as the tape brings it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final

from crosstape.bus import Client, Reader, Start
from crosstape.bus.call import UNAVAILABLE, ask
from crosstape.errors import BusError
from crosstape_schemas import Cbbo, Keys

DISCOVER_S: Final = 1.0
"""How often new instruments are looked for, when all are wanted."""


class Quotes:
    """Follows some instruments, or all that appear. Read its attributes; they change while `run` runs."""

    def __init__(self, client: Client, keys: Keys, instruments: Sequence[str] = ()) -> None:
        self.latest: dict[str, Cbbo] = {}
        """By instrument."""
        self.most_venues: dict[str, int] = {}
        """By instrument: how many legs counted at once, at best."""
        self._client = client
        self._keys = keys
        self._wanted = tuple(instruments)

    async def run(self) -> None:
        """Follow until cancelled; waits out a server that is away."""
        names = [self._keys.stream("cbbo", instrument) for instrument in self._wanted]
        async with Reader(self._client, self._keys, streams=names, start=Start.LAST_THEN_NOW) as reader, asyncio.TaskGroup() as tasks:
            if not self._wanted:
                tasks.create_task(self._discover(reader), name="discover instruments")
            tasks.create_task(self._read(reader), name="read quotes")

    async def _read(self, reader: Reader) -> None:
        async for entry in reader:
            quote = entry.event
            if isinstance(quote, Cbbo):
                self.latest[quote.instrument] = quote
                self.most_venues[quote.instrument] = max(quote.venues, self.most_venues.get(quote.instrument, 0))

    async def _discover(self, reader: Reader) -> None:
        while True:
            try:
                names = await streams(self._client, self._keys, "cbbo")
            except UNAVAILABLE:
                names = []  # the reader waits for the server; so do we
            reader.add(names, Start.LAST_THEN_NOW)
            await asyncio.sleep(DISCOVER_S)


async def streams(client: Client, keys: Keys, kind: str) -> list[str]:
    """Names of the streams of that kind that exist. Raises one of `UNAVAILABLE`."""
    found: list[str] = []
    for partition in range(keys.partitions):
        members: Iterable[Any] = await ask(client, "SMEMBERS", keys.registry(partition))
        names = [member.decode() for member in members]
        found += [name for name in names if (parsed := keys.parse(name)) is not None and parsed[0] == kind]
    return found


async def reachable(client: Client) -> None:
    """Return if the server answers. Raises `BusError` if not: for commands that should say so rather than wait."""
    try:
        await ask(client, "PING")
    except UNAVAILABLE as exc:
        raise BusError(f"the server does not answer: {exc}") from exc
