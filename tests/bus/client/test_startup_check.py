"""A service checks the server at its start: it can be used, or one clear error says why not."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crosstape.bus import connect
from crosstape.bus.client.startup_check import wait_until_usable
from crosstape.errors import BusError, SettingsError
from crosstape.runtime.embedded_server import EmbeddedServer
from crosstape_schemas import Keys
from tests.bus.tape import KEYS, command, fast
from tests.proxy import proxy
from tests.waiting import wait_until

PRODUCER = "connector.kraken"
AT_ONCE = 3_600.0
"""A longest wait of which nothing may be used up: a test that waits for it fails by its own timeout."""


async def use(url: str, *, keys: Keys = KEYS, **changes: Any) -> None:
    """Check the server as a service does at its start."""
    settings = fast(url, **{"start_s": AT_ONCE, **changes})
    async with connect(settings) as client:
        await wait_until_usable(client, keys, settings, producer=PRODUCER)


async def refusal(url: str, **changes: Any) -> str:
    """Returns the error if the server cannot be used."""
    with pytest.raises(BusError) as caught:
        await use(url, **changes)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert "hunter2" not in text
    return text


@contextlib.asynccontextmanager
async def server(directory: Path, **options: str) -> AsyncIterator[EmbeddedServer]:
    """Runs a server with these options, on a unix socket and a port."""
    one = EmbeddedServer(directory, port=0, options={name.replace("_", "-"): value for name, value in options.items()})
    await one.start(60)
    try:
        yield one
    finally:
        await one.stop()


async def test_a_server_that_is_well_is_left_as_it_was(client: Redis, valkey: str) -> None:
    """The check writes nothing, whether the tape is empty or has been used."""
    await use(valkey)
    assert await client.dbsize() == 0

    await command(client, "SADD", KEYS.registry(), "x")
    await command(client, "HSET", KEYS.cursor(PRODUCER), "epoch", "1")
    await use(valkey)
    assert await client.dbsize() == 2
    assert await command(client, "HGETALL", KEYS.cursor(PRODUCER)) == {b"epoch": b"1"}


async def test_each_partition_of_a_cluster_is_tried(tmp_path: Path) -> None:
    """Each may be on another node."""
    async with server(tmp_path, cluster_enabled="yes") as one, Redis.from_url(one.url) as admin:
        url = one.tcp_url.replace("redis://", "redis+cluster://")
        assert "could not be used for 0.5 s" in await refusal(url, partitions=4, keys=Keys(partitions=4), start_s=0.5)

        await command(admin, "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        await use(url, partitions=4, keys=Keys(partitions=4), start_s=60)


async def test_nobody_listens(tmp_path: Path) -> None:
    """The service waits as long as the settings say; the error has the last reason."""
    with capture_logs() as logs:
        text = await refusal("redis://user:hunter2@127.0.0.1:1", start_s=0.3)
    assert text.startswith("the bus redis://***@127.0.0.1:1 could not be used for 0.3 s (bus.start_s): ")
    assert "refused" in text
    assert [log["event"] for log in logs] == ["bus.unavailable"]

    assert "No such file" in await refusal(f"unix://{tmp_path}/none.sock", start_s=0.3)


async def test_a_name_that_does_not_resolve() -> None:
    """The name of a container that does not run does not resolve."""
    text = await refusal("redis://nothing.invalid", start_s=0.5)
    assert "nothing.invalid" in text.partition("(bus.start_s)")[2]


async def test_one_that_never_answers(valkey: str) -> None:
    """A firewall that swallows, a server that hangs."""
    async with proxy(valkey) as one:
        one.swallowing = True
        assert "no answer within 0.3 s" in await refusal(one.url, start_s=0.3)


async def test_one_that_comes_up_meanwhile_is_used(valkey: str) -> None:
    """Services and their server are started together."""
    async with proxy(valkey) as one:
        one.refusing = True
        starting = asyncio.create_task(use(one.url))
        await wait_until(lambda: one.connections > 1, what="it was tried more than once")
        one.refusing = False
        await asyncio.wait_for(starting, 60)


async def test_a_wrong_password_is_told_at_once(tmp_path: Path) -> None:
    """Waiting makes it no better. None, another's, and one where none is wanted."""
    async with server(tmp_path, requirepass="right") as one:
        assert "it refuses bus.username and bus.password: " in await refusal(one.url, password="hunter2")
        assert "it refuses bus.username and bus.password: " in await refusal(one.tcp_url, username="none", password="hunter2")
        assert "Authentication required" in await refusal(one.url)
        await use(one.url, password="right")


