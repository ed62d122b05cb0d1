"""What is answered while the bus is away, slow, or busy."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal

import pytest
from redis.asyncio import Redis

from crosstape_gateway.rest import bus, entries
from crosstape_schemas import Edge, EdgeChange, FeedState, Gap, GapCause, Quote, Status, Trade
from tests.bus.tape import fast
from tests.gateway.rest.served import publish, put, serving
from tests.proxy import proxy

TRADE = Trade("kraken", "BTC-USDT", None, 1_786_000_000_000_000_000, Decimal(1), Decimal(1), None, "1")
# Below, `timeout_s` is longer than the deadlines under test, but not much. On Python 3.11 redis-py may swallow a cancellation that comes
# just when its request is written; then it waits for the answer as long as that.
PATHS = ("/api/venues", "/api/instruments", "/api/quotes?venue=kraken&instrument=BTC-USDT", "/api/edges", "/api/gaps",
         "/api/trades?instrument=BTC-USDT", "/api/last?topics=trade:BTC-USDT", "/api/depth?instrument=BTC-USDT")  # fmt: skip


@pytest.mark.parametrize("how", ["refusing", "swallowing"])
async def test_while_the_bus_is_away_the_answer_is_503_and_soon(
    client: Redis, valkey: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it refuses or swallows what it is sent: no request hangs, and each is told when to ask again."""
    monkeypatch.setattr(bus, "DEADLINE_S", 0.3)
    one = Decimal(1)
    edge = Edge("consolidated", "BTC-USDT", None, 1, 1, EdgeChange.OPEN, "a", "b", one, one, one, one, one, one, one, 1, None, None)
    gap = Gap("kraken", "BTC-USDT", None, 1, "trade", 1, 1, None, GapCause.BUS)
    await publish(valkey, TRADE, gap, edge, Status("kraken", "*", None, 1, "*", FeedState.LIVE))
    async with proxy(valkey) as between, serving(fast(between.url, timeout_s=10.0)) as gateway:
        await gateway.parts.catalogue.look()
        setattr(between, how, True)
        if how == "refusing":
            between.cut()
        answers = await asyncio.gather(*(gateway.ask(path) for path in PATHS))
        setattr(between, how, False)
        between.cut()
        monkeypatch.setattr(bus, "DEADLINE_S", 20.0)
        again = await gateway.ask("/api/trades?instrument=BTC-USDT")

    for answer in answers:
        assert answer.error[:2] == (503, "bus_away")
        assert answer.headers["Retry-After"] == "1"
    assert len(again.json["trades"]) == 1


