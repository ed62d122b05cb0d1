"""A cluster of three masters on loopback, of the engine under test; with a replica of each where a failover is rehearsed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from tests.bus.tape import command
from tests.engines import IMAGES, Container, Embedded, running
from tests.waiting import wait_until

SLOTS: Final = ((0, 5_460), (5_461, 10_922), (10_923, 16_383))
OPTIONS: Final = {"cluster-enabled": "yes", "cluster-node-timeout": "2000", "repl-diskless-sync-delay": "0"}
READY_S: Final = 60.0

Node = Embedded | Container


class Cluster(NamedTuple):
    """Its address for `BusSettings.url`, and its masters, in the order of their slots, as their replicas, if there are any."""

    url: str
    masters: list[Node]
    replicas: list[Node]

    def holder(self, key: str) -> int:
        """Which master holds a key: its index."""
        slot = key_slot(key.encode())
        return next(index for index, (first, last) in enumerate(SLOTS) if first <= slot <= last)

    async def hold_back(self, index: int) -> None:
        """From now on a master's replica gets nothing of it: it cannot log in again."""
        async with Redis(port=self.replicas[index].port) as replica, Redis(port=self.masters[index].port) as master:
            await command(replica, "CONFIG", "SET", "masterauth", "of another")
            await command(master, "CLIENT", "KILL", "TYPE", "replica")
            await wait_until(partial(_is, master, "connected_slaves", 0), what="its replica is cut off", timeout_s=READY_S)

    async def fail_over(self, index: int) -> None:
        """Kill a master, and return when its replica has its place and all slots are served."""
        await self.masters[index].kill()
        async with Redis(port=self.replicas[index].port) as replica:
            await wait_until(partial(_is, replica, "role", "master"), what="the replica is promoted", timeout_s=READY_S)
            await wait_until(partial(_serves, replica), what="all slots are served", timeout_s=READY_S)


@contextlib.asynccontextmanager
async def cluster(engine: str, run_dir: Callable[[], Path], *, replicas: bool = False) -> AsyncIterator[Cluster]:
    """One that is whole. `run_dir` makes a directory for each node that needs one."""
    async with contextlib.AsyncExitStack() as stack:

        async def started() -> Node:
            one = Container(engine, options=OPTIONS, host=True) if engine in IMAGES else Embedded(run_dir(), options=OPTIONS, port=0)
            await stack.enter_async_context(running(one))
            return one

        masters = [await started() for _ in SLOTS]
        admins = [await stack.enter_async_context(Redis(port=one.port)) for one in masters]
        for admin, slots in zip(admins, SLOTS, strict=True):
            await command(admin, "CLUSTER", "ADDSLOTSRANGE", *slots)
        await _join(admins[0], masters)
        for admin in admins:
            await wait_until(partial(_whole, admin), what="each master knows the others and their slots", timeout_s=READY_S)
        copies = [await started() for _ in masters] if replicas else []
        await _join(admins[0], copies)
        for copy, admin in zip(copies, admins, strict=bool(copies)):
            await _follow(await stack.enter_async_context(Redis(port=copy.port)), admin)
        for admin in admins if copies else ():
            await wait_until(partial(_knows, admin, len(SLOTS)), what="each master knows all replicas", timeout_s=READY_S)
        yield Cluster(f"redis+cluster://{','.join(f'127.0.0.1:{one.port}' for one in masters[:2])}", masters, copies)


async def _join(admin: Redis, nodes: Sequence[Node]) -> None:
    for node in nodes:
        await command(admin, "CLUSTER", "MEET", "127.0.0.1", node.port)


async def _follow(replica: Redis, master: Redis) -> None:
    """Make one the other's replica, that has all of it."""
    name = (await command(master, "CLUSTER", "MYID")).decode()

    async def accepted() -> bool:
        try:
            await command(replica, "CLUSTER", "REPLICATE", name)
        except RedisError:
            return False  # it has not heard of it yet
        return True

    await wait_until(accepted, what="a node knows its master", timeout_s=READY_S)
    await wait_until(partial(_is, replica, "master_link_status", "up"), what="a replica has what its master has", timeout_s=READY_S)


async def _is(node: Redis, field: str, value: object) -> bool:
    found: Any = await node.info("replication")
    return bool(found.get(field) == value)


async def _whole(admin: Redis) -> bool:
    return await _serves(admin) and len(await command(admin, "CLUSTER", "SLOTS")) == len(SLOTS)


async def _serves(admin: Redis) -> bool:
    return b"cluster_state:ok" in await command(admin, "CLUSTER", "INFO")


async def _knows(admin: Redis, replicas: int) -> bool:
    """Whether so many replicas have come to its knowledge."""
    return sum(len(row) - 3 for row in await command(admin, "CLUSTER", "SLOTS")) == replicas