async def test_a_password_that_nobody_wants_is_told(valkey: str, client: Redis) -> None:
    """Server or settings are wrong: the server has no such user."""
    assert await client.ping()
    assert "it refuses bus.username and bus.password: " in await refusal(valkey, username="none", password="hunter2")


@pytest.mark.parametrize("missing", ["-eval", "-xadd", "-scard", "resetkeys"])
async def test_what_its_user_may_not_is_told_at_once(client: Redis, valkey: str, missing: str) -> None:
    """A service needs scripts, writing, and the keys under its prefix."""
    await command(client, "ACL", "SETUSER", "tape", "on", ">hunter2", "+@all", "~tape:*", "&*")
    try:
        await use(valkey, username="tape", password="hunter2")
        await command(client, "ACL", "SETUSER", "tape", missing)
        assert "it does not allow its user what we need: " in await refusal(valkey, username="tape", password="hunter2")
    finally:
        await command(client, "ACL", "DELUSER", "tape")


@pytest.mark.parametrize(("name", "kind"), [(KEYS.registry(), "set"), (KEYS.cursor(PRODUCER), "hash"), (KEYS.identity(), "hash")])
async def test_a_name_that_holds_something_else_is_told_at_once(client: Redis, valkey: str, name: str, kind: str) -> None:
    """Another program's; it stays as it is."""
    await client.set(name, "mine")
    assert f"{name} exists and is no {kind}" in await refusal(valkey)
    await client.delete(name)
    await client.xadd(name, {"d": "mine"})
    assert f"{name} exists and is no {kind}" in await refusal(valkey)
    assert await client.xlen(name) == 1


async def test_a_replica_is_not_written_to(tmp_path: Path) -> None:
    """It answers, but cannot be used; it may become a primary during the wait."""
    async with server(tmp_path, replicaof="127.0.0.1 1") as one, Redis.from_url(one.url) as admin:
        assert "read only replica" in await refusal(one.url, start_s=0.5)

        starting = asyncio.create_task(use(one.url))
        await asyncio.sleep(0)
        await command(admin, "REPLICAOF", "NO", "ONE")
        await asyncio.wait_for(starting, 60)


async def test_one_without_memory_is_not_written_to(tmp_path: Path) -> None:
    """The service could publish nothing."""
    async with server(tmp_path, maxmemory="1", maxmemory_policy="noeviction") as one:
        assert "OOM" in await refusal(one.url, start_s=0.5)


async def test_one_that_reads_its_data_is_waited_for() -> None:
    """A restart with a large file takes its time; the reason is the server's own."""

    async def load(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(1024):
                writer.write(b"-LOADING the dataset is read\r\n")
        writer.close()

    async with await asyncio.start_server(load, "127.0.0.1", 0) as one:
        url = f"redis://127.0.0.1:{one.sockets[0].getsockname()[1]}"
        assert "the dataset is read" in await refusal(url, start_s=0.5)


async def test_what_is_no_server_of_ours_is_told() -> None:
    """A web server on the port."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as one:
        text = await refusal(f"redis://127.0.0.1:{one.sockets[0].getsockname()[1]}", start_s=0.5)
    assert text.partition("(bus.start_s): ")[2]


async def test_a_certificate_that_is_not_trusted_is_told_at_once(tmp_path: Path) -> None:
    """Waiting makes it no better. A file that holds no authority is a wrong setting."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(serve, "localhost", 0, ssl=context) as one:
        url = f"rediss://localhost:{one.sockets[0].getsockname()[1]}"
        text = await refusal(url, ca_file=str(tmp_path / "other.pem"))
        assert "its certificate is not trusted (bus.ca_file): " in text

        (tmp_path / "none.pem").write_text("nothing")
        for name, reason in (("none.pem", ""), ("missing.pem", "No such file")):
            with pytest.raises(SettingsError, match=rf"bus.ca_file = .*{name}' cannot be used: .*{reason}"):
                await use(url, ca_file=str(tmp_path / name))


async def test_it_ends_when_it_is_cancelled() -> None:
    """A service that waits for its server stops at a signal."""
    starting = asyncio.create_task(use("redis://127.0.0.1:1"))
    with capture_logs() as logs:
        await wait_until(lambda: logs, what="it was tried")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(starting, 60)
