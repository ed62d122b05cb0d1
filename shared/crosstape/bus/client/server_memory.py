"""Asks the bus's server how much memory it uses and may use, so that no exporter has to run beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from redis.asyncio import RedisCluster
from redis.exceptions import ResponseError

from crosstape.bus.client.call import UNAVAILABLE, Client, execute, translated_errors
from crosstape.bus.client.eviction import harmful
from crosstape.log import get_log

EVERY_S: Final = 5.0

log = get_log(__name__)


class ServerMemory(NamedTuple):
    """Memory in bytes; of a cluster, the sum over its primaries."""

    used: int
    limit: int
    """0: no limit, or one primary of several has none."""
    evicts: bool = False
    """Whether the server evicts keys of the tape when the memory is used up."""


async def read_memory(client: Client) -> ServerMemory | None:
    """Ask the server. Returns None if its answer has no such numbers. Raises one of `UNAVAILABLE`; `ResponseError` if it refuses."""
    if isinstance(client, RedisCluster):
        with translated_errors():
            await client.initialize()
        primaries = client.get_primaries()
        return combined(await asyncio.gather(*(execute(client, "INFO", "memory", target_nodes=node) for node in primaries)))
    return combined([await execute(client, "INFO", "memory")])


def combined(answers: list[Mapping[str, Any]]) -> ServerMemory | None:
    """Combines the answers of all servers."""
    try:
        used = [int(answer["used_memory"]) for answer in answers]
        limits = [int(answer["maxmemory"]) for answer in answers]
    except (KeyError, TypeError, ValueError):
        return None
    return ServerMemory(sum(used), sum(limits) if all(limits) else 0, bool(harmful(answers))) if used else None


async def watch_memory(client: Client, update: Callable[[ServerMemory | None], None], *, every_s: float = EVERY_S) -> None:
    """Call `update` with the server's memory again and again, until cancelled; with None while it is not known, and at the end.

    A refusal is logged once.
    """
    refused = False
    try:
        while True:
            memory = None
            try:
                memory = await read_memory(client)
            except ResponseError as exc:
                if not refused:
                    log.warning("bus.memory_unknown", reason=str(exc))
                refused = True
            except UNAVAILABLE:
                pass  # the publisher logs that
            update(memory)
            await asyncio.sleep(every_s)
    finally:
        update(None)
