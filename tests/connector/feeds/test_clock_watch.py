"""Steps of our clock and stops of the process: how they are noticed, and their effect on times and gaps."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from crosstape_connector.connection.timekeeping import Timekeeping
from crosstape_connector.connection.watchdog import Watchdog
from crosstape_connector.feeds.agreement import Agreement
from crosstape_connector.feeds.books.order_book import PATIENCE_NS, OrderBook
from crosstape_connector.feeds.clock_step import ClockStep
from crosstape_connector.feeds.clock_watch import ClockWatch, Stop
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.messages import BookUpdate
from crosstape_connector.venues.spec import BookRule
from crosstape_schemas import Event, Gap, Quote, Side, Trade
from tests.connector.fake_venue import ID, fake, instrument
from tests.connector.feeds.split import SplitFeeds

NAME: Final = "AAA-USD"
SECOND: Final = 1_000_000_000
START: Final = 1_700_000_000 * SECOND
TOPICS: Final = [Topic("main", channel, "AAAUSD") for channel in ("trades", "quotes")]


class World:
    """A venue's feeds, with clocks that a test moves."""

    def __init__(self, kinds: tuple[str, ...] = ("trade", "quote")) -> None:
        self.now = START
        self.steady = 5 * SECOND
        self.feeds = SplitFeeds(fake(), {NAME: instrument("AAAUSD")}, kinds, book_depth=10, book_interval_ns=0)
        self.watchdog = Watchdog(stale_s=30.0, stale_min_s=10.0)
        self.time = Timekeeping(self.feeds, self.watchdog, warn_s=2.0, clock=lambda: self.now, steady=lambda: self.steady)
        self.number = 0
        self.open()

    def open(self) -> None:
        """Open a connection."""
        self.feeds.open_topics(TOPICS, self.now)
        self.feeds.confirm_topics(TOPICS, self.now)

    def passes(self, seconds: float) -> None:
        """Let this time pass, with a check every tenth of a second."""
        for _ in range(round(seconds * 10)):
            self.sleeps(0.1)
            self.time.check()

    def sleeps(self, seconds: float) -> None:
        """Let this time pass while the process is stopped."""
        self.now += round(seconds * SECOND)
        self.steady += round(seconds * SECOND)

    def data(self, *, made_ts: int | None = None) -> list[Event]:
        """Receive a trade and a quote."""
        self.number += 1
        venue_ts = self.now if made_ts is None else made_ts
        trade = Trade(ID, NAME, venue_ts, self.now, Decimal(1), Decimal(1), Side.BUY, str(self.number))
        quote = Quote(ID, NAME, venue_ts, self.now, Decimal(self.number), Decimal(1), Decimal(10**6), Decimal(1))
        return [*self.feeds.apply(trade), *self.feeds.apply(quote)]

    def lost(self) -> None:
        """Lose the connection."""
        self.time.check()
        self.feeds.close_topics(TOPICS, self.now, "lost")

    def stale(self) -> list[str]:
        """Return the kinds that the watchdog finds stale, if the connection has just received a frame."""
        return [
            stall.feed.kind for stall in self.watchdog.find_stalls(list(self.feeds.records.values()), self.now, self.now) if stall.attempt
        ]

    def lively(self, seconds: int) -> None:
        """Receive data every second, with a check of the watchdog each time."""
        for _ in range(seconds):
            self.data()
            self.passes(1.0)
            assert self.stale() == []


def gaps(events: list[Event]) -> list[tuple[str, int, int, int | None]]:
    """Return kind, from, to and missed of the gaps."""
    return [(event.kind, event.from_ts, event.to_ts, event.missed) for event in events if isinstance(event, Gap)]


