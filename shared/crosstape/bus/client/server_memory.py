"""How much memory the bus's server uses, and how much it may: asked of the server itself, so that no exporter has to run beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import structlog
from redis.asyncio import RedisCluster
from redis.exceptions import ResponseError

from crosstape.bus.client.call import UNAVAILABLE, Client, execute, translated_errors
from crosstape.bus.client.eviction import harmful

EVERY_S: Final = 5.0

log = structlog.get_logger(__name__)


class ServerMemory(NamedTuple):
    """Bytes; of a cluster, of its primaries together."""

    used: int
    limit: int
    """0: there is none; so too when one primary of several has none."""
    evicts: bool = False
    """When it is used up, the server throws keys of the tape away."""


async def read(client: Client) -> ServerMemory | None:
    """What the server says; None when its answer has no such numbers. Raises one of `UNAVAILABLE`; `ResponseError` when it refuses."""
    if isinstance(client, RedisCluster):
        with translated_errors():
            await client.initialize()
        primaries = client.get_primaries()
        return combined(await asyncio.gather(*(execute(client, "INFO", "memory", target_nodes=node) for node in primaries)))
    return combined([await execute(client, "INFO", "memory")])


def combined(answers: list[Mapping[str, Any]]) -> ServerMemory | None:
    """Of all servers' answers, one number each."""
    try:
        used = [int(answer["used_memory"]) for answer in answers]
        limits = [int(answer["maxmemory"]) for answer in answers]
    except (KeyError, TypeError, ValueError):
        return None
    return ServerMemory(sum(used), sum(limits) if all(limits) else 0, bool(harmful(answers))) if used else None


async def watch_memory(client: Client, tell: Callable[[ServerMemory | None], None], *, every_s: float = EVERY_S) -> None:
    """Tell what the server says, again and again until cancelled; None while it does not, and at the end. A refusal is logged once."""
    refused = False
    try:
        while True:
            memory = None
            try:
                memory = await read(client)
            except ResponseError as exc:
                if not refused:
                    log.warning("bus.memory_unknown", reason=str(exc))
                refused = True
            except UNAVAILABLE:
                pass  # whoever publishes says so
            tell(memory)
            await asyncio.sleep(every_s)
    finally:
        tell(None)
