"""A cluster of three masters on loopback, of the engine under test."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from redis.asyncio import Redis

from tests.bus.tape import command
from tests.engines import IMAGES, Container, Embedded, running
from tests.waiting import wait_until

SLOTS: Final = ((0, 5_460), (5_461, 10_922), (10_923, 16_383))
OPTIONS: Final = {"cluster-enabled": "yes", "cluster-node-timeout": "2000"}


class Cluster(NamedTuple):
    """Its address for `BusSettings.url`, and its masters, in the order of their slots."""

    url: str
    masters: list[Embedded | Container]


@contextlib.asynccontextmanager
async def cluster(engine: str, run_dir: Callable[[], Path]) -> AsyncIterator[Cluster]:
    """One that is whole. `run_dir` makes a directory for each master that needs one."""
    async with contextlib.AsyncExitStack() as stack:
        masters: list[Embedded | Container] = []
        for _ in SLOTS:
            one = Container(engine, options=OPTIONS, host=True) if engine in IMAGES else Embedded(run_dir(), options=OPTIONS, port=0)
            masters.append(one)
            await stack.enter_async_context(running(one))
        admins = [await stack.enter_async_context(Redis(port=one.port)) for one in masters]
        for admin, slots in zip(admins, SLOTS, strict=True):
            await command(admin, "CLUSTER", "ADDSLOTSRANGE", *slots)
            await command(admins[0], "CLUSTER", "MEET", "127.0.0.1", admin.connection_pool.connection_kwargs["port"])
        for admin in admins:
            await wait_until(partial(_whole, admin), what="each master knows the others and their slots", timeout_s=60)
        yield Cluster(f"redis+cluster://{','.join(f'127.0.0.1:{one.port}' for one in masters[:2])}", masters)


async def _whole(admin: Redis) -> bool:
    state = await command(admin, "CLUSTER", "INFO")
    return b"cluster_state:ok" in state and len(await command(admin, "CLUSTER", "SLOTS")) == len(SLOTS)
