"""A network that loses, repeats, reorders and damages a venue's frames, between the simulator's market and our books, without sockets.

A book that is published as live must always be the true one, as of the newest frame that arrived undamaged.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple, cast

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from crosstape_connector.connection import plan
from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.feeds.effects import Effect, SnapshotRequest
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import FeedKey, Topic
from crosstape_connector.venues.messages import Ack, Reply
from crosstape_connector.venues.registry import find
from crosstape_connector.venues.spec import Parser, subscribed_depth
from crosstape_schemas import Book, FeedState, Instrument, Level
from crosstape_simulator.market_clock import SyntheticMarket
from crosstape_simulator.server.connection import Connection, Counters, opened
from crosstape_simulator.spec import SimulatorSpec
from crosstape_simulator.venues.registry import default_listings
from crosstape_simulator.venues.registry import find as simulated
from tests.end_to_end.venues import ALL
from tests.rare import rare_but

ASSETS = ("BTC", "ETH")
DEPTH = 10
MS = 1_000_000
START = 1_700_000_000_000 * MS
NOT_JSON = b"\xff\xfe"


class Frame(NamedTuple):
    """A frame on its way. `number` counts frames, `truth` is each instrument's true book at that frame, `ids` the venue's numbers of it."""

    number: int
    payload: bytes
    truth: dict[str, tuple[list[Level], list[Level]]]
    ids: dict[str, int | None]


class Wire:
    """The end of a connection in the simulator: frames wait here, with the market as it was when each was sent."""

    def __init__(self, market: SyntheticMarket, venue: str, frames: deque[Frame]) -> None:
        self._market = market
        self._venue = venue
        self._frames = frames
        self._sent = 0

    def send(self, frame: bytes) -> None:
        """See `Tap`."""
        _, payload = opened(frame)
        self._sent += 1
        self._frames.append(Frame(self._sent, payload, *told(self._market, self._venue)))

    def receive(self, text: str) -> str | None:
        """See `Tap`."""
        return text


def told(market: SyntheticMarket, venue: str) -> tuple[dict[str, tuple[list[Level], list[Level]]], dict[str, int | None]]:
    """Each instrument's best levels, and the number of the newest change, as of now."""
    truth: dict[str, tuple[list[Level], list[Level]]] = {}
    ids: dict[str, int | None] = {}
    for pair in market.market.pairs.values():
        listing = pair.listing
        sides = [
            [(Decimal(price).scaleb(-listing.price_decimals), listing.base_size(size, price)) for price, size in side.levels(DEPTH)]
            for side in (pair.bids, pair.asks)
        ]
        truth[listing.instrument] = sides[0], sides[1]
        ids[listing.instrument] = market.venues[venue].number(listing.symbol)
    return truth, ids


def best(sides: tuple[list[Level], list[Level]], depth: int) -> tuple[list[Level], list[Level]]:
    """The best levels of both sides, as many as the venue has: fewer than `DEPTH` at some."""
    return sides[0][:depth], sides[1][:depth]


