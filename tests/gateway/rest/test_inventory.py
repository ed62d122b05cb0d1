"""Answers what the tape has: venues, instruments, open edges; and how the gateway is."""

from __future__ import annotations

from decimal import Decimal

import pytest
from redis.asyncio import Redis

from crosstape.settings import GatewaySettings
from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, Edge, EdgeChange, FeedState, Gap, GapCause, Quote, Status
from tests.bus.tape import command, stamped
from tests.gateway.rest.served import KEYS, publish, serving

TS = 1_786_000_000_123_456_789


def status(venue: str, state: FeedState = FeedState.LIVE, kind: str = VENUE_WIDE) -> Status:
    """A venue-wide status."""
    return Status(venue, VENUE_WIDE, None, TS, kind, state, "" if state is FeedState.LIVE else "silent", -5)


async def test_a_venue_is_alive_while_it_gives_signs_of_life(client: Redis, valkey: str) -> None:
    """Ages are by the server's clock: a status from a host whose clock is wrong counts when it was written."""
    await publish(valkey, status("kraken"), status("binance", FeedState.DOWN), status(CONSOLIDATED, kind="share.0"))
    gap = Gap("kraken", VENUE_WIDE, None, TS, "trade", TS, TS, None, GapCause.DISCONNECT)
    await publish(valkey, gap, producer="connector.later")
    old = stamped(status("bitstamp"), 7, 3)
    await command(client, "XADD", KEYS.venue("bitstamp"), "1786000000000-0", "d", old.decode())
    await command(client, "SADD", KEYS.registry(), KEYS.venue("bitstamp"))
    async with serving(valkey) as gateway:
        rows = await gateway.rows("/api/venues", "venues")

    assert [(row["venue"], row["kind"], row["state"], row["alive"]) for row in rows] == [
        ("binance", "*", "down", False),
        ("bitstamp", "*", "live", False),
        (CONSOLIDATED, "share.0", "live", True),
        ("kraken", "*", "live", True),
    ]
    assert (rows[0]["reason"], rows[0]["clock_offset_ns"], rows[0]["status_ts"]) == ("silent", -5, TS)
    assert rows[1]["age_s"] > 60
    assert 0 <= rows[3]["age_s"] < 3


async def test_instruments_have_their_kinds_and_venues(client: Redis, valkey: str) -> None:
    """Sorted by name; streams of venues are no instruments."""
    quotes = [Quote(venue, name, None, TS, Decimal(1), None, None, None) for venue, name in
              (("kraken", "ETH-USDT"), ("kraken", "BTC-USDT"), ("binance", "BTC-USDT"))]  # fmt: skip
    await publish(valkey, *quotes, Status("kraken", "BTC-USDT", None, TS, "quote", FeedState.LIVE), status("kraken"))
    async with serving(valkey) as gateway:
        rows = await gateway.rows("/api/instruments", "instruments")
        (one,) = await gateway.rows("/api/instruments", "instruments", symbol="ethusdt")

    assert rows == [
        {"instrument": "BTC-USDT", "kinds": ["quote", "status"], "venues": ["binance", "kraken"], "composite": False},
        {"instrument": "ETH-USDT", "kinds": ["quote"], "venues": ["kraken"], "composite": False},
    ]
    assert one == rows[1]


async def test_an_empty_tape_has_nothing_and_says_so(client: Redis, valkey: str) -> None:
    """No path fails because nothing was published yet."""
    async with serving(valkey) as gateway:
        for path, name in (
            ("venues", "venues"),
            ("instruments", "instruments"),
            ("quotes", "quotes"),
            ("edges", "edges"),
            ("gaps", "gaps"),
        ):
            assert await gateway.rows(f"/api/{path}", name) == []


def edge(buy: str, sell: str, change: EdgeChange, instrument: str = "BTC-USDT") -> Edge:
    """An event of one edge."""
    one = Decimal(1)
    return Edge(CONSOLIDATED, instrument, None, TS, TS, change, buy, sell, one, one, one, one, one, one, one, TS, None, None)


async def test_open_edges_are_those_that_nothing_has_closed(client: Redis, valkey: str) -> None:
    """The newest event of each pair of venues decides."""
    await publish(
        valkey,
        edge("a", "b", EdgeChange.OPEN), edge("a", "c", EdgeChange.OPEN), edge("b", "a", EdgeChange.OPEN),
        edge("a", "b", EdgeChange.CHANGE), edge("a", "c", EdgeChange.CLOSE), edge("a", "b", EdgeChange.OPEN, "ETH-USDT"),
    )  # fmt: skip
    async with serving(valkey) as gateway:
        of_all = await gateway.get("/api/edges")
        of_one = await gateway.rows("/api/edges", "edges", instrument="BTCUSDT")

    assert [(row["instrument"], row["buy_venue"], row["sell_venue"], row["change"]) for row in of_all.json["edges"]] == [
        ("BTC-USDT", "b", "a", "open"),
        ("BTC-USDT", "a", "b", "change"),
        ("ETH-USDT", "a", "b", "open"),
    ]
    assert of_all.json["more"] is False
    assert of_one == of_all.json["edges"][:2]


async def test_edges_of_an_older_start_of_the_aggregator_are_closed(client: Redis, valkey: str) -> None:
    """An aggregator that ends closes nothing; the next one starts without edges."""
    name = KEYS.stream("edge", "BTC-USDT")
    for number, (venue, epoch) in enumerate((("b", 1), ("c", 2)), 1):
        await command(client, "XADD", name, f"{number}-1", "d", stamped(edge("a", venue, EdgeChange.OPEN), epoch, 1).decode())
    await command(client, "SADD", KEYS.registry(), name)
    async with serving(valkey) as gateway:
        (row,) = await gateway.rows("/api/edges", "edges")

    assert row["sell_venue"] == "c"


async def test_health_says_whether_the_bus_answers(client: Redis, valkey: str) -> None:
    """`/healthz` is 200 while the process runs, `/readyz` only with the bus."""
    async with serving(valkey) as gateway:
        assert (await gateway.ask("/healthz")).json["status"] == "ok"
        assert (await gateway.ask("/readyz")).status == 200
        gateway.parts.hub.away_since_ts = TS
        away = await gateway.ask("/readyz")
        assert (away.status, away.json) == (503, {"ready": False, "bus": False, "away_since_ts": TS})
        assert (await gateway.ask("/healthz")).status == 200


async def test_metrics_are_in_the_format_of_prometheus(client: Redis, valkey: str) -> None:
    """They are those of the process."""
    async with serving(valkey, GatewaySettings(port=0)) as gateway:
        answer = await gateway.ask("/metrics")

    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert b"crosstape_build_info" in answer.body


@pytest.mark.parametrize("path", ["/api/instruments", "/api/venues", "/api/quotes", "/api/gaps", "/api/edges", "/api/last?topics=trade:*"])
async def test_every_answer_can_have_its_times_as_strings(client: Redis, valkey: str, path: str) -> None:
    """Also the gateway's clock."""
    await publish(valkey, status("kraken"))
    async with serving(valkey) as gateway:
        answer = await gateway.ask(f"{path}{'&' if '?' in path else '?'}ints=string")
    assert isinstance(answer.json["ts"], str)
