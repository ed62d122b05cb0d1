"""What all tests share: a server for the run, empty at the start of each test that asks for it, and servers of a test's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial

import pytest
from redis.asyncio import Redis

from tests import engines
from tests.engines import NOTHING, Server, StartServer


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which server."""
    parser.addoption("--engine", choices=engines.ENGINES, default="embedded", help="the server under test: redis, valkey by Docker")


def pytest_configure(config: pytest.Config) -> None:
    """An engine that was asked for and cannot be had fails the run: nothing is skipped for it."""
    if trouble := engines.trouble(config.getoption("engine")):
        raise pytest.UsageError(trouble)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With an engine other than the embedded one, tests that use no server are left out: they have been run."""
    if config.getoption("engine") == "embedded":
        return
    using = [item for item in items if "engine" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=[item for item in items if item not in using])
    items[:] = using


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a test does not say where to keep is kept with the run's other files, not with the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    """One of `engines.ENGINES`."""
    return str(request.config.getoption("engine"))


@pytest.fixture(scope="session")
def valkey(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The url of a server private to this run, whichever engine it is: for `BusSettings(url=valkey)`."""
    loop = asyncio.new_event_loop()  # of its own: the tests' loops come and go
    server = engines.server(engine, partial(tmp_path_factory.mktemp, "valkey"))
    try:
        loop.run_until_complete(server.start())
        yield server.url
    finally:
        loop.run_until_complete(server.stop())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@pytest.fixture
async def client(valkey: str) -> AsyncIterator[Redis]:
    """A client of the run's server, which it finds empty. Replies are bytes."""
    async with Redis.from_url(valkey) as client:
        await client.flushall()
        await client.script_flush()
        yield client


@pytest.fixture
async def start_server(engine: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StartServer]:
    """Starts servers of the test's own, that it may kill; they end with it."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(*, persist: bool = False, options: Mapping[str, str] = NOTHING) -> Server:
            one = engines.server(engine, partial(tmp_path_factory.mktemp, "server"), persist=persist, options=options)
            return await stack.enter_async_context(engines.running(one))

        yield start
