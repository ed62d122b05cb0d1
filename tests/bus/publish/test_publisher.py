"""Publishing: in order, numbered, announced, and in few calls."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from crosstape.bus import Publisher, connect
from crosstape.errors import BusError, Superseded
from crosstape.settings import BusSettings, MaxLen
from crosstape_schemas import VENUE_WIDE, FeedState, Gap, GapCause, Keys, Quote, Status, Trade, decode
from tests.bus.tape import BTC, ETH, KEYS, QUOTES, TRADES, Counts, fast, ids, numbers, on_tape, publishing, quote, status, trade, whole
from tests.waiting import wait_until


async def test_what_is_published_is_on_the_tape_in_order(client: Redis, valkey: str) -> None:
    """Events have the publisher's epoch and the numbers 1, 2, 3 …, and are otherwise unchanged."""
    async with publishing(fast(valkey)) as publisher:
        publisher.publish_all([trade(1), trade(2), trade(3, ETH), quote(4)])
        assert publisher.pending == 4
        assert await publisher.drain(5)
        assert (publisher.pending, publisher.acknowledged) == (0, 4)

    events = await on_tape(client)
    assert numbers(events) == [1, 2]
    assert {event.epoch for event in events} == {publisher.epoch}
    assert (events[0].venue, events[0].received_ts) == ("binance", 1_001)
    assert numbers(await on_tape(client, KEYS.stream("trade", ETH))) == [1]
    assert numbers(await on_tape(client, QUOTES)) == [1]


async def test_a_successor_that_has_claimed_its_name_is_alone(client: Redis, valkey: str) -> None:
    """Even before it has published: later batches of its predecessor are refused, so `last` is the last event."""
    settings = fast(valkey)
    async with connect(settings) as first_client:
        first = Publisher(first_client, KEYS, settings, producer="connector.binance")
        first.publish(trade(1))
        assert await first.drain(5)
        async with publishing(settings) as second:
            await second.claimed()
            first.publish(trade(2))
            assert not await first.drain(5)
            found = await second.last("trade", [BTC], "binance")
    assert [event.trade_id for event in found.values() if isinstance(event, Trade)] == ["1"]
    assert len(await on_tape(client)) == 1


async def test_the_channel_the_last_value_and_the_registry_follow(client: Redis, valkey: str) -> None:
    """Any language can subscribe to the stream's name, ask for the newest, and list what exists."""
    async with client.pubsub() as pubsub, publishing(fast(valkey)) as publisher:
        await pubsub.subscribe(QUOTES)
        assert await pubsub.get_message(timeout=5)
        publisher.publish_all([quote(1), quote(2)])
        assert await publisher.drain(5)
        heard = [await pubsub.get_message(timeout=5) for _ in range(2)]

        last = await publisher.last("quote", [BTC, ETH], "binance")

    assert [decode(message["data"]).seq for message in heard if message] == [1, 2]
    assert list(last) == [BTC]
    assert isinstance(last[BTC], Quote)
    assert last[BTC].seq == 2
    assert await client.smembers(KEYS.registry()) == {QUOTES.encode()}


async def test_a_trade_that_was_fetched_late_does_not_pass_for_the_last(client: Redis, valkey: str) -> None:
    """A successor goes on from the trade that was made last, in whichever order they were published; each stays known by its number."""

    def late(number: int) -> Trade:
        return msgspec.structs.replace(trade(number), backfilled=True)

    async def numbers() -> dict[bytes, tuple[str, int]]:
        values: Any = await client.hgetall(KEYS.last("trade", BTC))
        return {field: (event.trade_id, event.seq) for field, value in values.items() if isinstance(event := decode(value), Trade)}

    async with publishing(fast(valkey)) as publisher:
        for batch, found in (
            ([trade(1), trade(9), late(8)], {b"binance": ("9", 2), b"binance:late": ("8", 3)}),
            ([late(7), late(6)], {b"binance": ("9", 2), b"binance:late": ("6", 5)}),
            ([late(10)], {b"binance": ("10", 6), b"binance:late": ("6", 5)}),
            ([late(5), trade(11)], {b"binance": ("11", 8), b"binance:late": ("6", 5)}),
        ):
            publisher.publish_all(batch)
            assert await publisher.drain(5)
            assert await numbers() == found
        (last,) = (await publisher.last("trade", [BTC], "binance")).values()
        assert isinstance(last, Trade)
        assert last.trade_id == "11"


async def test_statuses_of_several_feeds_do_not_hide_one_another(client: Redis, valkey: str) -> None:
    """They share a stream and a hash, but not a field: a late reader must learn the state of each feed."""
    async with publishing(fast(valkey)) as publisher:
        publisher.publish_all([status("trade"), status("quote", FeedState.STALE), status(VENUE_WIDE)])
        assert await publisher.drain(5)

    fields = await client.hkeys(KEYS.last("status", BTC))
    assert set(fields) == {b"binance:trade", b"binance:quote", b"binance"}


