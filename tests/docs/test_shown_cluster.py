"""The programs that the how-to shows for a cluster, run on a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import RedisCluster
from redis.exceptions import RedisClusterException, RedisError

from crosstape_schemas import Keys, encode
from tests.cluster import Cluster, cluster
from tests.docs import following, shown
from tests.docs.following import Program
from tests.docs.shown import ADDRESS, Follows
from tests.waiting import wait_until

BLOCKS = {block.name: block for block in shown.blocks()}
PYTHON = BLOCKS["docs/how-to/read-with-redis.md#a-cluster python"]
SHELL = BLOCKS["docs/how-to/read-with-redis.md#a-cluster sh"]
KEYS = Keys(partitions=12)
STREAM = KEYS.stream("trade", "BTC-USDT")


async def send(client: RedisCluster, numbers: range) -> None:
    """Trades of these numbers, each tried again until it is there."""
    for number in numbers:
        while True:
            with contextlib.suppress(RedisError, RedisClusterException, OSError):
                await client.xadd(STREAM, {"d": encode(following.trade(number))})
                break
            await asyncio.sleep(0.1)


def program(directory: Path, nodes: Cluster) -> Program:
    """The block, as it stands but for the cluster's address."""
    file = directory / "shown.py"
    file.write_text(PYTHON.text.replace(ADDRESS, f"redis://127.0.0.1:{nodes.masters[0].port}"))
    return Program((sys.executable, str(file)), Follows("stream", r"^binance (\d+) "))


@pytest.mark.slow
async def test_the_reader_of_a_cluster(tmp_path_factory: pytest.TempPathFactory) -> None:
    """It finds the node of the key, waits longer than the client for an answer, and continues when a replica has replaced the master."""
    async with (
        cluster("embedded", lambda: tmp_path_factory.mktemp("node"), replicas=True) as nodes,
        RedisCluster(host="127.0.0.1", port=nodes.masters[0].port) as client,
        following.started({"": program(tmp_path_factory.mktemp("shown"), nodes)}) as running,
    ):
        one, sent = running[""], 0
        while not one.printed():
            sent += 1
            await send(client, range(sent, sent + 1))
            await asyncio.sleep(0.1)
        first = one.printed()[0]
        await asyncio.sleep(6.5)  # the condition under test: nothing happens for longer than the client waits for an answer
        await send(client, range(sent + 1, sent + 51))
        await wait_until(lambda: one.newest() == sent + 50, what="the trades after a quiet time")
        await nodes.fail_over(nodes.holder(STREAM))
        await send(client, range(sent + 51, sent + 101))
        await wait_until(lambda: one.newest() == sent + 100, what="the trades after a failover", timeout_s=60)
        assert one.printed() == list(range(first, sent + 101)), one.err


@pytest.mark.slow
async def test_the_reader_waits_for_a_cluster_that_is_away(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The cluster is away before the reader starts, and again when all nodes are killed."""
    async with cluster("embedded", lambda: tmp_path_factory.mktemp("node")) as nodes:
        for master in nodes.masters:
            await master.kill()
        async with following.started({"": program(tmp_path_factory.mktemp("shown"), nodes)}) as running:
            one, sent = running[""], 0
            for _ in range(2):
                said = one.out.count("waiting for the cluster")
                await wait_until(lambda said=said: one.out.count("waiting for the cluster") > said, what="it says that it waits")  # type: ignore[misc]
                for master in nodes.masters:
                    await master.start()
                before = one.newest()
                while one.newest() == before:
                    sent += 1
                    async with RedisCluster(host="127.0.0.1", port=nodes.masters[0].port) as client:
                        await send(client, range(sent, sent + 1))
                    await asyncio.sleep(0.1)
                for master in nodes.masters:
                    await master.kill()
            assert one.printed() == sorted(set(one.printed())), one.err
            assert one.process.returncode is None


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("redis-cli"), reason="redis-cli is not installed")
async def test_the_streams_of_each_partition(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The loop of the page lists the streams of all partitions."""
    instruments = [f"COIN{number}-USDT" for number in range(40)]
    async with cluster("embedded", lambda: tmp_path_factory.mktemp("node")) as nodes:
        port = nodes.masters[0].port
        async with RedisCluster(host="127.0.0.1", port=port) as client:
            for name in instruments:
                await client.sadd(KEYS.registry(KEYS.partition(name)), KEYS.stream("trade", name))
        commands = SHELL.text.replace("redis-cli", f"redis-cli -p {port}")
        async with following.started({"": Program(("sh", "-euc", commands), Follows("stream", ""), os.environ)}) as running:
            assert await asyncio.wait_for(running[""].process.wait(), 60) == 0, running[""].err
            await wait_until(lambda: len(running[""].out.split()) >= len(instruments), what="all names")
            assert sorted(running[""].out.split()) == sorted(KEYS.stream("trade", name) for name in instruments)


def test_the_names_of_keys_are_the_librarys() -> None:
    """The function of the page gives the same names as `Keys`, for any instrument."""
    scope: dict[str, Any] = {}
    code = PYTHON.text
    head = code[: code.index("server, stream")]
    exec(head, scope)
    assert scope["PARTITIONS"] == KEYS.partitions
    for name in ("BTC-USDT", "ETH-USD", "1INCH-USDT", "PEPE-USDC"):
        assert scope["key"]("trade", name) == KEYS.stream("trade", name)
    assert re.search(r"tape:\{0\}:venue", (shown.ROOT / "docs/how-to/read-with-redis.md").read_text())
    assert KEYS.venue("kraken") == "tape:{0}:venue:kraken"
