"""A gateway that streams, its clients on real sockets, and events for them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any, Final

import aiohttp
import msgspec
from structlog.testing import capture_logs

from crosstape.bus import connect
from crosstape.settings import BusSettings, GatewaySettings
from crosstape_gateway.app import make_app
from crosstape_gateway.hub.catalogue import Catalogue
from crosstape_gateway.hub.hub import Hub
from crosstape_gateway.parts import Parts
from crosstape_gateway.service import listening
from crosstape_schemas import CONSOLIDATED, Bar, Keys, Quote, Side, Trade
from tests.bus.tape import fast

BTC: Final = "BTC-USDT"
WAIT_S: Final = 20.0
MINUTE_NS: Final = 60_000_000_000
Message = dict[str, Any]


def trade(number: int, instrument: str = BTC, venue: str = "kraken") -> Trade:
    """A trade whose id is its number."""
    return Trade(venue, instrument, None, time.time_ns(), Decimal("57000.10"), Decimal(1), Side.BUY, str(number))


def quote(number: int, instrument: str = BTC, venue: str = "kraken") -> Quote:
    """A quote whose bid is its number."""
    return Quote(venue, instrument, None, time.time_ns(), Decimal(number), Decimal(1), Decimal(number + 1), Decimal(1))


def bar(minute: int, close: int = 1, *, closed: bool = False, venue: str = CONSOLIDATED) -> Bar:
    """A bar of one minute that opened at `minute`."""
    opened, price = minute * MINUTE_NS, Decimal(close)
    return Bar(
        venue, BTC, None, time.time_ns(), "1m", opened, opened + MINUTE_NS, price, price, price, price, Decimal(1), Decimal(1), 1, None,
        closed=closed,
    )  # fmt: skip


class Client:
    """What a streaming client has received, in its order."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.ids: list[str] = []
        """The ids of Server-Sent Events."""
        self.came = asyncio.Event()
        self.over = asyncio.Event()
        """Set when the gateway has ended the stream."""

    def note(self, data: str | bytes) -> None:
        """Add one message."""
        self.messages.append(msgspec.json.decode(data))
        self.came.set()

    def of(self, kind: str) -> list[Message]:
        """The messages of one type."""
        return [message for message in self.messages if message["type"] == kind]

    async def until(self, predicate: Callable[[], object], what: str) -> None:
        """Wait until messages have come with which it is true; fail if the stream ends before, or after `WAIT_S`."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not predicate():
                    if self.over.is_set():
                        raise AssertionError(f"the stream ended before: {what}; it had {self.messages[-5:]}")
                    self.came.clear()
                    await self.came.wait()
        except TimeoutError:
            raise AssertionError(f"not within {WAIT_S} s: {what}; it had {self.messages[-5:]}") from None

    async def count(self, kind: str, count: int) -> list[Message]:
        """Wait for so many messages of a type; return all of that type."""
        await self.until(lambda: len(self.of(kind)) >= count, f"{count} {kind}")
        return self.of(kind)


class Running:
    """A gateway that runs."""

    def __init__(self, url: str, hub: Hub, catalogue: Catalogue, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.hub = hub
        self.catalogue = catalogue
        self.http = http

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    @contextlib.asynccontextmanager
    async def sse(self, path: str, last_event_id: str = "") -> AsyncIterator[Client]:
        """A client of Server-Sent Events, after its first message."""
        client = Client()
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        async with self.http.get(self.url + path, headers=headers) as response:
            assert response.status == 200, await response.text()
            assert response.content_type == "text/event-stream"
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(_read_events(response, client))
                try:
                    await client.count("connected", 1)
                    yield client
                finally:
                    reading.cancel()

    @contextlib.asynccontextmanager
    async def websocket(self, query: str = "") -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse, Client]]:
        """A WebSocket client, after its first message."""
        client = Client()
        async with self.http.ws_connect(f"{self.url}/ws{query}") as socket, asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(_read_messages(socket, client))
            try:
                await client.count("connected", 1)
                yield socket, client
            finally:
                reading.cancel()

    async def refusal(self, path: str) -> tuple[int, str]:
        """Returns the status and the text of an answer to a request that must be refused."""
        async with self.http.get(self.url + path) as response:
            return response.status, await response.text()


async def _read_events(response: aiohttp.ClientResponse, client: Client) -> None:
    """Reads events as EventSource does."""
    with contextlib.suppress(aiohttp.ClientError):
        async for line in response.content:
            if line.startswith(b"data: "):
                client.note(line[6:])
            elif line.startswith(b"id: "):
                client.ids.append(line[4:].decode().strip())
            else:
                assert line == b"\n", line
    client.over.set()
    client.came.set()


async def _read_messages(socket: aiohttp.ClientWebSocketResponse, client: Client) -> None:
    async for message in socket:
        assert message.type is aiohttp.WSMsgType.TEXT, message
        for line in message.data.split("\n"):
            client.note(line)
    client.over.set()
    client.came.set()


def settings(**changes: Any) -> GatewaySettings:
    """Settings under which a test waits little."""
    return GatewaySettings(**{"port": 0, "gather_s": 0.0, "requests_per_s": 10_000.0, "clients_per_address": 2_000, **changes})


@contextlib.asynccontextmanager
async def gateway(bus: BusSettings | str, changed: GatewaySettings | None = None, *, wait: bool = True) -> AsyncIterator[Running]:
    """A gateway for the length of the block. It knows already which streams there are, if the bus answers and unless `wait` is false."""
    bus = fast(bus, timeout_s=WAIT_S) if isinstance(bus, str) else bus
    changed = changed or settings()
    keys = Keys(bus.prefix, bus.partitions)
    connector = aiohttp.TCPConnector(limit=0)
    async with connect(bus) as client, aiohttp.ClientSession(connector=connector, read_bufsize=1 << 20) as http:
        catalogue = Catalogue(client, keys)
        hub = Hub(client, keys, changed, catalogue)
        app = make_app(Parts(changed, client, keys, catalogue, hub))
        app.on_shutdown.append(hub.stop)
        with capture_logs() as logs:
            async with listening(app, changed) as url, asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(catalogue.run()), tasks.create_task(hub.run())]
                try:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(WAIT_S):
                            while wait and hub.away_since_ts is not None:
                                await asyncio.sleep(0.005)
                    yield Running(url, hub, catalogue, http)
                finally:
                    for task in running:
                        task.cancel()
        assert not [event for event in logs if event["event"] == "gateway.request_failed"]
