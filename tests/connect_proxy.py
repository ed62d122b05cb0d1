"""An HTTP proxy that only knows CONNECT, as a company's gateway does: it resolves names, may ask for a password, and may refuse."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Final

CHUNK: Final = 1 << 16
CONNECTED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"


class ConnectProxy:
    """What it does, by plain attributes that tests set."""

    def __init__(self, names: Mapping[str, int], *, tls: ssl.SSLContext | None = None, password: str = "") -> None:
        """`names`: host → the loopback port that stands for it; other hosts it reaches as they are. `password`: `user:password`."""
        self.asked: list[str] = []
        """`host:port` of each CONNECT."""
        self.methods: set[str] = set()
        self.answer = CONNECTED
        """Anything else refuses; empty: the connection is closed."""
        self.port = 0
        self._names = names
        self._tls = tls
        self._password = password
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """With the password, if it wants one."""
        user = f"{self._password}@" if self._password else ""
        return f"{'https' if self._tls else 'http'}://{user}localhost:{self.port}"

    def cut(self) -> None:
        """Close every connection now."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ExceptionGroup):
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, target, _ = head[0].split(" ")
                self.methods.add(method)
                self.asked.append(target)
                answer = self._answer(method, head)
                writer.write(answer)
                await writer.drain()
                if answer == CONNECTED:
                    await self._connect(target, reader, writer)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    def _answer(self, method: str, head: list[str]) -> bytes:
        if method != "CONNECT":
            return b"HTTP/1.1 405 Method Not Allowed\r\n\r\n"
        wanted = f"Proxy-Authorization: Basic {base64.b64encode(self._password.encode()).decode()}"
        if self._password and wanted not in head:
            return b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="gate"\r\n\r\n'
        return self.answer

    async def _connect(self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = target.rpartition(":")
        there = ("127.0.0.1", self._names[host]) if host in self._names else (host.strip("[]"), int(port))
        up_reader, up_writer = await asyncio.open_connection(*there)
        self._writers.add(up_writer)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_pass(reader, up_writer))
                tasks.create_task(_pass(up_reader, writer))
        finally:
            self._writers.discard(up_writer)
            up_writer.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError("one side has ended")


@contextlib.asynccontextmanager
async def connect_proxy(
    names: Mapping[str, int] | None = None, *, tls: ssl.SSLContext | None = None, password: str = ""
) -> AsyncIterator[ConnectProxy]:
    """One on a loopback port of its own; with `tls` it speaks that to its clients."""
    one = ConnectProxy(names or {}, tls=tls, password=password)
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
