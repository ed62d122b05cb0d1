"""Reads streams over one connection: finds where each starts, and reads what comes.

Up to `LISTEN` streams are all waited for. More of them are left to a bell, where there is one that can be relied on; see `bell_turns`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
from redis.exceptions import NoPermissionError, ResponseError

from crosstape.bus.client.availability import Availability
from crosstape.bus.client.call import UNAVAILABLE, Client, socket_timeout_s
from crosstape.bus.client.raw_connection import raw_connection
from crosstape.bus.client.reasons import denied
from crosstape.bus.read.bell import Bell, Bells
from crosstape.bus.read.bell_turns import RungStreams
from crosstape.bus.read.decoding import Decode, DecodeAll, EntryDecoder, ReaderCallbacks
from crosstape.bus.read.entry import Entry, Fetched, Start
from crosstape.bus.read.followed import FollowedStream, RawEntries
from crosstape.bus.read.inspection import Inspection
from crosstape.bus.read.progress import ReadProgress
from crosstape.bus.read.script import CATCH_UP, LOOK_STREAMS, look, look_for_bells
from crosstape.bus.read.turns import EveryStream, Question, Turns
from crosstape.log import get_log
from crosstape_schemas import decode

READ_ENTRIES: Final = 2048
"""How many entries an answer brings, about, if all streams that it reads have some."""
ENTRIES_EACH: Final = 32
"""How many entries of each stream an answer may bring at least: after a stream has changed, the next of its entries cost much less."""
STREAMS: Final = 512
"""Streams at most that one connection should wait for."""
LISTEN: Final = 64
"""With more streams than these, a connection waits for a bell: what a wait costs the server grows with its streams."""

BLOCK_S: Final = 2.0
RECHECK_S: Final = 5.0
"""How often to look whether a key that was no stream is one now, and whether a stream was made again without our noticing.

