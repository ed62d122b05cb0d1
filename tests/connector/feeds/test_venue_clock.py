"""The offset of our clock to a venue's, measured with the data of the feeds."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import FeedKey, Topic
from crosstape_connector.feeds.venue_clock import RISEN, WINDOW_S, ClockOffset
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, TradeSnapshot
from crosstape_schemas import Quote, Side, Trade
from tests.connector.fake_venue import ID, fake, instrument

NAME: Final = "AAA-USD"
SECOND: Final = 1_000_000_000
MS: Final = 1_000_000


class Play:
    """A venue with three feeds, and our clock `ahead_s` ahead of the venue's. Each step is a second."""

    def __init__(self, ahead_s: float = 0.0) -> None:
        self.feeds = FeedHandler(fake(), {NAME: instrument("AAAUSD")}, ("trade", "quote", "book"), book_depth=10, book_interval_ns=0)
        topics = [Topic("main", channel, "AAAUSD") for channel in ("trades", "quotes", "book")]
        self.feeds.open_topics(topics, 1)
        self.clock = ClockOffset()
        self.ahead_s = ahead_s
        self.venue_now = 1_700_000_000 * SECOND
        self.steady_s = 0.0
        self.number = 0

    @property
    def now(self) -> int:
        """Return the time of our clock."""
        return self.venue_now + round(self.ahead_s * SECOND)

    def trade(self, *, way_ms: float = 5.0, old_s: float = 0.0) -> None:
        """Receive a live trade that was on its way for this long."""
        self.number += 1
        received_ts = self.now + round(way_ms * MS)
        venue_ts = self.venue_now - round(old_s * SECOND)
        self.feeds.apply(Trade(ID, NAME, venue_ts, received_ts, Decimal(1), Decimal(1), Side.BUY, str(self.number)))

    def quote(self, venue_ts: int | None) -> None:
        """Receive a quote with this time."""
        self.feeds.apply(Quote(ID, NAME, venue_ts, self.now, Decimal(1), Decimal(1), Decimal(2), Decimal(1)))

    def measure(self) -> float | None:
        """Let a second pass, and return the measured offset."""
        self.clock.measure(self.feeds.records.values(), self.steady_s)
        self.venue_now += SECOND
        self.steady_s += 1.0
        offset_ns = self.clock.offset_ns
        return None if offset_ns is None else offset_ns / SECOND

    def trades(self, count: int, *, way_ms: float = 5.0) -> float | None:
        """Receive one trade per second."""
        offset_s = None
        for _ in range(count):
            self.trade(way_ms=way_ms)
            offset_s = self.measure()
        return offset_s


def test_the_offset_is_the_smallest_difference_of_the_last_minute() -> None:
    """The frame with the smallest difference was on its way for the shortest time."""
    play = Play(90.0)
    play.trades(2, way_ms=80)
    play.trades(1, way_ms=3)
    assert play.trades(50, way_ms=200) == 90.003
    assert play.trades(20, way_ms=200) == 90.2, "that was more than a minute ago"


def test_a_venue_that_is_ahead_makes_it_negative() -> None:
    """It is never clamped."""
    assert Play(-30.0).trades(3) == -29.995


def test_without_usable_data_it_is_not_known() -> None:
    """Also a minute after the last usable data, because clocks drift."""
    play = Play()
    assert play.measure() is None
    play.trades(3)
    for _ in range(round(WINDOW_S)):
        assert play.measure() is not None
    for _ in range(3):
        play.measure()
    assert play.measure() is None


def test_a_quote_without_a_time_is_no_sample() -> None:
    """Binance's best bid and ask have no time."""
    play = Play()
    for _ in range(5):
        play.quote(None)
        assert play.measure() is None


