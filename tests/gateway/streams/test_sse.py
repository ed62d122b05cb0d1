"""Server-Sent Events: what a client gets, in which order, and which requests are refused."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from crosstape_schemas import encode
from tests.bus.tape import fast, publishing
from tests.gateway.streams.running import bar, gateway, quote, settings, trade
from tests.waiting import wait_until


async def test_last_values_come_first_and_then_what_is_new(client: Redis, valkey: str) -> None:
    """A client that connects gets the newest event of each venue, and then each event once, in order."""
    async with publishing(fast(valkey)) as publisher, publishing(fast(valkey), producer="other") as other, gateway(valkey) as running:
        publisher.publish_all([quote(1), quote(2)])
        other.publish(quote(3, venue="binance"))
        assert await publisher.drain(10)
        assert await other.drain(10)
        async with running.sse("/api/stream?topics=quote:BTC-USDT") as reader:
            await reader.count("quote", 2)
            publisher.publish_all([quote(number) for number in range(4, 9)])
            quotes = await reader.count("quote", 7)

    assert sorted(message["bid_price"] for message in quotes[:2]) == ["2", "3"]
    assert [message["bid_price"] for message in quotes[2:]] == ["4", "5", "6", "7", "8"]


async def test_the_second_client_of_a_stream_gets_its_last_values_too(client: Redis, valkey: str) -> None:
    """They come from the gateway's memory: the bus is read once."""
    async with publishing(fast(valkey)) as publisher, publishing(fast(valkey), producer="other") as other, gateway(valkey) as running:
        publisher.publish(quote(1))
        other.publish(quote(2, venue="binance"))
        assert await publisher.drain(10)
        assert await other.drain(10)
        async with running.sse("/api/stream?topics=quote:BTC-USDT") as first:
            await first.count("quote", 2)
            publisher.publish(quote(7))
            await first.count("quote", 3)
            async with running.sse("/api/stream?topics=quote:BTC-USDT@kraken&gather_ms=20") as second:
                quotes = await second.count("quote", 1)
                other.publish(quote(8, venue="binance"))
                assert await other.drain(10)
                publisher.publish(quote(9))
                quotes = await second.count("quote", 2)

    assert [message["bid_price"] for message in quotes] == ["7", "9"]


async def test_no_last_values_if_they_are_not_wanted(client: Redis, valkey: str) -> None:
    """`last=0`: only what is new, also for the first client of a stream."""
    async with publishing(fast(valkey)) as publisher, gateway(valkey) as running:
        publisher.publish(quote(1))
        assert await publisher.drain(10)
        async with (
            running.sse("/api/stream?topics=quote:BTC-USDT") as other,
            running.sse("/api/stream?topics=quote:BTC-USDT&last=0") as reader,
        ):
            await other.count("quote", 1)
            publisher.publish(quote(2))
            quotes = await reader.count("quote", 1)

    assert [message["bid_price"] for message in quotes] == ["2"]


async def test_events_pass_byte_for_byte(client: Redis, valkey: str) -> None:
    """The gateway writes the tape's own bytes: all digits of integers and decimals."""
    event = trade(1)
    async with publishing(fast(valkey)) as publisher, gateway(valkey) as running:
        publisher.publish(event)
        assert await publisher.drain(10)
        async with running.http.get(running.url + "/api/stream?topics=trade:BTC-USDT") as response:
            lines = [await response.content.readline()]
            async with asyncio.timeout(20):
                while b'"trade"' not in lines[-1]:
                    lines.append(await response.content.readline())

    assert lines[-1] == b"data: " + encode(event) + b"\n"  # the publisher has set its epoch and seq


async def test_a_pattern_follows_instruments_that_come_later(client: Redis, valkey: str) -> None:
    """`trade:*` includes a stream that is made while the client is connected, from its first event on."""
    async with publishing(fast(valkey)) as publisher, gateway(valkey) as running, running.sse("/api/stream?topics=trade:*") as reader:
        for number in range(20):
            publisher.publish(trade(number, f"COIN{number % 4}-USDT"))
        trades = await reader.count("trade", 20)

    for coin in range(4):
        assert [t["seq"] for t in trades if t["instrument"] == f"COIN{coin}-USDT"] == [1, 2, 3, 4, 5]


async def test_a_stream_that_does_not_exist_yet(client: Redis, valkey: str) -> None:
    """A client may follow it before its first event, and then gets all of them."""
    async with (
        publishing(fast(valkey)) as publisher,
        gateway(valkey) as running,
        running.sse("/api/stream?topics=trade:BTC-USDT") as reader,
    ):
        publisher.publish_all([trade(number) for number in range(5)])
        trades = await reader.count("trade", 5)

    assert [t["seq"] for t in trades] == [1, 2, 3, 4, 5]


async def test_gathered_events_come_in_one_write(client: Redis, valkey: str) -> None:
    """All that comes within `gather_ms` has one id, at its last message."""
    async with publishing(fast(valkey)) as publisher, gateway(valkey) as running:
        publisher.publish(trade(0))
        assert await publisher.drain(10)
        async with running.sse("/api/stream?topics=trade:BTC-USDT&gather_ms=400") as reader:
            await reader.count("trade", 1)
            before = len(reader.ids)
            publisher.publish_all([trade(number) for number in range(1, 31)])
            await reader.count("trade", 31)
            await wait_until(lambda: len(reader.ids) > before, what="an id")

    assert len(reader.ids) - before < 10  # one if the thirty came at once


