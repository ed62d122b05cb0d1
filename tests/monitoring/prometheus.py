"""A real Prometheus, of Debian's package, with the product's rules; and what it answers."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import urllib.parse
from asyncio.subprocess import DEVNULL, STDOUT
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from crosstape.runtime.embedded_server import free_port
from tests.monitoring.demo import fetch
from tests.waiting import wait_until

MONITORING = Path(__file__).parents[2] / "docker" / "monitoring"
PROMETHEUS = MONITORING / "prometheus"
MISSING = shutil.which("promtool") is None or shutil.which("prometheus") is None

needs_prometheus = pytest.mark.skipif(MISSING and os.environ.get("CI") != "true", reason="promtool is not installed")
"""In CI such a test fails if Prometheus is missing; elsewhere it is skipped."""

EVERY_S = 2
"""How often the tests scrape and judge; faster than the product, so that there is something to see soon."""


def configuration(targets: Mapping[str, str]) -> str:
    """The product's, but that services are where the tests have them, and that its rules are found from anywhere."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    every = f"{EVERY_S}s"
    config["global"] = {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every}
    config["rule_files"] = [str(PROMETHEUS / pattern) for pattern in config["rule_files"]]
    for job in config["scrape_configs"]:
        (discovery,) = job.pop("dns_sd_configs")
        job["static_configs"] = [
            {"targets": [targets[name]], "labels": {"__meta_dns_name": name}} for name in discovery["names"] if name in targets
        ]
    return yaml.safe_dump(config)


class Prometheus:
    """A Prometheus that runs."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def get(self, path: str, **parameters: str) -> Any:
        """The `data` of its answer. Raises `OSError` for a query that it refuses."""
        text = await asyncio.to_thread(fetch, f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        return json.loads(text)["data"]

    async def query(self, expr: str) -> list[Any]:
        """The series of an instant query: those that have a number."""
        result = (await self.get("query", query=expr))["result"]
        return [series for series in result if series["value"][1] != "NaN"]


@asynccontextmanager
async def prometheus(directory: Path, targets: Mapping[str, str]) -> AsyncIterator[Prometheus]:
    """Scrapes these; ended with the block."""
    port = free_port()
    file = directory / "prometheus.yml"
    file.write_text(configuration(targets))
    process = await asyncio.create_subprocess_exec(
        "prometheus", f"--config.file={file}", f"--storage.tsdb.path={directory / 'prometheus'}", f"--web.listen-address=127.0.0.1:{port}",
        stdin=DEVNULL, stdout=DEVNULL, stderr=STDOUT,
    )  # fmt: skip
    running = Prometheus(f"http://127.0.0.1:{port}")
    try:
        await wait_until(lambda: _answers(running), what="Prometheus answers", timeout_s=60)
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _answers(running: Prometheus) -> bool:
    try:
        await running.query("vector(1)")
    except OSError:
        return False
    return True
