"""Makes one call to the server by redis-py: an answer, or one of `UNAVAILABLE`. What to do while the server is away: see `availability`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisClusterException, RedisError

Client: TypeAlias = Redis | RedisCluster

UNAVAILABLE: Final = (RedisError, RedisClusterException, OSError)
"""The errors of a call when the server cannot be reached, does not answer in time, or answers that it cannot do this now."""


async def drop_idle_connections(client: Client) -> None:
    """Make the next call connect again: after READONLY, a name may lead to another server. A cluster client does so by itself."""
    if isinstance(client, Redis):
        with contextlib.suppress(*UNAVAILABLE):
            await client.connection_pool.disconnect(inuse_connections=False)


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """Surrounds a call of redis-py: a lost connection and a cancellation are raised as what they are.

    When the server closes a connection that is being written to, uvloop raises a `RuntimeError`. And on Python 3.11 the `wait_for` around
    the write swallows a cancellation that comes just when it is done: a task that calls again and again would never end.
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
    """Execute a command. Returns the server's answer; raises one of `UNAVAILABLE`."""
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
    """`execute`, with the answer as it came: redis-py's own forms of streams cost more than all the rest of reading them."""
    if isinstance(client, RedisCluster):
        with translated_errors():
            await client.initialize()
        return await execute(client, command, *args, target_nodes=client.get_node_from_key(key.decode()))
    return await execute(client, command.encode(), *args)  # redis-py finds a form by the command as str


def socket_timeout_s(client: Client) -> float | None:
    """How long one call may take, in seconds; None: without limit."""
    timeout = client.get_connection_kwargs().get("socket_timeout")
    return None if timeout is None else float(timeout)
