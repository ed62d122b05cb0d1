"""When windows are called complete: only while it is known that no trade can be missing."""

from __future__ import annotations

import msgspec
import pytest

from crosstape_aggregator.consolidation.engine import Engine
from crosstape_schemas import CONSOLIDATED, Cbbo, Event, FeedState, Status
from tests.aggregator.builders import T0, S, X, alive, engine, quote, status, trade

LIVE, DOWN = FeedState.LIVE, FeedState.DOWN
ETH = "ETH-USDT"


class Desk:
    """A board that has been caught up with, its clocks in hand, and a venue that is as it should be."""

    def __init__(self, *venues: str) -> None:
        self.engine: Engine = engine(windows=("10s", "1m"))
        self.now = T0
        self.monotonic = 7 * S
        self.unread: set[str] | None = set()
        self.alive = dict.fromkeys(venues or ("kraken",), 0)
        """Venue → the offset of its clock."""
        for name in self.alive:
            self.apply(status(name, LIVE, self.now, kind="trade"), trade(name, "1", "1", self.now), quote(name, "1", "2", self.now))
        for name in (X, ETH):
            self.engine.instrument(name, self.now).known_from(0)
        self.wait(2)

    def apply(self, *events: Event) -> None:
        """Take these now."""
        self.engine.apply(events, self.now)

    def say(self, venue: str, **changed: object) -> None:
        """A venue-wide status, received now."""
        self.apply(msgspec.structs.replace(alive(venue, self.now), clock_offset_ns=self.alive.get(venue, 0), **changed))

    def wait(self, seconds: int, *, set_s: int = 0) -> None:
        """Time passes, and venues say that they live; our clock is set by so much."""
        self.now += set_s * S
        for _ in range(seconds):
            self.now += S
            self.monotonic += S
            for name in self.alive:
                self.say(name)
            self.look()

    def look(self) -> None:
        """As the service does every second."""
        self.engine.look(self.unread, self.now, self.monotonic)

    def complete(self, instrument: str = X) -> list[bool]:
        """What the windows say now."""
        found = [one.complete for one in self.engine.instruments[instrument].windows.read(self.now // S).values()]
        assert len(found) == 2
        return found


def test_windows_are_complete_while_all_is_as_it_should_be() -> None:
    """Streams read, the venue alive, its feed of trades live, clocks right."""
    assert Desk().complete() == [True, True]


def test_nothing_is_complete_before_it_was_looked_at() -> None:
    """What is not known yet is not taken for granted."""
    one = engine(windows=("10s",))
    one.apply([alive("kraken"), status("kraken", LIVE, kind="trade"), trade("kraken", "1", "1")], T0)
    one.instrument(X, T0).known_from(0)
    one.changed([X], T0)
    (found,) = one.due(T0)
    assert not found.vwap["10s"].complete


def test_windows_that_reach_back_to_what_a_venue_said_and_nobody_knows_are_not_complete() -> None:
    """Its stream was trimmed: it may have told of gaps, or of a wrong clock. Another venue's says nothing about this one."""
    desk = Desk()
    desk.engine.unheard("binance", desk.now)
    desk.wait(2)
    assert desk.complete() == [True, True]
    desk.engine.unheard("kraken", desk.now - 30 * S)
    desk.wait(1)
    assert desk.complete() == [True, False]
    desk.wait(30)
    assert desk.complete() == [True, True]


def test_what_a_checkpoint_has_heard_is_known() -> None:
    """Up to when it was made."""
    for made_s, expected in ((-31, False), (-30, True)):
        desk = Desk()
        state = desk.engine.instruments[X].state()
        assert state is not None
        desk.engine.instruments[X].restore(state, desk.now + made_s * S)
        desk.engine.unheard("kraken", desk.now - 30 * S)
        desk.wait(1)
        assert desk.complete() == [True, expected]


def test_streams_that_are_not_read_up_to_now_make_windows_incomplete() -> None:
    """Of their instrument, or of all where it is a venue's own stream; until they have been read, and published at once."""
    desk = Desk()
    desk.engine.due(desk.now)
    desk.unread = {X}
    desk.look()
    assert desk.complete() == [False, False]
    assert [one.instrument for one in desk.engine.due(desk.now + S)] == [X]
    assert desk.complete(ETH) == [True, True]
    desk.unread = None
    desk.look()
    assert desk.complete(ETH) == [False, False]
    desk.unread = set()
    desk.look()
    assert desk.complete() == desk.complete(ETH) == [True, True]


def test_a_venue_that_gives_no_sign_of_life_makes_windows_incomplete() -> None:
    """Nobody reads its trades. It concerns the instruments that it trades; when it is back, gaps tell the rest."""
    desk = Desk("binance", "kraken")
    desk.apply(trade("binance", "1", "1", desk.now, instrument=ETH), status("binance", LIVE, kind="trade", instrument=ETH))
    del desk.alive["kraken"]
    desk.wait(3)
    assert (desk.complete(), desk.complete(ETH)) == ([False, False], [True, True])
    desk.wait(600)
    assert desk.complete() == [False, False]
    desk.alive["kraken"] = 0
    desk.wait(1)
    assert desk.complete() == [True, True]


def test_a_venue_that_has_been_silent_for_a_day_has_no_part() -> None:
    """No window reaches back to it."""
    desk = Desk("binance", "kraken")
    del desk.alive["kraken"]
    desk.wait(3)
    assert desk.complete() == [False, False]
    desk.now += 86_400 * S
    desk.monotonic += 86_400 * S
    desk.apply(trade("binance", "1", "1", desk.now))
    desk.wait(2)
    assert desk.complete() == [True, True]


def test_a_venue_that_was_stopped_has_no_part_in_what_comes_after() -> None:
    """Windows that reach back to before are incomplete: it has traded since."""
    desk = Desk("binance", "kraken")
    del desk.alive["kraken"]
    desk.say("kraken", state=DOWN, reason="stopped")
    assert desk.complete() == [False, False]
    desk.wait(10)
    assert desk.complete() == [False, False]
    desk.wait(1)
    assert desk.complete() == [True, False]
    desk.wait(50)
    assert desk.complete() == [True, True]


@pytest.mark.parametrize("state", [DOWN, FeedState.CONNECTING])
def test_a_venue_without_a_connection_makes_windows_incomplete(state: FeedState) -> None:
    """At once, as long as it says so."""
    desk = Desk()
    desk.say("kraken", state=state, reason="503")
    assert desk.complete() == [False, False]
    desk.wait(1)
    assert desk.complete() == [True, True]


@pytest.mark.parametrize("state", [DOWN, FeedState.STALE, FeedState.RECOVERING, FeedState.CONNECTING])
def test_a_feed_of_trades_that_is_not_live_makes_windows_incomplete(state: FeedState) -> None:
    """At once and published, though no gap says anything yet; one that lives again, at the next look."""
    desk = Desk()
    desk.engine.due(desk.now)
    desk.apply(status("kraken", state, desk.now, kind="trade"))
    assert desk.complete() == [False, False]
    assert len(desk.engine.due(desk.now + S)) == 1
    desk.apply(status("kraken", LIVE, desk.now, kind="trade"))
    desk.wait(1)
    assert desk.complete() == [True, True]


def test_what_a_venue_does_not_list_is_not_waited_for() -> None:
    """Or has halted."""
    desk = Desk("binance", "kraken")
    desk.apply(status("kraken", DOWN, desk.now, kind="trade"), status("kraken", DOWN, desk.now, kind="*"))
    desk.wait(1)
    assert desk.complete() == [True, True]
    desk.apply(status("kraken", LIVE, desk.now, kind="*"))
    desk.wait(1)
    assert desk.complete() == [False, False]


def test_a_connector_that_was_started_again_is_known_when_its_feed_is_live() -> None:
    """What it missed meanwhile is told before that."""
    desk = Desk()
    desk.alive.clear()
    for _ in range(3):
        desk.now += S
        desk.monotonic += S
        desk.say("kraken", epoch=2)
        desk.look()
        assert desk.complete() == [False, False]
    desk.apply(msgspec.structs.replace(trade("kraken", "1", "1", desk.now), epoch=2, backfilled=True))
    desk.look()
    assert desk.complete() == [False, False]
    desk.apply(status("kraken", LIVE, desk.now, kind="trade", epoch=2))
    desk.look()
    assert desk.complete() == [True, True]


@pytest.mark.parametrize("offset_s", [90, -30, 7_200, -7_200, 2.5, -2.5])
def test_a_clock_that_is_off_makes_windows_incomplete_until_wrong_seconds_have_left(offset_s: float) -> None:
    """Ours ahead of the venue's or behind. A venue ahead may have counted in seconds to come: a minute of them at most."""
    desk = Desk()
    desk.alive["kraken"] = round(offset_s * S)
    desk.wait(5)
    assert desk.complete() == [False, False]
    desk.alive["kraken"] = 0
    ahead_s = min(60, max(0, -offset_s))
    for length, index in ((10, 0), (60, 1)):
        left_s = int(length + ahead_s) + 1
        one = desk if index else _copy(desk)
        one.wait(left_s)
        assert not one.complete()[index]
        one.wait(2)
        assert one.complete()[index]


def _copy(desk: Desk) -> Desk:
    """The same story as far as it goes."""
    again = Desk()
    offset = desk.engine.clock_offsets_ns()["kraken"]
    again.alive["kraken"] = offset
    again.wait(5)
    again.alive["kraken"] = 0
    return again


@pytest.mark.parametrize("offset_s", [1.27, -1.27, 2.0, -2.0])
def test_a_clock_within_the_tolerance_does_no_harm(offset_s: float) -> None:
    """A recorder of the corpus ran 1.27 s behind its venue."""
    desk = Desk()
    desk.alive["kraken"] = round(offset_s * S)
    desk.wait(5)
    assert desk.complete() == [True, True]


def test_the_clock_of_a_connector_that_does_not_say_is_measured_by_its_trades() -> None:
    """Live ones; backfilled ones are received late."""
    desk = Desk()

    def trades(behind_s: int, *, backfilled: bool = False) -> None:
        desk.now += S
        desk.monotonic += S
        event = trade("kraken", "1", "1", desk.now - behind_s * S, received_ts=desk.now)
        desk.apply(msgspec.structs.replace(event, backfilled=backfilled))
        desk.apply(alive("kraken", desk.now))
        desk.look()

    desk.engine._venues.venue("kraken").clock.clear()
    trades(0)
    trades(0)
    assert desk.complete() == [True, True]
    trades(3_000, backfilled=True)
    assert desk.complete() == [True, True]
    for _ in range(62):
        trades(90)
    assert desk.complete() == [False, False]
    assert desk.engine.clock_offsets_ns() == {"kraken": 90 * S}


def test_the_connectors_clock_may_differ_from_ours() -> None:
    """On another host: it agrees with the venue, we do not."""
    desk = Desk()
    desk.alive.clear()
    desk.apply(status("kraken", LIVE, desk.now, kind="trade", epoch=2))
    for _ in range(100):
        desk.now += S
        desk.monotonic += S
        desk.apply(msgspec.structs.replace(alive("kraken", desk.now - 90 * S, epoch=2), clock_offset_ns=0))
        desk.look()
    assert desk.engine.clock_offsets_ns() == {"kraken": 90 * S}
    assert desk.complete() == [False, False]


@pytest.mark.parametrize("set_s", [-90, 90])
def test_when_our_own_clock_is_set_nothing_is_known_for_a_minute(set_s: int) -> None:
    """What connectors say of theirs is of the last minute, too."""
    desk = Desk()
    desk.wait(1, set_s=set_s)
    assert desk.complete() == [False, False]
    desk.wait(58)
    assert desk.complete() == [False, False]
    desk.wait(100)
    assert desk.complete() == [True, True]


def test_what_was_said_of_clocks_in_the_past_concerns_the_trades_of_then() -> None:
    """As a restarted aggregator reads it. Where the connector's clock alone was off, as the server's shows, nothing is doubtful."""
    desk = Desk()
    then = desk.now - 30 * S
    said = msgspec.structs.replace(alive("kraken", then), clock_offset_ns=90 * S)
    assert isinstance(said, Status)
    desk.engine.apply_past(said, then - 90 * S)
    desk.look()
    assert desk.complete() == [True, True]
    desk.engine.apply_past(said, then)
    desk.look()
    assert desk.complete() == [True, False]


def test_an_aggregators_sign_of_life_is_no_venue() -> None:
    """It has no leg, and nobody waits for its trades."""
    desk = Desk()
    desk.apply(Status(CONSOLIDATED, "*", None, desk.now, "*", DOWN, "stopped", epoch=9))
    desk.wait(1)
    assert desk.complete() == [True, True]
    assert CONSOLIDATED not in desk.engine.clock_offsets_ns()


def test_the_quote_says_it() -> None:
    """As soon as it changes."""
    desk = Desk()
    for complete in (True, False):
        found = {one.instrument: one for one in desk.engine.due(desk.now)}
        assert isinstance(found[X], Cbbo)
        assert found[X].vwap["1m"].complete is complete
        desk.alive.clear()
        desk.wait(3)


def test_a_feed_of_trades_that_is_late() -> None:
    """Its venue's other feeds are on time, so its clock is right: what is still on its way is in no window. Then all has come, in order."""
    desk = Desk()
    desk.wait(9)
    assert desk.complete() == [True, True]

    for _ in range(3):
        desk.wait(1)
        desk.apply(trade("kraken", "1", "1", desk.now - 8 * S, received_ts=desk.now))
        assert desk.complete() == [False, False]
    desk.wait(1)
    assert desk.complete() == [False, False]
    desk.apply(trade("kraken", "1", "1", desk.now))
    desk.wait(1)
    assert desk.complete() == [True, True]


def test_a_venue_whose_trades_go_back_in_time() -> None:
    """Its clock was set back, so they count in wrong seconds: windows are complete again when they begin after that."""
    desk = Desk()
    for _ in range(3):
        desk.wait(1)
        desk.apply(trade("kraken", "1", "1", desk.now - 90 * S, received_ts=desk.now))
        assert desk.complete() == [False, False]
    wrong_ts = desk.now
    desk.wait(1)
    desk.apply(trade("kraken", "1", "1", desk.now))
    while desk.now < wrong_ts + 10 * S:
        assert desk.complete() == [False, False]
        desk.wait(1)
    desk.wait(1)
    assert desk.complete() == [True, False]
    desk.wait(50)
    assert desk.complete() == [True, True]


def test_what_says_nothing_of_a_late_feed() -> None:
    """A trade that was fetched later, one that is late by less than clocks may differ, one of another venue, one without a time."""
    desk = Desk("kraken", "binance")
    now = desk.now
    desk.apply(
        msgspec.structs.replace(trade("kraken", "1", "1", now - 8 * S, received_ts=now), backfilled=True),
        trade("kraken", "1", "1", now - 3 * S // 2, received_ts=now),
        trade("kraken", "1", "1", None, received_ts=now),
    )
    desk.wait(1)
    assert desk.complete() == [True, True]

    desk.apply(trade("kraken", "1", "1", desk.now - 8 * S, received_ts=desk.now), trade("binance", "1", "1", desk.now))
    desk.wait(1)
    assert desk.complete() == [False, False]
    assert desk.engine.counts.late["kraken"] == 3
