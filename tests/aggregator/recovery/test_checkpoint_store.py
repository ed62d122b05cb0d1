"""Tests where checkpoints are stored, and who may write them."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from crosstape.bus.lease.fencing import claim
from crosstape_aggregator.recovery import checkpoint_store
from crosstape_aggregator.recovery.checkpoint_store import KEPT_S, CheckpointStore, StoredCheckpoint
from tests.aggregator.running import KEYS

NAME = "aggregator.3"
KEY = KEYS.checkpoint(NAME)


async def owner(client: Redis) -> CheckpointStore:
    """Return the store of an instance that has just claimed the shard."""
    return CheckpointStore(client, KEYS, NAME, (await claim(client, KEYS, NAME)).epoch)


async def test_what_one_leaves_the_next_finds(client: Redis) -> None:
    """The next owner loads what the previous one saved. The key expires."""
    first = await owner(client)
    assert await first.load() is None
    assert await first.save({"head:A": b"\x00state\xff", "1:A": b"one"})
    assert await first.save({"head:B": b"state"}, at=5)
    second = await owner(client)
    assert await second.load() == StoredCheckpoint(5, {"head:A": b"\x00state\xff", "1:A": b"one", "head:B": b"state"})
    assert await second.save({"head:A": b"newer", "2:A": b"two"}, ["1:A", "2:A", "head:B"], at=6)
    assert await second.load() == StoredCheckpoint(6, {"head:A": b"newer", "2:A": b"two"})
    assert KEPT_S - 60 < await client.ttl(KEY) <= KEPT_S


async def test_many_fields_are_loaded_in_several_calls(client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each field is loaded once."""
    monkeypatch.setattr(checkpoint_store, "FIELDS", 3)
    store = await owner(client)
    fields = {f"{number}:A": str(number).encode() for number in range(7)}
    assert await store.save(fields, at=1)
    assert await store.load() == StoredCheckpoint(1, fields)


async def test_what_is_there_can_be_replaced(client: Redis) -> None:
    """The old content does not matter."""
    store = await owner(client)
    assert await store.save({"head:A": b"a"}, at=1)
    await client.hset(KEY, "state", "of a former version")
    assert await store.save({"head:B": b"b"}, ["1:B"], replace=True)
    assert await store.load() == StoredCheckpoint(0, {"head:B": b"b"})


async def test_a_former_owner_overwrites_nothing(client: Redis) -> None:
    """It can write neither before the next owner has saved nor after that, nor when the server has lost the claim."""
    first = await owner(client)
    assert await first.save({"head:A": b"first"}, at=1)
    second = await owner(client)
    assert not await first.save({"head:A": b"stalled"}, ["head:A"], at=2, replace=True)
    assert await second.load() == StoredCheckpoint(1, {"head:A": b"first"})
    assert await second.save({"head:A": b"second"}, at=3)
    await client.delete(KEYS.cursor(NAME))
    assert not await first.save({"head:A": b"stalled"}, at=4, replace=True)
    assert await second.load() == StoredCheckpoint(3, {"head:A": b"second"})
    assert await second.save({"head:A": b"second again"}, at=5)


async def test_a_moment_that_is_no_number_is_the_oldest(client: Redis) -> None:
    """Then no venue-wide event counts as applied."""
    store = await owner(client)
    assert await store.save({"head:A": b"a"}, at=1)
    await client.hset(KEY, "at", "x")
    assert await store.load() == StoredCheckpoint(0, {"head:A": b"a"})


async def test_another_type_of_key_is_an_error(client: Redis) -> None:
    """It does not count as a missing checkpoint."""
    store = await owner(client)
    await client.set(KEY, b"text")
    with pytest.raises(ResponseError):
        await store.load()
    with pytest.raises(ResponseError):
        await store.save({"head:A": b"state"}, at=1, replace=True)


async def test_a_checkpoint_of_another_tape_is_not_used(client: Redis) -> None:
    """It was copied from another server, or the tape was replaced. A checkpoint without an identity is used."""
    stored = StoredCheckpoint(1, {"head:A": b"state"})
    await client.hset(KEYS.identity(), "id", "one")
    store = await owner(client)
    assert await store.save(stored.fields, at=1)
    await client.hset(KEYS.identity(), "id", "another")
    assert await store.load() is None
    await client.hset(KEYS.identity(), "id", "one")
    assert await store.load() == stored
    await client.hdel(KEY, "tape")
    await client.hset(KEYS.identity(), "id", "another")
    assert await store.load() == stored
