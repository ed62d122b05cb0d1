"""Where a rehearsal's tape is: a server of its own, and how services and the checker reach it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from redis.asyncio import Redis, RedisCluster

from crosstape_schemas import Keys
from tests.chaos.tape import KEYS
from tests.engines import Embedded, running
from tests.proxy import Proxy, proxy

ADMIN: Final = "checker"
"""Of a server with a password: our own user, whom a changed password does not concern."""


class Place(NamedTuple):
    """`url` is what the services are told, `client` is the checker's own."""

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
    """One that keeps what it acknowledged."""
    user = {"requirepass": password, "user": f"{ADMIN} on >{password} ~* &* +@all"}
    server = Embedded(directory, persist=True, options={"appendfsync": "always", **user, **options})
    async with (
        running(server),
        Redis.from_url(server.url, username=ADMIN, password=password) as admin,
        proxy(server.url) as net,
    ):
        yield Reached(Place(net.url, admin), server, admin, net)
