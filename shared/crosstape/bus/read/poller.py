"""Reads up to 512 streams over one connection: finds where each starts, reads what comes, decodes and checks it.

One read brings about `READ_ENTRIES` entries at most, over all streams. Streams that had more than their share are then read alone, every
second time, so that a few busy streams among many idle ones are not held back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from redis.exceptions import ResponseError

from crosstape.bus.client.availability import Availability
from crosstape.bus.client.call import UNAVAILABLE, Client, socket_timeout_s
from crosstape.bus.client.raw_connection import raw_connection
from crosstape.bus.metrics.hooks import ReaderMetrics
from crosstape.bus.read.continuity import Missed
from crosstape.bus.read.entry import Decoded, Entry, Fetched, Foreign, Run, Start
from crosstape.bus.read.followed import FollowedStream, RawEntries, parse_id
from crosstape.bus.read.progress import ReadProgress
from crosstape.bus.read.script import CATCH_UP, LOOK_STREAMS, look
from crosstape.log import get_log
from crosstape_schemas import decode

READ_ENTRIES: Final = 2048
STREAMS: Final = 512
"""Streams per connection at most: every read names all of them."""

BLOCK_S: Final = 2.0
RECHECK_S: Final = 5.0
"""How often to look whether a key that was no stream is one now, and whether a stream was made again without our noticing.

A lost connection is reason enough to look, but a pool may silently replace a connection that broke while nobody read."""

log = get_log(__name__)

Decode: TypeAlias = Callable[[bytes], Any]
"""Makes an event of an entry's bytes, with at least the fields of `Event`. Raises `ValueError` or `MsgspecError` for what is none."""

DecodeAll: TypeAlias = Callable[[Sequence[bytes]], Decoded | None]
"""Makes the events of several entries at once, with their columns. None: they are to be decoded one by one."""

Raw: TypeAlias = Iterable[tuple[bytes, RawEntries]]


class ReaderCallbacks(msgspec.Struct, frozen=True):
    """What a reader calls for everything that is not an event."""

    missed: Callable[[Missed], None]
    foreign: Callable[[Foreign], None]
    metrics: ReaderMetrics


