"""Entries are published where somebody listens, and everywhere when the server cannot know who does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.client import PubSub
from redis.exceptions import ResponseError
from structlog.testing import capture_logs

from crosstape.bus import Publisher
from crosstape.bus.publish import channels
from crosstape.bus.publish.channels import Channels, connected_replicas
from crosstape.runtime.embedded_server import EmbeddedServer
from crosstape.settings import BusSettings
from crosstape_schemas import decode
from tests.bus.tape import KEYS, QUOTES, TRADES, command, fast, numbers, on_tape, publishing, quote, trade, whole
from tests.proxy import proxy
from tests.waiting import wait_until


async def calls(client: Redis, name: str) -> int:
    """Returns how often the server was asked to do this, by scripts, too."""
    stats: dict[str, Any] = await client.info("commandstats")
    return int(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"])


async def heard(pubsub: PubSub, count: int) -> list[int]:
    """Returns the numbers of the next `count` events that a listener gets."""
    found: list[int] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=1)
            if message is not None:
                found.append(decode(message["data"]).seq)
    return found


async def test_what_nobody_listens_to_is_published_once_a_batch(client: Redis, valkey: str) -> None:
    """The answer to the first entry of each stream says that nobody does. All entries are on their streams."""
    async with publishing(fast(valkey)) as publisher:
        assert await publisher.drain(5)
        before = await calls(client, "publish")
        publisher.publish_all(event for number in range(1, 101) for event in (trade(number), quote(number)))
        assert await publisher.drain(5)
        assert await calls(client, "publish") - before == 2
    assert numbers(await on_tape(client)) == whole(100)
    assert numbers(await on_tape(client, QUOTES)) == whole(100)


@pytest.mark.parametrize("by", ["subscribe", "psubscribe"])
async def test_a_listener_hears_every_event_from_then_on(client: Redis, valkey: str, by: str) -> None:
    """By the channel's name or by a pattern; what it does not listen to is spared; once it has gone, all is."""
    async with client.pubsub() as pubsub, publishing(fast(valkey)) as publisher:
        publisher.publish_all(trade(number) for number in range(1, 11))
        assert await publisher.drain(5)
        await (pubsub.subscribe(TRADES) if by == "subscribe" else pubsub.psubscribe("tape:trade:*"))
        assert await pubsub.get_message(timeout=5)
        before = await calls(client, "publish")
        publisher.publish_all(event for number in range(11, 61) for event in (trade(number), quote(number)))
        assert await publisher.drain(5)
        assert await heard(pubsub, 50) == list(range(11, 61))
        assert await calls(client, "publish") - before == 51

        await (pubsub.unsubscribe() if by == "subscribe" else pubsub.punsubscribe())
        assert await pubsub.get_message(timeout=5)
        before = await calls(client, "publish")
        publisher.publish_all(trade(number) for number in range(61, 101))
        assert await publisher.drain(5)
        assert await calls(client, "publish") - before == 1
    assert numbers(await on_tape(client)) == whole(100)


async def test_a_listener_in_the_midst_of_publishing_misses_nothing_behind_its_first_event(client: Redis, valkey: str) -> None:
    """A subscription comes before a batch or behind it, never within."""
    async with publishing(fast(valkey, batch=50)) as publisher:
        publisher.publish_all(trade(number) for number in range(1, 5001))
        await wait_until(lambda: publisher.acknowledged > 500, what="some are written")
        async with client.pubsub() as pubsub:
            await pubsub.subscribe(TRADES)
            assert await pubsub.get_message(timeout=5)
            publisher.publish_all(trade(number) for number in range(5001, 6001))
            assert await publisher.drain(20)
            (first,) = await heard(pubsub, 1)
            assert first % 50 == 1
            assert await heard(pubsub, 6000 - first) == list(range(first + 1, 6001))


async def test_all_is_published_where_the_setting_says_so(client: Redis, valkey: str) -> None:
    """Then the server is not asked for its replicas."""
    async with publishing(fast(valkey, channels="always")) as publisher:
        asked, before = await calls(client, "info"), await calls(client, "publish")
        publisher.publish_all(trade(number) for number in range(1, 101))
        assert await publisher.drain(5)
        assert await calls(client, "publish") - before == 100
        assert await calls(client, "info") - asked == 3  # those of this test


async def test_a_client_that_speaks_the_newer_protocol(client: Redis, valkey: str) -> None:
    """A program's own client may: answers are as in the older one."""
    async with Redis.from_url(valkey, protocol=3, socket_timeout=5) as own, asyncio.TaskGroup() as tasks:
        publisher = Publisher(own, KEYS, fast(valkey), producer="connector.binance")
        running = tasks.create_task(publisher.run())
        assert await publisher.drain(5)
        before = await calls(client, "publish")
        publisher.publish_all(trade(number) for number in range(1, 101))
        assert await publisher.drain(5)
        assert await calls(client, "publish") - before == 1
        running.cancel()
    assert numbers(await on_tape(client)) == whole(100)


@contextlib.asynccontextmanager
async def started(server: EmbeddedServer) -> AsyncIterator[Redis]:
    """A client of a server that runs for the length of the block."""
    await server.start()
    try:
        async with Redis.from_url(server.url) as client:
            yield client
    finally:
        await server.stop()


