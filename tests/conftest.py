"""What all tests share: one embedded server for the run, empty at the start of each test that asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from crosstape.embedded import EmbeddedServer


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a test does not say where to keep is kept with the run's other files, not with the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The `unix://` url of a server private to this run: for `BusSettings(url=valkey)`."""
    loop = asyncio.new_event_loop()  # of its own: the tests' loops come and go
    server = EmbeddedServer(tmp_path_factory.mktemp("valkey"))
    loop.run_until_complete(server.start())
    try:
        yield server.url
    finally:
        loop.run_until_complete(server.stop())
        loop.close()


@pytest.fixture
async def client(valkey: str) -> AsyncIterator[Redis]:
    """A client of the run's server, which it finds empty. Replies are bytes."""
    async with Redis.from_url(valkey) as client:
        await client.flushall()
        await client.script_flush()
        yield client