def test_a_check_in_time_finds_nothing() -> None:
    """Nor does a check that other work delays a little, nor a clock that is slewed."""
    beat = ClockWatch(START, 0)
    assert beat.check(START + SECOND // 10, SECOND // 10) == (None, None)
    assert beat.check(START + 2 * SECOND, 2 * SECOND) == (None, None)
    assert beat.check(START + 2 * SECOND + 400_000_000, 2 * SECOND + 100_000_000) == (None, None)


def test_a_stop_and_a_step_at_once() -> None:
    """A machine slept for a minute while its clock was set an hour back: both are found, in times of the clock as it is now."""
    beat = ClockWatch(START, 0)
    now = START + 60 * SECOND - 3_600 * SECOND
    step, stop = beat.check(now, 60 * SECOND)
    assert step is not None
    assert step.step_ns == -3_600 * SECOND
    assert stop == Stop(START - 3_600 * SECOND, now)


@given(st.integers(-(10**13), 10**13), st.integers(1, 10**8), st.integers(0, 10**13))
def test_times_are_shifted_once(step_ns: int, passed_ns: int, age_ns: int) -> None:
    """Times read before the step keep their age, times read after it stay, and 0 (no time) stays 0."""
    now = START + step_ns + passed_ns
    step = ClockStep(step_ns, START + step_ns, now)
    before = START - age_ns
    assert step.shifted(0) == 0
    assert step.shifted(now) == now
    if not step.from_ts <= before <= step.to_ts:
        assert START + passed_ns - before == now - step.shifted(before)


@pytest.mark.parametrize("step_s", [7_200.0, -7_200.0, 60.0, -60.0])
def test_a_step_makes_no_feed_stale_and_hides_no_stall(step_s: float) -> None:
    """Live feeds stay live; a feed that stops afterwards is found as soon as before."""
    world = World()
    world.lively(60)
    world.now += round(step_s * SECOND)
    world.passes(0.1)
    assert world.stale() == []
    world.lively(60)
    found_after_s = 0
    while not world.stale():
        world.passes(1.0)
        found_after_s += 1
        assert found_after_s < 15
    assert found_after_s >= 10


@pytest.mark.parametrize("step_s", [7_200.0, -7_200.0])
def test_a_gap_over_a_step_lasts_as_long_as_it_did(step_s: float) -> None:
    """It is reported in times of the clock as it is now."""
    world = World()
    world.data()
    world.passes(1.0)
    world.lost()
    world.now += round(step_s * SECOND)
    world.passes(2.0)
    world.open()
    world.number += 4
    found = gaps(world.data())
    assert [(kind, missed) for kind, _, _, missed in found] == [("trade", 4), ("quote", None)]
    assert all(to_ts - from_ts == 3 * SECOND for _, from_ts, to_ts, _ in found)


def test_data_read_between_the_step_and_the_check_are_not_shifted() -> None:
    """They have the new time already."""
    for step_s in (7_200, -7_200):
        world = World()
        world.data()
        world.passes(1.0)
        world.now += step_s * SECOND
        world.data()
        received_ts = world.now
        world.time.check()
        assert {record.received_ts for record in world.feeds.records.values()} == {received_ts}


def test_a_connection_that_broke_while_we_were_stopped_has_missed_data_since_then() -> None:
    """The data in its socket are from before the stop: the gap begins with the stop."""
    world = World()
    world.data()
    world.passes(1.0)
    before = world.now
    world.sleeps(60.0)
    world.data(made_ts=before + SECOND)
    world.lost()
    world.passes(1.0)
    world.open()
    world.number += 9
    assert gaps(world.data()) == [("trade", before, world.now, 9), ("quote", before, world.now, None)]


def test_a_connection_that_survived_a_stop_has_missed_nothing() -> None:
    """All frames of the venue waited in the socket. If it breaks much later, the gap begins there."""
    world = World()
    world.data()
    world.sleeps(60.0)
    world.time.check()
    for _ in range(30):
        assert gaps(world.data()) == []
        world.passes(1.0)
    last = world.now - SECOND
    world.lost()
    world.open()
    world.number += 1
    assert gaps(world.data()) == [("trade", last, world.now, 1), ("quote", last, world.now, None)]


def test_steps_and_stops_are_logged() -> None:
    """Once each, for operators."""
    world = World()
    world.passes(1.0)
    with capture_logs() as logs:
        world.sleeps(60.0)
        world.time.check()
        world.now -= 90 * SECOND
        world.passes(1.0)
    assert [(entry["event"], entry.get("for_s"), entry.get("by_s")) for entry in logs] == [
        ("process.stopped", 60.0, None),
        ("clock.set", None, -90.0),
    ]


def test_an_offset_that_is_too_large_is_logged_once_and_once_when_it_is_right() -> None:
    """It is not logged once a second."""
    world = World()
    with capture_logs() as logs:
        for ahead_s in (0, 90, 0):
            for _ in range(20):
                world.data(made_ts=world.now - ahead_s * SECOND)
                world.passes(1.0)
                world.time.measure_offset()
    assert [(entry["event"], entry["offset_s"]) for entry in logs] == [("clock.differs", 90.0), ("clock.agrees", 0.0)]


@pytest.mark.parametrize("step_s", [7_200, -7_200])
def test_a_book_that_waits_for_a_snapshot_goes_on_waiting_for_as_long(step_s: int) -> None:
    """The next request is made when it is due, neither at once nor two hours late."""
    rule = BookRule(snapshot="stream", bridges=None, follows=None)
    book = OrderBook(rule, 10)
    level = ((Decimal(1), Decimal(1)),)
    book.apply_update(BookUpdate(NAME, None, START, level, (), 1, 1))
    assert book.need.wanted is None
    book.clock_set(ClockStep(step_s * SECOND, START + step_s * SECOND + 1, START + step_s * SECOND + 2))
    now = START + step_s * SECOND
    book.apply_update(BookUpdate(NAME, None, now + PATIENCE_NS - SECOND, level, (), 2, 2))
    assert book.need.wanted is None
    book.apply_update(BookUpdate(NAME, None, now + PATIENCE_NS + SECOND, level, (), 3, 3))
    assert book.need.wanted is not None


@pytest.mark.parametrize("step_s", [7_200, -7_200])
def test_two_readings_that_contradict_each_other_go_on_doing_so(step_s: int) -> None:
    """The time of their contradiction includes the time before the step."""
    agreement = Agreement()
    one, other = (Decimal(1), Decimal(2)), (Decimal(3), Decimal(4))
    for tenth in range(11):
        differ_ns = agreement.compare(one, other, START + tenth * SECOND // 10)
    assert differ_ns == SECOND
    now = START + (step_s + 1) * SECOND
    agreement.clock_set(ClockStep(step_s * SECOND, now + 1, now + 2))
    assert agreement.compare(one, other, now + SECOND // 2) == SECOND * 3 // 2
