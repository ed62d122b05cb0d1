"""Tests consolidated books: which books count, what is in them, and when they are published."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings

from crosstape_schemas import Book, Event, Exclusion, FeedState, Status, Sweep, decode, encode
from tests.aggregator.builders import MS, S, X, status
from tests.aggregator.markets import SIZES, STEPS, VENUES, Step, World
from tests.aggregator.recompute import Tape, check_depth

D = Decimal
LIVE = FeedState.LIVE
LATE_NS = 110 * MS
"""An interval, and the grid of the moments at which time alone changes a book."""


def states(tape: list[Event], venue: str, epoch: int) -> FeedState:
    """Return the state of a venue's feed of books after these events: the newest one that was said, in this epoch."""
    state, ts, down = FeedState.CONNECTING, 0, False
    has_book = False
    for event in tape:
        if isinstance(event, Book | Status) and event.venue == venue:
            if isinstance(event, Status) and event.kind == "*":
                down = event.state is FeedState.DOWN
            if event.epoch == epoch and (isinstance(event, Book) or event.kind == "book") and event.received_ts >= ts:
                state, ts = event.state, event.received_ts
            has_book = has_book or (isinstance(event, Book) and event.epoch == epoch)
    return FeedState.DOWN if down else state if has_book or state is not LIVE else FeedState.CONNECTING


@given(STEPS)
@settings(max_examples=25)
def test_every_book_equals_brute_force_over_the_books_that_count(steps: list[Step]) -> None:
    """At each published moment; and the last one is of the present state, since everything that changes it is published."""
    world = World()
    world.play(steps)
    tape = Tape(world.tape)
    for depth in tape.depths:
        check_depth(tape, depth, SIZES)
    assert all(later.ts - earlier.ts >= 100 * MS for earlier, later in pairwise(tape.depths))
    assert len({leg.venue for depth in tape.depths for leg in depth.legs} - set(VENUES)) == 0
    if not any(isinstance(event, Book) for event in world.tape):
        assert not tape.depths
        return
    last = tape.depths[-1]
    reasons = {leg.venue: leg.excluded for leg in tape.cbbos[-1].legs}
    for leg in last.legs:
        books = [one for one in world.tape if isinstance(one, Book) and one.venue == leg.venue]
        assert (leg.epoch, leg.seq) == ((books[-1].epoch, books[-1].seq) if books else (0, 0))
        assert leg.state is states(world.tape, leg.venue, world.epochs[leg.venue])
        if leg.state is LIVE and reasons[leg.venue] is None:
            signs = [one for one in world.tape if isinstance(one, Status) and (one.kind, one.venue, one.state) == ("*", leg.venue, LIVE)]
            heard_ts = max(one.received_ts for one in [*books[-1:], *(one for one in signs if one.epoch == leg.epoch)])
            assert world.now - heard_ts >= 3 * S if leg.excluded is Exclusion.STALE else world.now - heard_ts < 3 * S + LATE_NS
        else:
            assert leg.excluded is (reasons[leg.venue] or Exclusion.STATE)


def two_venues() -> World:
    """Return a market in which two venues have a quote and a book."""
    world = World(sweep_sizes={"*": (D(5), D(1), D(100))})
    for venue in ("binance", "kraken"):
        world.quote(venue, "100.0", "100.2")
    world.book("binance", [("100.0", "1"), ("99.9", "2")], [("100.2", "1"), ("100.3", "1")])
    world.wait(100 * MS)
    world.book("kraken", [("100.00", "0.5"), ("99.8", "4")], [("100.3", "3")])
    world.wait(100 * MS)
    return world


def test_levels_have_the_sizes_of_each_venue_and_sweeps_their_cost() -> None:
    """Equal prices are one level. A size that the books do not hold has no cost, and nothing is estimated."""
    depth = two_venues().depths()[-1]
    assert depth.bids == (
        (D("100.0"), D("1.5"), (("binance", D(1)), ("kraken", D("0.5")))),
        (D("99.9"), D(2), (("binance", D(2)),)),
        (D("99.8"), D(4), (("kraken", D(4)),)),
    )
    assert depth.asks == (
        (D("100.2"), D(1), (("binance", D(1)),)),
        (D("100.3"), D(4), (("binance", D(1)), ("kraken", D(3)))),
    )
    assert depth.sweeps == (
        Sweep(D(1), D("100.2"), D("100.2"), D(100), D(100)),
        Sweep(D(5), D("100.28"), D("100.3"), D("99.9"), D("99.8")),
        Sweep(D(100), None, None, None, None),
    )
    assert decode(encode(depth)) == depth


def test_sweeps_use_more_levels_than_are_published() -> None:
    """All that the books hold."""
    world = World(depth_levels=1, sweep_sizes={X: (D(3),)})
    world.book("kraken", [("100", "1"), ("99", "2")], [("101", "1")])
    (depth,) = world.depths()
    assert (len(depth.bids), depth.sweeps[0].sell_worst, depth.sweeps[0].buy_worst) == (1, D(99), None)


def test_a_book_whose_feed_stops_leaves_within_one_interval_while_its_quotes_count() -> None:
    """And it returns with the feed. The quote is not concerned."""
    world = two_venues()
    count = len(world.depths())
    world.apply(status("kraken", FeedState.STALE, world.now, kind="book"))
    world.wait(100 * MS)
    last = world.depths()[-1]
    assert [(leg.venue, leg.state, leg.excluded) for leg in last.legs] == [
        ("binance", LIVE, None),
        ("kraken", FeedState.STALE, Exclusion.STATE),
    ]
    assert {venue for level in last.bids + last.asks for venue, _ in level[2]} == {"binance"}
    assert len(world.depths()) == count + 1
    world.wait(100 * MS)
    world.book("kraken", [("100", "1")], [("101", "1")])
    assert [leg.excluded for leg in world.depths()[-1].legs] == [None, None]


def test_a_venue_without_quotes_uses_its_book_for_both() -> None:
    """An instrument without books has no consolidated book."""
    world = World()
    world.quote("binance", "100", "101")
    world.wait(S)
    assert world.depths() == []
    world.book("kraken", [("100", "1")], [("101", "1")])
    (depth,) = world.depths()
    assert [(leg.venue, leg.excluded, leg.book_ts is None) for leg in depth.legs] == [
        ("binance", Exclusion.STATE, True),
        ("kraken", None, False),
    ]


@pytest.mark.parametrize("odd", ["1." + "1" * 520, "NaN", "-3", "0", "Infinity"])
def test_a_number_that_cannot_be_computed_with_costs_its_level_only(odd: str) -> None:
    """The other levels of the book count. No connector publishes such a book."""
    world = World(sweep_sizes={"*": (D(1), D("2.5"))})
    world.book("binance", [("100", "1")], [("101", odd), ("102", "3")])
    assert [level[0] for level in world.depths()[-1].asks] == [D(102)]
    world.wait(100 * MS)
    world.book("kraken", [("100", "1")], [(odd if odd == "NaN" else "101", "1"), ("101.5", "2")])
    depth = world.depths()[-1]
    assert [leg.excluded for leg in depth.legs] == [None, Exclusion.CROSSED if odd == "NaN" else None]
    assert depth.sweeps[1].buy_worst == (D(102) if odd == "NaN" else D("101.5"))
