"""One connection's worth of streams: finds where each begins, reads what comes, decodes and checks it.

One read takes at most about `READ_ENTRIES` entries over all its streams. Those that had more than their share are then read by themselves,
every other time, so that a few busy ones among many idle ones are not held back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final, TypeAlias

import msgspec
import structlog
from redis.exceptions import ResponseError

from crosstape.bus.client.availability import Availability
from crosstape.bus.client.call import UNAVAILABLE, Client, execute, socket_timeout_s
from crosstape.bus.client.raw_connection import wire
from crosstape.bus.metrics.hooks import ReaderMetrics
from crosstape.bus.read.continuity import Continuity, Missed
from crosstape.bus.read.entry import Entry, Fetched, Foreign, Mark, Position, Start
from crosstape.bus.read.progress import Progress
from crosstape.bus.read.script import CATCH_UP, LOOK
from crosstape_schemas import VENUE_WIDE, AnyEvent, Keys, decode

READ_ENTRIES: Final = 2048
STREAMS: Final = 512
"""At most so many per connection: all of them are named in every read."""

LOOK_STREAMS: Final = 64
"""So many at a time are looked at: each may bring a last value of every venue."""

BLOCK_S: Final = 2.0
RECHECK_S: Final = 5.0
"""How often it is looked whether a key that was no stream is one now, and whether a stream was made anew behind our back.

