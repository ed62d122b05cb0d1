"""Where checkpoints are, and who may put one there."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from crosstape.bus.lease.fencing import claim
from crosstape_aggregator.recovery.checkpoint_store import KEPT_S, CheckpointStore, StoredCheckpoint
from tests.aggregator.running import KEYS

NAME = "aggregator.3"
KEY = KEYS.checkpoint(NAME)


async def owner(client: Redis) -> CheckpointStore:
    """The store of one that has just claimed the share."""
    return CheckpointStore(client, KEYS, NAME, (await claim(client, KEYS, NAME)).epoch)


async def test_what_one_leaves_the_next_finds(client: Redis) -> None:
    """As it was; nothing where nobody has left anything. It does not stay for ever."""
    first = await owner(client)
    assert await first.load() is None
    assert await first.save(5, b"\x00state\xff")
    second = await owner(client)
    assert await second.load() == StoredCheckpoint(5, b"\x00state\xff")
    assert await second.save(6, b"newer")
    assert await second.load() == StoredCheckpoint(6, b"newer")
    assert KEPT_S - 60 < await client.ttl(KEY) <= KEPT_S


async def test_a_former_owner_overwrites_nothing(client: Redis) -> None:
    """Neither before the next has left one nor after; nor when the server has lost the claim."""
    first = await owner(client)
    assert await first.save(1, b"first")
    second = await owner(client)
    assert not await first.save(2, b"stalled")
    assert await second.load() == StoredCheckpoint(1, b"first")
    assert await second.save(3, b"second")
    await client.delete(KEYS.cursor(NAME))
    assert not await first.save(4, b"stalled")
    assert await second.load() == StoredCheckpoint(3, b"second")
    assert await second.save(5, b"second again")


async def test_another_type_of_key_is_an_error(client: Redis) -> None:
    """Not a checkpoint that is not there."""
    store = await owner(client)
    await client.set(KEY, b"text")
    with pytest.raises(ResponseError):
        await store.load()
    with pytest.raises(ResponseError):
        await store.save(1, b"state")


async def test_a_checkpoint_of_another_tape_is_not_used(client: Redis) -> None:
    """Copied from another server, or left where the tape was replaced; one of a version that knew no identity is."""
    await client.hset(KEYS.identity(), "id", "one")
    store = await owner(client)
    assert await store.save(1, b"state")
    await client.hset(KEYS.identity(), "id", "another")
    assert await store.load() is None
    await client.hset(KEYS.identity(), "id", "one")
    assert await store.load() == StoredCheckpoint(1, b"state")
    await client.hdel(KEY, "tape")
    await client.hset(KEYS.identity(), "id", "another")
    assert await store.load() == StoredCheckpoint(1, b"state")