async def test_a_bus_that_is_known_to_be_away_is_not_waited_for_long(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub knows: requests must not pile up. Nor does one fail only because the hub has not heard yet that the bus is back."""
    await publish(valkey, TRADE)
    async with proxy(valkey) as between, serving(fast(between.url, timeout_s=10.0)) as gateway:
        await gateway.parts.catalogue.look()
        gateway.parts.hub.away_since_ts = time.time_ns()
        monkeypatch.setattr(bus, "DEADLINE_S", 60.0)
        with monkeypatch.context() as patch:
            patch.setattr(bus, "AWAY_S", 20.0)
            assert (await gateway.ask("/api/trades?instrument=BTC-USDT")).status == 200
        between.swallowing = True
        async with asyncio.timeout(30):
            assert (await gateway.ask("/api/trades?instrument=BTC-USDT")).error[:2] == (503, "bus_away")
        between.cut()


async def test_before_the_first_look_nothing_is_called_unknown(client: Redis, valkey: str) -> None:
    """A gateway that starts without the bus does not know yet which instruments there are."""
    async with proxy(valkey) as between, serving(fast(between.url)) as gateway:
        between.refusing = True
        for path in ("/api/trades?instrument=BTC-USDT", "/api/candles/stream?symbol=BTC-USDT&timeframe=1m"):
            assert (await gateway.ask(path)).error[:2] == (503, "bus_away")


async def test_only_a_few_requests_read_streams_at_once(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that finds no place in time is told to come again."""
    await publish(valkey, TRADE)
    async with serving(valkey) as gateway:
        await gateway.parts.catalogue.look()
        for _ in range(bus.LARGE_READS):
            await gateway.app[bus.LARGE].acquire()
        with monkeypatch.context() as patch:
            patch.setattr(bus, "DEADLINE_S", 0.2)
            answer = await gateway.ask("/api/trades?instrument=BTC-USDT")
        quotes = await gateway.ask("/api/quotes")
        gateway.app[bus.LARGE].release()
        again = await gateway.ask("/api/trades?instrument=BTC-USDT")

    assert answer.error[:2] == (503, "busy")
    assert answer.headers["Retry-After"] == "1"
    assert (quotes.status, again.status) == (200, 200)


async def test_an_answer_that_comes_too_late_is_not_taken_for_another_ones(
    client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that is given up leaves its answer on the connection: the next call must not get it."""
    await publish(valkey, TRADE, Status("kraken", "*", None, 1, "*", FeedState.LIVE))
    async with proxy(valkey) as between, serving(fast(between.url, timeout_s=10.0)) as gateway:
        await gateway.parts.catalogue.look()
        monkeypatch.setattr(bus, "DEADLINE_S", 0.1)
        between.delay_s = 0.3
        late = await asyncio.gather(*(gateway.ask(path) for path in PATHS))
        between.delay_s = 0.0
        monkeypatch.setattr(bus, "DEADLINE_S", 20.0)
        for _ in range(5):
            answers = await asyncio.gather(*(gateway.ask(path) for path in PATHS))
            for path, answer in zip(PATHS, answers, strict=True):
                assert answer.status == 200
                name = path.split("/")[2].partition("?")[0]
                assert {"depth": "depths", "last": "events"}.get(name, name) in answer.json
                rows = next(value for value in answer.json.values() if isinstance(value, list))
                assert len(rows) == (1 if name in ("venues", "instruments", "trades", "last") else 0)

    assert {answer.status for answer in late} <= {200, 503}
    assert 503 in {answer.status for answer in late}


async def test_a_slow_bus_gives_what_could_be_read_in_time(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer says `more`, and where to go on."""
    monkeypatch.setattr(entries, "PAGE", 10)
    monkeypatch.setattr(entries, "FIRST_PAGE", 10)
    monkeypatch.setattr(entries, "READ_S", 0.0)
    for number in range(30):
        await put(client, Trade("kraken", "BTC-USDT", None, number, Decimal(1), Decimal(1), None, str(number)), kind="trade", ms=1 + number)
    path = "/api/trades?instrument=BTC-USDT&limit=1000"
    async with serving(valkey) as gateway:
        await gateway.parts.catalogue.look()
        nothing = (await gateway.ask(path)).json
        monkeypatch.setattr(entries, "READ_S", 10.0)
        monkeypatch.setattr(entries, "READ_ENTRIES", 10)
        part = (await gateway.ask(path)).json
        rest = (await gateway.ask(f"{path}&before={part['before']}")).json

    assert (nothing["trades"], nothing["more"]) == ([], True)
    assert [row["trade_id"] for row in part["trades"]] == [str(number) for number in range(20, 30)]
    assert (part["more"], rest["more"]) == (True, True)
    assert [row["trade_id"] for row in rest["trades"]] == [str(number) for number in range(10, 20)]


async def test_a_tape_in_partitions_is_read_in_all_of_them(client: Redis, valkey: str) -> None:
    """As on a cluster: no call touches keys of two partitions."""
    names = [f"COIN{number}-USDT" for number in range(12)]
    quotes = [Quote("kraken", name, None, 1, Decimal(1), None, None, None) for name in names]
    await publish(valkey, *quotes, TRADE, Status("kraken", "*", None, 1, "*", FeedState.LIVE), partitions=5)
    async with serving(fast(valkey, partitions=5)) as gateway:
        await gateway.parts.catalogue.look()
        last = (await gateway.ask("/api/last?topics=quote:*")).json["events"]
        known = (await gateway.ask("/api/instruments")).json["instruments"]
        trades = (await gateway.ask("/api/trades?instrument=BTC-USDT")).json["trades"]
        venues = (await gateway.ask("/api/venues")).json["venues"]

    assert sorted(row["instrument"] for row in last) == sorted(names)
    assert [row["instrument"] for row in known] == sorted([*names, "BTC-USDT"])
    assert {tuple(row["venues"]) for row in known} == {("kraken",)}
    assert (len(trades), len(venues)) == (1, 1)


async def test_none_waits_long_for_a_place_while_the_bus_is_away(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else those that come meanwhile would pile up."""
    monkeypatch.setattr(bus, "AWAY_S", 0.05)
    monkeypatch.setattr(bus, "DEADLINE_S", 60.0)
    await publish(valkey, TRADE)
    async with serving(valkey) as gateway, asyncio.timeout(30):
        await gateway.parts.catalogue.look()
        for _ in range(bus.LARGE_READS):
            await gateway.app[bus.LARGE].acquire()
        gateway.parts.hub.away_since_ts = 1
        assert (await gateway.ask("/api/trades?instrument=BTC-USDT")).error[:2] == (503, "busy")
