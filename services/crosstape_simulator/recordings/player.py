"""Plays recordings: REST answers from the capture, replies as the venue writes them, data frames byte for byte.

A recording starts once clients have subscribed to its topics. Each data frame then goes to whoever subscribed to its topic, at the pace
of the recording or of the slowest client, once; after the end the sockets stay open and heartbeats go on. Replies are made for the
clients that are connected, so their ids are right. Where the frames of a connection are numbered, the recorded acknowledgements are played
in their places with the clients' own subscriptions in them; a number is changed only if frames were added or left out for this client.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Iterator, Mapping
from typing import Final

from crosstape_simulator.recordings.recording import Line, Recording, RestKey, rest_key
from crosstape_simulator.recordings.rest import RecordedRest
from crosstape_simulator.server.connection import BINARY, TEXT, Connection, Topic
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.venues.archetypes.numbered import NumberedFeed
from crosstape_simulator.venues.spec import FrameInfo, Role

POLL_S: Final = 0.02
FLUSH_BYTES: Final = 64 * 1024
"""Bytes that are gathered before they are written …"""

UNSENT_BYTES: Final = 256 * 1024
"""… and bytes that may wait for a client when there is no other pace."""

HOLD_ACKS_S: Final = 5.0
"""The longest wait of acknowledgements for the start."""

AHEAD: Final = 200
"""Without a pace, how many frames may follow a REST snapshot that no client has asked for yet: clients must buffer them, within bounds."""

GZIP_LEVEL: Final = 1
"""How much to compress a frame that is changed for a client: fast is enough."""

SNAPSHOT_S: Final = 10.0
"""The longest wait for such a request; there is no second wait."""


class Player:
    """One recording, and how far it has been played."""

    def __init__(self, recording: Recording, rest: RecordedRest, *, speed: float, settle_s: float, manual: bool) -> None:
        self.recording = recording
        self.started = False
        self.finished = False
        self.played = 0
        """Data frames played, whether or not a client got them."""
        self._rest = rest
        self._speed = speed
        self._settle_s = settle_s
        self._manual = manual
        self._told = False
        self._touched = time.monotonic()
        self._hold_until: float | None = None
        self._feeds: dict[str, Feed] = {}
        self._numbers: dict[int, int] = {}
        self._acked: set[tuple[int, tuple[Topic, ...]]] = set()
        self._greeted: set[int] = set()
        self._pending = 0
        self._owed: tuple[RestKey, int, int] | None = None
        self._snapshot_s = SNAPSHOT_S

    def attach(self, endpoint: str, feed: Feed) -> None:
        """Set the feed that gets the recording's frames of `endpoint`."""
        self._feeds[endpoint] = feed

    def start(self) -> None:
        """Start now, without waiting for subscriptions."""
        self._told = True

    def touch(self) -> None:
        """Note that a client has subscribed to something."""
        self._touched = time.monotonic()
        if self._hold_until is None:
            self._hold_until = self._touched + HOLD_ACKS_S

    def holds_acks(self) -> bool:
        """Whether acknowledgements wait for the start, to be numbered as recorded."""
        if self.started or not self.recording.first_number:
            return False
        return self._hold_until is None or time.monotonic() < self._hold_until

    @property
    def playing(self) -> bool:
        """Whether it has started and is not at its end."""
        return self.started and not self.finished

    async def play(self) -> None:
        """Wait for the start, play to the end."""
        await self._ready()
        self.started = True
        self._acknowledge_held()
        began, first = time.monotonic(), None
        for index, (line, endpoint) in enumerate(self.recording.lines()):
            if line.d == "rest" and line.u is not None:
                self._pass_answer(rest_key(line.u))
            if line.d != "in":
                continue
            if line.t is not None and self._speed:
                first = line.t if first is None else first
                await self._pace(began + (line.t - first) / 1e9 / self._speed)
            self._frame(line, endpoint)
            if self._pending >= FLUSH_BYTES or not index & 255 or (self._owed is not None and self.played >= self._owed[2]):
                await self._take_up()
        await self._take_up()
        self.finished = True

    def again(self) -> None:
        """Be ready to be played again."""
        self.started = self.finished = self._told = False
        self._hold_until = None
        self._numbers.clear()
        self._acked.clear()
        self._greeted.clear()

    async def _ready(self) -> None:
        while not self._told:
            wanted = [self._wanted(endpoint, topics) for endpoint, topics in self.recording.needs]
            quiet = time.monotonic() - self._touched
            if not self._manual and any(wanted) and quiet >= self._settle_s * (1 if all(wanted) else 4):
                return
            if self._hold_until is not None and not self.holds_acks():
                self._release_acks()
            await asyncio.sleep(POLL_S)

    def _wanted(self, endpoint: str, topics: tuple[Topic, ...]) -> bool:
        subscribers = self._feeds[endpoint].subscribers
        return any(topic in subscribers for topic in topics)

    def _acknowledge_held(self) -> None:
        """If the recording holds no acknowledgements, send one before the first frame, with the number before the first."""
        for endpoint, number in self.recording.first_number.items():
            feed = self._feeds[endpoint]
            if isinstance(feed, NumberedFeed) and endpoint not in self.recording.acknowledges:
                for connection in feed.connections:
                    if connection.topics and feed.last_number(connection) is None:
                        feed.set_number(connection, number - 2)
                        feed.acknowledge(connection, feed.now)

    def _release_acks(self) -> None:
        """Send acknowledgements that have waited too long. Their numbers are no longer the recording's."""
        for feed in self._feeds.values():
            if isinstance(feed, NumberedFeed):
                for connection in feed.connections:
                    if connection.topics and feed.last_number(connection) is None:
                        feed.acknowledge(connection, feed.now)

    async def _pace(self, due: float) -> None:
        wait = due - time.monotonic()
        if wait > 0.001:
            self._flush()
            await asyncio.sleep(wait)

    async def _take_up(self) -> None:
        """Write; without a pace, wait until the clients have read most of it and have asked for the snapshot they need."""
        self._flush()
        await asyncio.sleep(0)
        if self._speed:
            return
        while any(connection.unsent > UNSENT_BYTES for connection in self._clients()):
            await asyncio.sleep(0.001)  # ended by the client's reading, or by its connection's end
        while not self._told and not any(connection.topics for connection in self._clients()):
            await asyncio.sleep(POLL_S)  # nobody takes it: for as long as nobody comes
        if self._owed is not None and self.played >= self._owed[2]:
            key, count, _ = self._owed
            self._owed = None
            deadline = time.monotonic() + self._snapshot_s
            while self._rest.asked.get(key, 0) < count and time.monotonic() < deadline:
                await asyncio.sleep(POLL_S)
            self._snapshot_s = 1.0 if time.monotonic() >= deadline else self._snapshot_s

    def _flush(self) -> None:
        self._pending = 0
        for connection in self._clients():
            connection.flush()

    def _clients(self) -> Iterator[Connection]:
        return (connection for feed in self._feeds.values() for connection in feed.connections)

    def _pass_answer(self, key: RestKey) -> None:
        """Note a recorded REST answer: clients that need it may ask for it now, or have asked already."""
        passed = self._rest.passed[key] = self._rest.passed.get(key, 0) + 1
        topics = self._needing(*key)
        needed = any(topic in feed.subscribers for feed in self._feeds.values() for topic in topics)
        if not self._speed and needed and self._rest.asked.get(key, 0) < passed and self._owed is None:
            self._owed = (key, passed, self.played + AHEAD)

    def _needing(self, path: str, symbol: str) -> tuple[Topic, ...]:
        """Topics whose clients need the REST answer to `path`."""
        book = self.recording.venue.rest.book
        found = None if book is None else book.symbol(path, {book.parameter: symbol})
        return () if book is None or found is None else book.topics(found)

    def _frame(self, line: Line, endpoint: str) -> None:
        recorded, payload = line.payload(), line.text()
        venue = self.recording.venue
        seen, dialect = venue.classify(endpoint, payload), venue.dialect(endpoint)
        feed = self._feeds[endpoint]
        step = seen.number - self._numbers.get(line.c, seen.number - 1) if seen.number is not None else 0
        if seen.number is not None:
            self._numbers[line.c] = seen.number
        if seen.role is Role.DATA:
            self.played += 1
            self._rest.past.note(seen, payload)
        elif not self._is_kept(line, seen, payload):
            return
        repeated = payload
        if seen.role is Role.REPLY and seen.number is None:
            found = dialect.repeat(payload)
            if found is None:
                return
            repeated = found
        opcode = BINARY if line.b is not None else TEXT
        for connection in self._recipients(feed, seen):
            text = repeated
            if isinstance(feed, NumberedFeed) and dialect.numbers is not None and seen.number is not None:
                text = dialect.numbers.renumbered(payload, _next_number(feed, connection, seen.number, step))
                if seen.role is Role.REPLY:
                    text = feed.with_own_subscriptions(text, connection)
            frame = recorded if text is payload else text if not line.is_packed else gzip.compress(text, GZIP_LEVEL)
            connection.send(frame, opcode)
            self._pending += len(frame)

    def _is_kept(self, line: Line, seen: FrameInfo, payload: bytes) -> bool:
        """Whether a frame that is not data is played. Greetings and first acknowledgements are not: clients have had their own."""
        if seen.role is Role.REPLY:
            if seen.number is not None:
                return True
            first = bool(seen.topics) and (line.c, seen.topics) not in self._acked
            self._acked.add((line.c, seen.topics))
            return not first
        greeting = self.recording.venue.recorded.is_greeting(payload) and line.c not in self._greeted
        self._greeted.add(line.c)
        return not greeting

    def _recipients(self, feed: Feed, seen: FrameInfo) -> Mapping[Connection, None]:
        if not seen.topics:
            return {connection: None for connection in feed.connections if connection.topics}
        if seen.role is Role.REPLY or len(seen.topics) > 1:
            chosen: dict[Connection, None] = {}
            for topic in seen.topics:
                chosen.update(feed.subscribers.get(topic, {}))
            return chosen
        return feed.subscribers.get(seen.topics[0], {})


