"""A TCP proxy in front of a server, that can fail as networks do: cut, refuse, swallow, lose an answer, be slow."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from typing import TypeAlias
from urllib.parse import urlsplit

UnderWay: TypeAlias = asyncio.Queue[tuple[float, bytes]]
"""Chunks and when each is due, on the monotonic clock; b"" is the end."""

CHUNK = 1 << 16
UNDER_WAY = 256
"""Chunks of answers that are on their way at most; then no more are read."""


class Proxy:
    """What it does to connections, by plain attributes that tests set."""

    def __init__(self, upstream: str, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self._upstream = urlsplit(upstream)
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.connections = 0
        self.refusing = False
        """New connections are closed at once."""
        self.swallowing = False
        """Nothing passes in either direction; connections stay open."""
        self.lose_answers = 0
        """So many answers of the server from now on are lost, together with the connection they were for."""
        self.cut_after: int | None = None
        """The connection that sends this many bytes more is cut in the middle of them."""
        self.delay_s = 0.0
        """How long each byte of an answer is on its way."""

    @property
    def url(self) -> str:
        """For `BusSettings.url`."""
        return f"rediss://localhost:{self.port}" if self.tls else f"redis://127.0.0.1:{self.port}"

    @property
    def upstream_port(self) -> int | None:
        """Where the server behind it is."""
        return self._upstream.port

    def cut(self) -> None:
        """Close every connection now, unsent bytes included."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, both ways."""
        self.connections += 1
        if self.refusing:
            writer.close()
            return
        try:
            up_reader, up_writer = await self._connect()
        except OSError:
            writer.close()
            return
        pair = (writer, up_writer)
        under_way: UnderWay = asyncio.Queue(UNDER_WAY)
        self._writers.update(pair)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_requests(reader, up_writer, pair))
                group.create_task(self._pass_answers(up_reader, under_way, pair))
                group.create_task(_deliver(under_way, writer, pair))
        finally:
            self._writers.difference_update(pair)
            for one in pair:
                one.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._upstream.scheme == "unix":
            return await asyncio.open_unix_connection(self._upstream.path)
        return await asyncio.open_connection(self._upstream.hostname, self._upstream.port)

    async def _pass_requests(self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, pair: tuple[asyncio.StreamWriter, ...]) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if self.swallowing:
                    continue
                if self.cut_after is not None:
                    data, self.cut_after = data[: self.cut_after], max(0, self.cut_after - len(data)) or None
                    if self.cut_after is None:
                        to.write(data)
                        break
                to.write(data)
                await to.drain()
        _abort(pair)

    async def _pass_answers(self, reader: asyncio.StreamReader, to: UnderWay, pair: tuple[asyncio.StreamWriter, ...]) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if self.swallowing:
                    continue
                if self.lose_answers:
                    self.lose_answers -= 1
                    _abort(pair)
                    break
                await to.put((time.monotonic() + self.delay_s, data))
        await to.put((0.0, b""))


async def _deliver(under_way: UnderWay, to: asyncio.StreamWriter, pair: tuple[asyncio.StreamWriter, ...]) -> None:
    """Each chunk when it is due, in order; the end after all of them."""
    while (chunk := await under_way.get())[1]:
        with contextlib.suppress(OSError):  # whoever asked may be gone
            if (left_s := chunk[0] - time.monotonic()) > 0:
                await asyncio.sleep(left_s)  # how long the way is
            to.write(chunk[1])
            await to.drain()
    _abort(pair)


def _abort(pair: tuple[asyncio.StreamWriter, ...]) -> None:
    for writer in pair:
        writer.transport.abort()


@contextlib.asynccontextmanager
async def proxy(url: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """A proxy to the server behind a `unix://` or `redis://` url, on a loopback port of its own; with `tls`, it speaks that to clients."""
    one = Proxy(url, tls)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=tls)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        one.cut()
        await server.wait_closed()
        while one._writers:
            await asyncio.sleep(0)
