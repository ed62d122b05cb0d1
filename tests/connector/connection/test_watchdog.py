"""Which feeds are stale, with times as values: seconds since the connection opened."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape_connector.connection.watchdog import Stall, Watchdog
from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_connector.feeds.keys import FeedKey
from crosstape_schemas import FeedState
from tests.connector.fake_venue import instrument

START = 1_700_000_000
SECOND = 1_000_000_000


class Market:
    """Feeds that receive data when a test says so, and a watchdog that checks them once a second."""

    def __init__(self, *kinds: str) -> None:
        self.now = 0.0
        self.watchdog = Watchdog(stale_s=30.0, stale_min_s=5.0)
        self.records = [FeedRecord(instrument("AAAUSD"), kind) for kind in kinds]
        for record in self.records:
            record.opened_ts = START * 1_000_000_000
            record.confirmed = True

    @property
    def ns(self) -> int:
        """Return the time in ns."""
        return START * 1_000_000_000 + int(self.now * 1e9)

    def receive(self, *records: FeedRecord) -> None:
        """Let each of these feeds receive one event."""
        for record in records:
            record.count += 1
            record.received_ts = self.ns
            record.state = FeedState.LIVE

    def pass_time(
        self, seconds: float, each: Callable[[float], object] = lambda _: None, *, alive: bool = True
    ) -> list[tuple[float, Stall]]:
        """Let time pass in steps of a tenth of a second, and return what the watchdog found, with the times."""
        found = []
        for tenth in range(round(seconds * 10)):
            self.now = round(self.now + 0.1, 1)
            each(self.now)
            if tenth % 10 == 9:
                heard = self.ns if alive else START * 1_000_000_000
                found += [(self.now, stall) for stall in self.watchdog.find_stalls(self.records, heard, self.ns)]
        return found


def test_a_frequent_feed_that_stops_is_found_out_in_seconds() -> None:
    """Ten events a second, then none: stale after `stale_min_s`."""
    market = Market("quote")
    assert market.pass_time(60, lambda _: market.receive(market.records[0])) == []
    (found, *_) = market.pass_time(10)
    assert 65 < found[0] <= 67
    assert found[1].feed == FeedKey("quote", "AAA-USD")
    assert found[1].attempt == 1


def test_liquidations_are_never_stale_for_their_silence() -> None:
    """There may be none for hours, and the connection is alive. They do not keep a connection whose other feeds are dead."""
    market = Market("liquidation", "quote")
    liquidation, quote = market.records
    liquidation.can_probe = True
    market.pass_time(60, lambda _: market.receive(*market.records))
    found = market.pass_time(3_600, lambda _: market.receive(quote))
    assert found == []
    market.pass_time(300)
    assert market.watchdog.is_hopeless(market.records)


@pytest.mark.parametrize(("kind", "limit_s"), [("mark", 30), ("candle:1m", 120), ("funding", 120), ("open_interest", 120)])
def test_what_comes_with_trades_or_once_a_minute_has_longer_for_its_first_event(kind: str, limit_s: int) -> None:
    """The other feeds of the connection receive data meanwhile."""
    market = Market(kind, "quote")
    found = market.pass_time(200, lambda _: market.receive(market.records[1]))
    assert limit_s < found[0][0] <= limit_s + 2


def test_a_figure_that_comes_once_a_minute_is_live_between() -> None:
    """It is stale when it is late by its own measure."""
    market = Market("open_interest", "quote")
    interest, quote = market.records

    def each(now: float) -> None:
        market.receive(*((interest, quote) if now % 60 == 0 else (quote,)))

    assert market.pass_time(60 * 30, each) == []
    (found, *_) = market.pass_time(300, lambda _: market.receive(quote))
    assert 1_800 + 120 < found[0] < 1_800 + 240


def test_a_thin_pair_that_is_known_to_be_silent_for_43_seconds_is_left_alone() -> None:
    """Its history shows that such silences are normal."""
    market = Market("quote", "trade")
    quote, trade = market.records
    market.pass_time(0.1, lambda _: market.receive(quote))

    def receive(now: float) -> None:
        market.receive(trade)
        if round(now * 10) % 430 == 0:
            market.receive(quote)

    assert [stall for _, stall in market.pass_time(43 * 25, receive) if stall.feed.kind == "quote"] == []


def test_a_feed_with_few_events_is_not_judged() -> None:
    """A thin pair begins with one snapshot and then silence."""
    market = Market("book", "quote")
    market.pass_time(0.1, lambda _: market.receive(market.records[0]))
    assert [stall for _, stall in market.pass_time(600, lambda _: market.receive(market.records[1]))] == []


def test_a_feed_without_data_is_stale_while_others_have_data() -> None:
    """After `stale_s`: it was acknowledged, but misrouted or forgotten."""
    market = Market("quote", "ticker")
    found = market.pass_time(40, lambda _: market.receive(market.records[0]))
    assert [(when, stall.feed.kind) for when, stall in found] == [(31.0, "ticker")]


def test_trades_get_more_patience() -> None:
    """A market may have no trades: a trade feed without data is stale only after four times `stale_s`."""
    market = Market("quote", "trade")
    found = market.pass_time(130, lambda _: market.receive(market.records[0]))
    assert [(when, stall.feed.kind) for when, stall in found] == [(121.0, "trade")]


@pytest.mark.parametrize(
    ("kind", "after_s"), [("mark", 31.0), ("candle:1m", 121.0), ("candle:1d", 121.0), ("funding", 121.0), ("open_interest", 121.0)]
)
def test_figures_and_candles_that_never_come_are_found_out(kind: str, after_s: float) -> None:
    """The venue has acknowledged them, and does not know the symbol or sends it elsewhere. Those that may be rare get more patience."""
    market = Market("quote", kind)
    (found, *_) = market.pass_time(after_s + 5, lambda _: market.receive(market.records[0]))
    assert (found[0], found[1].feed.kind, found[1].attempt) == (after_s, kind, 1)
    assert found[1].reason == f"no data since it was subscribed {after_s:.3g} s ago"


def test_candles_that_stop_are_found_out() -> None:
    """They came with each trade, for minutes; the trades go on."""
    market = Market("trade", "candle:5m")
    assert market.pass_time(200, lambda _: market.receive(*market.records)) == []
    (found, *_) = market.pass_time(20, lambda _: market.receive(market.records[0]))
    assert (found[1].feed.kind, found[1].attempt) == ("candle:5m", 1)
    assert found[1].reason.startswith("silent for ")


def test_liquidations_that_do_not_come_prove_nothing() -> None:
    """They may not happen for days."""
    market = Market("quote", "liquidation")
    assert market.pass_time(4000, lambda _: market.receive(market.records[0])) == []


def test_nothing_is_judged_on_a_silent_connection() -> None:
    """All feeds of a dead connection stop. Another check finds the dead connection."""
    market = Market("quote")
    market.pass_time(60, lambda _: market.receive(market.records[0]))
    assert market.pass_time(60, alive=False) == []


def test_what_is_refused_or_not_confirmed_is_not_judged() -> None:
    """Such feeds cannot have data."""
    market = Market("quote", "ticker", "book")
    _, ticker, book = market.records
    ticker.state = FeedState.DOWN
    book.confirmed = False
    assert market.pass_time(200, lambda _: market.receive(market.records[0])) == []


def test_attempts_grow_apart_while_a_feed_is_silent_and_start_again_after_data() -> None:
    """A venue is not flooded with subscriptions in vain."""
    market = Market("quote", "ticker")
    quote, ticker = market.records
    found = market.pass_time(600, lambda _: market.receive(quote))
    whens = [when for when, _ in found]
    assert [stall.attempt for _, stall in found] == [1, 2, 3, 4]
    assert all(later - earlier > 1.9 * (earlier - before) for before, earlier, later in zip(whens, whens[1:], whens[2:], strict=False))
    market.receive(ticker)
    for _ in range(30):
        market.pass_time(1, lambda _: market.receive(quote, ticker))
    found = market.pass_time(1500, lambda _: market.receive(quote))
    assert found[0][1].attempt == 1


def test_a_connection_whose_feeds_are_all_silent_is_hopeless() -> None:
    """Acknowledged, with heartbeats, but all feeds have stopped and were subscribed again in vain."""
    market = Market("quote", "trade")
    market.pass_time(60, lambda _: market.receive(*market.records))
    assert not market.watchdog.is_hopeless(market.records)
    market.pass_time(6)
    assert not market.watchdog.is_hopeless(market.records)
    market.pass_time(60)
    assert market.watchdog.is_hopeless(market.records)
    market.receive(market.records[0])
    assert not market.watchdog.is_hopeless(market.records)


def test_a_feed_that_was_removed_is_unknown_when_it_comes_back() -> None:
    """Its count starts again, and its usual interval is unknown."""
    market = Market("quote", "trade")
    quote, other = market.records
    market.pass_time(60, lambda _: market.receive(quote, other))
    market.watchdog.forget("AAA-USD")
    quote.count, quote.received_ts = 0, 0
    quote.opened_ts = market.ns
    market.pass_time(1, lambda _: market.receive(other))
    market.receive(quote)

    assert market.pass_time(60, lambda _: market.receive(other)) == []  # one event gives no usual interval


def test_a_busy_minute_is_not_how_a_thin_pair_always_is() -> None:
    """It has many events, but only since a short time: its limit is `stale_s`, as without data."""
    market = Market("quote", "trade")
    quote, trade = market.records
    market.pass_time(4, lambda _: market.receive(quote, trade))

    found = market.pass_time(60, lambda _: market.receive(trade))

    assert [when for when, _ in found][:1] == [35.0]


def test_a_silence_of_the_connection_is_not_a_feeds() -> None:
    """A short network failure must not make the watchdog patient with feeds."""
    market = Market("quote")
    (quote,) = market.records
    market.pass_time(60, lambda _: market.receive(quote))
    market.pass_time(25, alive=False)
    market.pass_time(10, lambda _: market.receive(quote))

    (found, *_) = market.pass_time(10)

    assert found[0] <= 102


def test_a_stall_teaches_little() -> None:
    """The next stall is found almost as soon, however long the first was."""
    market = Market("quote", "trade")
    _, trade = market.records
    market.pass_time(60, lambda _: market.receive(*market.records))
    market.pass_time(300, lambda _: market.receive(trade))
    market.pass_time(60, lambda _: market.receive(*market.records))

    (found, *_) = market.pass_time(60, lambda _: market.receive(trade))

    assert found[0] - 420 <= 3 * 5 + 1


def test_what_the_venue_proves_to_be_complete_is_not_silent() -> None:
    """Heartbeats name the newest trade: a market without trades is healthy as long as they come."""
    market = Market("quote", "trade")
    quote, trade = market.records
    market.pass_time(60, lambda _: market.receive(*market.records))

    def prove(_: float) -> None:
        market.receive(quote)
        trade.proven_ts = market.ns

    assert market.pass_time(600, prove) == []
    (found, *_) = market.pass_time(20, lambda _: market.receive(quote))
    assert found[1].feed.kind == "trade"


def test_a_venue_that_can_be_asked_is_asked_before_a_feed_is_called_stale() -> None:
    """Halfway to the limit. If the market is quiet, the time until the next question doubles: a few questions per hour."""
    market = Market("book", "quote")
    book, quote = market.records
    book.can_probe = True
    asked: list[float] = []
    while market.now < 3_600:
        for when, stall in market.pass_time(1, lambda _: market.receive(quote)):
            assert stall.attempt == 0
            asked.append(when)
            book.proven_ts = market.ns

    assert asked[:5] == [16.0, 47.0, 108.0, 229.0, 350.0]
    assert len(asked) < 35


def test_a_venue_that_does_not_answer_proves_nothing() -> None:
    """It is asked once, then the feed is stale."""
    market = Market("book", "quote")
    book, quote = market.records
    book.can_probe = True

    found = market.pass_time(40, lambda _: market.receive(quote))

    assert [(when, stall.attempt) for when, stall in found] == [(16.0, 0), (31.0, 1)]


def test_a_connection_is_replaced_for_one_feed_only_after_resubscribing_in_vain() -> None:
    """Once per attempt, and after more attempts each time: a delisted pair must not cost a connection a minute."""
    market = Market("quote", "ticker")
    quote, ticker = market.records
    market.pass_time(60, lambda _: market.receive(quote, ticker))
    replaced: list[float] = []
    attempts: list[int] = []
    while market.now < 4_000:
        attempts += [stall.attempt for _, stall in market.pass_time(1, lambda _: market.receive(quote))]
        for feed in market.watchdog.find_futile(market.records):
            assert feed == FeedKey("ticker", "AAA-USD")
            assert attempts[-1] >= 2, "subscribed again first"
            replaced.append(market.now)
            for record in market.records:
                record.opened_ts = market.ns
            market.receive(quote)

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
    """With intervals from one to three times a base there is no false alarm.

    If the feed stops, it is stale within three times the longest interval, or the smallest limit in the settings, and one check.
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
