"""A plain client of the simulated venues: what it reads is kept as text, nothing is interpreted on the way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from crosstape_simulator.service import Simulator, simulator
from crosstape_simulator.spec import SimulatorSpec
from crosstape_simulator.venues.registry import VENUES, default_listings

READ_S = 10.0
START_TS = 1_800_000_000 * 10**9


def still(**changes: Any) -> SimulatorSpec:
    """A market that stands still until it is told to go on, and is the same every time. Its REST may be asked as often as one likes."""
    unlimited = {"coinbase": {"requests_per_s": 0.0}, "kraken": {"requests_per_s": 0.0}}
    options = {venue: {**unlimited.get(venue, {}), **changes.get("options", {}).get(venue, {})} for venue in VENUES}
    quiet = {"paused": True, "start_ts": START_TS, "rate": 400.0, "levels": 60, "settle_s": 0.05}
    return SimulatorSpec(**{**quiet, **changes, "options": options})


def symbols(venue: str) -> list[str]:
    """All that a venue lists."""
    return [listing.symbol for listing in default_listings(venue)]


class Client:
    """One socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, request: object) -> None:
        """One request, or with a string one frame as it is."""
        await self.socket.send_str(request if isinstance(request, str) else json.dumps(request))

    async def text(self) -> str:
        """The next frame. Fails after a while, or if the connection ends."""
        return await self.socket.receive_str(timeout=READ_S)

    async def read(self) -> Any:
        """The next frame, parsed."""
        return json.loads(await self.text())

    async def texts(self, until: Callable[[str], object]) -> list[str]:
        """All frames up to and including the first that `until` holds for."""
        seen: list[str] = []
        while not seen or not until(seen[-1]):
            seen.append(await self.text())
        return seen

    async def closed(self) -> int | None:
        """Read to the end of the connection; its close code (1006: cut)."""
        while True:
            message = await self.socket.receive(timeout=READ_S)
            if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.ERROR):
                return self.socket.close_code


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Client]:
    """Connect to one address."""
    async with aiohttp.ClientSession() as http, http.ws_connect(url, max_msg_size=0) as socket:
        yield Client(socket)


@asynccontextmanager
async def venue(name: str, path: str = "", endpoint: str = "", **changes: Any) -> AsyncIterator[tuple[Simulator, Client]]:
    """A still simulator of one venue and one client of it."""
    async with simulator(still(venues=(name,), **changes)) as made, connect(ws(made, name, endpoint) + path) as client:
        yield made, client


def ws(made: Simulator, name: str, endpoint: str = "") -> str:
    """A venue's WebSocket address."""
    url = made.ws_url[name]
    return url[endpoint] if isinstance(url, dict) else url


async def get(made: Simulator, name: str, path: str) -> tuple[int, Any, dict[str, str]]:
    """Status, parsed body, headers of a REST request."""
    url = made.rest_url[name]
    base = url if isinstance(url, str) else url["exchange"]
    async with aiohttp.ClientSession() as http, http.get(base + path) as answer:
        return answer.status, json.loads(await answer.text()), dict(answer.headers)
