"""Streams as any client reads them: XRANGE, and the schemas for what an entry means."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from redis.asyncio import Redis

from crosstape_schemas import Event, Keys, decode

PAGE: Final = 5_000
KEYS: Final = Keys()
FIRST: Final = ("trade", "cbbo")
"""Kinds to read before the others: what must stand before them on the tape (gaps, the inputs of quotes) is there when they are read."""


class Entry(NamedTuple):
    """One entry of a stream."""

    stream: str
    id: str
    event: Event


class Follower:
    """Everything on all streams, in pieces: each call of `more` gives what has come since the last."""

    def __init__(self, client: Redis) -> None:
        """A client whose replies are bytes."""
        self.trimmed: set[str] = set()
        """Streams of which the server had given up the beginning before it was read."""
        self._client = client
        self._read_to: dict[str, str] = {}

    async def more(self) -> list[Entry]:
        """What is new: each stream's entries in its order, those of `FIRST` last: what they follow from stands before them."""
        members: Any = await self._client.smembers(KEYS.registry())
        streams = sorted(member.decode() for member in members)
        first = [stream for stream in streams if (KEYS.parse(stream) or ("", ""))[0] in FIRST]
        others = [stream for stream in streams if stream not in first]
        read = {stream: await self._stream(stream) for stream in (*first, *others)}
        return [entry for stream in (*others, *reversed(first)) for entry in read[stream]]

    async def _stream(self, stream: str) -> list[Entry]:
        if stream not in self._read_to:
            if not await self._client.exists(stream):
                return []  # a server that lost it has been told of it anew, and nothing is on it yet
            self._read_to[stream] = "-"
            info: Any = await self._client.xinfo_stream(stream)
            if info["entries-added"] > info["length"]:
                self.trimmed.add(stream)
        found: list[Entry] = []
        while True:
            start = self._read_to[stream]
            page: Any = await self._client.xrange(stream, start if start == "-" else f"({start}", count=PAGE)
            for key, fields in page:
                found.append(Entry(stream, key.decode(), decode(fields[b"d"])))
            if page:
                self._read_to[stream] = found[-1].id
            if len(page) < PAGE:
                return found