def test_old_data_are_no_samples() -> None:
    """A replay of trades, a snapshot, a repeated quote of a quiet market and a late trade are all older than their frame."""
    play = Play()
    play.trade()
    play.measure()
    old = play.venue_now - 40 * SECOND

    def trade(number: int) -> Trade:
        return Trade(ID, NAME, old + number, play.now, Decimal(1), Decimal(1), Side.BUY, str(number), True)

    play.feeds.close_topics([Topic("main", "trades", "AAAUSD")], play.now, "lost")
    play.feeds.open_topics([Topic("main", "trades", "AAAUSD")], play.now)
    for number in range(2, 9):
        play.feeds.apply(TradeSnapshot(NAME, play.now, (trade(number), trade(number + 1))))
        play.feeds.apply(BookSnapshot(NAME, old + number, play.now, ((Decimal(1), Decimal(1)),), ((Decimal(2), Decimal(1)),), number))
        play.quote(old)
        assert play.measure() is None

    play.feeds.apply(BookUpdate(NAME, play.venue_now, play.now + 7 * MS, ((Decimal(1), Decimal(3)),), (), 9, 9))
    assert play.measure() == 0.007


def test_a_late_trade_with_a_newer_time_is_not_taken_for_a_clock_that_is_ahead() -> None:
    """Its frame was received later than the frame that the feed remembers."""
    play = Play()
    play.trades(3)
    play.number += 1  # a trade that comes late …
    line = play.feeds.trades.sequences[NAME]
    late = Trade(ID, NAME, play.venue_now + 9 * SECOND, play.now + 9 * SECOND, Decimal(1), Decimal(1), Side.BUY, str(play.number))
    play.trade()
    play.measure()
    line.venue_ts = play.venue_now  # … as it is after the venue's word of it
    play.feeds.apply(late)
    assert play.measure() == 0.005


def test_one_wrong_time_does_not_spoil_a_minute() -> None:
    """A single frame may have a wrong time. After a step of the clock, all later frames show it."""
    play = Play()
    play.trades(10)
    play.trade(old_s=-500.0)
    assert play.measure() == 0.005
    assert play.trades(10) == 0.005
    play.trade(old_s=86_400.0 * 20_000)
    assert play.measure() == 0.005


def test_the_venues_clock_is_set() -> None:
    """A step forward shows with the second sample, a step back with the fifth: a minute would be too long."""
    play = Play()
    play.trades(30)
    play.ahead_s = -30.0
    assert play.trades(2) == -29.995
    play.trades(30)
    play.ahead_s = 0.0
    assert play.trades(RISEN) == 0.005


def test_our_clock_is_set() -> None:
    """`restart` is called when the step is noticed, and forgets all samples at once."""
    play = Play()
    play.trades(30)
    play.trade()
    play.ahead_s = 7_200.0
    play.clock.restart(play.feeds.records.values())
    assert play.measure() is None, "what was received before is not compared with the clock as it is now"
    assert play.trades(1) == 7_200.005


def test_a_feed_that_is_removed_is_forgotten() -> None:
    """Memory does not grow as instruments come and go."""
    play = Play()
    play.trades(3)
    play.feeds.remove_instrument(NAME, play.now)
    play.measure()
    assert play.clock._seen == {}
    assert FeedKey("trade", NAME) not in play.feeds.records


@given(
    ahead_s=st.floats(-7_200, 7_200),
    ways_ms=st.lists(st.floats(0.1, 900.0), min_size=2, max_size=120),
)
def test_it_is_right_within_the_way_of_a_frame(ahead_s: float, ways_ms: list[float]) -> None:
    """It is never below the true offset, and above it by at most the shortest way of the newest samples."""
    play = Play(ahead_s)
    play.trade()
    play.measure()
    for at, way_ms in enumerate(ways_ms):
        play.trade(way_ms=way_ms)
        offset_s = play.measure()
        assert offset_s is not None
        shortest_s = min(ways_ms[max(0, at - 59) : at + 1]) / 1_000
        assert ahead_s - 1e-6 <= offset_s <= ahead_s + shortest_s + 1e-6
