"""A gateway's requests on a real socket and a real bus, for tests of REST and access."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from redis.asyncio import Redis

from crosstape.bus import connect
from crosstape.history.store import Store
from crosstape.settings import BusSettings, GatewaySettings
from crosstape_gateway.app import make_app
from crosstape_gateway.hub.catalogue import Catalogue
from crosstape_gateway.hub.hub import Hub
from crosstape_gateway.parts import Parts
from crosstape_gateway.service import listening
from crosstape_schemas import Event, Keys
from tests.bus.tape import fast, publishing
from tests.waiting import wait_until

KEYS = Keys()
ACCEPTED_S = 20.0
"""How long the bus may take to acknowledge events. The machine may be busy with other tests."""


class Answer(msgspec.Struct):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> tuple[int, str, str]:
        """Status, code and message."""
        found = self.json["error"]
        return self.status, found["code"], found["message"]


class Served:
    """A gateway that serves, and a client of it."""

    def __init__(self, url: str, parts: Parts, http: aiohttp.ClientSession, app: web.Application) -> None:
        self.url = url
        self.parts = parts
        self.http = http
        self.app = app

    async def ask(self, path: str, method: str = "GET", **options: Any) -> Answer:
        """Sends one request."""
        async with self.http.request(method, self.url + path, **options) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, path: str, **query: str | int) -> Answer:
        """Asks for a path. Looks first which streams there are, as the running gateway does each second."""
        await self.parts.catalogue.look()
        return await self.ask(path, params={name: str(value) for name, value in query.items()})

    async def rows(self, path: str, name: str, **query: str | int) -> list[Any]:
        """Returns the rows of an answer that must be good."""
        answer = await self.get(path, **query)
        assert answer.status == 200, answer.body
        found: list[Any] = answer.json[name]
        return found


@contextlib.asynccontextmanager
async def serving(
    bus: BusSettings | str,
    settings: GatewaySettings | None = None,
    *,
    routes: list[web.RouteDef] | None = None,
    streams: bool = False,
    store: Store | None = None,
) -> AsyncIterator[Served]:
    """A gateway for the length of the block; `routes` are served beside its own. With `streams` its hub runs, too."""
    bus = fast(bus, timeout_s=20.0) if isinstance(bus, str) else bus
    settings = settings or GatewaySettings(port=0)
    keys = Keys(bus.prefix, bus.partitions)
    async with connect(bus) as client, aiohttp.ClientSession() as http:
        catalogue = Catalogue(client, keys)
        parts = Parts(settings, client, keys, catalogue, Hub(client, keys, settings, catalogue), store)
        app = make_app(parts)
        app.add_routes(routes or [])
        async with listening(app, settings) as url, asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one) for one in ((parts.hub.run(), catalogue.run()) if streams else ())]
            if streams:
                await wait_until(lambda: parts.hub.away_since_ts is None, what="the bus answers")
            parts.hub.away_since_ts = None
            yield Served(url, parts, http, app)
            for task in running:
                task.cancel()


async def publish(url: str, *events: Event, producer: str = "connector.test", partitions: int = 1) -> None:
    """Puts events on the tape, each venue's by a publisher of its own."""
    keys = Keys("tape", partitions)
    settings = fast(url, partitions=partitions, timeout_s=ACCEPTED_S)  # a batch that times out on a busy machine would be sent again
    for venue in dict.fromkeys(event.venue for event in events):
        async with publishing(settings, producer=f"{producer}.{venue}", keys=keys) as publisher:
            publisher.publish_all(event for event in events if event.venue == venue)
            if not await publisher.drain(ACCEPTED_S):
                raise AssertionError(f"the bus did not acknowledge {publisher.pending} events of {venue} within {ACCEPTED_S} s")


async def put(client: Redis, event: Event, *, kind: str, ms: int, stream: str = "") -> bytes:
    """Writes an entry at a time of the server's clock. Returns the event's bytes."""
    from crosstape_schemas import encode

    data = encode(event)
    name = stream or KEYS.stream(kind, event.instrument)
    await client.xadd(name, {"d": data}, id=f"{ms}-*")
    registered: Any = client.sadd(KEYS.registry(), name)
    await registered
    return data
