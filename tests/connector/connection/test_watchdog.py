"""Which feeds are stale, with times as values: seconds since the connection opened."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape_connector.connection.watchdog import Stall, Watchdog
from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.keys import FeedKey
from crosstape_schemas import FeedState
from tests.connector.rig import instrument

START = 1_700_000_000
SECOND = 1_000_000_000


class Market:
    """Feeds that speak when told, and a watchdog that looks once a second while time passes."""

    def __init__(self, *kinds: str) -> None:
        self.now = 0.0
        self.watchdog = Watchdog(stale_s=30.0, stale_min_s=5.0)
        self.records = [FeedRecord(instrument("AAAUSD"), kind) for kind in kinds]
        for record in self.records:
            record.opened_ts = START * 1_000_000_000
            record.confirmed = True

    @property
    def ns(self) -> int:
        """The time."""
        return START * 1_000_000_000 + int(self.now * 1e9)

    def speak(self, *records: FeedRecord) -> None:
        """One event each."""
        for record in records:
            record.count += 1
            record.received_ts = self.ns
            record.state = FeedState.LIVE

    def pass_time(
        self, seconds: float, each: Callable[[float], object] = lambda _: None, *, alive: bool = True
    ) -> list[tuple[float, Stall]]:
        """A tenth of a second at a time; what the watchdog said when."""
        found = []
        for tenth in range(round(seconds * 10)):
            self.now = round(self.now + 0.1, 1)
            each(self.now)
            if tenth % 10 == 9:
                heard = self.ns if alive else START * 1_000_000_000
                found += [(self.now, stall) for stall in self.watchdog.find_stalls(self.records, heard, self.ns)]
        return found


def test_a_frequent_feed_that_stops_is_found_out_in_seconds() -> None:
    """Ten a second, then none: stale after `stale_min_s`."""
    market = Market("quote")
    assert market.pass_time(60, lambda _: market.speak(market.records[0])) == []
    (found, *_) = market.pass_time(10)
    assert 65 < found[0] <= 67
    assert found[1].feed == FeedKey("quote", "AAA-USD")
    assert found[1].attempt == 1


def test_a_thin_pair_that_is_known_to_be_silent_for_43_seconds_is_left_alone() -> None:
    """Its own past says that this is how it is."""
    market = Market("quote", "trade")
    quote, trade = market.records
    market.pass_time(0.1, lambda _: market.speak(quote))

    def speak(now: float) -> None:
        market.speak(trade)
        if round(now * 10) % 430 == 0:
            market.speak(quote)

    assert [stall for _, stall in market.pass_time(43 * 25, speak) if stall.feed.kind == "quote"] == []


def test_a_feed_that_spoke_seldom_is_not_judged() -> None:
    """One snapshot and silence is how a thin pair begins."""
    market = Market("book", "quote")
    market.pass_time(0.1, lambda _: market.speak(market.records[0]))
    assert [stall for _, stall in market.pass_time(600, lambda _: market.speak(market.records[1]))] == []


def test_a_feed_that_never_spoke_is_stale_while_others_flow() -> None:
    """After `stale_s`: acknowledged, and misrouted or forgotten."""
    market = Market("quote", "ticker")
    found = market.pass_time(40, lambda _: market.speak(market.records[0]))
    assert [(when, stall.feed.kind) for when, stall in found] == [(31.0, "ticker")]


def test_trades_get_more_patience() -> None:
    """Nobody need trade: four times `stale_s` before a feed of them that never spoke is doubted."""
    market = Market("quote", "trade")
    found = market.pass_time(130, lambda _: market.speak(market.records[0]))
    assert [(when, stall.feed.kind) for when, stall in found] == [(121.0, "trade")]


def test_nothing_is_judged_on_a_silent_connection() -> None:
    """All feeds of a dead connection stop: that is the connection's fault, and found out otherwise."""
    market = Market("quote")
    market.pass_time(60, lambda _: market.speak(market.records[0]))
    assert market.pass_time(60, alive=False) == []


