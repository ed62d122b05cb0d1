"""Warns if the server evicts keys when its memory is used up: a stream is a key, so it would remove the tape."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from redis.asyncio import RedisCluster

from crosstape.bus.client.call import UNAVAILABLE, Client, execute, translated_errors
from crosstape.log import get_log

KEEPS: Final = "noeviction"

log = get_log(__name__)


def harmful(memory: Iterable[Mapping[str, Any]]) -> str:
    """Returns the policy by which one of these servers evicts keys of the tape, from its `INFO memory`; empty: none does, or says so.

    `allkeys-*` evicts streams; `volatile-*` what expires: leases and checkpoints. A server without a limit evicts nothing.
    """
    for one in memory:
        policy = str(one.get("maxmemory_policy", ""))
        if one.get("maxmemory") and policy.startswith(("allkeys-", "volatile-")):
            return policy
    return ""


async def warn(client: Client, *, lost: bool = False) -> None:
    """Log if the server evicts keys. `lost`: it has lost data, and eviction may be the cause. Silent if the server does not say."""
    try:
        if isinstance(client, RedisCluster):
            with translated_errors():
                await client.initialize()
            nodes = client.get_primaries()
            memory = await asyncio.gather(*(execute(client, "INFO", "memory", target_nodes=node) for node in nodes))
        else:
            memory = [await execute(client, "INFO", "memory")]
    except UNAVAILABLE:
        return  # a managed server may refuse; a server that is away is reported elsewhere
    if policy := harmful(memory):
        log.warning(
            "bus.evicts",
            policy=policy,
            maxmemory=max(int(one.get("maxmemory", 0)) for one in memory),
            what="the tape's streams" if policy.startswith("allkeys-") else "leases and checkpoints",
            cause_of_loss=lost,
            hint=f"CONFIG SET maxmemory-policy {KEEPS}, and in the server's configuration",
        )
