"""Tests when windows are complete: only while it is known that no trade is missing."""

from __future__ import annotations

import msgspec
import pytest

from crosstape_aggregator.consolidation.engine import Engine
from crosstape_schemas import CONSOLIDATED, Cbbo, Event, FeedState, Status
from tests.aggregator.builders import T0, S, X, alive, engine, quote, status, trade

LIVE, DOWN = FeedState.LIVE, FeedState.DOWN
ETH = "ETH-USDT"


class Market:
    """An engine that has caught up, with clocks that the test moves, and venues that are healthy."""

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
        """Apply these events now."""
        self.engine.apply(events, self.now)

    def say(self, venue: str, **changed: object) -> None:
        """Make a venue-wide status that is received now."""
        self.apply(msgspec.structs.replace(alive(venue, self.now), clock_offset_ns=self.alive.get(venue, 0), **changed))

    def wait(self, seconds: int, *, set_s: int = 0) -> None:
        """Let time pass, with signs of life of the venues; our clock may be set meanwhile."""
        self.now += set_s * S
        for _ in range(seconds):
            self.now += S
            self.monotonic += S
            for name in self.alive:
                self.say(name)
            self.look()

    def look(self) -> None:
        """Look, as the service does every second."""
        self.engine.look(self.unread, self.now, self.monotonic)

    def complete(self, instrument: str = X) -> list[bool]:
        """Whether each window is complete now."""
        found = [one.complete for one in self.engine.instruments[instrument].windows.read(self.now // S).values()]
        assert len(found) == 2
        return found


def test_windows_are_complete_while_all_is_as_it_should_be() -> None:
    """The streams are read, the venue is alive, its feed of trades is live, and clocks agree."""
    assert Market().complete() == [True, True]


def test_nothing_is_complete_before_it_was_looked_at() -> None:
    """Windows are not complete before the first look."""
    one = engine(windows=("10s",))
    one.apply([alive("kraken"), status("kraken", LIVE, kind="trade"), trade("kraken", "1", "1")], T0)
    one.instrument(X, T0).known_from(0)
    one.changed([X], T0)
    (found,) = one.due(T0)
    assert not found.vwap["10s"].complete


def test_windows_that_reach_back_to_what_a_venue_said_and_nobody_knows_are_not_complete() -> None:
    """The venue's stream was trimmed, so gaps or a wrong clock may be unknown. The stream of another venue does not matter."""
    market = Market()
    market.engine.unheard("binance", market.now)
    market.wait(2)
    assert market.complete() == [True, True]
    market.engine.unheard("kraken", market.now - 30 * S)
    market.wait(1)
    assert market.complete() == [True, False]
    market.wait(30)
    assert market.complete() == [True, True]


def test_what_a_checkpoint_has_heard_is_known() -> None:
    """A checkpoint contains the venue-wide events up to its moment."""
    for made_s, expected in ((-31, False), (-30, True)):
        market = Market()
        state = market.engine.instruments[X].state()
        assert state is not None
        market.engine.instruments[X].restore(state, market.now + made_s * S)
        market.engine.unheard("kraken", market.now - 30 * S)
        market.wait(1)
        assert market.complete() == [True, expected]


def test_streams_that_are_not_read_up_to_now_make_windows_incomplete() -> None:
    """An instrument's stream concerns this instrument, a venue's stream all of them. The change is published at once."""
    market = Market()
    market.engine.due(market.now)
    market.unread = {X}
    market.look()
    assert market.complete() == [False, False]
    assert [one.instrument for one in market.engine.due(market.now + S)] == [X]
    assert market.complete(ETH) == [True, True]
    market.unread = None
    market.look()
    assert market.complete(ETH) == [False, False]
    market.unread = set()
    market.look()
    assert market.complete() == market.complete(ETH) == [True, True]


def test_a_venue_that_gives_no_sign_of_life_makes_windows_incomplete() -> None:
    """Its trades may not be received. Only its instruments are affected. When it is back, gaps report what is missing."""
    market = Market("binance", "kraken")
    market.apply(trade("binance", "1", "1", market.now, instrument=ETH), status("binance", LIVE, kind="trade", instrument=ETH))
    del market.alive["kraken"]
    market.wait(3)
    assert (market.complete(), market.complete(ETH)) == ([False, False], [True, True])
    market.wait(600)
    assert market.complete() == [False, False]
    market.alive["kraken"] = 0
    market.wait(1)
    assert market.complete() == [True, True]


def test_a_venue_that_has_been_silent_for_a_day_has_no_part() -> None:
    """No window reaches back to its last trade."""
    market = Market("binance", "kraken")
    del market.alive["kraken"]
    market.wait(3)
    assert market.complete() == [False, False]
    market.now += 86_400 * S
    market.monotonic += 86_400 * S
    market.apply(trade("binance", "1", "1", market.now))
    market.wait(2)
    assert market.complete() == [True, True]


def test_a_venue_that_was_stopped_has_no_part_in_what_comes_after() -> None:
    """Windows that begin before the stop are incomplete, because the venue may have traded since."""
    market = Market("binance", "kraken")
    del market.alive["kraken"]
    market.say("kraken", state=DOWN, reason="stopped")
    assert market.complete() == [False, False]
    market.wait(10)
    assert market.complete() == [False, False]
    market.wait(1)
    assert market.complete() == [True, False]
    market.wait(50)
    assert market.complete() == [True, True]


@pytest.mark.parametrize("state", [DOWN, FeedState.CONNECTING])
def test_a_venue_without_a_connection_makes_windows_incomplete(state: FeedState) -> None:
    """Windows are incomplete at once, as long as the venue's status is not live."""
    market = Market()
    market.say("kraken", state=state, reason="503")
    assert market.complete() == [False, False]
    market.wait(1)
    assert market.complete() == [True, True]


@pytest.mark.parametrize("state", [DOWN, FeedState.STALE, FeedState.RECOVERING, FeedState.CONNECTING])
def test_a_feed_of_trades_that_is_not_live_makes_windows_incomplete(state: FeedState) -> None:
    """The change is published at once, before any gap. When the feed is live again, the next look makes windows complete."""
    market = Market()
    market.engine.due(market.now)
    market.apply(status("kraken", state, market.now, kind="trade"))
    assert market.complete() == [False, False]
    assert len(market.engine.due(market.now + S)) == 1
    market.apply(status("kraken", LIVE, market.now, kind="trade"))
    market.wait(1)
    assert market.complete() == [True, True]


def test_what_a_venue_does_not_list_is_not_waited_for() -> None:
    """The same is true if the venue has halted the instrument."""
    market = Market("binance", "kraken")
    market.apply(status("kraken", DOWN, market.now, kind="trade"), status("kraken", DOWN, market.now, kind="*"))
    market.wait(1)
    assert market.complete() == [True, True]
    market.apply(status("kraken", LIVE, market.now, kind="*"))
    market.wait(1)
    assert market.complete() == [False, False]


def test_a_connector_that_was_started_again_is_known_when_its_feed_is_live() -> None:
    """Its gaps arrive before this status."""
    market = Market()
    market.alive.clear()
    for _ in range(3):
        market.now += S
        market.monotonic += S
        market.say("kraken", epoch=2)
        market.look()
        assert market.complete() == [False, False]
    market.apply(msgspec.structs.replace(trade("kraken", "1", "1", market.now), epoch=2, backfilled=True))
    market.look()
    assert market.complete() == [False, False]
    market.apply(status("kraken", LIVE, market.now, kind="trade", epoch=2))
    market.look()
    assert market.complete() == [True, True]


@pytest.mark.parametrize("offset_s", [90, -30, 7_200, -7_200, 2.5, -2.5])
def test_a_clock_that_is_off_makes_windows_incomplete_until_wrong_seconds_have_left(offset_s: float) -> None:
    """The venue's clock may be ahead or behind. If it is ahead, later seconds are doubtful, too: one minute at most."""
    market = Market()
    market.alive["kraken"] = round(offset_s * S)
    market.wait(5)
    assert market.complete() == [False, False]
    market.alive["kraken"] = 0
    ahead_s = min(60, max(0, -offset_s))
    for length, index in ((10, 0), (60, 1)):
        left_s = int(length + ahead_s) + 1
        one = market if index else _copy(market)
        one.wait(left_s)
        assert not one.complete()[index]
        one.wait(2)
        assert one.complete()[index]


def _copy(market: Market) -> Market:
    """The same story as far as it goes."""
    again = Market()
    offset = market.engine.clock_offsets_ns()["kraken"]
    again.alive["kraken"] = offset
    again.wait(5)
    again.alive["kraken"] = 0
    return again


@pytest.mark.parametrize("offset_s", [1.27, -1.27, 2.0, -2.0])
def test_a_clock_within_the_tolerance_does_no_harm(offset_s: float) -> None:
    """One recorder of the corpus was 1.27 s behind its venue."""
    market = Market()
    market.alive["kraken"] = round(offset_s * S)
    market.wait(5)
    assert market.complete() == [True, True]


def test_the_clock_of_a_connector_that_does_not_say_is_measured_by_its_trades() -> None:
    """Only live trades are used, because backfilled ones are received late."""
    market = Market()

    def trades(behind_s: int, *, backfilled: bool = False) -> None:
        market.now += S
        market.monotonic += S
        event = trade("kraken", "1", "1", market.now - behind_s * S, received_ts=market.now)
        market.apply(msgspec.structs.replace(event, backfilled=backfilled))
        market.apply(alive("kraken", market.now))
        market.look()

    market.engine._venues.venue("kraken").clock.clear()
    trades(0)
    trades(0)
    assert market.complete() == [True, True]
    trades(3_000, backfilled=True)
    assert market.complete() == [True, True]
    for _ in range(62):
        trades(90)
    assert market.complete() == [False, False]
    assert market.engine.clock_offsets_ns() == {"kraken": 90 * S}


def test_the_connectors_clock_may_differ_from_ours() -> None:
    """The connector runs on another host. Its clock agrees with the venue's, ours does not."""
    market = Market()
    market.alive.clear()
    market.apply(status("kraken", LIVE, market.now, kind="trade", epoch=2))
    for _ in range(100):
        market.now += S
        market.monotonic += S
        market.apply(msgspec.structs.replace(alive("kraken", market.now - 90 * S, epoch=2), clock_offset_ns=0))
        market.look()
    assert market.engine.clock_offsets_ns() == {"kraken": 90 * S}
    assert market.complete() == [False, False]


@pytest.mark.parametrize("set_s", [-90, 90])
def test_when_our_own_clock_is_set_nothing_is_known_for_a_minute(set_s: int) -> None:
    """The offsets that connectors report are also measured over the last minute."""
    market = Market()
    market.wait(1, set_s=set_s)
    assert market.complete() == [False, False]
    market.wait(58)
    assert market.complete() == [False, False]
    market.wait(100)
    assert market.complete() == [True, True]


def test_what_was_said_of_clocks_in_the_past_concerns_the_trades_of_then() -> None:
    """A restarted aggregator reads past statuses. If only the connector's clock was wrong, no second is doubtful."""
    market = Market()
    then = market.now - 30 * S
    said = msgspec.structs.replace(alive("kraken", then), clock_offset_ns=90 * S)
    assert isinstance(said, Status)
    market.engine.apply_past(said, then - 90 * S)
    market.look()
    assert market.complete() == [True, True]
    market.engine.apply_past(said, then)
    market.look()
    assert market.complete() == [True, False]


def test_an_aggregators_sign_of_life_is_no_venue() -> None:
    """It has no leg, and its trades are not expected."""
    market = Market()
    market.apply(Status(CONSOLIDATED, "*", None, market.now, "*", DOWN, "stopped", epoch=9))
    market.wait(1)
    assert market.complete() == [True, True]
    assert CONSOLIDATED not in market.engine.clock_offsets_ns()


def test_the_quote_says_it() -> None:
    """A quote is published when `complete` changes."""
    market = Market()
    for complete in (True, False):
        found = {one.instrument: one for one in market.engine.due(market.now)}
        assert isinstance(found[X], Cbbo)
        assert found[X].vwap["1m"].complete is complete
        market.alive.clear()
        market.wait(3)


def test_a_feed_of_trades_that_is_late() -> None:
    """The venue's clock is right, because its other feeds are on time. Trades on their way are missing, until all have arrived in order."""
    market = Market()
    market.wait(9)
    assert market.complete() == [True, True]

    for _ in range(3):
        market.wait(1)
        market.apply(trade("kraken", "1", "1", market.now - 8 * S, received_ts=market.now))
        assert market.complete() == [False, False]
    market.wait(1)
    assert market.complete() == [False, False]
    market.apply(trade("kraken", "1", "1", market.now))
    market.wait(1)
    assert market.complete() == [True, True]


def test_a_venue_whose_trades_go_back_in_time() -> None:
    """The venue's clock was set back, so its trades count in wrong seconds. Later windows are complete again."""
    market = Market()
    for _ in range(3):
        market.wait(1)
        market.apply(trade("kraken", "1", "1", market.now - 90 * S, received_ts=market.now))
        assert market.complete() == [False, False]
    wrong_ts = market.now
    market.wait(1)
    market.apply(trade("kraken", "1", "1", market.now))
    while market.now < wrong_ts + 10 * S:
        assert market.complete() == [False, False]
        market.wait(1)
    market.wait(1)
    assert market.complete() == [True, False]
    market.wait(50)
    assert market.complete() == [True, True]


def test_what_says_nothing_of_a_late_feed() -> None:
    """Not late: a backfilled trade, a delay within the tolerance, a trade of another venue, a trade without a venue time."""
    market = Market("kraken", "binance")
    now = market.now
    market.apply(
        msgspec.structs.replace(trade("kraken", "1", "1", now - 8 * S, received_ts=now), backfilled=True),
        trade("kraken", "1", "1", now - 3 * S // 2, received_ts=now),
        trade("kraken", "1", "1", None, received_ts=now),
    )
    market.wait(1)
    assert market.complete() == [True, True]

    market.apply(trade("kraken", "1", "1", market.now - 8 * S, received_ts=market.now), trade("binance", "1", "1", market.now))
    market.wait(1)
    assert market.complete() == [False, False]
    assert market.engine.counts.late["kraken"] == 3
