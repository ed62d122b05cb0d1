"""One call to the server, by redis-py: an answer, or one of `UNAVAILABLE`. What to do when the server is away is for `availability`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisClusterException, RedisError

Client: TypeAlias = Redis | RedisCluster

UNAVAILABLE: Final = (RedisError, RedisClusterException, OSError)
"""What a call raises when the server cannot be reached, does not answer in time, or answers that it cannot do this now."""


async def drop_idle_connections(client: Client) -> None:
    """Have the next call connect anew: after READONLY, a name may lead to another server now. A cluster client does so itself."""
    if isinstance(client, Redis):
        with contextlib.suppress(*UNAVAILABLE):
            await client.connection_pool.disconnect(inuse_connections=False)


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """Around every call of redis-py: a lost connection and a cancellation are told as such.

    A connection that the server closes while it is written to is a `RuntimeError` of uvloop's. And on Python 3.11 the `wait_for` that it is
    written to with swallows a cancellation that comes just as it is done: whoever calls again and again would never end.
    """
    task = asyncio.current_task()
    already = task.cancelling() if task is not None else 0  # a service drains while it is being cancelled
    try:
        yield
    except RuntimeError as exc:
        if "handler is closed" not in str(exc):
            raise
        raise ConnectionError("the connection was closed meanwhile") from exc
    finally:
        if task is not None and task.cancelling() > already:
            raise asyncio.CancelledError


async def execute(client: Client, *args: Any, **options: Any) -> Any:
    """What the server answers to a command, or one of `UNAVAILABLE`."""
    execute: Any = client.execute_command
    try:
        with translated_errors():
            return await execute(*args, **options)
    except AttributeError as exc:
        # redis-py 8.1: a cluster client that finds the cluster down closes the connections that others are using
        if isinstance(client, RedisCluster):
            raise ConnectionError("the connection was closed meanwhile") from exc
        raise


async def execute_raw(client: Client, command: str, *args: Any, key: bytes) -> Any:
    """`ask`, and the answer as it came: redis-py's own forms of streams cost more than all the rest of reading them."""
    if isinstance(client, RedisCluster):
        with translated_errors():
            await client.initialize()
        return await execute(client, command, *args, target_nodes=client.get_node_from_key(key.decode()))
    return await execute(client, command.encode(), *args)  # its table of forms is by str


def socket_timeout_s(client: Client) -> float | None:
    """How long one call may take."""
    timeout = client.get_connection_kwargs().get("socket_timeout")
    return None if timeout is None else float(timeout)