class Poller:
    """Reads up to `STREAMS` streams. `fetch` may be cancelled at any time: that costs a connection, and no entry."""

    def __init__(
        self,
        client: Client,
        availability: Availability,
        callbacks: ReaderCallbacks,
        changed: Callable[[], None] = lambda: None,
        decode: Decode = decode,
        *,
        decode_all: DecodeAll | None = None,
    ) -> None:
        """`changed` is called when the connection falls behind or has caught up; see `progress`. `decode_all`: runs are wanted."""
        self.streams: dict[bytes, FollowedStream] = {}
        self._progress = ReadProgress[bytes](changed)
        self._client = client
        self._connection = raw_connection(client)
        self._availability = availability
        self._callbacks = callbacks
        self._decode_event = decode
        self._decode_all = decode_all
        self._block_ms = int(min(BLOCK_S, (socket_timeout_s(client) or 2 * BLOCK_S) / 2) * 1000)
        self._busy: list[FollowedStream] = []
        self._busy_next = False
        self._every = False  # the last read asked for all streams
        self._doubt = False
        self._rechecked = 0.0
        self._moved: dict[str, str] = {}

    def add(self, stream: FollowedStream) -> None:
        """Read this stream as well, from the next fetch on."""
        self.streams[stream.key] = stream
        self._progress.added(stream.key)

    def remove(self, key: bytes) -> None:
        """Stop reading this stream. What was read of it already may still come."""
        self.streams.pop(key, None)
        self._progress.removed(key)
        self._busy = [stream for stream in self._busy if stream.key != key]

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    def behind(self, now_s: float) -> Collection[bytes]:
        """Keys of the streams that have not been read, and returned to the caller, up to nearly `now_s` (monotonic)."""
        return self._progress.behind(now_s, self.streams.keys()) if self.streams else ()

    @property
    def has_more(self) -> bool:
        """Whether the last answer left entries on the server, or the start of a stream is still to be found."""
        return bool(self._busy) or any(not stream.id and not stream.wrong for stream in self.streams.values())

    async def fetch(self) -> Fetched:
        """Wait for the next events, without a timeout. Events of one stream are in order. Call it when the last answer was passed on."""
        while True:
            self._progress.passed_on()
            if fresh := [stream for stream in self.streams.values() if not stream.id and not stream.wrong]:
                return await self._find_starts(fresh[:LOOK_STREAMS])
            self._recheck()
            reply, count = await self._availability.until_answered(self._read, self)
            if reply:
                batch = self._decode_reply(reply, count)
                self._note_answer()
                return batch
            self._note_answer()
            if self._moved:
                moved, self._moved = self._moved, {}
                return Fetched([], moved)

    async def _find_starts(self, fresh: Sequence[FollowedStream]) -> Fetched:
        """Find the id that each stream starts after. All that is awaited comes first, so that it can be cancelled and called again."""
        infos = await self._availability.until_answered(lambda: look(self._client, fresh, values=True), self)
        entries: list[Entry] = []
        cursors: dict[str, str] = {}
        for stream, info in zip(fresh, infos, strict=True):
            if info is None:
                self._note_wrong(stream)
                continue
            if stream.begin(info):
                self._miss(stream.missed())
            if stream.start is Start.LAST_THEN_NOW:
                at = stream.id.decode()
                entries += (Entry(stream.name, at, self._decode_event(data), data, is_last_value=True) for _, data in info.last)
            cursors[stream.name] = stream.id.decode()
        return Fetched(entries, cursors)

    async def _read(self) -> tuple[Raw, int]:
        """Read once: the busy streams alone, or all streams, and then wait for entries if none is busy. Returns answer and COUNT."""
        try:
            if self._doubt:
                await self._look_again()
                self._doubt = False
            streams = [stream for stream in self.streams.values() if stream.id and not stream.wrong]
            block: tuple[str | int, ...] = ("BLOCK", self._block_ms)
            if not self._every or self._progress.incomplete(self._started):
                block = ()  # whether all was read should be known at once, not when the next event comes
            self._every = True
            if self._busy:
                block = ()
                if self._busy_next:
                    streams = [stream for stream in self._busy if not stream.wrong] or streams
                    self._every = False
                self._busy_next = not self._busy_next
            if not streams:
                self._every = False
                await asyncio.sleep(RECHECK_S)  # all keys are of a wrong type: nothing can be read before they are looked at again
                return (), 0
            count = max(1, READ_ENTRIES // len(streams))
            behind = [stream for stream in streams if stream.catching_up]
            if behind:
                block = ()
                streams = behind + [stream for stream in streams if not stream.catching_up]
            keys = [stream.key for stream in streams]
            ids = [stream.id for stream in streams]
            self._progress.asking(self._started)
            if behind:
                answer = await self._connection.call("EVAL", CATCH_UP, len(keys), *keys, len(behind), count + 1, *ids, key=keys[0])
                reply = self._catch_up(behind, answer, count)
            else:
                reply = await self._connection.call("XREAD", "COUNT", count, *block, "STREAMS", *keys, *ids, key=keys[0])
            self._availability.starting = False  # all that reading needs has worked once
        except ResponseError as exc:
            if not str(exc).startswith("WRONGTYPE"):
                self._doubt = True
                self._progress.lost()
                raise
            await self._look_again()  # finds which of the keys is wrong
            return (), 0
        except UNAVAILABLE:
            self._doubt = True
            self._progress.lost()
            raise
        if block == () and not reply:
            self._busy = []
        return (reply.items() if isinstance(reply, dict) else reply or ()), count

    def _catch_up(self, streams: Sequence[FollowedStream], answer: Any, count: int) -> Iterable[tuple[bytes, RawEntries]]:
        """Returns what was read, after a check whether entries before it are gone from these streams, which catch up.

        One entry more was read of each than is accepted: its id is the one to come next, which was there at this moment.
        """
        places, raw = answer
        read: dict[bytes, RawEntries] = dict(raw)
        for stream, (first, last, added) in zip(streams, places, strict=True):
            entries = read.get(stream.key, ())
            following = entries[count][0] if len(entries) > count else b""
            if following:
                read[stream.key] = entries[:count]
            if stream.catch_up(first, last, added, entries, following):
                self._miss(stream.missed())
                self._moved[stream.name] = last.decode()
        return read.items()

    def _note_answer(self) -> None:
        if self._every and not self._busy:
            self._progress.answered(time.monotonic())

    def _started(self, key: bytes) -> bool:
        """Whether a stream is read already. One whose key is no stream is not."""
        stream = self.streams.get(key)
        return stream is None or (bool(stream.id) and not stream.wrong)

    def _decode_reply(self, reply: Raw, count: int) -> Fetched:
        entries: list[Entry] = []
        runs: list[Run] = []
        cursors: dict[str, str] = {}
        busy: list[FollowedStream] = []
        for key, raw in reply:
            stream = self.streams.get(key)
            if stream is None or not stream.id:
                continue  # removed meanwhile
            if stream.accounted is not None:
                stream.accounted += len(raw)
            if self._decode_all is None:
                self._decode(stream, raw, entries)
            elif (run := self._run(stream, raw, self._decode_all)) is not None:
                runs.append(run)
            stream.advance(raw)
            cursors[stream.name] = stream.id.decode()
            if len(raw) >= count:
                busy.append(stream)
        self._busy = busy
        self._callbacks.metrics.read(len(entries) + sum(map(len, runs)))
        return Fetched(entries, cursors, runs)

    def _run(self, stream: FollowedStream, raw: RawEntries, decode_all: DecodeAll) -> Run | None:
        """Returns the entries of a stream; None: there are none of use. Nearly always all can be decoded, and checked, together."""
        ids, fields = zip(*raw, strict=True)
        try:
            data = [one for field, one in fields if field == b"d"]
        except ValueError:  # more than one field
            data = []
        if len(data) == len(ids) and not stream.trimmed and (decoded := decode_all(data)) is not None and decoded.columns is not None:
            columns = decoded.columns
            if numberings := stream.continuity.check_all(columns["venue"], columns["epoch"], columns["seq"]):
                return Run(stream.name, ids, decoded, numberings)
        entries: list[Entry] = []
        self._decode(stream, raw, entries)
        return Run.of(stream.name, entries) if entries else None

    def _decode(self, stream: FollowedStream, raw: RawEntries, entries: list[Entry]) -> None:
        name, check, append, decode = stream.name, stream.continuity.check, entries.append, self._decode_event
        repeated, trimmed, stream.trimmed = 0, stream.trimmed, False
        for entry_id, fields in raw:
            try:
                field, data = fields
                if field != b"d":
                    raise ValueError(f"field {field!r:.50}")
                event = decode(data)
            except (ValueError, msgspec.MsgspecError) as exc:
                self._note_foreign(stream, entry_id, str(exc))
                continue
            found = check(event)
            if found is not True:
                if found is False:
                    repeated += 1
                    continue
                self._miss(found)
                trimmed = False
                if stream.accounted is not None:
                    stream.accounted += found.count or 0
            append(Entry(name, entry_id.decode(), event, data))
        if trimmed:
            self._miss(stream.missed())
        if repeated:
            self._callbacks.metrics.repeated(repeated)

    async def _look_again(self) -> None:
        """Check all streams after an outage or an odd answer: leave out what is no stream, and start again on what was made again.

        A server that lost data gets some of it again from its producers, under new ids; the numbering shows which of it was read before.
        """
        streams = [stream for stream in self.streams.values() if stream.id or stream.wrong]
        for stream, info in zip(streams, await look(self._client, streams, values=False), strict=True):
            if info is None:
                self._note_wrong(stream)
                continue
            stream.wrong = False
            if not stream.id:
                continue
            if parse_id(info.id) < parse_id(stream.id):
                stream.restart(info.removed)
                continue
            before = stream.id
            if stream.check(info):
                self._miss(stream.missed())
            if stream.id != before:
                self._moved[stream.name] = stream.id.decode()

    def _recheck(self) -> None:
        now = time.monotonic()
        if now > self._rechecked + RECHECK_S:
            self._doubt = self._doubt or self._rechecked > 0
            self._rechecked = now

    def _note_wrong(self, stream: FollowedStream) -> None:
        if stream.wrong:
            return
        stream.wrong = True
        self._progress.added(stream.key)  # counts as unread until it is a stream again
        if stream.id:
            stream.restart(None)  # what will be there is new
        else:
            stream.accounted = None
        self._note_foreign(stream, b"", "the key is no stream")

    def _note_foreign(self, stream: FollowedStream, entry_id: bytes, reason: str) -> None:
        foreign = Foreign(stream.name, entry_id.decode(), reason)
        self._callbacks.metrics.foreign()
        self._callbacks.foreign(foreign)
        if not stream.logged:
            stream.logged = True
            log.warning("bus.foreign", stream=stream.name, id=foreign.id, reason=reason[:200])

    def _miss(self, missed: Missed) -> None:
        self._callbacks.metrics.missed(missed.count or 0)
        self._callbacks.missed(missed)