class Network(RuleBasedStateMachine):
    """Between one venue and its connector."""

    venue: ClassVar[str]

    @initialize(seed=st.integers(1, 5))
    def begin(self, seed: int) -> None:
        """Connect and subscribe the books of two instruments."""
        listed = sorted(default_listings(self.venue), key=lambda one: one.quote != "USDT")
        listings = tuple(next(one for one in listed if one.base == base) for base in ASSETS)
        unlimited = {"messages_per_s": 10.0**9} if "messages_per_s" in simulated(self.venue).options else {}
        spec = SimulatorSpec(
            venues=(self.venue,), seed=seed, start_ts=START, levels=30, rate=40.0, paused=True, listings={self.venue: listings},
            options={self.venue: unlimited},
        )  # fmt: skip
        self.market = SyntheticMarket(spec, (self.venue,))
        self.table = find(self.venue)
        self.endpoint = next(one for one in self.table.endpoints if "book" in one.channels)
        self.instruments = {
            one.instrument: Instrument(
                one.instrument, self.venue, one.symbol, one.base, one.quote,
                contract_size=Decimal(one.contract_size or 1), inverse=one.inverse, expiry=one.expiry,
            )
            for one in listings
        }  # fmt: skip
        self.symbols = {one.symbol: one for one in self.instruments.values()}
        self.feeds = FeedHandler(self.table, self.instruments, ("book", "delta"), book_depth=DEPTH, book_interval_ns=0)
        self.topics = [Topic(self.endpoint.name, self.endpoint.channels["book"], one.symbol) for one in self.instruments.values()]
        self.frames: deque[Frame] = deque()
        self.books: dict[str, Book] = {}
        self.newest: dict[str, Frame] = {}
        self.by_id: dict[tuple[str, int | None], tuple[list[Level], list[Level]]] = {}
        self.requests = 0
        self.snapshot_requests: deque[SnapshotRequest] = deque()
        self.market.watch = self.note
        self.note()
        self.connect()

    def connect(self) -> None:
        """A new connection, which knows nothing of the one before."""
        feed_name, feed = next((one.name, one.feed) for one in self.market.endpoints[self.venue] if one.name in ("", self.endpoint.name))
        for connection in tuple(feed.connections):
            feed.close(connection)
        self.frames.clear()
        self.newest.clear()
        self.handles: dict[str, str] = {}
        self.feed = feed
        self.connection = Connection(cast("asyncio.Transport", _Nowhere()), Counters(), [], buffer_bytes=1 << 30)
        self.connection.tap = Wire(self.market, self.venue, self.frames)
        feed.open(self.connection, simulated(self.venue).dialect(feed_name).path, {})
        self.parser: Parser = self.endpoint.parser(self.symbols)
        self.say(self.feeds.open_topics(self.topics, self.market.now))
        for greeting in self.endpoint.greeting:
            feed.receive(self.connection, greeting.decode())
        self.ask(self.topics)

    def ask(self, topics: list[Topic], *, anew: bool = False) -> None:
        """Subscribe, perhaps unsubscribe first."""
        for message in (self.endpoint.unsubscribe, self.endpoint.subscribe) if anew else (self.endpoint.subscribe,):
            for request in plan.requests(self.endpoint, topics, subscribed_depth(self.table, DEPTH), self.requests + 1):
                self.requests = request.request_id
                handles = tuple(self.handles.get(symbol, "") for symbol in request.symbols)
                self.feed.receive(self.connection, message(msgspec.structs.replace(request, handles=handles)).decode())

    def say(self, effects: Iterable[Effect]) -> None:
        """Publish the events, and queue the requests, of these effects."""
        for effect in effects:
            if isinstance(effect, Book):
                self.books[effect.instrument] = effect
            elif isinstance(effect, SnapshotRequest):
                self.snapshot_requests.append(effect)

    def hear(self, frame: Frame, payload: bytes | None = None) -> None:
        """A frame arrives, perhaps with another content than it was sent with."""
        outputs: list[Any] = []
        try:
            outputs += self.parser(frame.payload if payload is None else payload, self.market.now)
        except FRAME_ERRORS:
            return
        for output in outputs:
            if isinstance(output, Reply):
                self.feed.receive(self.connection, output.data.decode())
                continue
            if isinstance(output, Ack):
                if not output.unsubscribed:
                    self.handles.update(dict.fromkeys(output.symbols, output.handle))
                self.say(self.feeds.confirm_topics(self.topics, self.market.now))
            self.say(self.feeds.apply(output))
        if payload is None:
            for output in outputs:
                if (name := getattr(output, "instrument", "")) in self.instruments:
                    before = self.newest.get(name)
                    self.newest[name] = frame if before is None or frame.number >= before.number else before
                    self.check(name)

    def note(self, _: object = None) -> None:
        """Remember what is true at which of the venue's numbers."""
        truth, ids = told(self.market, self.venue)
        self.by_id.update({(name, ids[name]): book for name, book in truth.items()})

    def check(self, name: str) -> None:
        """The book is the true one, or said not to be."""
        record = self.feeds.records[FeedKey("book", name)]
        if record.state is not FeedState.LIVE:
            return
        book, newest = self.books[name], self.newest[name]
        if book.sequence is None:
            assert (list(book.bids), list(book.asks)) == best(newest.truth[name], book.depth), "silently wrong"
        else:
            assert (list(book.bids), list(book.asks)) == best(self.by_id[name, book.sequence], book.depth), "silently wrong"
            number = newest.ids[name]
            assert number is not None
            assert book.sequence >= number, "silently frozen"

    @rule(ms=st.integers(20, 400))
    def time_passes(self, ms: int) -> None:
        """The market moves, frames are sent."""
        self.market.advance(ms * MS)
        self.market.second(self.market.now)

    @rule(count=st.integers(1, 12))
    def deliver(self, count: int) -> None:
        """Some arrive, in order."""
        for _ in range(min(count, len(self.frames))):
            self.hear(self.frames.popleft())

    @precondition(lambda self: self.frames)
    @rule()
    def drop(self) -> None:
        """Lose one frame."""
        self.frames.popleft()

    @precondition(lambda self: self.frames)
    @rule()
    def duplicate(self) -> None:
        """Deliver one frame twice."""
        self.hear(self.frames[0])
        self.hear(self.frames.popleft())

    @precondition(lambda self: len(self.frames) > 1)
    @rule()
    def swap(self) -> None:
        """Two change places."""
        first, second = self.frames.popleft(), self.frames.popleft()
        self.hear(second)
        self.hear(first)

    @precondition(lambda self: self.frames)
    @rule(half=st.booleans())
    def damage(self, *, half: bool) -> None:
        """Cut one frame in half, or replace it by bytes that are no text."""
        frame = self.frames.popleft()
        middle = len(frame.payload) // 2
        self.hear(frame, frame.payload[:middle] + (b"" if half else NOT_JSON + frame.payload[middle:]))

    @precondition(lambda self: self.frames and self.venue == "kraken")
    @rule()
    def falsify(self) -> None:
        """A level has another size than the venue's: only a checksum can show that."""
        frame = self.frames.popleft()
        checksum = simulated(self.venue).checksum
        assert checksum is not None
        changed = checksum.wrong_level(frame.payload)
        self.hear(frame, changed)

    @rule()
    def resync(self) -> None:
        """Answer what our books requested."""
        while self.snapshot_requests:
            request = self.snapshot_requests.popleft()
            if request.how == "rest":
                assert self.table.snapshots is not None
                path, _, query = self.table.snapshots.path(request.symbol, request.levels).partition("?")
                answer = self.market.venues[self.venue].answer(path, dict(pair.split("=") for pair in query.split("&")), self.market.now)
                try:
                    snapshot = self.table.snapshots.parse(answer.body, self.instruments[request.instrument], self.market.now)
                except FrameError as exc:
                    raise AssertionError(answer.body) from exc
                self.say(self.feeds.apply(snapshot))
            elif request.topic is not None:
                self.ask([request.topic], anew=True)

    @rule()
    def calm(self) -> None:
        """Deliver everything undamaged for a while."""
        for _ in range(3):
            self.time_passes(150)
            self.deliver(len(self.frames))
            self.resync()

    @rule(which=st.sampled_from(ASSETS))
    def doubt(self, which: str) -> None:
        """A watchdog wonders whether a book is quiet."""
        name = next(one.name for one in self.instruments.values() if one.base == which)
        self.say(self.feeds.probe(FeedKey("book", name)))

    @precondition(lambda self: len(self.books) == len(ASSETS))
    @rule()
    def reconnect(self) -> None:
        """The connection is lost, and another is made."""
        self.say(self.feeds.close_topics(self.topics, self.market.now, "lost"))
        self.connect()


OFTEN = ("binance", "coinbase", "kraken", "bitfinex", "kucoin")
"""Venues whose books have every rule: snapshots by REST, by the stream, by asking again; numbers that count or are linked; checksums."""


class _Nowhere:
    """A transport of which nothing is wanted: frames are taken before they get there."""

    def write(self, data: bytes) -> None:
        """Forget."""


@pytest.mark.parametrize("venue", rare_but(zip(ALL, strict=True), *zip(OFTEN, strict=True)))
def test_a_book_that_is_called_live_is_the_true_one(venue: str) -> None:
    """Any interleaving of lost, repeated, swapped and damaged frames, of resyncs and new connections."""
    machine = type(venue, (Network,), {"venue": venue})
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=40, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)),
    )
