"""The bus goes away and comes back: clients are told, and then get every event in between once."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from crosstape.bus import Publisher
from crosstape.errors import BusError
from crosstape.runtime.exit_codes import leaves
from crosstape.settings import Settings
from crosstape_gateway.service import run
from tests.bus.tape import fast, publishing
from tests.engines import StartServer
from tests.gateway.streams.running import MINUTE_NS, Client, bar, gateway, settings, trade
from tests.proxy import proxy
from tests.waiting import wait_until

PATH = "/api/stream?topics=trade:BTC-USDT,bar:1m:BTC-USDT"


async def test_away_back_and_all_in_between(client: Redis, valkey: str) -> None:
    """Told within about three seconds, in this order: away, back, then what was published meanwhile; a client that comes meanwhile, too."""
    async with proxy(valkey) as way, publishing(fast(valkey)) as publisher, gateway(way.url) as running:
        publisher.publish(trade(0))
        assert await publisher.drain(10)
        async with running.sse(PATH) as reader:
            await reader.count("trade", 1)
            way.refusing = True
            way.cut()
            (away,) = await reader.count("bus", 1)
            assert running.hub.away_since_ts == away["since_ts"]
            async with running.sse(PATH) as late, running.sse(PATH, last_event_id="1-0") as resuming:
                await late.count("bus", 1)
                await resuming.count("bus", 1)
                publisher.publish_all([trade(number) for number in range(1, 4)])
                assert await publisher.drain(10)
                way.refusing = False
                for one in (reader, late):
                    await _until_seq(one, 4)
                await resuming.count("trade", 4)
                assert [message["seq"] for message in resuming.of("trade")] == [1, 2, 3, 4]
                await resuming.count("bus", 2)
            await wait_until(lambda: running.hub.away_since_ts is None, what="it answers")
        kinds = [message["type"] for message in reader.messages if message["type"] not in ("heartbeat", "error")]

    assert {message["code"] for message in reader.of("error")} == {"not_on_tape"}  # there are no bars yet
    assert [message["state"] for message in reader.of("bus")] == ["away", "back"]
    assert kinds == ["connected", "trade", "bus", "bus", "trade", "trade", "trade"]
    for one in (late, resuming):
        assert [message["state"] for message in one.of("bus")] == ["away", "back"]


@pytest.mark.slow
async def test_a_bus_that_does_not_answer_is_away(client: Redis, valkey: str) -> None:
    """The connection stays open and nothing comes: a lost network, a stopped process."""
    async with proxy(valkey) as way, publishing(fast(valkey)) as publisher, gateway(fast(way.url)) as running, running.sse(PATH) as reader:
        way.swallowing = True
        await reader.count("bus", 1)  # after 3 s on a machine that does nothing else
        publisher.publish(trade(0))
        assert await publisher.drain(10)
        way.swallowing = False
        await reader.count("trade", 1)
        await reader.count("bus", 2)

    assert [message["state"] for message in reader.of("bus")] == ["away", "back"]


async def test_what_was_trimmed_meanwhile_is_said(client: Redis, valkey: str) -> None:
    """Entries that were removed before they were read: their number, and where they are missing."""
    async with proxy(valkey) as way, publishing(fast(valkey)) as publisher, gateway(way.url) as running:
        publisher.publish(trade(0))
        assert await publisher.drain(10)
        async with running.sse(PATH) as reader, running.sse("/api/stream?topics=trade:*@binance") as stranger:
            await reader.count("trade", 1)
            way.refusing = True
            way.cut()
            await reader.count("bus", 1)
            publisher.publish_all([trade(number) for number in range(1, 10)])
            assert await publisher.drain(10)
            await client.xtrim("tape:trade:BTC-USDT", maxlen=2, approximate=False)
            way.refusing = False
            trades = await reader.count("trade", 3)
            (missed,) = await reader.count("missed", 1)
            await stranger.count("bus", 2)

    assert [message["seq"] for message in trades] == [1, 9, 10]
    assert missed == {
        "type": "missed", "topic": "trade:BTC-USDT", "venue": "kraken", "epoch": trades[0]["epoch"], "first_missing": 2, "count": 7,
        "reason": "trimmed",
    }  # fmt: skip
    assert not stranger.of("missed")


async def test_a_wrong_password_ends_the_start(start_server: StartServer) -> None:
    """Waiting does not help: the gateway ends and says why, without the password."""
    server = await start_server(options={"requirepass": "right-one"})

    with pytest.raises(ExceptionGroup) as raised:
        await run(Settings(bus=fast(server.url, password="wrong-one"), gateway=settings()))

    (error,) = leaves(raised.value)
    assert isinstance(error, BusError)
    assert "cannot be used" in str(error)
    assert "wrong-one" not in str(error)


@pytest.mark.slow
async def test_the_server_is_killed_while_trades_come(start_server: StartServer) -> None:
    """Twice, while clients of two gateways follow: each trade and each closed bar arrives once, after repeats are dropped."""
    server = await start_server(persist=True)
    total, bars = 600, 60
    async with publishing(fast(server.url)) as publisher, publishing(fast(server.url), producer="aggregator.0") as aggregator:
        publisher.publish(trade(0))
        aggregator.publish(bar(0, closed=True))
        assert await publisher.drain(10)
        assert await aggregator.drain(10)
        async with (
            gateway(fast(server.url), settings(gather_s=0.01)) as one,
            gateway(fast(server.url)) as other,
            one.sse(PATH) as reader,
            other.websocket() as (socket, listener),
        ):
            await socket.send_json({"op": "subscribe", "topics": ["trade:BTC-USDT", "bar:1m:BTC-USDT@consolidated"]})
            await listener.count("bar", 1)
            await reader.count("bar", 1)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_feed(publisher, aggregator, total, bars))
                for outage in range(2):
                    await reader.count("trade", 100 + 200 * outage)
                    await server.kill()
                    await reader.count("bus", 1 + 2 * outage)
                    await server.start()
                    await reader.count("bus", 2 + 2 * outage)
            for client in (reader, listener):
                await _until_last(client, total, bars)

    for client in (reader, listener):
        assert list(dict.fromkeys(int(message["trade_id"]) for message in client.of("trade"))) == list(range(total))
        closed = [message["open_ts"] // MINUTE_NS for message in client.of("bar") if message["closed"]]
        assert list(dict.fromkeys(closed)) == list(range(bars))
        assert not client.of("missed")


async def _until_seq(client: Client, seq: int) -> None:
    await client.until(lambda: client.of("trade") and client.of("trade")[-1]["seq"] == seq, f"trade {seq}")


async def _until_last(client: Client, total: int, bars: int) -> None:
    await client.until(lambda: client.of("trade")[-1]["trade_id"] == str(total - 1), "the last trade")
    await client.until(lambda: client.of("bar")[-1]["open_ts"] == (bars - 1) * MINUTE_NS, "the last bar")


async def _feed(publisher: Publisher, aggregator: Publisher, total: int, bars: int) -> None:
    for number in range(1, total):
        publisher.publish(trade(number))
        if number % (total // bars) == 0:
            aggregator.publish_all([bar(number * bars // total, 3), bar(number * bars // total, closed=True)])
        await asyncio.sleep(0.005)
