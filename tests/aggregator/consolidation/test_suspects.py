"""Tests when a leg that crosses others is suspect, and when it counts again."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_aggregator.consolidation.pace import ENOUGH, FEWEST, MOST, Pace
from crosstape_aggregator.consolidation.suspects import FACTOR, LEAST_NS, crossing, most_overdue
from crosstape_schemas import Cbbo, Exclusion, FeedState, Market
from tests.aggregator.builders import MS, T0, S, engine, quote, status

LIVE, SUSPECT, SETTLING = FeedState.LIVE, Exclusion.SUSPECT, Exclusion.SETTLING


class Market3:
    """Three venues that publish quotes at a steady pace. The test moves the clock."""

    def __init__(self, pace_ms: int = 200) -> None:
        self.engine = engine(windows=(), min_interval_s=0, stale_s=3_600.0)
        self.now = T0
        self.pace_ms = pace_ms
        self.seqs = dict.fromkeys(("binance", "coinbase", "kraken"), 0)
        self.bid = Decimal(1_000)
        self.shown: dict[str, Exclusion | None] = {}
        self.quotes: list[Cbbo] = []

    def run(self, ms: int, *silent: str) -> Market3:
        """Let time pass, while all venues except these publish quotes."""
        for _ in range(ms // self.pace_ms):
            self.tick(*silent)
        return self

    def tick(self, *silent: str) -> None:
        """Let one interval of the pace pass."""
        before, self.now = self.now, self.now + self.pace_ms * MS
        if self.now // S != before // S:
            self.engine.look(set(), self.now, self.now)
        for venue in self.seqs:
            if venue not in silent:
                self.quote(venue)

    def quote(self, venue: str, bid: Decimal | None = None) -> None:
        """Publish a quote of one venue with a wide spread around the market."""
        self.seqs[venue] += 1
        bid = self.bid if bid is None else bid
        self.engine.apply([quote(venue, str(bid), str(bid + 1), self.now, epoch=T0, seq=self.seqs[venue])], self.now)
        self.publish()

    def publish(self) -> Cbbo | None:
        """Compute the quotes that are due now."""
        for found in self.engine.due(self.now):
            self.quotes.append(found)
            self.shown = {leg.venue: leg.excluded for leg in found.legs}
        return self.quotes[-1] if self.quotes else None

    @property
    def market(self) -> Market:
        """Return the market (normal, locked, crossed) of the newest quote."""
        return self.quotes[-1].market


def test_a_leg_that_stopped_and_crosses_is_excluded_first() -> None:
    """The market has moved, the leg has not: no quote is crossed by it."""
    one = Market3().run(40_000)
    one.run(3_000, "kraken")
    assert one.shown["kraken"] is None  # it does not cross: old is not wrong
    one.bid += 5
    one.run(1_000, "kraken")
    assert one.shown == {"binance": None, "coinbase": None, "kraken": SUSPECT}
    crossed = [found for found in one.quotes if found.market is Market.CROSSED]
    assert {leg.excluded for found in crossed for leg in found.legs if leg.venue == "kraken"} <= {SUSPECT}


def test_fresh_legs_that_cross_stay() -> None:
    """The venues really have these prices: the quote shows the arbitrage."""
    one = Market3().run(40_000)
    one.now += 50 * MS
    one.quote("binance", Decimal(1_005))
    assert (one.market, one.shown) == (Market.CROSSED, dict.fromkeys(one.seqs))


def test_of_two_silent_legs_the_most_overdue_goes() -> None:
    """Silence is compared with each leg's own pace: a slow feed is not suspected instead of a dead one."""
    one = Market3()
    for turn in range(200):
        one.tick(*(("kraken",) if turn % 10 else ()))
    one.run(3_000, "binance", "kraken")
    one.bid += 5
    one.quote("kraken")
    one.now += 600 * MS
    one.quote("coinbase")
    assert one.shown == {"binance": SUSPECT, "coinbase": None, "kraken": None}


def test_a_leg_becomes_suspect_though_nobody_speaks() -> None:
    """The leg was fresh when the others moved. A look is scheduled for the moment at which it becomes suspect."""
    one = Market3().run(40_000)
    one.now += 50 * MS
    one.quote("binance", Decimal(1_005))
    one.quote("coinbase", Decimal(1_005))
    assert one.market == Market.CROSSED
    due_ts = one.engine.next_ts()
    assert due_ts is not None
    assert due_ts - one.now < LEAST_NS + S
    one.now = due_ts
    one.publish()
    assert one.shown["kraken"] is SUSPECT
    assert one.quotes[-1].market is Market.NORMAL


def test_a_suspect_leg_stays_out_until_its_feed_speaks() -> None:
    """If the market returns to the prices of the leg, this does not prove that its feed is alive."""
    one = Market3().run(40_000).run(2_000, "kraken")
    one.bid += 5
    one.run(400, "kraken")
    one.bid -= 5
    one.run(400, "kraken")
    assert one.shown["kraken"] is SUSPECT
    one.tick()
    assert one.shown["kraken"] is None  # suspect for less than settle_s


def test_a_leg_that_was_suspect_for_long_has_to_settle() -> None:
    """Events that were delayed may arrive all at once, the oldest first."""
    one = Market3().run(40_000).run(2_000, "kraken")
    one.bid += 5
    one.run(2_000, "kraken")
    one.tick()
    assert one.shown["kraken"] is SETTLING
    one.run(1_200)
    assert one.shown["kraken"] is None


