"""Events of two tapes do not get into one history: live and simulated ones, or those of two servers."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from crosstape.bus import connect
from crosstape.bus.spool.tape_identity import Identity
from crosstape.errors import WrongTape
from crosstape_recorder.binding import Binding, bind
from tests.bus.tape import KEYS, fast, publishing, trade
from tests.recorder.memory_store import MemoryStore
from tests.recorder.recording import recorded, recording, settings_of
from tests.waiting import wait_until

LIVE, OTHER, SIMULATED = Identity("a" * 16, "live"), Identity("b" * 16, "live"), Identity("c" * 16, "simulated")


async def test_a_new_store_is_bound_to_the_tape() -> None:
    """Once; also when its origin was not known at first."""
    store = MemoryStore()

    assert await bind(store, Identity(LIVE.id))
    assert await bind(store, LIVE)
    assert not await bind(store, LIVE)
    assert not await bind(store, Identity(LIVE.id))  # a server that was emptied, and whose producers do not know the origin yet
    assert store.disk.tapes == [Identity(LIVE.id), LIVE]


@pytest.mark.parametrize("adopt", [False, True])
@pytest.mark.parametrize(("first", "second"), [(LIVE, SIMULATED), (SIMULATED, LIVE)])
async def test_live_and_simulated_tapes_never_mix(first: Identity, second: Identity, adopt: bool) -> None:
    """Nobody can say that they may."""
    store = MemoryStore()
    await bind(store, first)

    with pytest.raises(WrongTape, match="record it to another store"):
        await bind(store, second, adopt=adopt)
    assert store.disk.tapes == [first]


async def test_another_tape_is_adopted_if_an_operator_says_so() -> None:
    """Its server took the place of one that lost its data."""
    store = MemoryStore()
    await bind(store, LIVE)

    with pytest.raises(WrongTape, match="crosstape recorder adopt"):
        await bind(store, OTHER)
    assert await bind(store, OTHER, adopt=True)
    assert not await bind(store, OTHER)
    with pytest.raises(WrongTape):
        await bind(store, LIVE)  # the server that lost its data is back: two recorders would take turns


async def test_a_recorder_stops_when_the_server_has_another_tape(client: Redis, valkey: str) -> None:
    """And commits nothing of what it may have read of it."""
    store, settings = MemoryStore(), settings_of(valkey)
    with pytest.RaisesGroup(pytest.RaisesExc(WrongTape, match="another tape"), flatten_subgroups=True):
        async with recording(settings, store):
            async with publishing(settings.bus) as publisher:
                publisher.publish(trade(1))
                await recorded(store, "trade", 1)
            await client.flushall()
            async with publishing(settings.bus) as publisher:
                publisher.publish(trade(1))
                assert await publisher.drain(10)
                await wait_until(lambda: False, what="it stops")

    assert len(store.disk.events("trade")) == 1


async def test_a_server_without_a_tape_is_no_other_tape(client: Redis, valkey: str) -> None:
    """It was emptied, and its producers know which tape they write."""
    async with connect(fast(valkey)) as own:
        await Binding(own, KEYS, LIVE).check()
        await client.hset(KEYS.identity(), mapping={"id": LIVE.id})
        await Binding(own, KEYS, LIVE).check()
        await client.hset(KEYS.identity(), mapping={"id": OTHER.id})
        with pytest.raises(WrongTape):
            await Binding(own, KEYS, LIVE).check()


async def test_a_server_that_is_away_is_no_other_tape() -> None:
    """What was read of it before may be committed."""
    async with connect(fast("redis://127.0.0.1:1")) as own:
        await Binding(own, KEYS, LIVE).check()


async def test_an_emptied_server_goes_on_under_the_same_tape(client: Redis, valkey: str) -> None:
    """Its producers write again what it has lost of the last seconds, under other ids: nothing is recorded twice."""
    store, settings = MemoryStore(), settings_of(valkey)
    async with publishing(settings.bus) as publisher, recording(settings, store):
        for number in range(1, 101):
            publisher.publish(trade(number))
        await recorded(store, "trade", 100)
        await client.flushall()
        for number in range(101, 201):
            publisher.publish(trade(number))
        await recorded(store, "trade", 200)

    assert [event.seq for event in store.disk.events("trade")] == list(range(1, 201))
    assert not store.disk.events("gap")
    assert await client.hget(KEYS.identity(), "id") == store.disk.tapes[0].id.encode()
