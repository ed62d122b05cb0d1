"""The errors that a call raises, whatever redis-py and the event loop make of a lost connection or a cancellation."""

from __future__ import annotations

import asyncio

import pytest
import uvloop
from redis.asyncio import Redis, RedisCluster

from crosstape.bus import connect
from crosstape.bus.client.call import UNAVAILABLE, execute, translated_errors
from tests.bus.tape import fast
from tests.waiting import wait_until


def test_a_write_to_a_connection_that_was_closed_meanwhile_is_a_lost_connection() -> None:
    """On uvloop, which the services use: a server that closes the connection during the greeting must not end them."""

    async def write_to_closed(server: asyncio.Server) -> None:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.transport.abort()
        await wait_until(lambda: "closed=True" in repr(writer.transport), what="the transport is closed")
        with translated_errors():
            writer.transport.writelines([b"PING\r\n"])

    async def main() -> None:
        async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
            with pytest.raises(UNAVAILABLE, match="closed meanwhile"):
                await write_to_closed(server)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def test_another_fault_of_ours_is_not_taken_for_it() -> None:
    """A `RuntimeError` that says something else goes on as it is."""
    with pytest.raises(RuntimeError, match="mine"), translated_errors():
        raise RuntimeError("mine")


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancellation_always_ends_whoever_asks_again_and_again(valkey: str, turns: int) -> None:
    """The cancellation may come in any turn of the loop: on Python 3.11, redis-py's way to send swallows it in one of them."""

    async def again_and_again(client: Redis | RedisCluster) -> None:
        while True:
            assert await execute(client, "PING")

    async with connect(fast(valkey)) as client:
        await execute(client, "PING")
        asking = asyncio.create_task(again_and_again(client))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking}, timeout=1)
        assert asking.cancelled()