def test_what_is_refused_or_not_confirmed_is_not_judged() -> None:
    """Neither can speak."""
    market = Market("quote", "ticker", "book")
    _, ticker, book = market.records
    ticker.state = FeedState.DOWN
    book.confirmed = False
    assert market.pass_time(200, lambda _: market.speak(market.records[0])) == []


def test_attempts_grow_apart_while_it_stays_silent_and_begin_anew_when_it_spoke() -> None:
    """A venue is not flooded with subscriptions for what does not come."""
    market = Market("quote", "ticker")
    quote, ticker = market.records
    found = market.pass_time(600, lambda _: market.speak(quote))
    whens = [when for when, _ in found]
    assert [stall.attempt for _, stall in found] == [1, 2, 3, 4]
    assert all(later - earlier > 1.9 * (earlier - before) for before, earlier, later in zip(whens, whens[1:], whens[2:], strict=False))
    market.speak(ticker)
    for _ in range(30):
        market.pass_time(1, lambda _: market.speak(quote, ticker))
    found = market.pass_time(1500, lambda _: market.speak(quote))
    assert found[0][1].attempt == 1


def test_a_connection_of_whose_feeds_none_speaks_is_hopeless() -> None:
    """Acknowledged, heartbeats flow, all feeds stopped, each subscribed anew in vain."""
    market = Market("quote", "trade")
    market.pass_time(60, lambda _: market.speak(*market.records))
    assert not market.watchdog.is_hopeless(market.records)
    market.pass_time(6)
    assert not market.watchdog.is_hopeless(market.records)
    market.pass_time(60)
    assert market.watchdog.is_hopeless(market.records)
    market.speak(market.records[0])
    assert not market.watchdog.is_hopeless(market.records)


def test_a_feed_that_was_removed_is_unknown_when_it_comes_back() -> None:
    """Its count begins anew, and so does what is known of its pace."""
    market = Market("quote", "trade")
    quote, other = market.records
    market.pass_time(60, lambda _: market.speak(quote, other))
    market.watchdog.forget("AAA-USD")
    quote.count, quote.received_ts = 0, 0
    quote.opened_ts = market.ns
    market.pass_time(1, lambda _: market.speak(other))
    market.speak(quote)

    assert market.pass_time(60, lambda _: market.speak(other)) == []  # one word is no pace


def test_a_busy_minute_is_not_how_a_thin_pair_always_is() -> None:
    """Known by its number of events, but not for long: it has `stale_s`, as one that never spoke."""
    market = Market("quote", "trade")
    quote, trade = market.records
    market.pass_time(4, lambda _: market.speak(quote, trade))

    found = market.pass_time(60, lambda _: market.speak(trade))

    assert [when for when, _ in found][:1] == [35.0]


def test_a_silence_of_the_connection_is_not_a_feeds() -> None:
    """A network that hiccups must not make the watchdog patient with feeds."""
    market = Market("quote")
    (quote,) = market.records
    market.pass_time(60, lambda _: market.speak(quote))
    market.pass_time(25, alive=False)
    market.pass_time(10, lambda _: market.speak(quote))

    (found, *_) = market.pass_time(10)

    assert found[0] <= 102


def test_a_stall_teaches_little() -> None:
    """The next one is found almost as soon, however long the first was."""
    market = Market("quote", "trade")
    _, trade = market.records
    market.pass_time(60, lambda _: market.speak(*market.records))
    market.pass_time(300, lambda _: market.speak(trade))
    market.pass_time(60, lambda _: market.speak(*market.records))

    (found, *_) = market.pass_time(60, lambda _: market.speak(trade))

    assert found[0] - 420 <= 3 * 5 + 1