async def test_heartbeats_come_while_nothing_else_does(client: Redis, valkey: str) -> None:
    """They are messages, so that a page sees them; they name the id after which to resume."""
    async with publishing(fast(valkey)) as publisher, gateway(valkey, settings(heartbeat_s=0.1)) as running:
        publisher.publish(trade(1))
        assert await publisher.drain(10)
        async with running.sse("/api/stream?topics=trade:BTC-USDT") as reader:
            await reader.count("trade", 1)
            beats = await reader.count("heartbeat", 3)
            await reader.until(lambda: reader.of("heartbeat")[-1]["id"], "an id")
    assert beats[0]["ts"] < beats[1]["ts"] < beats[2]["ts"]
    assert reader.of("heartbeat")[-1]["id"] == reader.ids[-1]


async def test_integers_as_strings(client: Redis, valkey: str) -> None:
    """`ints=string`: times and epochs have quotes, in events and in messages; other integers have none."""
    async with publishing(fast(valkey)) as publisher, gateway(valkey) as running:
        publisher.publish(trade(1))
        async with running.sse("/api/stream?topics=trade:BTC-USDT&ints=string") as reader:
            (event,) = await reader.count("trade", 1)
            (connected,) = reader.of("connected")

    assert isinstance(event["received_ts"], str)
    assert isinstance(event["epoch"], str)
    assert event["seq"] == 1
    assert isinstance(connected["ts"], str)


async def test_candles_of_an_instrument(client: Redis, valkey: str) -> None:
    """The stream of candles: any spelling of the symbol, consolidated bars, wrapped in updates."""
    async with publishing(fast(valkey), producer="aggregator.0") as publisher, gateway(valkey) as running:
        publisher.publish_all([bar(1, closed=True), bar(2), bar(2, venue="kraken")])
        assert await publisher.drain(10)
        await wait_until(lambda: running.catalogue.instruments, what="the instrument is known")
        async with running.sse("/api/candles/stream?symbol=btc_usdt&timeframe=1m") as reader:
            await reader.count("candle_update", 1)
            publisher.publish(bar(2, 7))
            updates = await reader.count("candle_update", 2)

    (connected,) = reader.of("connected")
    assert connected.items() >= {"symbol": "btc_usdt", "instrument": "BTC-USDT", "timeframe": "1m", "venue": "consolidated"}.items()
    assert {update["candle"]["venue"] for update in updates} == {"consolidated"}
    assert updates[-1]["candle"]["close"] == "7"


@pytest.mark.parametrize(
    ("path", "status", "part"),
    [
        ("/api/stream", 400, "topics"),
        ("/api/stream?topics=", 400, "topics"),
        ("/api/stream?topics=nonsense", 400, "nonsense"),
        ("/api/stream?topics=quotes:BTC-USDT", 400, "'quotes'"),
        ("/api/stream?topic=quote:BTC-USDT", 400, "did you mean 'topics'?"),
        ("/api/stream?topics=quote:A&gather_ms=soon", 400, "gather_ms='soon'"),
        ("/api/stream?topics=quote:A&ints=big", 400, "ints='big'"),
        ("/api/stream?topics=quote:A&last=1&last=0", 400, "last: given more than once"),
        ("/api/candles/stream?symbol=BTCUSD&timeframe=1m&symbol=ETHUSD", 400, "symbol: given more than once"),
        ("/api/stream?topics=quote:A&last=2", 400, "last='2'"),
        ("/api/stream?topics=quote:A&after=yesterday", 400, "after='yesterday'"),
        ("/api/stream?topics=quote:A,quote:B,quote:C,quote:D", 400, "4 topics"),
        ("/api/candles/stream?symbol=BTCUSD", 400, "timeframe"),
        ("/api/candles/stream?symbol=BTCUSD&timeframe=7m", 400, "'7m'"),
        ("/api/candles/stream?symbol=NONE&timeframe=1m", 404, "'NONE'"),
    ],
)
async def test_a_request_that_is_wrong_is_told_what_is(client: Redis, valkey: str, path: str, status: int, part: str) -> None:
    """The answer names the parameter and the value."""
    async with gateway(valkey, settings(topics_per_client=3)) as running:
        found, text = await running.refusal(path)

    assert (found, part in text) == (status, True), text


async def test_a_client_that_left_is_forgotten(client: Redis, valkey: str) -> None:
    """Nothing of it is kept, although nothing is sent to it."""
    async with gateway(valkey) as running:
        for _ in range(3):
            async with running.sse("/api/stream?topics=trade:BTC-USDT") as reader:
                assert len(running.hub.subscribers) == 1
                assert not reader.over.is_set()
            await wait_until(lambda: not running.hub.subscribers, what="the client is forgotten")
        names = {task.get_name() for task in asyncio.all_tasks()}

    assert not any("replay" in name for name in names)


async def test_a_client_of_http_1_0_gets_the_stream_without_chunks(client: Redis, valkey: str) -> None:
    """As of a proxy that speaks HTTP/1.0 to us, which is nginx's default."""
    async with publishing(fast(valkey)) as publisher, gateway(valkey) as running:
        publisher.publish(trade(1))
        assert await publisher.drain(10)
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"GET /api/stream?topics=trade:BTC-USDT HTTP/1.0\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
            first = await reader.readuntil(b"\n\n")
            second = await reader.readuntil(b"\n\n")
        writer.close()
        await writer.wait_closed()

    assert b"chunked" not in head
    assert first.startswith(b'data: {"type":"connected"')
    assert b'data: {"type":"trade"' in second
