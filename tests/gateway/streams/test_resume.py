"""Resuming: a client that was away gets all events since, then goes on, without a gap between the two."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from redis.asyncio import Redis

from crosstape.bus import Publisher
from tests.bus.tape import fast, publishing
from tests.gateway.streams.running import Client, bar, gateway, quote, settings, trade
from tests.waiting import wait_until

TRADES = "/api/stream?topics=trade:BTC-USDT"


def numbers(reader: Client, kind: str = "trade") -> list[int]:
    """Their `seq`, without what came twice over several connections."""
    return list(dict.fromkeys(message["seq"] for message in reader.of(kind)))


async def keep_publishing(publisher: Publisher, start: int, *, count: int, returns: list[int], pause_s: float = 0.0005) -> None:
    """Publish trades one by one, as fast as a busy market; the last part of them when the client has come back twice."""
    for number in range(start, start + count):
        publisher.publish(trade(number))
        await asyncio.sleep(pause_s)
        if number == start + count * 3 // 4:
            await wait_until(lambda: len(returns) >= 2, what="the client has come back twice")


@pytest.mark.slow
@pytest.mark.parametrize("followed", [True, False])
async def test_nothing_is_missing_between_what_was_missed_and_what_is_new(client: Redis, valkey: str, followed: bool) -> None:
    """While trades come all the time, a client that comes back again and again has each of them in the end, in order."""
    total = 1_000
    returns: list[int] = []
    async with publishing(fast(valkey)) as publisher, gateway(valkey, settings(gather_s=0.005)) as running:
        publisher.publish(trade(0))
        assert await publisher.drain(10)
        async with asyncio.TaskGroup() as tasks:
            if followed:  # else each resume is also the first to follow the stream, after the time that streams linger
                tasks.create_task(_follow(running, total))
            feeding = tasks.create_task(keep_publishing(publisher, 1, count=total - 1, returns=returns))
            seen: list[int] = []
            last_id = ""
            for part in itertools.count():
                returns += [part] if part else []
                async with running.sse(TRADES + ("&last=0" if part else ""), last_event_id=last_id) as reader:
                    await reader.until(lambda: (reader.ids and len(reader.of("trade")) >= 150) or feeding.done(), "trades")
                    if feeding.done():
                        await _until(reader, total)
                came = [message["seq"] for message in reader.of("trade")]
                assert came == list(range(came[0], came[-1] + 1))  # in order, without a gap, nothing twice
                assert not seen or came[0] <= seen[-1] + 1
                seen = sorted({*seen, *came})
                last_id = reader.ids[-1]
                if seen[-1] == total:
                    break
    assert seen == list(range(seen[0], total + 1))


async def _until(reader: Client, seq: int) -> None:
    """Wait until this trade has come, and an id with it or behind it."""
    await reader.until(lambda: reader.of("trade") and reader.of("trade")[-1]["seq"] == seq, f"trade {seq}")
    await reader.until(lambda: reader.ids, "an id")


async def _follow(running: Any, total: int) -> None:
    async with running.sse(TRADES) as reader:
        await _until(reader, total)


async def test_after_in_the_query_and_over_websocket(client: Redis, valkey: str) -> None:
    """A page that was reloaded sends no Last-Event-ID: it names the id in the query; a WebSocket client in its request."""
    async with publishing(fast(valkey)) as publisher, gateway(valkey) as running:
        publisher.publish(trade(0))
        assert await publisher.drain(10)
        async with running.sse(TRADES) as reader:
            await reader.until(lambda: reader.ids, "an id")
            last_id = reader.ids[-1]
        publisher.publish_all([trade(number) for number in range(1, 6)])
        assert await publisher.drain(10)
        async with running.sse(f"{TRADES}&after={last_id}") as reader:
            await reader.count("trade", 6)
        async with running.websocket() as (socket, other):
            await socket.send_json({"op": "subscribe", "topics": ["trade:BTC-USDT"], "after": last_id})
            await other.count("trade", 6)
            publisher.publish(trade(6))
            await other.count("trade", 7)

    assert reader.of("connected")[0]["resumed"]
    assert numbers(reader) == [1, 2, 3, 4, 5, 6]
    assert [message["seq"] for message in other.of("trade")] == [1, 2, 3, 4, 5, 6, 7]


async def test_closed_bars_are_events_and_states_are_as_now(client: Redis, valkey: str) -> None:
    """Each bar that closed meanwhile comes, none of the open ones in between; of quotes the newest alone."""
    async with publishing(fast(valkey), producer="aggregator.0") as publisher, gateway(valkey) as running:
        publisher.publish_all([bar(0, closed=True), quote(0)])
        assert await publisher.drain(10)
        path = "/api/stream?topics=bar:1m:BTC-USDT,quote:BTC-USDT"
        async with running.sse(path) as reader:
            await reader.until(lambda: reader.ids, "an id")
        for minute in range(1, 5):
            for close in range(1, 4):
                publisher.publish_all([bar(minute, close), quote(minute * close)])
                assert await publisher.drain(10)
            publisher.publish(bar(minute, 9, closed=True))
        publisher.publish(bar(5))
        assert await publisher.drain(10)
        async with running.sse(path, last_event_id=reader.ids[-1]) as reader:
            await reader.until(lambda: reader.of("quote") and len(reader.of("bar")) >= 6, "bars and the quote")

    bars = [(b["open_ts"] // 60_000_000_000, b["closed"]) for b in reader.of("bar")]
    assert bars == [(0, True), (1, True), (2, True), (3, True), (4, True), (5, False)]
    assert [q["bid_price"] for q in reader.of("quote")] == ["12"]


async def test_a_venue_of_a_topic_alone(client: Redis, valkey: str) -> None:
    """What is sent again is that of the venue that the client follows."""
    async with publishing(fast(valkey)) as publisher, publishing(fast(valkey), producer="other") as other, gateway(valkey) as running:
        publisher.publish(trade(0))
        assert await publisher.drain(10)
        path = "/api/stream?topics=trade:BTC-USDT@kraken"
        async with running.sse(path) as reader:
            await reader.until(lambda: reader.ids, "an id")
        for number in range(1, 4):
            publisher.publish(trade(number))
            other.publish(trade(number, venue="binance"))
        assert await publisher.drain(10)
        assert await other.drain(10)
        async with running.sse(path, last_event_id=reader.ids[-1]) as reader:
            await reader.count("trade", 4)

    assert {message["venue"] for message in reader.of("trade")} == {"kraken"}


async def test_more_than_is_sent_again_is_said(client: Redis, valkey: str) -> None:
    """A client that was away for long gets `gateway.rows` events, then `missed`, then what is new."""
    async with publishing(fast(valkey)) as publisher, gateway(valkey, settings(rows=700)) as running:
        publisher.publish(trade(0))
        assert await publisher.drain(10)
        async with running.sse(TRADES) as reader:
            await reader.until(lambda: reader.ids, "an id")
        publisher.publish_all([trade(number) for number in range(1, 1_300)])
        assert await publisher.drain(10)
        async with running.sse(TRADES, last_event_id=reader.ids[-1]) as reader:
            (missed,) = await reader.count("missed", 1)
            publisher.publish(trade(1_300))
            await reader.count("trade", 701)

    assert numbers(reader) == [*range(1, 701), 1_301]
    expected = {"topic": "trade:BTC-USDT", "venue": "kraken", "first_missing": 701, "count": None, "reason": "resume"}
    assert missed.items() >= expected.items()


async def test_what_was_trimmed_meanwhile_is_said(client: Redis, valkey: str) -> None:
    """The id of the client is older than the oldest entry of the stream."""
    async with publishing(fast(valkey)) as publisher, gateway(valkey) as running:
        publisher.publish(trade(0))
        assert await publisher.drain(10)
        async with running.sse(TRADES) as reader:
            await reader.until(lambda: reader.ids, "an id")
        publisher.publish_all([trade(number) for number in range(1, 11)])
        assert await publisher.drain(10)
        await client.xtrim("tape:trade:BTC-USDT", maxlen=3, approximate=False)
        async with running.sse(TRADES, last_event_id=reader.ids[-1]) as reader:
            await reader.count("trade", 3)
            (missed,) = await reader.count("missed", 1)

    assert numbers(reader) == [9, 10, 11]
    assert missed.items() >= {"topic": "trade:BTC-USDT", "reason": "trimmed", "count": None}.items()


async def test_an_odd_last_event_id_is_no_reason_to_refuse(client: Redis, valkey: str) -> None:
    """EventSource would never come back: it gets the stream from now on."""
    async with publishing(fast(valkey)) as publisher, gateway(valkey) as running:
        publisher.publish(trade(0))
        assert await publisher.drain(10)
        async with running.sse(TRADES, last_event_id="of-another-server") as reader:
            await reader.count("trade", 1)
        async with running.sse(TRADES, last_event_id="99999999999999-0") as future:
            publisher.publish(trade(1))
            await future.until(lambda: future.of("trade") and future.of("trade")[-1]["seq"] == 2, "the new trade")

    assert not reader.of("connected")[0]["resumed"]


async def test_two_gateways_continue_each_other(client: Redis, valkey: str) -> None:
    """An id of one is good for the other: a client that changes misses nothing."""
    async with publishing(fast(valkey)) as publisher, gateway(valkey) as one, gateway(valkey) as other:
        publisher.publish(trade(0))
        assert await publisher.drain(10)
        seen: list[int] = []
        last_id = ""
        for turn in range(6):
            async with (one, other)[turn % 2].sse(TRADES, last_event_id=last_id) as reader:
                for number in range(5):
                    publisher.publish(trade(100 * turn + number))
                await _until(reader, 1 + 5 * (turn + 1))
            seen = list(dict.fromkeys(seen + numbers(reader)))
            last_id = reader.ids[-1]

    assert seen == list(range(1, 32))