A lost connection is cause enough to look, but a pool may replace one that broke while nobody read, and say nothing."""

ORIGIN: Final = b"0-0"

log = structlog.get_logger()

RawEntries: TypeAlias = Sequence[tuple[bytes, Sequence[bytes]]]
Raw: TypeAlias = Iterable[tuple[bytes, RawEntries]]


class Tell(msgspec.Struct, frozen=True):
    """Whom a reader tells what is not an event."""

    missed: Callable[[Missed], None]
    foreign: Callable[[Foreign], None]
    metrics: ReaderMetrics


class Followed:
    """One stream: the id up to which it was read, empty until that is known; its numbering; whether its key is no stream."""

    __slots__ = (
        "accounted", "added", "catching_up", "continuity", "expected", "id", "key", "last_key", "name", "only_venue", "start", "told",
        "trimmed", "wrong",
    )  # fmt: skip

    def __init__(self, name: str, start: Position, keys: Keys) -> None:
        self.name = name
        self.start = start.id if isinstance(start, Mark) else start
        self.key = name.encode()
        self.only_venue = ""
        match keys.parse(name):
            case ("venue", venue):  # its last value is the venue's status, in a hash that all venues share
                self.only_venue = venue
                self.last_key = keys.last("status", VENUE_WIDE).encode()
            case (kind, instrument):
                self.last_key = keys.last(kind, instrument).encode()
            case _:
                self.last_key = self.key  # no hash: it has no last values
        self.id = b""
        self.continuity = Continuity(name, from_first=start is Start.BEGINNING)
        if isinstance(start, Mark):
            for venue, epoch, seq in start.numbers:
                self.continuity.know_number(venue, epoch, seq)
        self.accounted: int | None = None
        """How many of the entries ever added were read, reported as missed, or lie before the start; None: that is not known."""
        self.catching_up = False
        """It is read from a stored id on, and how many entries lie before that is not known: until its end was reached once."""
        self.expected = b""
        """While catching up: the id of the entry that comes next; empty: that is not known."""
        self.added: int | None = None
        """How many entries were ever added when its end was reached, of which the last are being taken."""
        self.trimmed = False
        """Entries behind `id` were removed unread. This is reported with the next entries, unless their numbers say more of it."""
        self.told = False
        self.wrong = False

    def begins_anew(self, accounted: int | None) -> None:
        """Read it from its first entry: the key holds another stream than before, or none."""
        self.id, self.accounted, self.catching_up, self.expected, self.added = ORIGIN, accounted, False, b"", None


class Look(msgspec.Struct, frozen=True):
    """What there is of a stream at one moment."""

    id: bytes
    """Of the last entry that was added, even if it was removed; empty: there is no such key."""
    first: bytes
    """Id of the oldest entry; empty: there is none."""
    removed: int | None
    """How many entries were ever added and are there no more; None: the server does not say (Redis before 7)."""
    added: int
    last: list[AnyEvent]
    """The last values."""
    newest: list[AnyEvent]
    """The event that was added last."""


class Poller:
    """Reads up to `STREAMS` streams. `fetch` may be cancelled at any time: nothing is lost by it but a connection."""

    def __init__(self, client: Client, availability: Availability, tell: Tell, turned: Callable[[], None] = lambda: None) -> None:
        """`turned` is called when it falls behind or has caught up; see `progress`."""
        self.streams: dict[bytes, Followed] = {}
        self._progress = Progress[bytes](turned)
        self._client = client
        self._wire = wire(client)
        self._availability = availability
        self._tell = tell
        self._block_ms = int(min(BLOCK_S, (socket_timeout_s(client) or 2 * BLOCK_S) / 2) * 1000)
        self._busy: list[Followed] = []
        self._busy_next = False
        self._every = False  # the last read asked for all streams
        self._doubt = False
        self._rechecked = 0.0
        self._moved: dict[str, str] = {}

    def add(self, stream: Followed) -> None:
        """Read it, too, from the next fetch on."""
        self.streams[stream.key] = stream
        self._progress.added(stream.key)

    def remove(self, key: bytes) -> None:
        """Read it no more. What was read of it already may still come."""
        self.streams.pop(key, None)
        self._progress.removed(key)
        self._busy = [stream for stream in self._busy if stream.key != key]

    async def close(self) -> None:
        """Give its connection up."""
        await self._wire.close()

    def behind(self, now_s: float) -> Collection[bytes]:
        """The keys of streams that have not been read, and given out, up to nearly `now_s` (monotonic)."""
        return self._progress.behind(now_s, self.streams.keys()) if self.streams else ()

    async def fetch(self) -> Fetched:
        """Wait for the next events, as long as it takes; they are in the order of each stream. The caller has given out the last ones."""
        while True:
            self._progress.given_out()
            if fresh := [stream for stream in self.streams.values() if not stream.id and not stream.wrong]:
                return await self._begin(fresh[:LOOK_STREAMS])
            self._recheck()
            reply, count = await self._availability.until_answered(self._read, self)
            if reply:
                batch = self._take(reply, count)
                self._note_answer()
                return batch
            self._note_answer()
            if self._moved:
                moved, self._moved = self._moved, {}
                return Fetched([], moved)

    async def _begin(self, fresh: Sequence[Followed]) -> Fetched:
        """Find the id that each begins after. All that is awaited comes first, so that a cancelled beginning is begun again."""
        looks = await self._availability.until_answered(lambda: self._look(fresh, values=True), self)
        entries: list[Entry] = []
        cursors: dict[str, str] = {}
        for stream, look in zip(fresh, looks, strict=True):
            if look is None:
                self._is_wrong(stream)
                continue
            match stream.start:
                case Start.BEGINNING:
                    stream.id, stream.accounted = ORIGIN, look.removed
                case str() as stored:
                    self._resume(stream, stored.encode(), look)
                case start:
                    stream.id = look.id or ORIGIN
                    stream.accounted = None if look.removed is None else look.added
                    for event in look.last + look.newest:
                        stream.continuity.know(event)
                    if start is Start.LAST_THEN_NOW:
                        at = stream.id.decode()
                        entries += (Entry(stream.name, at, event) for event in look.last)
            cursors[stream.name] = stream.id.decode()
        return Fetched(entries, cursors)

    def _resume(self, stream: Followed, stored: bytes, look: Look) -> None:
        """Go on from a stored id: from the first entry, if the stream was trimmed past that id or was made again since."""
        at, last = _position(stored), _position(look.id)
        stream.id, stream.accounted = stored, None
        if at == _position(ORIGIN):  # nothing was there when the id was stored: whatever was added since is to be read
            stream.accounted, stream.trimmed = look.removed, bool(look.removed)
        elif last < at:
            stream.id, stream.accounted = ORIGIN, look.removed
            self._miss(Missed(stream.name, "", 0, 0, None))
            return
        elif look.first and at < _position(look.first):
            stream.accounted = look.removed
            self._miss(Missed(stream.name, "", 0, 0, None))
        elif at == last and look.removed is not None:
            stream.accounted = look.added
        if not look.first and at < last:  # trimmed to its end
            self._miss(Missed(stream.name, "", 0, 0, None))
            stream.id, stream.accounted, stream.trimmed = look.id, None if look.removed is None else look.added, False
        elif stream.accounted is None and at < last:
            stream.catching_up = True

    async def _read(self) -> tuple[Raw, int]:
        """One XREAD: of the busy streams alone, or of all, waiting if none is busy."""
        try:
            if self._doubt:
                await self._look_again()
                self._doubt = False
            streams = [stream for stream in self.streams.values() if stream.id and not stream.wrong]
            block: tuple[str | int, ...] = ("BLOCK", self._block_ms)
            if not self._every or self._progress.waits(self._begun):
                block = ()  # whether all has been read is to be known at once, not when the next event comes
            self._every = True
            if self._busy:
                block = ()
                if self._busy_next:
                    streams = [stream for stream in self._busy if not stream.wrong] or streams
                    self._every = False
                self._busy_next = not self._busy_next
            if not streams:
                self._every = False
                await asyncio.sleep(RECHECK_S)  # all keys are of a wrong type: nothing to ask for before they are tried again
                return (), 0
            count = max(1, READ_ENTRIES // len(streams))
            behind = [stream for stream in streams if stream.catching_up]
            if behind:
                block = ()
                streams = behind + [stream for stream in streams if not stream.catching_up]
            keys = [stream.key for stream in streams]
            ids = [stream.id for stream in streams]
            self._progress.asks(self._begun)
            if behind:
                answer = await self._wire.call("EVAL", CATCH_UP, len(keys), *keys, len(behind), count + 1, *ids, key=keys[0])
                reply = self._catch_up(behind, answer, count)
            else:
                reply = await self._wire.call("XREAD", "COUNT", count, *block, "STREAMS", *keys, *ids, key=keys[0])
            self._availability.begins = False  # all that reading needs was done once
        except ResponseError as exc:
            if not str(exc).startswith("WRONGTYPE"):
                self._doubt = True
                self._progress.lost()
                raise
            await self._look_again()  # finds which of the keys it is
            return (), 0
        except UNAVAILABLE:
            self._doubt = True
            self._progress.lost()
            raise
        if block == () and not reply:
            self._busy = []
        return (reply.items() if isinstance(reply, dict) else reply or ()), count

    def _catch_up(self, streams: Sequence[Followed], answer: Any, count: int) -> Iterable[tuple[bytes, RawEntries]]:
        """What was read; of these streams, which catch up, find out whether entries before it are gone.

        Of them, one entry more was read than is taken: its id is the one to come next, which was there at this moment.
        """
        places, raw = answer
        read: dict[bytes, RawEntries] = dict(raw)
        for stream, (first, last, added) in zip(streams, places, strict=True):
            next_id, entries = _position(stream.expected or stream.id), read.get(stream.key, ())
            following = entries[count][0] if len(entries) > count else b""
            if following:
                read[stream.key] = entries[:count]
            if first and next_id < _position(first) and entries:
                stream.trimmed = True
            elif not first and (next_id <= _position(last) if stream.expected else next_id < _position(last)):
                self._miss(Missed(stream.name, "", 0, 0, None))
                stream.id = last
                self._moved[stream.name] = last.decode()
            stream.expected = following
            if not following:
                stream.catching_up = False
                stream.added = added if added >= 0 else None
                if not entries:
                    stream.accounted, stream.added = stream.added, None
        return read.items()

    def _note_answer(self) -> None:
        if self._every and not self._busy:
            self._progress.answered(time.monotonic())

    def _begun(self, key: bytes) -> bool:
        """Whether a stream is read already. One whose key is no stream is not: nothing is known of it."""
        stream = self.streams.get(key)
        return stream is None or (bool(stream.id) and not stream.wrong)

    def _take(self, reply: Raw, count: int) -> Fetched:
        entries: list[Entry] = []
        cursors: dict[str, str] = {}
        busy: list[Followed] = []
        for key, raw in reply:
            stream = self.streams.get(key)
            if stream is None or not stream.id:
                continue  # removed meanwhile
            if stream.accounted is not None:
                stream.accounted += len(raw)
            self._decode(stream, raw, entries)
            if stream.added is not None:
                stream.accounted, stream.added = stream.added, None
            stream.id = raw[-1][0]
            cursors[stream.name] = stream.id.decode()
            if len(raw) >= count:
                busy.append(stream)
        self._busy = busy
        self._tell.metrics.read(len(entries))
        return Fetched(entries, cursors)

    def _decode(self, stream: Followed, raw: RawEntries, entries: list[Entry]) -> None:
        name, check, append = stream.name, stream.continuity.check, entries.append
        repeated, trimmed, stream.trimmed = 0, stream.trimmed, False
        for entry_id, fields in raw:
            try:
                field, data = fields
                if field != b"d":
                    raise ValueError(f"field {field!r:.50}")
                event = decode(data)
            except (ValueError, msgspec.MsgspecError) as exc:
                self._is_foreign(stream, entry_id, str(exc))
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
            append(Entry(name, entry_id.decode(), event))
        if trimmed:
            self._miss(Missed(name, "", 0, 0, None))
        if repeated:
            self._tell.metrics.repeated(repeated)

    async def _look(self, streams: Sequence[Followed], *, values: bool) -> list[Look | None]:
        """What there is of each now; None for a key that is no stream."""
        looks: list[Look | None] = []
        for start in range(0, len(streams), LOOK_STREAMS):
            part = streams[start : start + LOOK_STREAMS]
            keys = [key for stream in part for key in (stream.key, stream.last_key)]
            answer = await execute(self._client, "EVAL", LOOK, len(keys), *keys, int(values))
            for stream, (last_id, first_id, length, added, last, newest) in zip(part, answer, strict=True):
                if last_id == b"!":
                    looks.append(None)
                    continue
                in_time = sorted(_events(last), key=lambda event: event.received_ts)
                looks.append(
                    Look(
                        last_id,
                        first_id,
                        max(0, added - length) if added >= 0 else None,
                        added,
                        [event for event in in_time if stream.only_venue in {"", event.venue}],
                        _events([fields[1] for _, fields in newest if len(fields) > 1]),
                    )
                )
        return looks

    async def _look_again(self) -> None:
        """The server was away, or answers oddly: what is no stream is left out, and what was made again is read from its first entry.

        A server that lost data gets some of it again from its producers, under new ids; the numbering tells which of it was read before.
        """
        streams = [stream for stream in self.streams.values() if stream.id or stream.wrong]
        for stream, look in zip(streams, await self._look(streams, values=False), strict=True):
            if look is None:
                self._is_wrong(stream)
                continue
            stream.wrong = False
            if not stream.id:
                continue
            if _position(look.id) < _position(stream.id):
                stream.begins_anew(look.removed)
            else:
                self._account(stream, look)

    def _account(self, stream: Followed, look: Look) -> None:
        """Find out whether entries were removed before they were read: of those that come next, only some numbers would tell.

        The numbers do not where the next entry is of another venue or a later start of its producer, or where none comes.
        """
        caught_up = _position(look.id) == _position(stream.id)
        if not look.first and not caught_up:  # trimmed to its end
            self._miss(Missed(stream.name, "", 0, 0, None))
            stream.id, stream.accounted, stream.trimmed, stream.expected = look.id, None, False, b""
            self._moved[stream.name] = look.id.decode()
            caught_up = True
        elif stream.accounted is not None and look.removed is not None:
            if caught_up and stream.accounted < look.added:
                self._miss(Missed(stream.name, "", 0, 0, None))
            elif stream.accounted < look.removed:
                stream.accounted, stream.trimmed = look.removed, True
        if caught_up:
            stream.accounted = None if look.removed is None else look.added

    def _recheck(self) -> None:
        now = time.monotonic()
        if now > self._rechecked + RECHECK_S:
            self._doubt = self._doubt or self._rechecked > 0
            self._rechecked = now

    def _is_wrong(self, stream: Followed) -> None:
        if stream.wrong:
            return
        stream.wrong = True
        self._progress.added(stream.key)  # unread until it is a stream again
        if stream.id:
            stream.begins_anew(None)  # what will be there is new
        else:
            stream.accounted = None
        self._is_foreign(stream, b"", "the key is no stream")

    def _is_foreign(self, stream: Followed, entry_id: bytes, reason: str) -> None:
        foreign = Foreign(stream.name, entry_id.decode(), reason)
        self._tell.metrics.foreign()
        self._tell.foreign(foreign)
        if not stream.told:
            stream.told = True
            log.warning("bus.foreign", stream=stream.name, id=foreign.id, reason=reason[:200])

    def _miss(self, missed: Missed) -> None:
        self._tell.metrics.missed(missed.count or 0)
        self._tell.missed(missed)


def _events(values: Sequence[bytes]) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    for value in values:
        try:
            events.append(decode(value))
        except msgspec.MsgspecError:
            continue  # not ours; counted where it is read
    return events


def _position(entry_id: bytes) -> tuple[int, int]:
    """An id as it is ordered; no id comes before all."""
    ms, _, n = entry_id.partition(b"-")
    return (int(ms), int(n or 0)) if ms else (-1, 0)
