"""A real gateway on a real bus, venues and an aggregator that publish on demand, and a proxy that can fail as proxies do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Self

import aiohttp
from aiohttp import hdrs, web

from crosstape.runtime.embedded_server import free_ports
from crosstape.settings import BusSettings, GatewaySettings, Settings, TelemetrySettings
from crosstape_gateway.service import run
from tests.bus.tape import fast
from tests.waiting import wait_until

HEARTBEAT_S = 2.0
"""The page opens its stream again after three of them without a message: a busy machine must not come near that."""
ONE_HOP = frozenset({hdrs.CONTENT_LENGTH, hdrs.TRANSFER_ENCODING, hdrs.CONTENT_ENCODING, hdrs.CONNECTION})
"""Headers that are about one connection."""


class Gateway:
    """A gateway that can be ended and started again at the same address."""

    def __init__(self, bus: str, **settings: Any) -> None:
        self.port = free_ports(1)[0]
        self.settings = Settings(
            bus=fast(bus),
            gateway=GatewaySettings(port=self.port, heartbeat_s=HEARTBEAT_S, **settings),
            telemetry=TelemetrySettings(http_enabled=False),
        )
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}/"

    async def start(self) -> None:
        """Start it and wait until it serves."""
        self._task = asyncio.create_task(run(self.settings), name="gateway")
        async with aiohttp.ClientSession() as http:

            async def serves() -> bool:
                if self._task is not None and self._task.done():
                    self._task.result()
                try:
                    async with http.get(f"{self.url}healthz") as answer:
                        return answer.status == 200
                except aiohttp.ClientError:
                    return False

            await wait_until(serves, what="the gateway serves")

    async def end(self) -> None:
        """End it; its port refuses connections until it is started again."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()


class WebProxy:
    """Passes requests on to a gateway, unless it is set to fail."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream.rstrip("/")
        self.url = ""
        self.answers: list[int] = []
        """Statuses that the next requests for the stream get instead of an answer of the gateway; each is used once."""
        self.blocked = 0
        """Status that every request for the stream gets; 0: they are passed on."""
        self.requests: list[str] = []
        """Paths with query of what was asked for, the newest last."""
        self._streams: set[asyncio.Task[Any]] = set()

    def streams(self) -> list[str]:
        """Returns the requests for streams."""
        return [path for path in self.requests if path.startswith("/api/stream")]

    @property
    def open_streams(self) -> int:
        """How many streams pass it now."""
        return len(self._streams)

    def cut(self) -> None:
        """Break all streams off."""
        for task in list(self._streams):
            task.cancel()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass one request on."""
        path = request.rel_url.raw_path_qs
        self.requests.append(path)
        is_stream = path.startswith("/api/stream")
        if is_stream and (status := self.blocked or (self.answers.pop(0) if self.answers else 0)):
            return web.Response(status=status, text="<h1>Bad Gateway</h1>", content_type="text/html")
        task = asyncio.current_task()
        assert task is not None
        if is_stream:
            self._streams.add(task)
            task.add_done_callback(self._streams.discard)
        headers = {name: value for name, value in request.headers.items() if name != hdrs.ACCEPT_ENCODING}
        try:
            async with (
                aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None)) as http,
                http.request(
                    request.method,
                    self._upstream + path,
                    headers=headers,
                    data=await request.read(),
                    skip_auto_headers=[hdrs.ACCEPT_ENCODING],
                ) as answer,
            ):
                passed = web.StreamResponse(status=answer.status)
                passed.headers.extend((name, value) for name, value in answer.headers.items() if name not in ONE_HOP)
                await passed.prepare(request)
                async for chunk in answer.content.iter_any():
                    await passed.write(chunk)
                return passed
        except asyncio.CancelledError:
            if request.transport is not None:
                request.transport.abort()
            raise
        except (aiohttp.ClientError, OSError):
            return web.Response(status=502, text="<h1>Bad Gateway</h1>", content_type="text/html")


@contextlib.asynccontextmanager
async def proxying(upstream: str) -> AsyncIterator[WebProxy]:
    """A proxy in front of a gateway for the length of the block."""
    proxy = WebProxy(upstream)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        proxy.url = f"http://{host}:{port}/"
        yield proxy
    finally:
        proxy.cut()
        await runner.cleanup()


def bus(url: str) -> BusSettings:
    """Settings of a bus under which a test waits little."""
    return fast(url)