A lost connection is reason enough to look, but a pool may silently replace a connection that broke while nobody read."""

_NOTHING: Final = Fetched([], {})

log = get_log(__name__)


class _Answer(msgspec.Struct, frozen=True):
    """What the server answered to a question."""

    question: Question
    entries: Mapping[bytes, RawEntries]
    """By stream or bell."""
    at_most: int
    """How many entries of each it brings at most."""


class Poller:
    """Reads the streams of one connection. `fetch` may be cancelled at any time: that costs a connection, and no entry."""

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
        self._unplaced: dict[bytes, FollowedStream] = {}
        """Streams of which it is not known yet where to start."""
        self._progress = ReadProgress[bytes](changed)
        self._client = client
        self._connection = raw_connection(client)
        self._availability = availability
        self._decoder = EntryDecoder(callbacks, decode, decode_all)
        self._block_s = min(BLOCK_S, (socket_timeout_s(client) or 2 * BLOCK_S) / 2)
        self._bells = Bells(self.streams)
        self._every = EveryStream(self.streams, self._progress)
        self._rung = RungStreams(self.streams, self._progress, self._bells)
        self._turns: Turns = self._every
        self._chosen = False  # `_turns` suits the streams and the bells
        self._doubt = False
        self._inspection = Inspection(client, self.streams, self._decoder, self._leave_out)

    def add(self, stream: FollowedStream) -> None:
        """Read this stream as well, from the next fetch on."""
        self.streams[stream.key] = stream
        if not stream.id:
            self._unplaced[stream.key] = stream
        self._bells.follow(stream)
        self._progress.added(stream.key)
        self._chosen = False

    def remove(self, key: bytes) -> None:
        """Stop reading this stream. The next answer has nothing of it, also if it was asked for already."""
        stream = self.streams.pop(key)
        self._unplaced.pop(key, None)
        self._inspection.moved.pop(stream.name, None)
        self._forget(key)
        self._bells.forget(stream)
        self._progress.removed(key)
        self._chosen = False

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    def behind(self, now_s: float) -> Collection[bytes]:
        """Keys of the streams that have not been read, and returned to the caller, up to nearly `now_s` (monotonic)."""
        return self._progress.behind(now_s, self.streams.keys()) if self.streams else ()

    @property
    def has_more(self) -> bool:
        """Whether the last answer left entries on the server, or the start of a stream is still to be found."""
        return self._turns.has_more or bool(self._fresh())

    @property
    def waits_for(self) -> int | None:
        """How many streams are waited for beside a bell: all of many, if the bell cannot be relied on. None: that is not known yet."""
        if len(self.streams) <= LISTEN:
            return 0
        if not self._chosen:
            return None
        direct = self._bells.direct() if self._turns is self._rung and not self._bells.on_trial else None
        return len(self.streams if direct is None else direct)

    async def fetch(self) -> Fetched:
        """Wait for the next events, without a timeout. Events of one stream are in order. Call it when the last answer was passed on."""
        while True:
            self._progress.passed_on()
            if fresh := self._fresh():
                return await self._find_starts(fresh[:LOOK_STREAMS])
            answer = await self._availability.until_answered(self._read, self)
            batch = self._accept(answer) if answer is not None else _NOTHING
            if batch.cursors or self._inspection.moved:
                moved, self._inspection.moved = self._inspection.moved, {}
                return Fetched(batch.entries, {**moved, **batch.cursors} if moved else batch.cursors, batch.runs)

    def _fresh(self) -> list[FollowedStream]:
        return [stream for stream in self._unplaced.values() if not stream.wrong] if self._unplaced else []

    async def _find_starts(self, fresh: Sequence[FollowedStream]) -> Fetched:
        """Find the id that each stream starts after. All that is awaited comes first, so that it can be cancelled and called again."""
        infos = await self._availability.until_answered(lambda: look(self._client, fresh, values=True), self)
        entries: list[Entry] = []
        cursors: dict[str, str] = {}
        for stream, info in zip(fresh, infos, strict=True):
            if stream.key not in self.streams:
                continue  # removed meanwhile
            if info is None:
                self._inspection.note_wrong(stream)
                continue
            del self._unplaced[stream.key]
            if stream.begin(info):
                self._decoder.miss(stream.missed())
            if stream.start is Start.LAST_THEN_NOW:
                at, decode = stream.id.decode(), self._decoder.decode_event
                entries += (Entry(stream.name, at, decode(data), data, is_last_value=True) for _, data in info.last)
            cursors[stream.name] = stream.id.decode()
        return Fetched(entries, cursors)

    async def _read(self) -> _Answer | None:
        """Ask once, and wait where the question says so. None: nothing could be asked."""
        try:
            now_s = time.monotonic()
            if (due := self._inspection.due(now_s, RECHECK_S)) or self._doubt:
                await self._inspect(due, now_s)
            if len(self.streams) > LISTEN or self._turns is not self._every:
                await self._choose_turns(now_s)
            question = self._turns.question(now_s)
            if not question.streams and not question.bells:
                await asyncio.sleep(RECHECK_S)  # all keys are of a wrong type: nothing can be read before they are looked at again
                return None
            answer = await self._ask(question)
            self._availability.starting = False  # all that reading needs has worked once
        except ResponseError as exc:
            if not str(exc).startswith("WRONGTYPE"):
                self._lose()
                raise
            self._doubt = True  # look which of the keys is wrong
            self._bells.lost()
            return None
        except UNAVAILABLE:
            self._lose()
            raise
        return answer

    async def _ask(self, question: Question) -> _Answer:
        """Read the streams and bells of a question at one moment."""
        count = max(ENTRIES_EACH, READ_ENTRIES // max(1, len(question.streams)))
        behind = [stream for stream in question.streams if stream.catching_up]
        streams = [*behind, *(stream for stream in question.streams if not stream.catching_up)] if behind else question.streams
        asked: list[FollowedStream | Bell] = [*streams, *question.bells]
        keys, ids = [one.key for one in asked], [one.id for one in asked]
        if behind:
            reply = await self._connection.call("EVAL", CATCH_UP, len(keys), *keys, len(behind), count + 1, *ids, key=keys[0])
            return _Answer(Question(streams, question.bells), self._catch_up(behind, reply, count), count)
        block: tuple[str | int, ...] = ()
        if question.wait_s:
            block = ("BLOCK", max(1, int(min(question.wait_s, self._block_s) * 1000)))
        reply = await self._connection.call("XREAD", "COUNT", count, *block, "STREAMS", *keys, *ids, key=keys[0])
        return _Answer(question, reply if isinstance(reply, dict) else dict(reply or ()), count)

    def _catch_up(self, streams: Sequence[FollowedStream], answer: Any, count: int) -> Mapping[bytes, RawEntries]:
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
            if stream.catch_up(first, last, added, entries, following) and stream.key in self.streams:
                self._decoder.miss(stream.missed())
                self._inspection.moved[stream.name] = last.decode()
        return read

    def _accept(self, answer: _Answer) -> Fetched:
        """Returns the events of an answer, and notes how far it has read."""
        question, entries = answer.question, answer.entries
        rung = {bell.key: entries[bell.key] for bell in question.bells if bell.key in entries}
        names = self._bells.accept(rung, answer.at_most) if rung else None
        answers: list[tuple[FollowedStream, RawEntries]] = []
        read: dict[bytes, int] = {}
        for key, raw in entries.items():
            if (stream := self.streams.get(key)) is not None and stream.id:  # else it is a bell, or was removed meanwhile
                answers.append((stream, raw))
                read[key] = len(raw)
        batch = self._decoder.decode(answers) if answers else _NOTHING
        self._turns.note(question, read, answer.at_most, names, time.monotonic())
        return batch

    async def _inspect(self, due: int, now_s: float) -> None:
        """Look at some streams, all of them after an outage; and at the bells, which may have been made again as well."""
        if self._doubt:
            await self._inspection.look_at_all()
            self._doubt = False
        elif await self._inspection.look_at_some(due, now_s) and self._turns is self._rung:
            await self._look_for_bells(list(self._bells.known.values()), now_s)

    async def _choose_turns(self, now_s: float) -> None:
        """Wait for the bells where there are many streams, and bells that are worth it; look up where these end first."""
        turns: Turns = self._every
        if len(self.streams) > LISTEN and not self._bells.rests(now_s):
            if self._bells.to_look_up(now_s):
                await self._look_for_bells(list(self._bells.known.values()), now_s)
                self._rung.bells_were_looked_up()
            if self._bells.usable:
                turns = self._rung
        if turns is not self._turns:
            if turns is self._every:
                self._bells.lost()  # nobody follows them meanwhile
            turns.begin()
            self._turns = turns
        self._chosen = True

    async def _look_for_bells(self, bells: Sequence[Bell], now_s: float) -> None:
        """Look up where these bells end. Those that are followed already may have been made again."""
        reason = "the key is no stream"
        try:
            places = await look_for_bells(self._client, bells)
        except ResponseError as exc:
            if not isinstance(exc, NoPermissionError) and not denied(str(exc)):
                raise
            if len(bells) > 1:  # perhaps not all are forbidden
                for bell in bells:
                    await self._look_for_bells([bell], now_s)
                return
            places, reason = [None], str(exc)
        for bell, last in zip(bells, places, strict=True):
            if last is None and not bell.logged:
                bell.logged = True
                log.warning("bus.bell_unusable", bell=bell.key.decode(), reason=reason[:200])
            self._bells.place(bell, last, now_s)

    def _lose(self) -> None:
        """Note that the connection is lost, or that the server answers oddly: nothing is certain any more."""
        self._doubt = True
        self._progress.lost()
        self._bells.lost()
        self._turns.begin()

    def _forget(self, key: bytes) -> None:
        self._every.forget(key)
        self._rung.forget(key)

    def _leave_out(self, key: bytes) -> None:
        self._forget(key)
        self._progress.added(key)  # counts as unread until it is a stream again
