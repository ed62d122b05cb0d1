"""Signs of life: whose last values are current, whatever the clocks of hosts say and however late statuses arrive."""

from __future__ import annotations

import math
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from crosstape import Life, SignsOfLife
from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, Bar, Candle, Cbbo, FeedState, Mark, Market, Quote, Side, Status, Trade

S = 1_000_000_000
WALL = 1_800_000_000 * S
"""The reader's wall clock when its monotonic one says 0."""


def sign(at_s: float, *, venue: str = "binance", kind: str = VENUE_WIDE, epoch: int = 7, state: FeedState = FeedState.LIVE) -> Status:
    """A venue-wide status given at `at_s` by a producer whose clock agrees with ours; `seq` grows with the time."""
    return Status(venue, VENUE_WIDE, None, WALL + round(at_s * S), kind, state, epoch=epoch, seq=1 + max(0, round(at_s * 1000)))


def quote(epoch: int = 7, venue: str = "binance") -> Quote:
    """Returns a quote of the connector's start with this epoch."""
    one = Decimal(1)
    return Quote(venue, "BTC-USDT", None, WALL, one, one, one, one, epoch=epoch, seq=1)


def trade(epoch: int = 7) -> Trade:
    """Returns a trade of the connector's start with this epoch."""
    return Trade("binance", "BTC-USDT", None, WALL, Decimal(1), Decimal(1), Side.BUY, "1", epoch=epoch, seq=1)


def candle(epoch: int = 7, *, closed: bool = False) -> Candle:
    """Returns a candle of the connector's start with this epoch."""
    one = Decimal(1)
    return Candle("binance", "BTC-USDT", None, WALL, "1m", WALL, WALL + 60 * S, one, one, one, one, one, closed=closed, epoch=epoch, seq=1)


def cbbo(epoch: int = 9) -> Cbbo:
    """Returns a consolidated quote of the aggregator's start with this epoch."""
    return Cbbo(
        CONSOLIDATED, "BTC-USDT", None, WALL, ts=WALL, bid_price=None, bid_size=None, bid_venues=(), ask_price=None, ask_size=None,
        ask_venues=(), mid=None, spread=None, spread_bps=None, market=Market.EMPTY, venues=0, vwap={}, legs=(), epoch=epoch, seq=1,
    )  # fmt: skip


def apply(signs: SignsOfLife, status: Status, at_s: float) -> None:
    """Apply a status that arrives at `at_s` of our monotonic clock."""
    signs.apply(status, at_s, WALL + round(at_s * S))


def test_a_quote_is_current_while_its_connector_gives_signs_of_life() -> None:
    """And for three seconds after the last one."""
    signs = SignsOfLife()
    assert not signs.is_current(quote(), 0.0)
    for second in range(5):
        apply(signs, sign(second), second)
    assert signs.is_current(quote(), 4.0)
    assert signs.is_current(quote(), 6.9)
    assert not signs.is_current(quote(), 7.0)
    assert not signs.is_current(quote(venue="kraken"), 4.0)


def test_an_orderly_end_counts_at_once() -> None:
    """A venue-wide `down`, too, whose connector goes on: its quotes are of no use."""
    signs = SignsOfLife()
    apply(signs, sign(0), 0)
    apply(signs, sign(0.5, state=FeedState.DOWN), 0.5)
    assert not signs.is_current(quote(), 0.5)
    apply(signs, sign(1), 1)
    assert signs.is_current(quote(), 1)


def test_a_venue_that_is_partly_well_is_alive() -> None:
    """Each of its feeds says itself how it is."""
    signs = SignsOfLife()
    apply(signs, sign(0, state=FeedState.STALE), 0)
    assert signs.is_current(quote(), 0)


def test_values_of_the_start_before_are_not_current() -> None:
    """States, that is, which the connector repeats after a restart; a trade stays one of a venue whose connector is alive, and so does a
    closed candle.
    """
    signs = SignsOfLife()
    apply(signs, sign(0, epoch=8), 0)
    assert not signs.is_current(quote(epoch=7), 0)
    assert signs.is_current(trade(epoch=7), 0)
    assert not signs.is_current(trade(epoch=9), 0)
    assert not signs.is_current(candle(epoch=7), 0)
    assert signs.is_current(candle(epoch=8), 0)
    assert signs.is_current(candle(epoch=7, closed=True), 0)
    assert not signs.is_current(Mark("binance", "BTC-USDT", None, WALL, Decimal(1), epoch=7, seq=1), 0)


def test_a_consolidated_quote_needs_its_own_aggregator() -> None:
    """With several shares, it needs the aggregator that published it; signs of life of the others do not count."""
    signs = SignsOfLife()
    apply(signs, sign(0, venue=CONSOLIDATED, kind="share.0", epoch=9), 0)
    apply(signs, sign(0, venue=CONSOLIDATED, kind="share.1", epoch=10), 0)
    assert signs.is_current(cbbo(9), 0)
    assert signs.is_current(cbbo(10), 0)
    assert not signs.is_current(cbbo(11), 0)
    apply(signs, sign(2, venue=CONSOLIDATED, kind="share.1", epoch=10), 2)
    assert not signs.is_current(cbbo(9), 4)
    assert signs.is_current(cbbo(10), 4)
    assert signs.is_alive(CONSOLIDATED, 4)


