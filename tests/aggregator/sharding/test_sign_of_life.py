"""The aggregator's sign of life: on the tape while it works, and only then."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from redis.asyncio import Redis

from crosstape.bus import Publisher, connect
from crosstape.liveness import SignsOfLife
from crosstape.settings import BusSettings
from crosstape_aggregator.publishing.quote_publisher import QuotePublisher
from crosstape_aggregator.recovery.barrier import Barrier
from crosstape_aggregator.sharding.assignment import Shard
from crosstape_aggregator.sharding.sign_of_life import LoopProgress, SignOfLife, kind_of
from crosstape_schemas import CONSOLIDATED, FeedState, Status, decode
from tests.aggregator.builders import S
from tests.aggregator.running import KEYS, aggregator, newest, venue, wait_for_legs
from tests.proxy import proxy
from tests.waiting import wait_until

OFTEN_S = 0.05
STREAM = KEYS.venue(CONSOLIDATED)


async def signs(client: Redis) -> list[Status]:
    """Return all signs on the tape."""
    entries: Any = await client.xrange(STREAM)
    found = [decode(fields[b"d"]) for _, fields in entries]
    assert all(isinstance(one, Status) for one in found)
    return [one for one in found if isinstance(one, Status)]


async def test_an_aggregator_says_that_it_lives_and_that_it_ends(client: Redis, valkey: str) -> None:
    """The signs have the epoch of its quotes and are numbered. The last value is the last sign."""
    async with venue(valkey, "binance") as binance, aggregator(valkey, status_interval_s=OFTEN_S):
        await binance.live_on()
        await binance.quote("100", "101")
        await wait_for_legs(client, {"binance": None})

        async def several() -> bool:
            return len(await signs(client)) > 3

        await wait_until(several, what="signs of life")
        found = await newest(client)
    assert found is not None
    said = await signs(client)
    assert [one.seq for one in said] == list(range(1, len(said) + 1))
    assert {(one.venue, one.instrument, one.kind, one.epoch) for one in said} == {(CONSOLIDATED, "*", "*", found.epoch)}
    assert {one.state for one in said[:-1]} == {FeedState.LIVE}
    assert (said[-1].state, said[-1].reason) == (FeedState.DOWN, "stopped")
    last = decode(await client.hget(KEYS.last("status", "*"), CONSOLIDATED) or b"")
    assert last == said[-1]
    judged = SignsOfLife()
    judged.apply(said[-2], 0.0, said[-2].received_ts)
    assert judged.is_current(found, 0.0)
    judged.apply(said[-1], 0.0, said[-1].received_ts)
    assert not judged.is_current(found, 0.0)


async def test_each_shard_has_its_own(client: Redis, valkey: str) -> None:
    """The sign of one shard does not replace the last value of another."""
    async with venue(valkey, "binance") as binance, aggregator(valkey, shares=2, status_interval_s=OFTEN_S):
        await binance.quote("100", "101")

        async def both() -> bool:
            fields: Any = await client.hkeys(KEYS.last("status", "*"))
            return {b"consolidated:share.0", b"consolidated:share.1"} <= set(fields)

        await wait_until(both, what="both")
    said = await signs(client)
    assert {one.kind for one in said} == {"share.0", "share.1"}
    assert len({one.epoch for one in said}) == 2


@pytest.mark.parametrize("what", ["reads", "publishes"])
async def test_an_aggregator_that_hangs_gives_none(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Its reading or publishing loop stands still, although its event loop runs."""
    hung = asyncio.Event()

    async def hang(*_: object) -> None:
        hung.set()
        await asyncio.Event().wait()

    def give_up(*_: object) -> bool:
        hung.set()
        return False

    async with venue(valkey, "binance") as binance, aggregator(valkey, status_interval_s=OFTEN_S, min_interval_s=0.01):
        await binance.live_on()
        await binance.quote("100", "101")
        await wait_for_legs(client, {"binance": None})
        if what == "reads":
            monkeypatch.setattr(Barrier, "apply", hang)
        else:
            monkeypatch.setattr(QuotePublisher, "_publish", give_up)
        await binance.quote("100", "102")
        await wait_until(hung.is_set, what="it hangs")

        async def silent() -> bool:
            said = await signs(client)
            return time.time_ns() - said[-1].received_ts > 20 * OFTEN_S * S

        await wait_until(silent, what="no sign any more")


async def test_an_aggregator_without_a_connection_gives_none(client: Redis, valkey: str) -> None:
    """It publishes a sign when it is connected again, but none of those that it missed."""
    async with proxy(valkey) as between, venue(valkey, "binance") as binance, aggregator(between.url, status_interval_s=OFTEN_S):
        await binance.quote("100", "101")
        await wait_until(lambda: client.exists(STREAM), what="a sign")
        between.refusing = True
        between.cut()
        attempts = between.connections
        await wait_until(lambda: between.connections > attempts + 5, what="attempts to come back")
        cut_ts = time.time_ns()
        before = len(await signs(client))
        await asyncio.sleep(20 * OFTEN_S)  # the length of the outage: it is to be longer than several signs
        assert len(await signs(client)) == before
        between.refusing = False

        async def back() -> bool:
            return (await signs(client))[-1].received_ts > cut_ts + 20 * OFTEN_S * S

        await wait_until(back, what="a sign after the outage")
        assert len([one for one in (await signs(client))[before:] if one.received_ts < cut_ts + 10 * OFTEN_S * S]) <= 1


async def test_what_it_needs_to_be_given(valkey: str) -> None:
    """Each loop that has something to do must have made progress since the last call."""
    now = LoopProgress(read=1, waits=False, published=1, due=False)
    async with connect(BusSettings(url=valkey)) as bus:
        publisher = Publisher(bus, KEYS, BusSettings(url=valkey), producer="aggregator")
        sign = SignOfLife(publisher, Shard(), 1.0, lambda _: now)
        assert sign.works()
        assert not sign.works()  # it neither read nor waits
        now = now._replace(waits=True)
        assert sign.works()
        now = now._replace(due=True)
        assert sign.works()  # it has been due only since
        assert not sign.works()
        now = now._replace(published=2)
        assert sign.works()
        sign.publish()
        now = now._replace(due=False)
        assert not sign.works()  # what was said before has not arrived


def test_shards_have_different_kinds() -> None:
    """A single shard has the kind of a venue-wide status."""
    assert (kind_of(Shard()), kind_of(Shard(3, 8))) == ("*", "share.3")
