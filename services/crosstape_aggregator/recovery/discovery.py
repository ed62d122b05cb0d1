"""Finds the streams on the bus. Reads their registry again only if its size has changed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from crosstape.bus import Client
from crosstape.bus.client.call import execute
from crosstape_aggregator.sharding.assignment import ALL_INSTRUMENTS, Shard
from crosstape_schemas import CONSOLIDATED, Keys, is_composite

FULL_EVERY: Final = 120
"""Each refresh reads the registry's size; its content is read when the size has changed, and every 120th time in any case."""


class FoundStream(NamedTuple):
    """One stream: its kind and instrument, or "venue" and the venue."""

    kind: str
    name: str
    stream: str


class Discovery:
    """Finds each stream of these kinds once, if its instrument is in the shard and in `instruments`; an empty `instruments` means all."""

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
        """Find the streams that are new. Raises one of `call.UNAVAILABLE`."""
        in_full = self._turn % FULL_EVERY == 0
        names: set[str] = set()
        sizes: dict[int, int] = {}
        for partition in range(self._keys.partitions):
            registry = self._keys.registry(partition)
            size = await execute(self._client, "SCARD", registry)
            if in_full or size != self._sizes.get(partition):
                names |= {name.decode(errors="replace") for name in await execute(self._client, "SMEMBERS", registry)}
                sizes[partition] = size
        found = [one for name in sorted(names - self._known) if (one := self._wanted(name)) is not None]
        self._known |= names  # only after all partitions have answered: a known stream is not returned again
        self._sizes |= sizes
        self._turn += 1
        return found

    def _wanted(self, stream: str) -> FoundStream | None:
        parsed = self._keys.parse(stream)
        if parsed is None or parsed[0] not in self._kinds:
            return None
        kind, name = parsed
        if kind == "venue" and name == CONSOLIDATED:
            return None  # the aggregators' own signs of life
        if is_composite(name):
            return None  # what an aggregator published, such as a gap of its quotes
        if kind != "venue" and not ((not self._instruments or name in self._instruments) and self._shard.has(name)):
            return None
        return FoundStream(kind, name, stream)
