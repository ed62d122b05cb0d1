"""The processes of a soak test: which run, and how much memory each uses."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from redis.asyncio import Redis

from crosstape.runtime.embedded_server import EmbeddedServer, free_port
from tests.waiting import wait_until

START_S: Final = 60.0
STOP_S: Final = 30.0
MIB: Final = 1024
"""One MiB, in the KiB that the system counts in."""

BOUNDED: Final = {
    f"CROSSTAPE_BUS__MAX_LEN__{kind}": length
    for kind, length in (("TRADE", "10000"), ("QUOTE", "5000"), ("BOOK", "2000"), ("STATUS", "2000"), ("GAP", "2000"), ("CBBO", "5000"))
}
"""Streams as short as the checker allows, that may be late by some seconds: or the server's memory is full only after hours."""

_FRAMES: Final = re.compile(r"^crosstape_connector_frames_total\{.*\} (\S+)$", re.MULTILINE)


class Services:
    """Made by `services`."""

    def __init__(self, url: str, control: str, ports: Mapping[str, int], processes: dict[str, Process], client: Redis) -> None:
        self.url = url
        self.control = control
        self.client = client
        self.processes = processes
        self._ports = ports
        self._server = 0

    @property
    def ended(self) -> list[str]:
        """Returns the names of the processes that should run and do not."""
        return [name for name, process in self.processes.items() if process.returncode is not None]

    async def rss_mib(self) -> dict[str, float]:
        """Resident memory of each, the server too."""
        return {name: _rss_kib(pid) / MIB for name, pid in (await self._pids()).items()}

    async def cpu_s(self) -> dict[str, float]:
        """Seconds of processor time that each has used, the server too."""
        return {name: _cpu_s(pid) for name, pid in (await self._pids()).items()}

    async def _pids(self) -> dict[str, int]:
        if not self._server:
            info: Any = await self.client.info("server")
            self._server = int(info["process_id"])
        running = {name: process.pid for name, process in self.processes.items() if process.returncode is None}
        return running | {"server": self._server}

    async def serve(self, http: aiohttp.ClientSession) -> bool:
        """Whether the metrics of all connectors can be read."""
        try:
            await self.frames(http)
        except aiohttp.ClientConnectionError:
            return False
        return True

    async def frames(self, http: aiohttp.ClientSession) -> float:
        """Returns how many frames all connectors have read so far."""
        total = 0.0
        for port in self._ports.values():
            async with http.get(f"http://127.0.0.1:{port}/metrics") as answer:
                total += sum(float(number) for number in _FRAMES.findall(await answer.text()))
        return total


@asynccontextmanager
async def services(directory: Path, *, rate: float, seed: int, venues: Sequence[str], pairs: int) -> AsyncIterator[Services]:
    """Server, venues, connectors, aggregator, and a listener; their logs are in the directory. `pairs`: see `default_listings`."""
    server = EmbeddedServer(directory)
    await server.start()
    processes: dict[str, Process] = {}
    try:
        control, ports = free_port(), {venue: free_port() for venue in venues}
        file = directory / "venues.toml"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTAPE_")}
        environ |= BOUNDED | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "CROSSTAPE_BUS__URL": server.url,
            "CROSSTAPE_RUN__DIR": str(directory),
            "CROSSTAPE_TELEMETRY__LOG_LEVEL": "warning",
            "CROSSTAPE_AGGREGATOR__MIN_INTERVAL_S": "0.001",
        }

        async def start(name: str, *arguments: str, port: int = 0) -> None:
            own = environ | {"CROSSTAPE_TELEMETRY__HTTP_PORT": str(port)}
            with (directory / f"{name}.log").open("ab") as log:
                command = (sys.executable, "-m", "crosstape_cli", *arguments)
                processes[name] = await asyncio.create_subprocess_exec(*command, env=own, stdin=DEVNULL, stdout=log, stderr=log)

        market = ("--rate", str(rate), "--seed", str(seed), "--control", str(control), "--write", str(file))
        await start("simulator", "simulate", *market, "--pairs", str(pairs), *(part for venue in venues for part in ("--venue", venue)))
        await wait_until(file.exists, what="the venues are there", timeout_s=START_S)
        for venue in venues:
            await start(f"connector.{venue}", "connector", "--venue", venue, "--settings", str(file), port=ports[venue])
        await start("aggregator", "aggregator", "--settings", str(file))
        path = urlsplit(server.url).path
        processes["listener"] = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.chaos.listener", path, env=environ, stdin=DEVNULL, stdout=PIPE
        )
        async with Redis.from_url(server.url) as client:
            yield Services(server.url, f"http://127.0.0.1:{control}", ports, processes, client)
    finally:
        for process in processes.values():
            if process.returncode is None:
                process.terminate()
        for process in processes.values():
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()
        await server.stop()


def _cpu_s(pid: int) -> float:
    used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")


def _rss_kib(pid: int) -> int:
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found.group(1)) if found else 0
