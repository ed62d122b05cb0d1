"""A reader that the server refuses: it says so when it is first used, and waits once it has worked."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trustme
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape.bus import Reader, Start, connect
from crosstape.bus.client import availability
from crosstape.bus.client.startup_check import wait_until_usable
from crosstape.errors import BusError
from tests.bus.tape import KEYS, QUOTES, TRADES, command, fast, publishing, read_until, trade
from tests.engines import StartServer
from tests.proxy import proxy
from tests.waiting import wait_until

PASSWORD = "hunter2"


@contextlib.asynccontextmanager
async def user(client: Redis, *rules: str) -> AsyncIterator[str]:
    """Makes a user of the server with these rights. Yields its url."""
    await command(client, "ACL", "SETUSER", "strategy", "reset", "on", f">{PASSWORD}", "~tape:*", "&*", *rules)
    try:
        yield "strategy"
    finally:
        await command(client, "ACL", "DELUSER", "strategy")


async def refusal(url: str, **settings: Any) -> str:
    """Returns the error of a reader's first use, which comes long before a caller would give up."""
    async with connect(fast(url, **settings)) as own, Reader(own, KEYS, streams=[TRADES, QUOTES]) as reader, asyncio.timeout(10):
        with pytest.raises(BusError) as caught:
            await reader.read(timeout_s=None)
        with pytest.raises(BusError):
            async for _ in reader:
                pass
    text = str(caught.value)
    assert PASSWORD not in text
    assert "wrong" not in text
    assert len(text.splitlines()) == 1
    return text


async def test_a_wrong_password(start_server: StartServer) -> None:
    """None, another's, and one for a user that is not there."""
    server = await start_server(options={"requirepass": PASSWORD})
    assert "cannot be used: it refuses bus.username and bus.password: " in await refusal(server.url, password="wr0ng")
    assert "cannot be used: it refuses bus.username and bus.password: " in await refusal(server.url, username="nobody", password="wr0ng")
    assert "cannot be used: it refuses bus.username and bus.password: " in await refusal(server.url)


@pytest.mark.parametrize("number", [99, 77_777_777_777_777_777_777])
async def test_a_database_that_the_server_has_not(start_server: StartServer, number: int) -> None:
    """A reader says so, and a service as soon."""
    server = await start_server()
    url = f"{server.url}?db={number}" if server.url.startswith("unix:") else f"{server.url}/{number}"
    assert "it has no database of this number" in await refusal(url)
    async with connect(fast(url)) as client:
        with pytest.raises(BusError, match="cannot be used: it has no database of this number"):
            await wait_until_usable(client, KEYS, fast(url), producer="connector.fake")


async def test_a_database_of_a_cluster(start_server: StartServer) -> None:
    """A node of a cluster has only one, number 0, and may not be asked for another."""
    server = await start_server(options={"cluster-enabled": "yes"})
    url = f"{server.url}?db=1" if server.url.startswith("unix:") else f"{server.url}/1"
    assert "it has no database of this number" in await refusal(url)


@pytest.mark.parametrize("missing", ["-eval", "-xread", "-xinfo", "-hvals", "-xrevrange", "resetkeys"])
async def test_a_user_without_the_rights_that_reading_needs(client: Redis, valkey: str, missing: str) -> None:
    """Whether it is a command of ours or one within a script, which would otherwise pass for a stream that is not there."""
    for stream in (TRADES, QUOTES):
        await client.xadd(stream, {"d": b"x"})
    async with user(client, "+@all", missing) as name:
        assert "it does not allow its user what we need" in await refusal(valkey, username=name, password=PASSWORD)


async def test_a_certificate_that_is_not_trusted(start_server: StartServer) -> None:
    """A reader fails as a service does."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    async with proxy((await start_server()).url, context) as secure:
        assert "its certificate is not trusted (bus.ca_file)" in await refusal(secure.url)


@pytest.mark.parametrize("port", ["plain", "TLS"])
async def test_a_port_that_speaks_otherwise(start_server: StartServer, monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    """A server that is just starting may look like that, so it takes a while."""
    monkeypatch.setattr(availability, "SUSPECT_S", 0.5)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    async with proxy((await start_server()).url, context if port == "TLS" else None) as net:
        if port == "TLS":
            assert "(is that a TLS port? then bus.url begins with rediss://)" in await refusal(net.url.replace("rediss://", "redis://"))
        else:
            assert "(does that port speak TLS?)" in await refusal(net.url.replace("redis://", "rediss://"), timeout_s=0.3)


async def test_a_server_that_is_not_there_yet_is_waited_for(valkey: str, client: Redis) -> None:
    """A reader may be started before its server."""
    await client.xadd(TRADES, {"d": b"x"})
    async with proxy(valkey) as net, connect(fast(net.url)) as own:
        net.refusing = True
        async with Reader(own, KEYS, streams=[TRADES], start=Start.BEGINNING, backoff_s=0.05) as reader:
            reading = asyncio.create_task(reader.read(timeout_s=5))
            await wait_until(lambda: net.connections > 2, what="it was tried more than once")
            net.refusing = False
            assert await reading == []
            assert reader.cursors[TRADES] != "0-0"


async def test_a_password_that_is_changed_later_is_waited_for(client: Redis, valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has worked before, so a person will correct it. The error is logged at a slow pace; nothing is lost."""
    monkeypatch.setattr(availability, "REPEAT_S", 0.3)
    async with publishing(fast(valkey)) as publisher, user(client, "+@all") as name:
        publisher.publish(trade(1))
        assert await publisher.drain(5)
        async with (
            connect(fast(valkey, username=name, password=PASSWORD)) as own,
            Reader(own, KEYS, streams=[TRADES], start=Start.BEGINNING, backoff_s=0.05) as reader,
        ):
            await read_until(reader, 1)
            with capture_logs() as logs:
                await command(client, "ACL", "SETUSER", name, "resetpass", ">another")
                await command(client, "CLIENT", "KILL", "USER", name)
                publisher.publish(trade(2))
                reading = asyncio.create_task(read_until(reader, 1))
                await wait_until(lambda: len(logs) > 3, what="it is said again")
                assert not reading.done()
                await command(client, "ACL", "SETUSER", name, "resetpass", f">{PASSWORD}")
                (event,) = await reading
    assert event.seq == 2
    refused = [entry["reason"] for entry in logs if entry["event"] == "bus.unavailable" and "invalid username-password" in entry["reason"]]
    assert len(refused) >= 2
    assert len(logs) < 100
