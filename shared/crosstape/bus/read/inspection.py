"""Looks at streams for what reading them does not show: a key that is no stream, or is one again; a stream that was made again, or is
trimmed to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from crosstape.bus.client.call import Client
from crosstape.bus.read.decoding import EntryDecoder
from crosstape.bus.read.followed import FollowedStream, parse_id
from crosstape.bus.read.script import look

AT_ONCE: Final = 16
"""Streams of many that are looked at together, in the course of time: reading waits meanwhile."""


class Inspection:
    """Looks at the streams of one connection, between two reads."""

    def __init__(
        self, client: Client, streams: Mapping[bytes, FollowedStream], decoder: EntryDecoder, wrong: Callable[[bytes], None]
    ) -> None:
        """`wrong` is called with each key that turns out to be no stream."""
        self.moved: dict[str, str] = {}
        """Stream → its id, of those that were moved to the end of what was trimmed. The caller clears it."""
        self._client = client
        self._streams = streams
        self._decoder = decoder
        self._wrong = wrong
        self._next: list[bytes] = []
        self._looked_s: float | None = None

    async def look_at_all(self) -> None:
        """Look at all streams, after an outage or an odd answer."""
        await self._look_at([stream for stream in self._streams.values() if stream.id or stream.wrong])

    def due(self, now_s: float, every_s: float) -> int:
        """Returns how many streams are to be looked at now, so that in the course of `every_s` it is all of them."""
        if self._looked_s is None:
            self._looked_s = now_s
        total = len(self._streams)
        due = min(total, int(total * (now_s - self._looked_s) / every_s)) if every_s else total
        return due if due >= min(total, AT_ONCE) else 0

    async def look_at_some(self, count: int, now_s: float) -> bool:
        """Look at the next so many streams. Returns whether they were the last ones."""
        if not self._next:
            self._next = list(self._streams)
        some, self._next = self._next[:count], self._next[count:]
        self._looked_s = now_s
        await self._look_at([stream for key in some if (stream := self._streams.get(key)) is not None and (stream.id or stream.wrong)])
        return not self._next

    async def _look_at(self, streams: Sequence[FollowedStream]) -> None:
        """Leave out what is no stream, and start again on what was made again.

        A server that lost data gets some of it again from its producers, under new ids; the numbering shows which of it was read before.
        """
        for stream, info in zip(streams, await look(self._client, streams, values=False), strict=True):
            if stream.key not in self._streams:
                continue  # removed meanwhile
            if info is None:
                self.note_wrong(stream)
                continue
            stream.wrong = False
            if not stream.id:
                continue
            if parse_id(info.id) < parse_id(stream.id):
                stream.restart(info.removed)
                continue
            before = stream.id
            if stream.check(info):
                self._decoder.miss(stream.missed())
            if stream.id != before:
                self.moved[stream.name] = stream.id.decode()

    def note_wrong(self, stream: FollowedStream) -> None:
        """Note that the key is no stream."""
        if stream.wrong:
            return
        stream.wrong = True
        self._wrong(stream.key)
        if stream.id:
            stream.restart(None)  # what will be there is new
        else:
            stream.accounted = None
        self._decoder.note_foreign(stream, b"", "the key is no stream")