async def test_a_venues_own_stream_takes_statuses_and_gaps(client: Redis, valkey: str) -> None:
    """Under one numbering; its last value is the status, whatever came after it."""
    async with publishing(fast(valkey)) as publisher:
        publisher.publish(status(VENUE_WIDE, instrument=VENUE_WIDE))
        publisher.publish(Gap("binance", VENUE_WIDE, None, 2, VENUE_WIDE, 1, 2, None, GapCause.DISCONNECT))
        assert await publisher.drain(5)
        last = await publisher.last("status", [VENUE_WIDE], "binance")

    assert numbers(await on_tape(client, KEYS.venue("binance"))) == [1, 2]
    assert isinstance(last[VENUE_WIDE], Status)


async def test_batches_grow_under_load_and_are_capped(client: Redis, valkey: str) -> None:
    """One call is in flight; events that come meanwhile are the next batch, of at most `batch` entries."""
    counts = Counts()
    async with publishing(fast(valkey, batch=10), metrics=counts) as publisher:
        publisher.publish_all(trade(number) for number in range(1, 96))
        assert await publisher.drain(5)

    assert counts.batches == [10] * 9 + [5]
    assert numbers(await on_tape(client)) == whole(95)


async def test_a_busy_stream_does_not_shut_out_the_others(client: Redis, valkey: str) -> None:
    """If a batch is full, the rest of a stream goes behind the streams that wait."""
    async with publishing(fast(valkey, batch=10)) as publisher:
        publisher.publish_all(trade(number) for number in range(1, 1001))
        publisher.publish(quote(1))
        assert await publisher.drain(5)
    (first,) = await ids(client, QUOTES)
    assert first <= (await ids(client))[20]


async def test_streams_are_trimmed_by_kind(client: Redis, valkey: str) -> None:
    """At about the set length: the server trims complete nodes only."""
    async with publishing(fast(valkey, max_len=MaxLen(trade=100))) as publisher:
        publisher.publish_all(trade(number) for number in range(1, 2001))
        publisher.publish_all(quote(number) for number in range(1, 1001))
        assert await publisher.drain(5)
    assert 100 <= await client.xlen(TRADES) < 400
    assert await client.xlen(QUOTES) == 1000


async def test_partitions_lie_under_their_own_names(client: Redis, valkey: str) -> None:
    """They have hash tags, also on a standalone server: one writer, one cursor and one registry each."""
    keys = Keys(partitions=4)
    names = [f"C{number}-USDT" for number in range(20)]
    async with publishing(fast(valkey, partitions=4), keys=keys) as publisher:
        publisher.publish_all(trade(number, name) for name in names for number in range(1, 11))
        assert await publisher.drain(5)
    for name in names:
        assert numbers(await on_tape(client, keys.stream("trade", name))) == whole(10)
    listed = [await client.scard(keys.registry(partition)) for partition in range(4)]
    assert sum(listed) == 20
    assert await client.exists(*(keys.cursor("connector.binance", partition) for partition in range(4))) == 4


async def test_a_publisher_has_one_venue(valkey: str) -> None:
    """Numbers are per venue; two venues under one numbering would look like missing numbers."""
    async with connect(BusSettings(url=valkey)) as client:
        publisher = Publisher(client, KEYS, BusSettings(), producer="x")
        publisher.publish(trade(1))
        with pytest.raises(BusError, match="kraken"):
            publisher.publish(quote(1, venue="kraken"))


async def test_a_producer_started_again_supersedes_the_old_one(client: Redis, valkey: str) -> None:
    """The old one raises and stops; none of its events is written after the first batch of the new one."""
    settings = fast(valkey)
    async with connect(settings) as shared:
        old = Publisher(shared, KEYS, settings, producer="connector.binance")
        task = asyncio.create_task(old.run())
        old.publish(trade(1))
        await wait_until(lambda: not old.pending, what="the old one has written")
        async with publishing(settings) as new:
            new.publish(trade(2))
            assert await new.drain(5)
            old.publish(trade(3))
            with pytest.raises(Superseded):
                await task
            assert not await old.drain(1)

    assert [event.epoch for event in await on_tape(client)] == [old.epoch, new.epoch]


async def test_the_batch_in_flight_survives_cancellation(client: Redis, valkey: str) -> None:
    """`drain` after `run` was cancelled sends it again under its number: neither lost nor doubled."""
    settings = fast(valkey)
    async with connect(settings) as shared:
        publisher = Publisher(shared, KEYS, settings, producer="connector.binance")
        for number in range(1, 30):
            publisher.publish(trade(number))
            task = asyncio.create_task(publisher.run())
            for _ in range(number % 7):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        assert await publisher.drain(5)
    assert numbers(await on_tape(client)) == whole(29)


async def test_drain_gives_up_in_time(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The server is away: `drain` returns False."""
    settings = fast(f"unix://{tmp_path_factory.mktemp('none')}/no.sock")
    async with publishing(settings) as publisher:
        publisher.publish(trade(1))
        assert not await publisher.drain(0.2)
        assert publisher.pending == 1


async def test_an_event_that_is_refused_keeps_no_other_back(client: Redis, valkey: str) -> None:
    """The error is raised when all others are in memory."""
    async with publishing(fast(valkey)) as publisher:
        with pytest.raises(BusError, match="publishes binance, not kraken"):
            publisher.publish_all([trade(1), msgspec.structs.replace(trade(1, ETH), venue="kraken"), trade(2)])
        assert await publisher.drain(5)
    assert numbers(await on_tape(client)) == [1, 2]
