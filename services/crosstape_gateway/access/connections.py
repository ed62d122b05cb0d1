"""Closes connections that ask for nothing, or for nothing that they may have: each takes a file descriptor, and no limit of requests would
count it.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from aiohttp import web

from crosstape_gateway.access.limits import address_of

FIRST_REQUEST_S: Final = 10.0
"""How long a connection may take until its first request that may be served has come completely."""
WAITING: Final = 100
"""Connections of one address that may wait with their first request at the same time; beyond that the newest ones are closed."""
KEEP_S: Final = 75.0
"""How long a connection is kept after a request: longer than proxies keep theirs, so that these end them first."""


class Connections:
    """The connections of one server. `sweep` is called about once a second; between two calls any number may be opened."""

    def __init__(self) -> None:
        self.server: web.Server | None = None
        self._served: set[web.RequestHandler] = set()
        self._since_s: dict[web.RequestHandler, float] = {}

    def served(self, request: web.Request) -> None:
        """Note that a connection has sent a request that may be served."""
        self._served.add(request.protocol)

    def sweep(self, now_s: float) -> int:
        """Close those that wait for too long, or are too many. Returns how many."""
        if self.server is None:
            return 0
        present = self.server.connections
        self._served.intersection_update(present)
        self._since_s = {one: self._since_s.get(one, now_s) for one in present if one not in self._served}
        waiting: Counter[str] = Counter()
        closed = 0
        for connection, since_s in self._since_s.items():  # the oldest first
            if (transport := connection.transport) is None:
                continue
            peer = transport.get_extra_info("peername")
            address = address_of(str(peer[0]) if isinstance(peer, tuple) and peer else "")
            waiting[address] += 1
            if now_s - since_s > FIRST_REQUEST_S or waiting[address] > WAITING:
                transport.close()
                closed += 1
        return closed
