"""The wire: one call at a time, each with its own answer or an error."""

from __future__ import annotations

import asyncio
import inspect
from functools import partial
from typing import Any

import pytest
import redis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from crosstape.bus import connect
from crosstape.bus.client.raw_connection import RawConnection
from tests.bus.tape import command, fast
from tests.proxy import proxy
from tests.waiting import wait_until


async def test_redis_py_has_the_internals_that_we_use(client: Redis) -> None:
    """`RawConnection` takes the transport out of a private attribute. A release of redis-py that moves it is named by this test first."""
    pool: Any = client.connection_pool
    connection: Any = await pool.get_connection()
    try:
        transport = getattr(getattr(connection, "_writer", None), "transport", None)
        assert isinstance(transport, asyncio.Transport), (
            f"redis-py {redis.__version__}: an asyncio connection has no transport in `_writer.transport` any more;"
            " look where it is now and change `_Link` in crosstape/bus/client/raw_connection.py, or do not allow this release"
        )
        assert isinstance(transport.get_protocol(), asyncio.Protocol), (
            f"redis-py {redis.__version__}: the protocol of its connections is no asyncio.Protocol any more;"
            " `_Link.connection_lost` in crosstape/bus/client/raw_connection.py passes the end of the connection on to it"
        )
        assert "nowait" in inspect.signature(connection.disconnect).parameters, (
            f"redis-py {redis.__version__}: `disconnect` has no `nowait` any more, which `RawConnection.close` relies on"
        )
    finally:
        await pool.release(connection)


async def test_answers_come_as_they_are(client: Redis) -> None:
    """Bytes, numbers and lists, small and large."""
    wire = RawConnection(client)
    assert await wire.call("SET", b"k", b"v" * 1_000_000) == b"OK"
    assert await wire.call("STRLEN", "k") == 1_000_000
    assert await wire.call("GET", "k") == b"v" * 1_000_000
    assert await wire.call("MGET", "k", "none") == [b"v" * 1_000_000, None]
    await wire.close()


async def test_a_refused_command_is_an_error_and_the_connection_stays(client: Redis) -> None:
    """The error has the server's text; a missing script has a class of its own."""
    wire = RawConnection(client)
    await wire.call("SET", "k", "v")
    before = await wire.call("CLIENT", "ID")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await wire.call("XADD", "k", "*", "d", "x")
    with pytest.raises(NoScriptError):
        await wire.call("EVALSHA", "0" * 40, 0)
    assert await wire.call("CLIENT", "ID") == before
    await wire.close()


async def test_a_cut_connection_is_an_error_once(client: Redis, valkey: str) -> None:
    """The next call connects again."""
    async with proxy(valkey) as network, connect(fast(network.url)) as through:
        assert isinstance(through, Redis)
        wire = RawConnection(through)
        assert await wire.call("PING") == b"PONG"
        network.lose_answers = 1
        with pytest.raises(RedisConnectionError):
            await wire.call("PING")
        assert await wire.call("PING") == b"PONG"
        assert network.connections == 2
        await wire.close()


async def test_a_silent_server_is_a_timeout(client: Redis, valkey: str) -> None:
    """The timeout is that of the settings; a late answer is dropped."""
    async with proxy(valkey) as network, connect(fast(network.url, timeout_s=1.0)) as through:
        assert isinstance(through, Redis)
        wire = RawConnection(through)
        assert await wire.call("ECHO", "one") == b"one"
        network.swallowing = True
        with pytest.raises(RedisTimeoutError, match="1 s"):
            await wire.call("ECHO", "two")
        network.swallowing = False
        assert await wire.call("ECHO", "three") == b"three"
        await wire.close()


async def test_a_cancelled_call_leaves_no_answer_behind(client: Redis) -> None:
    """The call after it gets its own."""
    wire = RawConnection(client)
    task = asyncio.ensure_future(wire.call("BLPOP", "nothing", 0))
    await wait_until(partial(_blocked, client), what="the server waits for us")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await wire.call("ECHO", "mine") == b"mine"
    await wire.close()


async def test_closing_a_client_closes_its_wires(client: Redis, valkey: str) -> None:
    """Also one that nobody closed: nothing is left connected, and nobody waits for it."""
    async with connect(fast(valkey)) as own:
        assert isinstance(own, Redis)
        wire = RawConnection(own)
        number = await wire.call("CLIENT", "ID")
    await wait_until(partial(_gone, client, number), what="the server has seen it close")


async def _blocked(client: Redis) -> bool:
    return bool((await command(client, "INFO", "clients"))["blocked_clients"])


async def _gone(client: Redis, number: int) -> bool:
    return number not in {int(one["id"]) for one in await command(client, "CLIENT LIST")}
