"""What must hold for every simulated venue, a new one too: its table is complete and fits the frames that it sends."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from crosstape_simulator.errors import SimulatorError
from crosstape_simulator.faults import table
from crosstape_simulator.market_clock import SyntheticMarket
from crosstape_simulator.server.connection import Connection, Counters, Topic, opened
from crosstape_simulator.service import Simulator
from crosstape_simulator.spec import SimulatorSpec
from crosstape_simulator.venues.registry import DEFAULT, VENUES
from crosstape_simulator.venues.spec import Dialect, Role, SimulatedVenue
from tests.simulator.client import START_TS, still

NS = 10**9
EACH = [pytest.param(venue, id=venue.id) for venue in VENUES.values()]
ENDPOINTS = [pytest.param(venue, one, id=f"{venue.id} {one.name}".strip()) for venue in VENUES.values() for one in venue.dialects]


class Tape:
    """A tap that keeps the frames of one connection."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def send(self, frame: bytes) -> None:
        """Keep it; nobody gets it."""
        self.frames.append(opened(frame)[1])

    def receive(self, text: str) -> str | None:
        """Nothing is asked for."""
        return text


class Market:
    """A venue's market, and one connection to one of its endpoints that is subscribed to every topic of a source."""

    def __init__(self, venue: SimulatedVenue, dialect: Dialect) -> None:
        self.synthetic = SyntheticMarket(
            SimulatorSpec(venues=(venue.id,), paused=True, start_ts=START_TS, rate=400.0, levels=30), (venue.id,)
        )
        feed = next(one.feed for one in self.synthetic.endpoints[venue.id] if one.name == dialect.name)
        self.topics: tuple[Topic, ...] = tuple(cast("Any", feed.source).by_topic)
        self.tape = Tape()
        connection = Connection(cast("asyncio.Transport", None), Counters(), [], buffer_bytes=1 << 30)
        connection.tap = self.tape
        feed.open(connection, dialect.path, {})
        self.greeted = len(self.tape.frames)
        for topic in self.topics:
            feed.join(connection, topic)
            feed.source.subscribed(connection, topic)
        self.synthetic.advance(3 * NS)


@pytest.mark.parametrize("venue", EACH)
def test_frames_are_recognised_by_the_venues_own_table(venue: SimulatedVenue) -> None:
    """Every frame after a subscription is data of a topic that was subscribed, or for every client. There are trades and books."""
    kinds: set[str] = set()
    for dialect in venue.dialects:
        market = Market(venue, dialect)
        for payload in market.tape.frames[market.greeted :]:
            info = venue.classify_sent(dialect.name, payload)
            assert info.role is not Role.REPLY, payload
            if info.role is Role.DATA:
                assert set(info.topics) & set(market.topics), payload
                kinds |= {kind for topic in info.topics for kind in venue.kinds.get(venue.named(topic)[0], ())}

    assert {"trade", "book"} <= kinds


@pytest.mark.parametrize(("venue", "dialect"), ENDPOINTS)
def test_times_are_shifted_and_shifted_back(venue: SimulatedVenue, dialect: Dialect) -> None:
    """A shift changes frames with times, all by the same, and no digit is lost."""
    market = Market(venue, dialect)
    changed = 0
    for payload in market.tape.frames:
        shifted = venue.shift(payload, 3_600 * NS)
        changed += shifted != payload
        assert venue.shift(shifted, -3_600 * NS) == payload

    assert changed


@pytest.mark.parametrize("venue", EACH)
def test_a_venue_lists_by_rest_what_it_trades(venue: SimulatedVenue) -> None:
    """The list has a row of each symbol, found under the names that the table gives."""
    made = SyntheticMarket(SimulatorSpec(venues=(venue.id,), paused=True, start_ts=START_TS), (venue.id,)).venues[venue.id]
    for where in venue.rest.lists:
        text = made.answer(where.path, {}, START_TS).body.decode()
        assert all(f'"{where.names(listing.symbol)}"' in text for listing in venue.listings)


@pytest.mark.parametrize("venue", EACH)
def test_every_fault_can_be_set_or_says_why_not(venue: SimulatedVenue) -> None:
    """What the reference says of a venue is so."""
    made = Simulator(still(venues=(venue.id,)))
    for name, _, own in table.rows():
        cls = table.FAULTS[name]
        reason = table.absent(cast("Any", cls(venue=venue.id)), venue)
        assert (reason is None) is bool(own[venue.id]), name
        if reason is None and name != "rest-status":
            made.faults.add(cast("Any", cls(venue=venue.id, after_s=1_000.0)))


def test_venues_are_the_usual_three_by_default() -> None:
    """A new venue is simulated when it is asked for."""
    assert SimulatorSpec().venues == DEFAULT
    assert set(DEFAULT) <= VENUES.keys()


@pytest.mark.parametrize("venue", EACH)
def test_an_option_that_a_venue_does_not_have_is_refused(venue: SimulatedVenue) -> None:
    """A mistyped name is no silent default."""
    with pytest.raises(SimulatorError, match=f"{venue.id}: mesages_per_s: no such option; there are {next(iter(venue.options))}"):
        Simulator(still(venues=(venue.id,), options={venue.id: {"mesages_per_s": 1.0}}))
