"""Decides whether each entry is published on its channel, or only where the server says that somebody listens.

The server's answer to PUBLISH counts the listeners that are connected to itself. It counts neither those of the other nodes of a cluster
nor those of replicas, to which it passes what is published.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from redis.asyncio import RedisCluster
from redis.exceptions import ResponseError

from crosstape.bus.client.call import Client
from crosstape.log import get_log
from crosstape.settings import BusSettings

LOOK_S: Final = 5.0
"""How often the server is asked whether it has replicas."""

REPLICAS_S: Final = 60.0
"""How often, while it has some: a replica that has lost its server for a moment still counts."""

_REPLICAS: Final = re.compile(r"^connected_(?:slaves|replicas):(\d+)\s*$", re.MULTILINE)

log = get_log(__name__)


class Channels:
    """Knows of one server whether all entries must be published. When it is asked again is the caller's time."""

    def __init__(self, client: Client, settings: BusSettings) -> None:
        self.every = True
        """Whether each entry is published, though the server may say that nobody listens to it."""
        self._fixed = settings.channels == "always" or isinstance(client, RedisCluster)
        self._look_at = 0.0
        self._logged = False

    def is_due(self, now: float) -> bool:
        """Whether the server is to be asked before the next batch. `now`: the monotonic clock."""
        return not self._fixed and now >= self._look_at

    async def look(self, call: Callable[[str, str], Awaitable[Any]], now: float) -> None:
        """Ask the server whether it has replicas, with this call. Where it does not say, each entry is published.

        Raises one of `UNAVAILABLE` but `ResponseError`, which is an answer.
        """
        try:
            replicas = connected_replicas(await call("INFO", "replication"))
        except ResponseError as exc:
            self._unknown(str(exc))
            return
        if replicas is None:
            self._unknown("INFO replication does not count its replicas")
            return
        self.every = replicas > 0
        self._look_at = now + (REPLICAS_S if replicas else LOOK_S)

    def forget(self) -> None:
        """Ask again before the next batch: the connection was lost, so the server may be another."""
        self.every, self._look_at = True, 0.0

    def _unknown(self, reason: str) -> None:
        """Do not ask again on this connection: each refusal would stand in the server's log."""
        self.every, self._look_at = True, float("inf")
        if not self._logged:
            self._logged = True
            log.warning("bus.channels_always", reason=reason, hint="the right to INFO (+info) spares the server work")


def connected_replicas(info: object) -> int | None:
    """Returns how many replicas a server has, from its `INFO replication`; None if that does not say."""
    text = info.decode(errors="replace") if isinstance(info, bytes) else str(info)
    found = _REPLICAS.search(text)
    return int(found[1]) if found else None
