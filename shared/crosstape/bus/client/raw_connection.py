"""One connection to the server, for one call at a time, without the work that redis-py does around each call.

redis-py connects: it knows addresses, TLS, passwords and Sentinel. After that the bytes go past its streams: a small call and its answer
take 18 µs and 8 µs of CPU instead of 88 and 57, and three such calls lie between a frame and its consolidated quote. In a cluster, where
redis-py must find the node of each call, all is left to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import hiredis
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from crosstape.bus.client.call import Client, execute, execute_raw, socket_timeout_s, translated_errors

ERRORS: Final[dict[str, type[ResponseError]]] = {"NOSCRIPT": NoScriptError, "READONLY": ReadOnlyError}
"""First word of the server's answer → class of the error; all others are plain `ResponseError`s."""

pack: Callable[[tuple[bytes | str | int, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]  # its stub allows one length only
"""Returns a command as the bytes that a server reads."""


def unpack(packed: bytes) -> list[bytes]:
    """Returns the parts of a command that was packed."""
    reader = hiredis.Reader()
    reader.feed(packed)
    parts: list[bytes] = reader.gets()
    return parts


class _Link(asyncio.Protocol):
    """One connection, from the moment at which redis-py has made it. At most one answer is waited for."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.transport: asyncio.Transport = connection._writer.transport  # redis-py has no public way to it; a test fails when this changes
        self.answer: asyncio.Future[Any] | None = None
        self._reader = hiredis.Reader()
        self._streams = self.transport.get_protocol()
        self.transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        """Accept bytes from the server."""
        self._reader.feed(data)
        reply = self._reader.gets()
        if reply is not False and self.answer is not None and not self.answer.done():
            self.answer.set_result(reply)

    def eof_received(self) -> None:
        """Close our side when the server has closed its own: returning None does that."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the waiting call, and pass the end on to redis-py's own protocol, which would wait for it for ever."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(RedisConnectionError(str(exc or "closed by the server")))
        self._streams.connection_lost(exc)


class RawConnection:
    """Connects with the first call, and again after the connection was lost. For one caller; it closes after a cancelled or late call."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._timeout_s = socket_timeout_s(client)
        self._link: _Link | None = None

    def call(self, *command: bytes | str | int, key: bytes = b"") -> Awaitable[Any]:
        """Execute a command. Returns the server's answer; raises one of `call.UNAVAILABLE`. (Only a cluster uses `key`.)"""
        return self.call_packed(pack(command), key=key)

    async def call_packed(self, packed: bytes, *, key: bytes = b"") -> Any:
        """The same as `call`, for a command that is packed already."""
        link = self._link
        if link is None or link.transport.is_closing():
            link = await self._open()
        loop = asyncio.get_running_loop()
        answer = link.answer = loop.create_future()
        limit = None if self._timeout_s is None else loop.call_later(self._timeout_s, self._expire, answer)
        try:
            link.transport.write(packed)
            reply = await answer
        except BaseException:
            link.transport.abort()  # a late answer would be taken for that of the next call
            raise
        finally:
            if limit is not None:
                limit.cancel()
        if isinstance(reply, hiredis.ReplyError):
            text = str(reply)
            error = ERRORS.get(text.partition(" ")[0], ResponseError)
            if error is ReadOnlyError:
                link.transport.abort()  # the name may lead to another server now
            raise error(text)
        return reply

    async def close(self) -> None:
        """Close the connection. Without this it is closed with the client."""
        link, self._link = self._link, None
        if link is not None:
            link.transport.abort()
            await link.connection.disconnect(nowait=True)
            await self._client.connection_pool.release(link.connection)

    async def _open(self) -> _Link:
        await self.close()
        pool: Any = self._client.connection_pool
        with translated_errors():
            self._link = _Link(await pool.get_connection())
        return self._link

    def _expire(self, answer: asyncio.Future[Any]) -> None:
        if not answer.done():
            answer.set_exception(RedisTimeoutError(f"no answer within {self._timeout_s:g} s"))


class RawClusterConnection:
    """Has the same methods for a cluster: redis-py sends each call to the node of its key."""

    def __init__(self, client: RedisCluster) -> None:
        self._client = client

    async def call(self, *command: bytes | str | int, key: bytes) -> Any:
        """Execute a command on the node of `key`. Returns its answer; raises one of `call.UNAVAILABLE`."""
        name, *args = command
        if name == "XREAD":
            return await execute_raw(self._client, name, *args, key=key)
        return await execute(self._client, name, *args)  # a script finds its node by its keys

    async def call_packed(self, packed: bytes, *, key: bytes) -> Any:
        """The same as `call`, for a command that is packed already. It is unpacked: redis-py packs it again, for the node that it finds."""
        name, *args = unpack(packed)
        return await self.call(name.decode(), *args, key=key)

    async def close(self) -> None:
        """Do nothing: there is no connection of its own."""


def raw_connection(client: Client) -> RawConnection | RawClusterConnection:
    """Makes a connection to this client's server. It is not connected yet."""
    return RawClusterConnection(client) if isinstance(client, RedisCluster) else RawConnection(client)