def test_what_the_venue_proves_to_be_complete_is_not_silent() -> None:
    """Heartbeats that name the newest trade: a market in which nobody trades is well for as long as they come."""
    market = Market("quote", "trade")
    quote, trade = market.records
    market.pass_time(60, lambda _: market.speak(*market.records))

    def prove(_: float) -> None:
        market.speak(quote)
        trade.proven_ts = market.ns

    assert market.pass_time(600, prove) == []
    (found, *_) = market.pass_time(20, lambda _: market.speak(quote))
    assert found[1].feed.kind == "trade"


def test_a_venue_that_can_be_asked_is_asked_before_a_feed_is_called_stale() -> None:
    """When half of its time is over, and if it is quiet after twice as long each time: a few questions an hour."""
    market = Market("book", "quote")
    book, quote = market.records
    book.can_probe = True
    asked: list[float] = []
    while market.now < 3_600:
        for when, stall in market.pass_time(1, lambda _: market.speak(quote)):
            assert stall.attempt == 0
            asked.append(when)
            book.proven_ts = market.ns

    assert asked[:5] == [16.0, 47.0, 108.0, 229.0, 350.0]
    assert len(asked) < 35


def test_a_venue_that_does_not_answer_proves_nothing() -> None:
    """Asked once, then stale."""
    market = Market("book", "quote")
    book, quote = market.records
    book.can_probe = True

    found = market.pass_time(40, lambda _: market.speak(quote))

    assert [(when, stall.attempt) for when, stall in found] == [(16.0, 0), (31.0, 1)]


def test_a_connection_is_replaced_for_one_feed_only_after_subscribing_it_anew_in_vain() -> None:
    """Once per attempt, and after ever more of them: a pair that is delisted must not cost a connection a minute."""
    market = Market("quote", "ticker")
    quote, ticker = market.records
    market.pass_time(60, lambda _: market.speak(quote, ticker))
    replaced: list[float] = []
    attempts: list[int] = []
    while market.now < 4_000:
        attempts += [stall.attempt for _, stall in market.pass_time(1, lambda _: market.speak(quote))]
        for feed in market.watchdog.find_futile(market.records):
            assert feed == FeedKey("ticker", "AAA-USD")
            assert attempts[-1] >= 2, "subscribed anew first"
            replaced.append(market.now)
            for record in market.records:
                record.opened_ts = market.ns
            market.speak(quote)

    assert replaced[0] < 60 + 5 + 3 * 5 + 2
    assert 3 <= len(replaced) <= 6
    waits = [later - before for before, later in itertools.pairwise(replaced)]
    assert waits == sorted(waits)


# ---- whatever the pace


@given(
    base=st.floats(0.05, 40),
    factors=st.lists(st.floats(1.0, 3.0), min_size=30, max_size=120),
    offset=st.floats(0, 1),
)
@settings(max_examples=60, deadline=None)
def test_a_feed_of_bounded_jitter_is_never_called_stale_and_found_out_when_it_stops(
    base: float, factors: list[float], offset: float
) -> None:
    """Intervals between one and three times a base: no false alarm. Cut off anywhere: stale within three times the longest of them, or
    the least that settings allow, and a look.
    """
    watchdog = Watchdog(stale_s=30.0, stale_min_s=5.0)
    record = FeedRecord(instrument("AAAUSD"), "quote")
    record.opened_ts, record.confirmed = START * SECOND, True
    looked = START * SECOND + int(offset * SECOND)
    now = START * SECOND
    for factor in factors:
        now += int(base * factor * SECOND)
        while looked < now:
            assert watchdog.find_stalls([record], looked, looked) == []
            looked += SECOND
        record.count, record.received_ts, record.state = record.count + 1, now, FeedState.LIVE
    longest = base * max(factors)
    young = 30.0 if base * sum(factors[1:]) < 30 else 0.0

    while not watchdog.find_stalls([record], looked, looked):
        looked += SECOND
        assert looked - now <= (max(5.0, 3 * longest, young) + 2) * SECOND

    assert looked - now > min(5.0, 3 * base) * SECOND
