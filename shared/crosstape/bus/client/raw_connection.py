"""One connection to the server for one call at a time, without what redis-py does around each.

redis-py connects: it knows addresses, TLS, passwords, Sentinel. The bytes then go past its streams: a small call and its answer take 18 µs
and 8 µs of CPU in place of 88 and 57, and a quote is three such calls away from its frame. In a cluster, where redis-py must find the node
of each call, all is left to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import hiredis
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from crosstape.bus.client.call import Client, execute, execute_raw, socket_timeout_s, translated_errors

ERRORS: Final[dict[str, type[ResponseError]]] = {"NOSCRIPT": NoScriptError, "READONLY": ReadOnlyError}
"""By the first word of the server's answer; all others are plain."""

_pack: Callable[[tuple[bytes | str | int, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]  # it takes any length


class _Link(asyncio.Protocol):
    """One connection, from the moment that redis-py has made it: at most one answer is waited for."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.transport: asyncio.Transport = connection._writer.transport  # redis-py has no public way to it
        self.answer: asyncio.Future[Any] | None = None
        self._reader = hiredis.Reader()
        self._streams = self.transport.get_protocol()
        self.transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        """Bytes from the server."""
        self._reader.feed(data)
        reply = self._reader.gets()
        if reply is not False and self.answer is not None and not self.answer.done():
            self.answer.set_result(reply)

    def eof_received(self) -> None:
        """The server has closed its side: so do we."""

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone. redis-py's own protocol must hear of it, or it would wait for it for ever."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(RedisConnectionError(str(exc or "closed by the server")))
        self._streams.connection_lost(exc)


class RawConnection:
    """Connects when first called, and again after it was lost. One caller; cancelled or timed out in a call, it gives the connection up."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._timeout_s = socket_timeout_s(client)
        self._link: _Link | None = None

    async def call(self, *words: bytes | str | int, key: bytes = b"") -> Any:
        """What the server answers. Raises one of `call.UNAVAILABLE`. (`key` is of use to a cluster only.)"""
        link = self._link
        if link is None or link.transport.is_closing():
            link = await self._open()
        loop = asyncio.get_running_loop()
        answer = link.answer = loop.create_future()
        limit = None if self._timeout_s is None else loop.call_later(self._timeout_s, self._expire, answer)
        try:
            link.transport.write(_pack(words))
            reply = await answer
        except BaseException:
            link.transport.abort()  # its answer would be taken for the next one's
            raise
        finally:
            if limit is not None:
                limit.cancel()
        if isinstance(reply, hiredis.ReplyError):
            text = str(reply)
            error = ERRORS.get(text.partition(" ")[0], ResponseError)
            if error is ReadOnlyError:
                link.transport.abort()  # its name may lead to another server now
            raise error(text)
        return reply

    async def close(self) -> None:
        """Give the connection up. Otherwise it is closed with the client."""
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
    """The same face for a cluster: each call goes to the node of its key, by redis-py."""

    def __init__(self, client: RedisCluster) -> None:
        self._client = client

    async def call(self, *words: bytes | str | int, key: bytes) -> Any:
        """What the node of `key` answers. Raises one of `call.UNAVAILABLE`."""
        command, *rest = words
        if command == "XREAD":
            return await execute_raw(self._client, command, *rest, key=key)
        return await execute(self._client, command, *rest)  # a script finds its node by its keys

    async def close(self) -> None:
        """Nothing is held."""


def raw_connection(client: Client) -> RawConnection | RawClusterConnection:
    """A wire to this client's server, not connected yet."""
    return RawClusterConnection(client) if isinstance(client, RedisCluster) else RawConnection(client)
