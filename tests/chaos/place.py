"""The place of a rehearsal's tape: a server or a cluster of its own, and how services and the checker reach it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from redis.asyncio import Redis, RedisCluster

from crosstape_schemas import Keys
from tests.chaos.tape import KEYS
from tests.cluster import Cluster, cluster
from tests.engines import Embedded, running
from tests.proxy import Proxy, proxy

PARTITIONS: Final = 4
"""With this count the rehearsed instruments are on different masters."""

ADMIN: Final = "checker"
"""The checker's own user on a server with passwords. Faults that change a password do not affect it."""


class Place(NamedTuple):
    """A tape's server. `url` is for the services, `client` is the checker's own."""

    url: str
    client: Redis | RedisCluster
    keys: Keys = KEYS


@asynccontextmanager
async def served(directory: Path, *, persist: bool = False) -> AsyncIterator[tuple[Embedded, Place]]:
    """A server; with `persist`, one that has whatever it acknowledged when it is started again."""
    server = Embedded(directory, persist=persist, options={"appendfsync": "always"} if persist else {})
    async with running(server), Redis.from_url(server.url) as client:
        yield server, Place(server.url, client)


class Reached(NamedTuple):
    """A server that its services reach over a network that can fail, with a password that can change."""

    place: Place
    server: Embedded
    admin: Redis
    net: Proxy


@asynccontextmanager
async def reached(directory: Path, *, password: str, options: Mapping[str, str] = MappingProxyType({})) -> AsyncIterator[Reached]:
    """Run a server that keeps every acknowledged entry, for the length of the block."""
    user = {"requirepass": password, "user": f"{ADMIN} on >{password} ~* &* +@all"}
    server = Embedded(directory, persist=True, options={"appendfsync": "always", **user, **options})
    async with (
        running(server),
        Redis.from_url(server.url, username=ADMIN, password=password) as admin,
        proxy(server.url) as net,
    ):
        yield Reached(Place(net.url, admin), server, admin, net)


@asynccontextmanager
async def clustered(directory: Path) -> AsyncIterator[tuple[Cluster, Place]]:
    """Three masters, each with a replica, and the tape in partitions over them."""

    def node() -> Path:
        return Path(tempfile.mkdtemp(prefix="node-", dir=directory))

    async with AsyncExitStack() as stack:
        nodes = await stack.enter_async_context(cluster("embedded", node, replicas=True))
        client = await stack.enter_async_context(RedisCluster.from_url(f"redis://127.0.0.1:{nodes.masters[0].port}"))
        yield nodes, Place(nodes.url, client, Keys(partitions=PARTITIONS))
