"""The bell of a kind names its streams that a batch has written, once for each batch, and never stands in the way of a batch."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape.bus.publish.batch import BELL_LENGTH, BELL_NAMES
from crosstape_schemas import Keys
from tests.bus.tape import BTC, ETH, KEYS, QUOTES, TRADES, command, fast, numbers, on_tape, publishing, quote, trade, whole
from tests.proxy import proxy

BELL = KEYS.bell("trade")
OF_QUOTES = KEYS.bell("quote")
ETH_TRADES = KEYS.stream("trade", ETH)


async def rung(client: Redis, bell: str = BELL) -> list[list[str]]:
    """Returns what the bell's entries name, oldest first."""
    entries: Any = await client.xrange(bell)
    assert all(list(fields) == [b"s"] for _, fields in entries)
    return [fields[b"s"].decode().split(" ") for _, fields in entries]


async def test_each_batch_names_the_streams_that_it_wrote(client: Redis, valkey: str) -> None:
    """A stream with several entries is named once; the first batch, which only claims the name, is empty and rings nothing."""
    async with publishing(fast(valkey)) as publisher:
        assert await publisher.drain(5)
        assert await client.exists(BELL, OF_QUOTES) == 0
        publisher.publish_all([trade(1), quote(1), trade(2), trade(3, ETH)])
        assert await publisher.drain(5)
        publisher.publish(quote(2))
        assert await publisher.drain(5)
    assert await rung(client) == [[TRADES, ETH_TRADES]]
    assert await rung(client, OF_QUOTES) == [[QUOTES], [QUOTES]]
    assert not {BELL.encode(), OF_QUOTES.encode()} & await client.smembers(KEYS.registry())


async def test_a_batch_that_is_sent_again_rings_once(client: Redis, valkey: str) -> None:
    """The script refuses it before it writes anything."""
    async with proxy(valkey) as net, publishing(fast(net.url)) as publisher:
        publisher.publish(trade(1))
        assert await publisher.drain(5)
        for number in range(2, 6):
            net.lose_answers = 1
            publisher.publish(trade(number))
            assert await publisher.drain(5)
            assert not net.lose_answers
    assert await rung(client) == [[TRADES]] * 5


async def test_each_partition_has_a_bell_of_its_own(client: Redis, valkey: str) -> None:
    """It is in the slot of the streams that it names."""
    keys = Keys(partitions=4)
    names = [f"X{number}-USDT" for number in range(12)]
    async with publishing(fast(valkey, partitions=4), keys=keys) as publisher:
        publisher.publish_all(trade(1, name) for name in names)
        assert await publisher.drain(5)
    for partition in range(4):
        expected = {keys.stream("trade", name) for name in names if keys.partition(name) == partition}
        assert {name for entry in await rung(client, keys.bell("trade", partition)) for name in entry} == expected


@pytest.mark.parametrize(("streams", "expected"), [(BELL_NAMES, BELL_NAMES), (BELL_NAMES + 1, 1)])
async def test_a_batch_of_many_streams_rings_for_all(client: Redis, valkey: str, streams: int, expected: int) -> None:
    """A list of a thousand names would be dearer for the server's memory than the look at all streams is for a reader."""
    async with publishing(fast(valkey)) as publisher:
        assert await publisher.drain(5)
        publisher.publish_all(trade(1, f"X{number}-USDT") for number in range(streams))
        assert await publisher.drain(5)
    (names,) = await rung(client)
    assert len(names) == expected
    assert (names == ["*"]) is (expected == 1)


async def test_a_stream_that_took_nothing_is_not_named(client: Redis, valkey: str) -> None:
    """Its name holds another type. A batch of which nothing could be written rings nothing."""
    await client.set(TRADES, "not a stream")
    async with publishing(fast(valkey)) as publisher:
        publisher.publish_all([trade(1), quote(1)])
        assert await publisher.drain(5)
        publisher.publish(trade(2))
        assert await publisher.drain(5)
    assert (await rung(client, OF_QUOTES))[0] == [QUOTES]
    assert not any(TRADES in names for names in await rung(client))


async def test_a_bell_of_another_type_stops_nothing(client: Redis, valkey: str) -> None:
    """Once it is gone, the bell is made again."""
    await client.set(BELL, "no stream")
    async with publishing(fast(valkey)) as publisher:
        publisher.publish_all([trade(1), quote(1)])
        assert await publisher.drain(5)
        await client.delete(BELL)
        publisher.publish(trade(2))
        assert await publisher.drain(5)
    assert numbers(await on_tape(client)) == whole(2)
    assert await rung(client) == [[TRADES]]


RIGHTS = {
    "to no key of this name": ("~tape:trade:*", "~tape:last:*", "~tape:cursor:*", "~tape:streams", "~tape:identity", "~tape:venue:*"),
    "to read it only": (
        "~tape:trade:*",
        "~tape:last:*",
        "~tape:cursor:*",
        "~tape:streams",
        "~tape:identity",
        "~tape:venue:*",
        "%R~tape:bell:*",
    ),
}


@pytest.mark.parametrize("rights", RIGHTS.values(), ids=RIGHTS)
async def test_a_bell_without_a_right_to_it_stops_nothing(client: Redis, valkey: str, rights: tuple[str, ...]) -> None:
    """A user who was made before there was a bell writes as before; the log says once what is missing."""
    await command(client, "ACL", "SETUSER", "narrow", "reset", "on", ">pw", "&*", "+@all", *rights)
    try:
        with capture_logs() as logs:
            async with publishing(fast(valkey, username="narrow", password="pw")) as publisher:
                for number in range(1, 6):
                    publisher.publish(trade(number))
                    assert await publisher.drain(5)
    finally:
        await client.acl_deluser("narrow")
    assert numbers(await on_tape(client)) == whole(5)
    assert await client.exists(BELL) == 0
    (entry,) = (entry for entry in logs if entry["event"] == "bus.bell_refused")
    assert "permission" in str(entry["reason"]).lower()


async def test_a_lost_cursor_is_made_again_without_a_right_to_the_bell(client: Redis, valkey: str) -> None:
    """No batch that is sent again comes before: the one that makes the cursor must make nothing else of its name."""
    await command(client, "ACL", "SETUSER", "narrow", "reset", "on", ">pw", "&*", "+@all", *RIGHTS["to no key of this name"])
    try:
        async with publishing(fast(valkey, username="narrow", password="pw", retransmit_s=0.0)) as publisher:
            publisher.publish(trade(1))
            assert await publisher.drain(5)
            await client.delete(KEYS.cursor("connector.binance"))
            for number in (2, 3):
                publisher.publish(trade(number))
                assert await publisher.drain(5)
    finally:
        await client.acl_deluser("narrow")
    assert numbers(await on_tape(client)) == whole(3)


async def test_a_bell_is_trimmed(client: Redis, valkey: str) -> None:
    """It keeps about as many entries as it should, not all."""
    async with publishing(fast(valkey, batch=1)) as publisher:
        publisher.publish_all(trade(number, BTC) for number in range(1, 2 * BELL_LENGTH))
        assert await publisher.drain(20)
    assert BELL_LENGTH <= await client.xlen(BELL) < BELL_LENGTH + 200