async def test_a_listener_of_a_replica_hears_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server does not count it, so all is published once the replica is seen, until it was away for long."""
    monkeypatch.setattr(channels, "LOOK_S", 0.0)
    monkeypatch.setattr(channels, "REPLICAS_S", 0.0)
    main = EmbeddedServer(tmp_path / "main", port=0, options={"repl-diskless-sync-delay": "0"})
    replica = EmbeddedServer(tmp_path / "replica", options={"replicaof": f"127.0.0.1 {main.port}"})
    async with started(main) as client, publishing(fast(main.url)) as publisher:
        async with started(replica) as other, other.pubsub() as pubsub:
            await wait_until(partial(linked, client, 1), what="the replica has joined")
            await pubsub.subscribe(TRADES)
            assert await pubsub.get_message(timeout=5)
            publisher.publish_all(trade(number) for number in range(1, 101))
            assert await publisher.drain(5)
            assert await heard(pubsub, 100) == whole(100)
        await wait_until(partial(linked, client, 0), what="the replica has gone")
        before = await calls(client, "publish")
        publisher.publish_all(trade(number) for number in range(101, 201))
        assert await publisher.drain(5)
        assert await calls(client, "publish") - before == 1


async def linked(client: Redis, count: int) -> bool:
    """Whether the server has so many replicas, and passes on to them what is published."""
    info: dict[str, Any] = await client.info("replication")
    return info["connected_slaves"] == count and all(info[f"slave{number}"]["state"] == "online" for number in range(count))


async def test_a_server_that_does_not_tell_gets_all(client: Redis, valkey: str) -> None:
    """The right to ask is missing: the log says so once, and the server's log of refusals is not filled."""
    await command(client, "ACL", "SETUSER", "narrow", "reset", "on", ">pw", "&*", "~*", "+@all", "-info")
    await client.acl_log_reset()
    try:
        with capture_logs() as logs:
            async with publishing(fast(valkey, username="narrow", password="pw")) as publisher:
                before = await calls(client, "publish")
                for number in range(1, 21, 2):
                    publisher.publish_all([trade(number), trade(number + 1)])
                    assert await publisher.drain(5)
                assert await calls(client, "publish") - before == 20
        refused: list[dict[str, Any]] = [entry for entry in await client.acl_log() if entry["object"] == "info"]
        assert sum(entry["count"] for entry in refused) <= 2  # ours, and the question for the policy of eviction
    finally:
        await client.acl_deluser("narrow")
        await client.acl_log_reset()
    assert [entry["log_level"] for entry in logs if entry["event"] == "bus.channels_always"] == ["warning"]


async def test_after_a_lost_connection_it_is_asked_again(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address may lead to another server."""
    monkeypatch.setattr(channels, "LOOK_S", 3600.0)
    async with proxy(valkey) as net, publishing(fast(net.url)) as publisher:
        for number in range(1, 4):
            publisher.publish(trade(number))
            assert await publisher.drain(5)
            before = await calls(client, "info")
            publisher.publish(trade(number))
            assert await publisher.drain(5)
            assert await calls(client, "info") - before == 1  # the test's own
            net.cut()
            publisher.publish(trade(number))
            assert await publisher.drain(5)
            assert await calls(client, "info") - before == 3


@pytest.mark.parametrize(
    ("info", "replicas"),
    [
        (b"# Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_failover_state:no-failover\r\n", 0),
        (b"# Replication\r\nrole:master\r\nconnected_slaves:12\r\n", 12),
        ("role:master\nconnected_replicas:1\n", 1),
        (b"", None),
        (None, None),
        (b"# Replication\r\nrole:master\r\nslaves:connected_slaves:3\r\n", None),
        (b"connected_slaves:many\r\n", None),
    ],
)
def test_the_count_of_replicas(info: object, replicas: int | None) -> None:
    """What a server answers to INFO replication; a proxy may answer anything."""
    assert connected_replicas(info) == replicas


class Answers:
    """A server that answers this; an error is raised."""

    def __init__(self, answer: bytes | Exception) -> None:
        self.answer = answer

    async def __call__(self, *_command: str) -> bytes:
        """Returns the answer."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_replicas_are_looked_for_now_and_then() -> None:
    """A server without any is asked more often than one that has some: that one may have lost its replica for a moment."""
    known = Channels(Redis(), BusSettings(url="redis://x"))
    assert known.every
    assert known.is_due(0.0)
    await known.look(Answers(b"connected_slaves:0\r\n"), 100.0)
    assert not known.every
    assert (known.is_due(104.0), known.is_due(105.0)) == (False, True)
    await known.look(Answers(b"connected_slaves:1\r\n"), 105.0)
    assert known.every
    assert (known.is_due(164.0), known.is_due(165.0)) == (False, True)
    await known.look(Answers(ResponseError("NOPERM")), 165.0)
    assert known.every
    assert not known.is_due(1e9)
    known.forget()
    assert known.is_due(165.0)


def test_a_cluster_is_never_asked() -> None:
    """What is published on one node is heard on all."""
    client = RedisCluster(host="localhost", port=1)
    known = Channels(client, BusSettings(url="redis+cluster://x", partitions=4))
    assert known.every
    assert not known.is_due(1e9)