class PlayedSource:
    """The source of a feed whose data are recordings."""

    def __init__(self, players: tuple[Player, ...]) -> None:
        self._players = players

    def lists(self, symbol: str) -> bool:
        """Any symbol may be subscribed; those that are not in the recording stay silent."""
        return True

    def depth(self, symbol: str) -> int | None:
        """The recorded depth."""
        return next((player.recording.depths[symbol] for player in self._players if symbol in player.recording.depths), None)

    def subscribed(self, connection: Connection, topic: Topic) -> None:
        """Nothing is sent: snapshots are in the recording."""
        for player in self._players:
            player.touch()

    def holds_acks(self) -> bool:
        """Acknowledgements wait for the start, if the recording's numbers count them."""
        return any(player.holds_acks() for player in self._players)

    def greeting(self) -> bytes | None:
        """The recorded greeting."""
        return next((player.recording.greeting for player in self._players if player.recording.greeting is not None), None)

    def beats(self) -> bool:
        """Heartbeats stop while a recording is being played, and while its first number waits to be sent."""
        return not any(player.playing or player.holds_acks() for player in self._players)


def _next_number(feed: NumberedFeed, connection: Connection, recorded: int, step: int) -> int:
    """The number that a frame with the number `recorded`, `step` after the one before, has for this client."""
    last = feed.last_number(connection)
    number = recorded if last is None else last + step
    feed.set_number(connection, number)
    return number
