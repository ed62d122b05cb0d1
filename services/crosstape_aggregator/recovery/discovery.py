"""Which streams there are: the registry of the bus, asked again and again, and only as much as changed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from crosstape.bus import Client
from crosstape.bus.client.call import execute
from crosstape_aggregator.sharding.assignment import ALL_INSTRUMENTS, Shard
from crosstape_schemas import CONSOLIDATED, Keys

FULL_EVERY: Final = 120
"""The registry's size is asked every time; its content when that changed, and every so many times in any case."""


class FoundStream(NamedTuple):
    """One stream: its kind and instrument, or "venue" and the venue."""

    kind: str
    name: str
    stream: str


class Discovery:
    """The streams of these kinds, of this share's instruments, and of these instruments if any are named; each is found once."""

    def __init__(
        self, client: Client, keys: Keys, kinds: Collection[str], instruments: Collection[str], *, shard: Shard = ALL_INSTRUMENTS
    ) -> None:
        self._client = client
        self._keys = keys
        self._kinds = frozenset(kinds)
        self._instruments = frozenset(instruments)
        self._shard = shard
        self._known: set[str] = set()
        self._sizes: dict[int, int] = {}
        self._turn = 0

    async def refresh(self) -> list[FoundStream]:
        """What was not there before. Raises what the client raises when the server does not answer."""
        whole = self._turn % FULL_EVERY == 0
        names: set[str] = set()
        sizes: dict[int, int] = {}
        for partition in range(self._keys.partitions):
            registry = self._keys.registry(partition)
            size = await execute(self._client, "SCARD", registry)
            if whole or size != self._sizes.get(partition):
                names |= {name.decode(errors="replace") for name in await execute(self._client, "SMEMBERS", registry)}
                sizes[partition] = size
        found = [one for name in sorted(names - self._known) if (one := self._wanted(name)) is not None]
        self._known |= names  # not before all have answered: what is known is not found again
        self._sizes |= sizes
        self._turn += 1
        return found

    def _wanted(self, stream: str) -> FoundStream | None:
        parsed = self._keys.parse(stream)
        if parsed is None or parsed[0] not in self._kinds:
            return None
        kind, name = parsed
        if kind == "venue" and name == CONSOLIDATED:
            return None  # what aggregators say of themselves
        if kind != "venue" and not ((not self._instruments or name in self._instruments) and self._shard.has(name)):
            return None
        return FoundStream(kind, name, stream)
