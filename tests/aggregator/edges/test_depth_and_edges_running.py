"""Consolidated books and edges on a real server: every number on the tape is computed again from the tape."""

from __future__ import annotations

import asyncio
import random
import time
from decimal import Decimal
from typing import Any

from redis.asyncio import Redis

from crosstape_schemas import CONSOLIDATED, Book, Depth, Edge, EdgeChange, Event, Exclusion, FeedState, decode
from tests.aggregator.builders import MS, X, alive, status
from tests.aggregator.markets import FEES, SIZES
from tests.aggregator.recompute import Tape, check_depth, check_edge, check_lifecycle
from tests.aggregator.running import KEYS, FakeVenue, aggregator, venue
from tests.waiting import wait_until

TICK = Decimal("0.01")
ROUNDS = 25


async def tape_of(client: Redis) -> Tape:
    """Read the whole tape of the instrument."""
    events: list[Event] = []
    for kind in ("quote", "book", "cbbo", "depth", "edge"):
        entries: Any = await client.xrange(KEYS.stream(kind, X))
        events += [decode(fields[b"d"]) for _, fields in entries]
    return Tape(events)


async def newest_depth(client: Redis) -> Depth | None:
    """Read the last consolidated book."""
    found = decode(data) if (data := await client.hget(KEYS.last("depth", X), CONSOLIDATED)) else None
    assert found is None or isinstance(found, Depth)
    return found


async def trade_on(one: FakeVenue, chance: random.Random) -> None:
    """Let a venue publish a quote and a book around the same market, and sometimes only one of them."""
    bid = 10_000 + chance.randint(-3, 3)
    ask = bid + chance.randint(1, 3)
    bids = tuple(((bid - index) * TICK, chance.randint(1, 300) * TICK) for index in range(8))
    asks = tuple(((ask + index) * TICK, chance.randint(1, 300) * TICK) for index in range(8))
    if chance.random() < 0.9:
        await one.quote(str(bids[0][0]), str(asks[0][0]))
    if chance.random() < 0.9:
        await one.say(Book(one.name, X, None, time.time_ns(), bids, asks, 10, FeedState.LIVE))


async def publish_prices(one: FakeVenue, bid: int) -> None:
    """Let a venue publish this bid, an ask one tick above it, and a book that has both."""
    best_bid, best_ask = bid * TICK, (bid + 1) * TICK
    size = Decimal(3)
    await one.quote(str(best_bid), str(best_ask))
    await one.say(Book(one.name, X, None, time.time_ns(), ((best_bid, size),), ((best_ask, size),), 10, FeedState.LIVE))


async def edge_with_size(client: Redis) -> bool:
    """Whether an edge between the two has been published with the size of both books."""
    return any((one.buy_venue, one.sell_venue) == ("binance", "kraken") and one.size == 3 for one in (await tape_of(client)).edges)


async def test_every_number_on_the_tape_can_be_computed_again(client: Redis, valkey: str) -> None:
    """From the events of the tape alone. When a venue goes down, its levels are gone from the book, and its edges are closed."""
    chance = random.Random(5)
    settings = {
        "stale_s": 60.0, "depth_levels": 5, "depth_interval_s": 0.02, "sweep_sizes": {"*": SIZES}, "taker_fees_bps": FEES,
        "edge_interval_s": 0.02,
    }  # fmt: skip
    async with (
        venue(valkey, "binance") as binance,
        venue(valkey, "coinbase") as coinbase,
        venue(valkey, "kraken") as kraken,
        aggregator(valkey, **settings),
    ):
        venues = (binance, coinbase, kraken)
        for one in venues:
            await one.say(alive(one.name, time.time_ns()))
        for _ in range(ROUNDS):
            await asyncio.gather(*(trade_on(one, chance) for one in venues))

        async def last_are_there() -> bool:
            tape, depth = await tape_of(client), await newest_depth(client)
            newest = {event.venue: event.seq for event in tape.inputs.values() if isinstance(event, Book)}
            return depth is not None and {leg.venue: leg.seq for leg in depth.legs} == newest

        await wait_until(last_are_there, what="a consolidated book of the last book of each venue")

        async def crossing() -> bool:  # again and again: a leg that crosses and is silent is suspect
            await publish_prices(binance, 9_999)
            await publish_prices(kraken, 10_020)
            return await edge_with_size(client)

        await wait_until(crossing, what="an edge with a size")
        await kraken.say(status("kraken", FeedState.DOWN, time.time_ns(), kind="*"))

        async def kraken_is_out() -> bool:
            depth = await newest_depth(client)
            open_at = {venue for edge in still_open(await tape_of(client)) for venue in (edge.buy_venue, edge.sell_venue)}
            return depth is not None and depth.legs[2].excluded is Exclusion.STATE and "kraken" not in open_at

        await wait_until(kraken_is_out, what="neither levels nor edges of the venue that is down")

    tape = await tape_of(client)
    for depth in tape.depths:
        check_depth(tape, depth, SIZES)
    for edge in tape.edges:
        check_edge(tape, edge)
    check_lifecycle(tape, FEES, 20 * MS)
    assert {event.venue for event in (*tape.depths, *tape.edges)} == {CONSOLIDATED}
    assert [one.seq for one in tape.depths] == list(range(1, len(tape.depths) + 1))
    assert any(sweep.buy_average is not None for depth in tape.depths for sweep in depth.sweeps)


def still_open(tape: Tape) -> list[Edge]:
    """Return the newest events of the edges that did not close."""
    newest = {(edge.buy_venue, edge.sell_venue): edge for edge in tape.edges}
    return [edge for edge in newest.values() if edge.change is not EdgeChange.CLOSE]
