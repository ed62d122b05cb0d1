"""Tests edges: when they open, change and close, and what their numbers are."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings

from crosstape_aggregator.edges.net import Fee, crossing_size
from crosstape_schemas import Edge, EdgeChange, Exclusion, FeedState, InputEvent, decode, encode
from tests.aggregator.builders import MS, S, status
from tests.aggregator.markets import FEES, STEPS, Step, World
from tests.aggregator.recompute import Tape, check_edge, check_lifecycle

D = Decimal
OPEN, CHANGE, CLOSE = EdgeChange.OPEN, EdgeChange.CHANGE, EdgeChange.CLOSE


@given(STEPS)
@settings(max_examples=40)
def test_edges_are_open_exactly_while_legs_that_count_cross_after_fees(steps: list[Step]) -> None:
    """At every consolidated quote, by brute force over its legs; so none ever opens on a leg that does not count."""
    world = World(edge_interval_s=0.05)
    world.play(steps)
    tape = Tape(world.tape)
    check_lifecycle(tape, FEES, 50 * MS)
    for edge in tape.edges:
        check_edge(tape, edge)
    counts = world.engine.counts
    assert sum(counts.edges.values()) == len(tape.edges)
    assert counts.open_edges == counts.edges["open"] - counts.edges["close"]


def crossed(*, kraken_bid: str = "100.5") -> World:
    """Return a market where Kraken pays more than Binance asks. Binance takes 1.5 basis points, Kraken none."""
    world = World()
    for venue, bid, ask in (("binance", "100", "100.1"), ("coinbase", "100", "101"), ("kraken", "100", "100.6")):
        world.quote(venue, bid, ask)
    world.book("binance", [("100", "1")], [("100.1", "1"), ("100.4", "1"), ("100.5", "9")])
    world.book("kraken", [("100.5", "1.5"), ("100.45", "8")], [("100.6", "1")])
    world.wait(S)
    world.quote("kraken", kraken_bid, "100.6")
    world.wait(10 * MS)
    return world


def test_an_edge_opens_with_the_size_that_both_books_hold() -> None:
    """It names the events that its prices and its size came from, and `net_bps` is less than `gross_bps` by both fees."""
    world = crossed()
    (edge,) = world.edges()
    assert (edge.change, edge.buy_venue, edge.sell_venue, edge.ask_price, edge.bid_price) == (
        OPEN,
        "binance",
        "kraken",
        D("100.1"),
        D("100.5"),
    )
    assert (edge.size, edge.gross_bps, edge.net_bps) == (D(2), D("39.9600"), D("38.4543"))
    assert (edge.buy_fee_bps, edge.sell_fee_bps, edge.opened_ts, edge.reason) == (D("1.5"), D(0), edge.ts, "")
    assert (edge.buy, edge.sell) == (InputEvent("quote", 1, 1), InputEvent("quote", 1, 2))
    assert (edge.buy_book, edge.sell_book) == (InputEvent("book", 1, 1), InputEvent("book", 1, 1))
    assert decode(encode(edge)) == edge


def test_an_edge_changes_at_most_once_per_interval_and_closes_at_once() -> None:
    """`opened_ts` and the two venues identify it. What opens later is another edge."""
    world = crossed()
    opened_ts = world.now
    for bid in ("100.6", "100.7", "100.8"):
        world.quote("kraken", bid, "101")
        world.wait(15 * MS)
    assert len(world.edges()) == 1
    world.wait(100 * MS)
    world.quote("kraken", "100.2", "100.3")
    world.wait(11 * MS)
    world.quote("kraken", "100.11", "100.3")
    world.wait(11 * MS)
    world.quote("kraken", "100.5", "100.6")
    world.wait(11 * MS)
    assert [(edge.change, edge.bid_price, edge.reason) for edge in world.edges()] == [
        (OPEN, D("100.5"), ""),
        (CHANGE, D("100.8"), ""),
        (CLOSE, D("100.11"), "prices"),
        (OPEN, D("100.5"), ""),
    ]
    opened, changed, closed, again = world.edges()
    assert opened.opened_ts == changed.opened_ts == closed.opened_ts < opened_ts + 1
    assert (changed.ts - opened.ts, closed.size) == (100 * MS, None)
    assert again.opened_ts == again.ts > closed.ts
    assert closed.net_bps is not None
    assert closed.net_bps < 0


def test_a_new_book_changes_the_size_only() -> None:
    """The prices of its legs come from quotes. A book that does not count any more makes the size unknown."""
    world = crossed()
    world.wait(100 * MS)
    world.book("kraken", [("100.5", "0.5")], [("100.6", "1")])
    world.wait(100 * MS)
    world.apply(status("kraken", FeedState.RECOVERING, world.now, kind="book"))
    world.wait(100 * MS)
    assert [(edge.change, edge.bid_price, edge.size, edge.sell_book) for edge in world.edges()[1:]] == [
        (CHANGE, D("100.5"), D("0.5"), InputEvent("book", 1, 2)),
        (CHANGE, D("100.5"), None, None),
    ]


@pytest.mark.parametrize("reason", ["state", "one_sided", "empty", "crossed"])
def test_an_edge_closes_with_the_reason_of_its_leg(reason: str) -> None:
    """A leg that does not count any more, or has no bid."""
    world = crossed()
    match reason:
        case "state":
            world.apply(status("kraken", FeedState.DOWN, world.now))
        case "one_sided":
            world.quote("kraken", None, "100.6")
        case "empty":
            world.quote("kraken", None, None)
        case _:
            world.quote("kraken", "100.7", "100.6")
    world.wait(10 * MS)
    closed = world.edges()[-1]
    assert (closed.change, closed.reason) == (CLOSE, reason)
    assert (closed.bid_price is None) == (reason in {"one_sided", "empty"}) == (closed.net_bps is None)


def test_a_leg_that_settles_opens_an_edge_when_it_counts_again() -> None:
    """Not before, though it crosses all the time."""
    world = crossed()
    world.apply(status("kraken", FeedState.DOWN, world.now))
    world.wait(10 * MS)
    world.quote("kraken", "100.5", "100.6")
    world.wait(30 * MS)
    assert [leg.excluded for leg in Tape(world.tape).cbbos[-1].legs][-1] is Exclusion.SETTLING
    assert [edge.change for edge in world.edges()] == [OPEN, CLOSE]
    world.wait(50 * MS)
    assert [edge.change for edge in world.edges()] == [OPEN, CLOSE, OPEN]


def test_fees_decide() -> None:
    """A cross that does not pay both fees is none; a venue without a fee in the settings has no edges."""
    assert crossed(kraken_bid="100.11").edges() == []
    assert [edge.net_bps for edge in crossed(kraken_bid="100.12").edges()] == [D("0.4979")]
    world = World(taker_fees_bps={"binance": D(0), "coinbase": D(0)})
    world.quote("kraken", "200", "201")
    world.quote("binance", "100", "101")
    world.wait(S)
    assert world.edges() == []


def test_the_size_ends_where_levels_do_not_cross_after_fees() -> None:
    """The last level that crosses before fees does not count."""
    asks = [(D("100.0"), D(1)), (D("100.1"), D(2)), (D("100.2"), D(4))]
    bids = [(D("100.4"), D("0.5")), (D("100.3"), D(9))]
    assert crossing_size(asks, bids, Fee.of(D(0)), Fee.of(D(0))) == 7
    assert crossing_size(asks, bids, Fee.of(D(5)), Fee.of(D(5))) == 3
    assert crossing_size(asks, bids, Fee.of(D(20)), Fee.of(D(20))) == 0
    assert crossing_size(asks, [], Fee.of(D(0)), Fee.of(D(0))) == 0


def test_every_event_is_an_edge_of_the_contract() -> None:
    """Its method is named."""
    assert {type(edge) for edge in crossed().edges()} == {Edge}
    assert {edge.method for edge in crossed().edges()} == {"edge/1"}
