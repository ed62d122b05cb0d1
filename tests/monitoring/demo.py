"""The demo as processes whose metrics can be asked for: simulated venues, a connector each, an aggregator, a gateway with a client."""

from __future__ import annotations

import asyncio
import functools
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from crosstape.runtime.embedded_server import embedded, free_ports
from crosstape_simulator.spec import VENUES
from tests.cli.running import started
from tests.waiting import wait_until

START_S = 120.0

SERVICES = {
    **{f"demo-connector-{venue}": ("connector", "--venue", venue) for venue in VENUES},
    "demo-aggregator": ("aggregator",),
    "demo-gateway": ("gateway",),
    "demo-recorder": ("recorder",),
}
"""Name on the compose network → the service."""

LINE = {"demo-connector-kraken": "a"}
"""One connector is a replica, so that the metrics of replicas are there."""


@asynccontextmanager
async def demo(directory: Path) -> AsyncIterator[Mapping[str, str]]:
    """Service → `host:port`, once all of them are ready."""
    file = directory / "venues.toml"
    page, *ports = (str(port) for port in free_ports(1 + len(VENUES) + len(SERVICES)))
    simulated, served = ports[: len(VENUES)], ports[len(VENUES) :]
    options = [option for venue, port in zip(VENUES, simulated, strict=True) for option in ("--port", f"{venue}={port}")]
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(embedded(directory))
        variables = {"CROSSTAPE_BUS__URL": url, "CROSSTAPE_RUN__DIR": str(directory), "CROSSTAPE_TELEMETRY__LOG_LEVEL": "error"}
        await stack.enter_async_context(started("simulate", "--write", str(file), *options, variables=variables))
        await wait_until(file.exists, what="the simulator listens", timeout_s=START_S)
        targets = {}
        for (service, arguments), port in zip(SERVICES.items(), served, strict=True):
            own = {**variables, "CROSSTAPE_TELEMETRY__HTTP_PORT": port, "CROSSTAPE_CONNECTOR__REPLICA": LINE.get(service, "")}
            own["CROSSTAPE_GATEWAY__PORT"] = page
            await stack.enter_async_context(started(*arguments, "--settings", str(file), variables=own))
            targets[service] = f"127.0.0.1:{port}"
        for service, target in targets.items():
            await wait_until(functools.partial(ready, target), what=f"{service} is ready", timeout_s=START_S)
        await stack.enter_async_context(following(f"http://127.0.0.1:{page}"))
        yield targets


@asynccontextmanager
async def following(gateway: str) -> AsyncIterator[None]:
    """Has a client that follows all quotes for the length of the block, after one whose request was refused."""
    async with aiohttp.ClientSession(gateway, timeout=aiohttp.ClientTimeout(total=None)) as http:
        async with http.get("/api/stream", params={"topics": "nonsense:*"}) as refused:
            assert refused.status == 400, await refused.text()
        async with http.get("/api/stream", params={"topics": "cbbo:*"}) as stream, asyncio.TaskGroup() as tasks:
            assert stream.status == 200, await stream.text()
            reading = tasks.create_task(_read(stream), name="a client that reads")
            yield
            reading.cancel()


async def _read(stream: aiohttp.ClientResponse) -> None:
    async for _ in stream.content.iter_any():
        pass


async def ready(target: str) -> bool:
    """Whether a service says so."""
    try:
        await asyncio.to_thread(fetch, f"http://{target}/readyz")
    except OSError:  # not there yet, or 503
        return False
    return True


def fetch(url: str) -> str:
    """Returns the text at an address. Raises `OSError`."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode()
    return text
