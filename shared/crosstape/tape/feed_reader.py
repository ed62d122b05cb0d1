"""Reads the feeds that `Follower` is asked for, on the follower's event loop: finds their instruments, and passes entries on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import msgspec

from crosstape.bus import Entry, Missed, Start
from crosstape.errors import BusError
from crosstape.log import get_log
from crosstape.tape.selection import FRAMED, Selection, select
from crosstape.tape.source import EventSource
from crosstape.tape.symbols import meant_by
from crosstape.tape.thread_tape import ThreadTape
from crosstape_schemas import AnyEvent
from crosstape_schemas.instruments import ALIASES, COMPOSITE, parsed

LOOK_S: Final = 1.0
"""How often to look for instruments that the tape does not have yet."""

log = get_log(__name__)


class Feed(msgspec.Struct, frozen=True):
    """What is followed: one kind of event, of one venue and instrument."""

    kind: str
    """With the timeframe, where the kind has one: `bar:1m`."""
    symbol: str
    """What all spellings of the instrument have in common, see `symbols.common`."""
    venue: str


class Hooks(msgspec.Struct, frozen=True):
    """Where what was read goes. All of them are called on the follower's thread, and must not block."""

    receive: Callable[[Entry], None]
    """Gets each entry; first, for a new feed, the last value that the tape has."""
    fill: Callable[[Feed, list[AnyEvent]], None]
    """Gets the past of a new feed, oldest first, if `past` is not 0."""
    past: int = 0
    """How many events of the past are wanted, of candles and bars."""


class _Wanted:
    """A feed that was asked for."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        """As it was written."""
        self.instrument = ""
        """Its name on the tape; empty while that is not known."""
        self.looked = False
        """Whether the tape was asked for it."""
        self.filled = False
        """Whether its past was fetched."""
        self.checked = False
        """Whether it was said if the tape does not have it."""


class _Stream:
    """A stream that is read: its feeds, and the newest entry of each venue."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.feeds: set[Feed] = set()
        self.newest: dict[str, Entry] = {}


