"""A gateway in a process of its own, on a real bus, that tests in another language control over HTTP.

POST /publish  a list of events as JSON, without numbers: puts them on the tape
POST /kill     ends the gateway by SIGKILL
POST /start    starts it again on the same port; answers when it is ready
POST /trim     {"stream": …}: removes all entries of a stream
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
from aiohttp import web

from crosstape.bus import Client, Publisher, connect
from crosstape.bus.client.call import execute
from crosstape.runtime.embedded_server import free_port
from crosstape.settings import BusSettings
from crosstape_schemas import AnyEvent, Keys
from tests.waiting import wait_until

TOKEN: Final = "a-token-for-tests-only"
ROWS: Final = 60
"""Events that are sent again to a client that resumes, at most."""
ACCEPTED_S: Final = 20.0

_decode: Final = msgspec.json.Decoder(list[AnyEvent]).decode


class Stand:
    """The gateway's process, and what puts events on the tape."""

    def __init__(self, bus: BusSettings, client: Client, folder: Path, http: aiohttp.ClientSession, tasks: asyncio.TaskGroup) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.control_url = f"http://127.0.0.1:{free_port()}"
        self._bus = bus
        self._client = client
        self._folder = folder
        self._http = http
        self._tasks = tasks
        self._publishers: dict[str, tuple[Publisher, asyncio.Task[None]]] = {}
        self._process: Process | None = None

    async def start(self) -> None:
        """Start the gateway, and return when it is ready."""
        folder = self._folder
        tokens = folder / "tokens"
        tokens.write_text(f"tests:{TOKEN}\n")
        tokens.chmod(0o600)
        settings = folder / "settings.toml"
        settings.write_text(
            f'[bus]\nurl = "{self._bus.url}"\n'
            f'[gateway]\nport = {self.url.rpartition(":")[2]}\ntokens_file = "{tokens}"\nrows = {ROWS}\nheartbeat_s = 1.0\n'
            f'allowed_origins = ["{self.control_url}"]\n'
            "[telemetry]\nhttp_enabled = false\n"
        )
        with (folder / "gateway.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "crosstape_cli.main", "gateway", "--settings", str(settings),
                stdin=DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        await wait_until(self._ready, what="the gateway is ready", timeout_s=60)

    async def kill(self) -> None:
        """End the gateway at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
            self._process = None

    async def publish(self, events: list[AnyEvent]) -> None:
        """Put events on the tape, each venue's by a publisher that goes on numbering. Return when they are there."""
        for event in events:
            if event.venue not in self._publishers:
                publisher = Publisher(self._client, Keys(), self._bus, producer=f"connector.{event.venue}")
                self._publishers[event.venue] = publisher, self._tasks.create_task(publisher.run())
            self._publishers[event.venue][0].publish(event)
        for publisher, _ in self._publishers.values():
            if not await publisher.drain(ACCEPTED_S):
                raise web.HTTPServiceUnavailable(text="the bus did not acknowledge the events")

    async def close(self) -> None:
        """End everything."""
        await self.kill()
        for publisher, task in self._publishers.values():
            publisher.close()
            task.cancel()

    async def trim(self, stream: str) -> None:
        """Remove all entries of a stream."""
        await execute(self._client, "XTRIM", stream, "MAXLEN", 0)

    async def _ready(self) -> bool:
        assert self._process is not None
        if self._process.returncode is not None:
            raise AssertionError(f"the gateway ended: {(self._folder / 'gateway.log').read_text()[-2000:]}")
        try:
            async with self._http.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False


@contextlib.asynccontextmanager
async def standing(url: str, folder: Path, files: Path) -> AsyncIterator[Stand]:
    """A gateway that reads the server at `url`, and its control, for the length of the block. `files` are served by the control."""
    bus = BusSettings(url=url, timeout_s=1.0, backoff_s=0.05)
    async with connect(bus) as client, aiohttp.ClientSession() as http, asyncio.TaskGroup() as tasks:
        stand = Stand(bus, client, folder, http, tasks)
        runner = web.AppRunner(_control(stand, files), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", int(stand.control_url.rpartition(":")[2])).start()
            await stand.start()
            yield stand
        finally:
            await stand.close()
            await runner.cleanup()


def _control(stand: Stand, files: Path) -> web.Application:
    async def publish(request: web.Request) -> web.Response:
        await stand.publish(_decode(await request.read()))
        return web.Response()

    async def kill(_: web.Request) -> web.Response:
        await stand.kill()
        return web.Response()

    async def start(_: web.Request) -> web.Response:
        await stand.start()
        return web.Response()

    async def trim(request: web.Request) -> web.Response:
        await stand.trim((await request.json())["stream"])
        return web.Response()

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>test</title>", content_type="text/html")

    app = web.Application()
    app.add_routes([web.post(f"/{one.__name__}", one) for one in (publish, kill, start, trim)])
    app.add_routes([web.get("/", page), web.static("/files", files)])
    return app
