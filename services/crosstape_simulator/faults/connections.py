"""What faults do to connections, whatever is sent on them: one object for each fault and venue while it is active."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final

from aiohttp import web

from crosstape_simulator.faults.active import ActiveFault, State
from crosstape_simulator.faults.spec import Close, Cut, Expired, HalfOpen, Lifetime, SlowLoris
from crosstape_simulator.server.connection import DEAD, Connection
from crosstape_simulator.server.server import Endpoint, VenueServer

MUTED_MAX: Final = 1_000
"""Half-open connections that are kept of one venue; beyond, the oldest is cut."""

POLL_S: Final = 0.02


class ConnectionFault:
    """A fault of connections. This one does nothing."""

    def __init__(self, running: ActiveFault, server: VenueServer) -> None:
        self.running = running
        self.server = server

    def activate(self) -> None:
        """Act on the connections that exist when the fault becomes active."""

    async def admit(self, request: web.Request) -> bool:
        """Decide about a client that wants to connect; False: it was cut instead."""
        return True

    def joined(self, connection: Connection, endpoint: Endpoint) -> None:
        """Act on a client that has connected."""

    def tick(self, elapsed_s: float) -> None:
        """Act as time passes."""

    def deactivate(self) -> None:
        """Undo what can be undone when the fault is over."""

    @property
    def pairs(self) -> list[tuple[Connection, Endpoint]]:
        """Every connection of the venue with its endpoint."""
        return [(connection, endpoint) for endpoint in self.server.endpoints for connection in endpoint.feed.connections]


class Cutting(ConnectionFault):
    """Cuts connections without a close frame."""

    def activate(self) -> None:
        """Cut all connections."""
        self.running.acted += self.server.each(Connection.cut)

    async def admit(self, request: web.Request) -> bool:
        """Cut each client that connects."""
        self.running.acted += 1
        abort(request)
        return False


class Closing(ConnectionFault):
    """Closes connections with a close frame."""

    def activate(self) -> None:
        """Close all connections."""
        fault = self.running.fault
        assert isinstance(fault, Close)
        self.running.acted += self.server.each(lambda connection: connection.close(fault.code, fault.reason))


class Aged(ConnectionFault):
    """Closes connections that are old enough."""

    def tick(self, elapsed_s: float) -> None:
        """Close each connection whose time is up."""
        fault = self.running.fault
        assert isinstance(fault, Lifetime)
        now = time.monotonic()
        for connection, _ in self.pairs:
            if connection.closing_since is None and now - connection.opened >= fault.at:
                self.running.acted += 1
                connection.close(fault.code)


class Muted(ConnectionFault):
    """Keeps connections open and silent. The feed forgets them: they are neither pinged nor timed out."""

    def __init__(self, running: ActiveFault, server: VenueServer) -> None:
        super().__init__(running, server)
        self._muted: list[Connection] = []

    def activate(self) -> None:
        """Silence all connections."""
        for connection, endpoint in self.pairs:
            self.joined(connection, endpoint)

    async def admit(self, request: web.Request) -> bool:
        """With `at=handshake` let a client wait until the fault ends, or until it goes."""
        fault = self.running.fault
        assert isinstance(fault, HalfOpen)
        if fault.at == "frames":
            return True
        self.running.acted += 1
        while self.running.state is State.ACTIVE and request.transport is not None and not request.transport.is_closing():
            await asyncio.sleep(POLL_S)
        abort(request)
        return False

    def joined(self, connection: Connection, endpoint: Endpoint) -> None:
        """Silence a client that has connected."""
        self.running.acted += 1
        endpoint.feed.close(connection)
        connection.deafen()
        self._muted.append(connection)
        if len(self._muted) > MUTED_MAX:
            self._muted.pop(0).cut()

    def deactivate(self) -> None:
        """Cut the silent connections."""
        for connection in self._muted:
            connection.cut()


class Outdated(ConnectionFault):
    """Lets tokens expire before they are used."""

    async def admit(self, request: web.Request) -> bool:
        """Revoke the client's token; the server refuses it then."""
        for endpoint in self.server.endpoints:
            if endpoint.grant is not None and request.path.startswith(endpoint.prefixes):
                self.running.acted += self.server.tokens.revoke(request.query.get(endpoint.grant.parameter, ""))
        return True


class Crawling(ConnectionFault):
    """Sends byte by byte."""

    def __init__(self, running: ActiveFault, server: VenueServer) -> None:
        super().__init__(running, server)
        self._trickles: dict[Connection, Trickle] = {}

    def activate(self) -> None:
        """Slow down all connections."""
        for connection, endpoint in self.pairs:
            self.joined(connection, endpoint)

    def joined(self, connection: Connection, endpoint: Endpoint) -> None:
        """Slow down a client that has connected."""
        self.running.acted += 1
        self._trickles[connection] = Trickle(connection)

    def tick(self, elapsed_s: float) -> None:
        """Send each client a few bytes."""
        fault = self.running.fault
        assert isinstance(fault, SlowLoris)
        known = {connection for connection, _ in self.pairs}
        for connection, trickle in tuple(self._trickles.items()):
            if connection in known:
                trickle.send(elapsed_s * fault.rate)
            else:
                del self._trickles[connection]

    def deactivate(self) -> None:
        """Send the rest at once."""
        for trickle in self._trickles.values():
            trickle.release()


class Trickle:
    """The bytes that one client has still to get. Bounded like its buffer: a client with more is cut."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._to = connection.out
        self._waiting = bytearray()
        self._credit = 0.0
        connection.out = self.write

    def write(self, data: bytes) -> None:
        """Store bytes in place of the transport."""
        self._waiting += data
        if len(self._waiting) > self._connection.buffer_bytes:
            self._waiting.clear()
            self._connection.spill()

    def send(self, count: float) -> None:
        """Send `count` bytes; fractions are kept for the next time."""
        self._credit = min(self._credit + count, len(self._waiting))
        if size := int(self._credit):
            self._credit -= size
            self._to(bytes(self._waiting[:size]))
            del self._waiting[:size]

    def release(self) -> None:
        """Send all that is left, and let the connection write to its transport again."""
        if self._waiting:
            self._to(bytes(self._waiting))
        self._connection.restore()


def abort(request: web.Request) -> None:
    """Cut an HTTP connection without an answer."""
    if request.transport is not None:
        with suppress(*DEAD):
            request.transport.abort()


CONNECTION_FAULTS: Final[dict[type, type[ConnectionFault]]] = {
    Cut: Cutting,
    Close: Closing,
    Lifetime: Aged,
    HalfOpen: Muted,
    Expired: Outdated,
    SlowLoris: Crawling,
}