class FeedReader:
    """Reads streams of several venues, and passes on the entries of those venues that are wanted."""

    def __init__(self, tape: ThreadTape, hooks: Hooks) -> None:
        self.instruments: dict[Feed, str] = {}
        """Feed → the name of its instrument on the tape; empty while the tape does not have it."""
        self.missed = 0
        """Wanted events that were not on the tape any more when they were read; at least, where a count is unknown."""
        self._tape = tape
        self._hooks = hooks
        self._source = EventSource(tape.connection, on_missed=self._note_missed)
        self._wanted: dict[Feed, _Wanted] = {}
        self._streams: dict[str, _Stream] = {}
        self._changed = asyncio.Event()
        self._logged: set[str] = set()

    async def add(self, feed: Feed, symbol: str) -> None:
        """Read this feed as well. One that is read already begins again with its last value."""
        known = self._wanted.get(feed)
        if known is None:
            self._wanted[feed] = _Wanted(symbol)
            self.instruments[feed] = ""
            self._changed.set()
        elif known.instrument:
            self._begin(feed, self._streams[self._stream_of(feed, known.instrument)])

    async def remove(self, feed: Feed) -> None:
        """Do not read it any more."""
        self.instruments.pop(feed, None)
        wanted = self._wanted.pop(feed, None)
        if wanted is not None and wanted.instrument:
            name = self._stream_of(feed, wanted.instrument)
            stream = self._streams[name]
            stream.feeds.discard(feed)
            if not stream.feeds:
                self._source.deselect(stream.selection)
                del self._streams[name]

    async def run(self) -> None:
        """Read until the tape is closed. Raises `BusError` if waiting cannot help, as a subscription does."""
        try:
            async with asyncio.TaskGroup() as group:
                looking = group.create_task(self._look(), name="tape.follower.look")
                while not self._source.closed:
                    for entry in await self._source.entries(timeout_s=None):
                        self._pass_on(entry)
                looking.cancel()
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    def _pass_on(self, entry: Entry) -> None:
        stream = self._streams.get(entry.stream)
        if stream is not None:
            stream.newest[entry.event.venue] = entry
            if any(feed.venue == entry.event.venue for feed in stream.feeds):
                self._hooks.receive(entry)

    async def _look(self) -> None:
        """Find the instruments that symbols mean, and fetch the past, as long as there are feeds that need it."""
        while True:
            self._changed.clear()
            done = await self._find_instruments()
            done = await self._fetch_past() and done
            done = await self._warn_of_absent() and done
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if done else LOOK_S):
                    await self._changed.wait()

    async def _find_instruments(self) -> bool:
        """Returns whether all are found."""
        for feed, wanted in self._unknown():
            if _is_name(wanted.symbol):
                self._found(feed, wanted, wanted.symbol)
        if not self._unknown():
            return True
        try:
            known = await self._tape.instruments()
        except BusError:
            return False  # the source waits for the server, and says so
        for feed, wanted in self._unknown():
            match meant_by(wanted.symbol, known):
                case [name]:
                    self._found(feed, wanted, name)
                case names:
                    if names and wanted.symbol not in self._logged:
                        self._logged.add(wanted.symbol)
                        log.error("tape.ambiguous_symbol", symbol=wanted.symbol, instruments=names, hint="subscribe to one of these names")
                    wanted.checked = wanted.checked or bool(names)
            wanted.looked = True
        return not self._unknown()

    def _unknown(self) -> list[tuple[Feed, _Wanted]]:
        return [(feed, wanted) for feed, wanted in self._wanted.items() if not wanted.instrument]

    def _found(self, feed: Feed, wanted: _Wanted, name: str) -> None:
        """Read the stream. One that was not there at the last look is new: it is read from its beginning."""
        wanted.instrument = self.instruments[feed] = name
        stream_name = self._stream_of(feed, name)
        stream = self._streams.get(stream_name)
        if stream is None:
            stream = self._streams[stream_name] = _Stream(select(feed.kind, (name,), None))
            self._source.select(stream.selection, Start.BEGINNING if wanted.looked else Start.LAST_THEN_NOW)
        self._begin(feed, stream)

    def _begin(self, feed: Feed, stream: _Stream) -> None:
        stream.feeds.add(feed)
        if (newest := stream.newest.get(feed.venue)) is not None:
            self._hooks.receive(newest)

    async def _fetch_past(self) -> bool:
        """Fetch the past of one feed that needs it; feeds that were added meanwhile come next. Returns False to be called again later."""
        for feed, wanted in self._wanted.items():
            if wanted.instrument and not wanted.filled:
                wanted.filled = not self._hooks.past or not feed.kind.startswith(FRAMED) or await self._fetch(feed, wanted)
                if wanted.filled:
                    self._changed.set()  # look for the next one
                return wanted.filled
        return True

    async def _fetch(self, feed: Feed, wanted: _Wanted) -> bool:
        events: list[AnyEvent] = []
        try:
            events += await self._tape.history(feed.kind, wanted.instrument, venue=feed.venue, limit=self._hooks.past)
        except BusError:
            return False
        if self._wanted.get(feed) is wanted:
            self._hooks.fill(feed, events)
        return True

    def _stream_of(self, feed: Feed, instrument: str) -> str:
        return self._tape.connection.keys.stream(feed.kind, instrument)

    async def _warn_of_absent(self) -> bool:
        """Say of new feeds what the tape does not have: instrument, timeframe, venue. Returns False to be called again later."""
        unchecked = [(feed, wanted) for feed, wanted in self._wanted.items() if not wanted.checked]
        if not unchecked:
            return True
        try:
            registered = await self._tape.connection.registered()
        except BusError:
            return False
        for feed, wanted in unchecked:
            wanted.checked = True
            await self._tape.connection.warn_of_absent(feed.kind, wanted.instrument or wanted.symbol, feed.venue, registered)
        return True

    def _note_missed(self, missed: Missed) -> None:
        stream = self._streams.get(missed.stream)
        if stream is not None and (not missed.venue or any(feed.venue == missed.venue for feed in stream.feeds)):
            self.missed += 1 if missed.count is None else missed.count
            log.warning("tape.missed", stream=missed.stream, venue=missed.venue, count=missed.count)


def _is_name(symbol: str) -> bool:
    """Whether a symbol is the name of an instrument as we write it, so that the tape need not be asked what it means."""
    name = parsed(symbol.removesuffix(COMPOSITE))
    return name is not None and symbol == symbol.upper() and not {name.base, name.quote} & ALIASES.keys()
