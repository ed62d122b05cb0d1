"""A Chromium for all browser tests of a process, a tab for each test, and an empty bus.

All of them run in one event loop, the session's: the browser lives in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright
from redis.asyncio import Redis

from crosstape_gateway.hub import catalogue
from tests.browser.market import Stage, staged
from tests.browser.rig import Gateway
from tests.browser.tab import Tab, opened

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",  # containers have no user namespaces
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-domain-reliability",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
)


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """The browser."""
    if not CHROMIUM.exists():
        pytest.skip(f"no browser: {CHROMIUM} is missing (apt-get install chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        await browser.close()


@pytest.fixture(scope="session", autouse=True)
def _looking_often() -> Iterator[None]:
    """Gateways see new streams sooner, so that no test waits a second for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "REFRESH_S", 0.1)
        yield


@pytest_asyncio.fixture(loop_scope="session")
async def bus_url(valkey: str) -> AsyncIterator[str]:
    """The run's server, empty."""
    async with Redis.from_url(valkey) as client:
        await client.flushall()
        await client.script_flush()
    yield valkey


@pytest_asyncio.fixture(loop_scope="session")
async def stage(bus_url: str) -> AsyncIterator[Stage]:
    """Venues and an aggregator, alive."""
    async with staged(bus_url) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(bus_url: str, stage: Stage) -> AsyncIterator[Gateway]:
    """A gateway of that bus."""
    async with Gateway(bus_url) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def tab(chromium: Browser) -> AsyncIterator[Tab]:
    """An empty tab. Whatever the browser complains of fails the test, unless the test expects it."""
    async with opened(chromium) as one:
        yield one