def test_a_bar_of_a_venue_is_the_aggregators() -> None:
    """The venue's connector says nothing about it."""
    one = Decimal(1)
    bar = Bar("binance", "BTC-USDT", None, WALL, "1m", WALL, WALL + 60 * S, one, one, one, one, one, one, 1, None, epoch=9, seq=1)
    signs = SignsOfLife()
    apply(signs, sign(0, epoch=9), 0)
    assert not signs.is_current(bar, 0)
    apply(signs, sign(0, venue=CONSOLIDATED, epoch=9), 0)
    assert signs.is_current(bar, 0)


def test_a_status_of_one_kind_of_feeds_is_no_sign_of_life() -> None:
    """Nor is one of an instrument."""
    signs = SignsOfLife()
    apply(signs, sign(0, kind="trade"), 0)
    apply(signs, msgspec.structs.replace(sign(0), instrument="BTC-USDT"), 0)
    assert not signs.is_current(quote(), 0)


def test_an_older_start_says_nothing_while_the_newer_lives() -> None:
    """Once that is silent, what gives signs of life is alive: the newer one may have had a wrong clock on a server that was emptied."""
    signs = SignsOfLife()
    apply(signs, sign(0, epoch=8), 0)
    apply(signs, sign(0.1, epoch=7), 0.1)
    assert not signs.is_current(quote(7), 0.1)
    apply(signs, sign(5, epoch=7), 5)
    assert signs.is_current(quote(7), 5)


def test_what_turned_is_reported_once() -> None:
    """Alive, silent, and a restart as the beginning of a new one; `next_silence_s` says when to look again."""
    signs = SignsOfLife()
    assert signs.next_silence_s(0) == math.inf
    apply(signs, sign(0), 0)
    assert signs.turned(0) == [Life("binance", VENUE_WIDE, 7, alive=True)]
    assert signs.turned(1) == []
    assert signs.next_silence_s(1) == 2
    assert signs.turned(3) == [Life("binance", VENUE_WIDE, 7, alive=False)]
    assert signs.turned(4) == []
    apply(signs, sign(4), 4)
    apply(signs, sign(4.5, epoch=8), 4.5)
    assert signs.turned(4.5) == [Life("binance", VENUE_WIDE, 8, alive=True)]


@given(skew_s=st.floats(-7200, 7200), jitter_s=st.lists(st.floats(0, 0.2), min_size=3, max_size=30))
def test_clocks_of_hosts_do_not_matter(skew_s: float, jitter_s: list[float]) -> None:
    """From the second status on: a status that arrives at the usual pace is a sign of life, whatever its producer's clock says."""
    signs = SignsOfLife()
    for second, late_s in enumerate(jitter_s):
        at_s = second + late_s
        signs.apply(sign(second + skew_s), at_s, WALL + round(at_s * S))
        assert second == 0 or signs.is_current(quote(), at_s)


@given(
    skew_s=st.floats(-3600, 3600),
    lived=st.integers(3, 10),
    held_back=st.integers(0, 10),
    away_s=st.floats(0, 600),
    between_s=st.floats(0, 0.01),
)
def test_a_backlog_is_no_sign_of_life(skew_s: float, lived: int, held_back: int, away_s: float, between_s: float) -> None:
    """Statuses that an outage held back arrive together; their producer, which ended meanwhile, does not come to life by that."""
    signs = SignsOfLife()
    for second in range(lived):
        signs.apply(sign(second + skew_s), second, WALL + second * S)
    last_s = lived - 1 + held_back
    now_s = last_s + away_s
    for second in range(lived, lived + held_back):
        now_s += between_s
        signs.apply(sign(second + skew_s), now_s, WALL + round(now_s * S))
    alive_until_s = last_s + 3
    assert signs.is_current(quote(), now_s) <= (now_s < alive_until_s + 0.5)
    assert not signs.is_current(quote(), alive_until_s + 0.5)


def test_a_whole_history_is_no_sign_of_life() -> None:
    """A reader from the beginning gets hours of statuses at once; those of the last three seconds count."""
    signs = SignsOfLife()
    for second in range(3600):
        apply(signs, sign(second), 7200)
    assert not signs.is_current(quote(), 7200)
    for second in range(3600, 7200):
        apply(signs, sign(second), 7200)
    assert signs.is_current(quote(), 7200)


def test_the_reader_s_own_clock_may_be_set() -> None:
    """Two hours on, and back."""
    signs = SignsOfLife()
    for second in range(10):
        step_s = 7200 if 3 <= second < 6 else 0
        signs.apply(sign(second), second, WALL + (second + step_s) * S)
        assert signs.is_current(quote(), second)


def test_memory_is_bounded() -> None:
    """Whatever venues somebody writes to the tape: those that were silent for longest are forgotten."""
    signs = SignsOfLife()
    for number in range(6000):
        apply(signs, sign(number / 1000, venue=f"v{number}"), number / 1000)
    assert signs.is_alive("v5999", 6)
    assert len([life for life in signs.turned(6) if life.alive]) <= 4096