def test_a_feed_that_is_said_to_be_live_has_spoken() -> None:
    """The connector publishes this status after it has asked the venue."""
    one = Market3().run(40_000).run(2_000, "kraken")
    one.bid += 5
    one.run(400, "kraken")
    one.bid -= 5
    one.engine.apply([status("kraken", LIVE, one.now, epoch=T0)], one.now)
    one.run(200, "kraken")
    assert one.shown["kraken"] is None


def test_a_locked_market_makes_nobody_suspect() -> None:
    """There is no profit in a locked market, so it may last."""
    one = Market3().run(40_000).run(3_000, "kraken")
    one.bid += 1
    one.run(1_000, "kraken")
    assert (one.market, one.shown["kraken"]) == (Market.LOCKED, None)


def test_a_leg_whose_pace_is_not_known_is_not_suspected() -> None:
    """A few events since the start of the connector give no pace. Many do, even without samples."""
    few = Market3().run(1_000)
    few.bid += 5
    few.run(1_000, "kraken")
    assert few.market is Market.CROSSED
    many = Market3().run(FEWEST * 200)
    many.run(6_000, "kraken")
    many.bid += 5
    many.run(200, "kraken")
    assert many.shown["kraken"] is SUSPECT


def test_nobody_is_suspected_while_events_wait_to_be_read() -> None:
    """All feeds seem to be silent then."""
    one = Market3().run(40_000)
    one.engine.set_behind(True)
    one.now += 10 * S
    one.quote("binance", Decimal(1_005))
    assert one.market is Market.CROSSED
    one.engine.set_behind(False)
    one.quote("binance", Decimal(1_005))
    assert SUSPECT in one.shown.values()


def test_a_dead_feed_does_not_get_used_to_its_silence() -> None:
    """Samples count only after the silence has ended, and then as `MOST` times the usual silence at most."""
    pace = Pace()
    for second in range(20):
        pace.sample(T0 + second * S - 100 * MS, T0 + second * S)
    before = pace.usual_ns(0, 0, 0)
    for second in range(20, 200):
        pace.sample(T0 + 19 * S - 100 * MS, T0 + second * S)
    assert pace.usual_ns(0, 0, 0) == before
    assert before is not None
    assert abs(before - 100 * MS) < 5 * MS
    pace.sample(T0 + 200 * S, T0 + 200 * S)
    assert before < (pace.usual_ns(0, 0, 0) or 0) <= MOST * before


def test_the_first_estimate_is_of_the_events_since_the_start() -> None:
    """The estimate is used until there are enough samples."""
    pace = Pace()
    assert pace.usual_ns(T0, FEWEST - 1, T0 + 10 * S) is None
    assert pace.usual_ns(T0, 100, T0 + 10 * S) == 500 * MS
    assert pace.usual_ns(T0 + 20 * S, 100, T0 + 10 * S) is None
    for second in range(ENOUGH + 1):
        pace.sample(T0 + second * S, T0 + second * S)
    assert pace.usual_ns(T0, 100, T0 + 10 * S) == 0


class Quiet:
    """A leg with these prices and this silence."""

    def __init__(self, bid: int | None, ask: int | None, silent: int, usual: int | None) -> None:
        self.bid_price = None if bid is None else Decimal(bid)
        self.ask_price = None if ask is None else Decimal(ask)
        self._silent = silent * MS
        self._usual = usual

    def silence(self, now: int) -> tuple[int, float] | None:
        """Return the silence that was given."""
        return None if self._usual is None else (self._silent, self._usual * MS)


def legs_of(rows: Sequence[tuple[int, int, int, int | None]]) -> list[Quiet]:
    """Bid, spread, silence and usual silence of one leg."""
    return [Quiet(bid, bid + spread, silent, usual) for bid, spread, silent, usual in rows]


@given(
    st.lists(
        st.tuples(st.integers(90, 110), st.integers(1, 5), st.integers(0, 10_000), st.none() | st.integers(1, 2_000)),
        min_size=1,
        max_size=5,
    )
)
def test_whoever_is_suspected_crosses_and_is_overdue(rows: list[tuple[int, int, int, int | None]]) -> None:
    """If no leg is suspected, the market is not crossed, or all legs with a known pace are as fresh as usual."""
    legs = legs_of(rows)
    while (worst := most_overdue(legs, T0)) is not None and worst.ratio >= 1:
        assert any(one is not worst.leg and _cross(one, worst.leg) for one in legs)
        silent, usual = worst.leg.silence(T0) or pytest.fail("unknown")
        assert silent >= max(LEAST_NS, FACTOR * usual)
        legs.remove(worst.leg)
    for leg in crossing(legs):
        silence = leg.silence(T0)
        assert silence is None or silence[0] < max(LEAST_NS, FACTOR * silence[1])
    assert legs, "the last leg crosses nobody"


def _cross(one: Quiet, other: Quiet) -> bool:
    assert one.bid_price is not None
    assert one.ask_price is not None
    assert other.bid_price is not None
    assert other.ask_price is not None
    return one.bid_price > other.ask_price or other.bid_price > one.ask_price
