"""Streams as any client reads them: XRANGE, and the schemas for what an entry means.

Of a tape in partitions, each stream goes by the name that it would have without.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis, RedisCluster

from crosstape_schemas import Event, Keys, decode

PAGE: Final = 5_000
KEYS: Final = Keys()
_TAG: Final = re.compile(r"\{\d+\}:")
FIRST: Final = ("trade", "cbbo")
"""Kinds to read before the others: what must stand before them on the tape (gaps, the inputs of quotes) is there when they are read."""


class Entry(NamedTuple):
    """One entry of a stream."""

    stream: str
    """Without its partition."""
    id: str
    event: Event


class Follower:
    """Everything on all streams, in pieces: each call of `more` gives what has come since the last."""

    def __init__(self, client: Redis | RedisCluster, keys: Keys = KEYS, instruments: Collection[str] = ()) -> None:
        """A client whose replies are bytes. `instruments`: those that are read, and what belongs to none; empty: all."""
        self.trimmed: set[str] = set()
        """Streams of which the server had given up the beginning before it was read."""
        self._client: Any = client
        self._keys = keys
        self._instruments = frozenset(instruments)
        self._read_to: dict[str, str] = {}

    async def more(self) -> list[Entry]:
        """Returns the new entries, in the order of each stream; those of `FIRST` last: the entries that they depend on come before them."""
        first = [stream for stream in await self._streams() if self._is_first(stream)]
        read = {stream: await self._stream(stream) for stream in first}
        # Asked again: a gap may be the first entry of its stream, which then did not exist before.
        others = [stream for stream in await self._streams() if not self._is_first(stream)]
        read |= {stream: await self._stream(stream) for stream in others}
        return [entry for stream in (*others, *reversed(first)) for entry in read[stream]]

    async def _streams(self) -> list[str]:
        registries = [await self._client.smembers(self._keys.registry(partition)) for partition in range(self._keys.partitions)]
        return sorted(name for members in registries for member in members if self._is_read(name := member.decode()))

    def _is_read(self, stream: str) -> bool:
        instrument = (self._keys.parse(stream) or ("", ""))[1]
        return not self._instruments or not instrument or instrument in self._instruments

    def _is_first(self, stream: str) -> bool:
        return (self._keys.parse(stream) or ("", ""))[0] in FIRST

    async def _stream(self, stream: str) -> list[Entry]:
        if stream not in self._read_to:
            if not await self._client.exists(stream):
                return []  # the server lost the stream and knows its name again; it has no entry yet
            self._read_to[stream] = "-"
            info = await self._client.xinfo_stream(stream)
            if info["entries-added"] > info["length"]:
                self.trimmed.add(_plain(stream))
        found: list[Entry] = []
        while True:
            start = self._read_to[stream]
            page = await self._client.xrange(stream, start if start == "-" else f"({start}", count=PAGE)
            for key, fields in page:
                found.append(Entry(_plain(stream), key.decode(), decode(fields[b"d"])))
            if page:
                self._read_to[stream] = found[-1].id
            if len(page) < PAGE:
                return found


def _plain(stream: str) -> str:
    return _TAG.sub("", stream, count=1)
