"""What faults do to connections as such, whatever is said on them: one object for each fault and venue while it is active."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final

from aiohttp import web

from crosstape_simulator.faults.active import ActiveFault, State
from crosstape_simulator.faults.spec import Close, Cut, HalfOpen, Lifetime, SlowLoris
from crosstape_simulator.server.connection import DEAD, Connection
from crosstape_simulator.server.server import Endpoint, VenueServer

MUTED_MAX: Final = 1_000
"""Half-open connections kept of one venue; beyond, the oldest is cut."""

POLL_S: Final = 0.02


class ConnectionFault:
    """Does nothing."""

    def __init__(self, running: ActiveFault, server: VenueServer) -> None:
        self.running = running
        self.server = server

    def begin(self) -> None:
        """The fault begins: act on the connections that there are."""

    async def admit(self, request: web.Request) -> bool:
        """A client wants to connect; False: it was cut instead."""
        return True

    def joined(self, connection: Connection, endpoint: Endpoint) -> None:
        """A client has connected."""

    def tick(self, elapsed_s: float) -> None:
        """Time has passed."""

    def end(self) -> None:
        """The fault is over."""

    @property
    def pairs(self) -> list[tuple[Connection, Endpoint]]:
        """Every connection of the venue with its endpoint."""
        return [(connection, endpoint) for endpoint in self.server.endpoints for connection in endpoint.feed.connections]


class Cutting(ConnectionFault):
    """Without a word."""

    def begin(self) -> None:
        """All that there are."""
        self.running.acted += self.server.each(Connection.cut)

    async def admit(self, request: web.Request) -> bool:
        """And none that comes."""
        self.running.acted += 1
        abort(request)
        return False


class Closing(ConnectionFault):
    """With a close frame."""

    def begin(self) -> None:
        """All that there are."""
        fault = self.running.fault
        assert isinstance(fault, Close)
        self.running.acted += self.server.each(lambda connection: connection.close(fault.code, fault.reason))


class Aged(ConnectionFault):
    """Closed when old enough."""

    def tick(self, elapsed_s: float) -> None:
        """Whose time is up."""
        fault = self.running.fault
        assert isinstance(fault, Lifetime)
        now = time.monotonic()
        for connection, _ in self.pairs:
            if connection.closing_since is None and now - connection.opened >= fault.at:
                self.running.acted += 1
                connection.close(fault.code)


class Muted(ConnectionFault):
    """Open, and nothing else. The feed does not know them: they are neither pinged nor timed out."""

    def __init__(self, running: ActiveFault, server: VenueServer) -> None:
        super().__init__(running, server)
        self._muted: list[Connection] = []

    def begin(self) -> None:
        """All that there are."""
        for connection, endpoint in self.pairs:
            self.joined(connection, endpoint)

    async def admit(self, request: web.Request) -> bool:
        """With `at=handshake` a client waits until the fault ends, or until it goes."""
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
        """It hears nothing from now on."""
        self.running.acted += 1
        endpoint.feed.close(connection)
        connection.deafen()
        self._muted.append(connection)
        if len(self._muted) > MUTED_MAX:
            self._muted.pop(0).cut()

    def end(self) -> None:
        """Cut them."""
        for connection in self._muted:
            connection.cut()


class Crawling(ConnectionFault):
    """Byte by byte."""

    def __init__(self, running: ActiveFault, server: VenueServer) -> None:
        super().__init__(running, server)
        self._trickles: dict[Connection, Trickle] = {}

    def begin(self) -> None:
        """All that there are."""
        for connection, endpoint in self.pairs:
            self.joined(connection, endpoint)

    def joined(self, connection: Connection, endpoint: Endpoint) -> None:
        """And all that come."""
        self.running.acted += 1
        self._trickles[connection] = Trickle(connection)

    def tick(self, elapsed_s: float) -> None:
        """A few bytes each."""
        fault = self.running.fault
        assert isinstance(fault, SlowLoris)
        known = {connection for connection, _ in self.pairs}
        for connection, trickle in tuple(self._trickles.items()):
            if connection in known:
                trickle.let(elapsed_s * fault.rate)
            else:
                del self._trickles[connection]

    def end(self) -> None:
        """The rest at once."""
        for trickle in self._trickles.values():
            trickle.end()


class Trickle:
    """What one client has still to get. Bounded as its buffer is: beyond, it is cut."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._to = connection.out
        self._waiting = bytearray()
        self._credit = 0.0
        connection.out = self.write

    def write(self, data: bytes) -> None:
        """In place of the transport."""
        self._waiting += data
        if len(self._waiting) > self._connection.buffer_bytes:
            self._waiting.clear()
            self._connection.spill()

    def let(self, count: float) -> None:
        """Let so many bytes go, of which fractions are kept for the next time."""
        self._credit = min(self._credit + count, len(self._waiting))
        if whole := int(self._credit):
            self._credit -= whole
            self._to(bytes(self._waiting[:whole]))
            del self._waiting[:whole]

    def end(self) -> None:
        """Let all go, and get out of the way."""
        if self._waiting:
            self._to(bytes(self._waiting))
        self._connection.restore()


def abort(request: web.Request) -> None:
    """Cut an HTTP connection without a word."""
    if request.transport is not None:
        with suppress(*DEAD):
            request.transport.abort()


CONNECTION_FAULTS: Final[dict[type, type[ConnectionFault]]] = {
    Cut: Cutting,
    Close: Closing,
    Lifetime: Aged,
    HalfOpen: Muted,
    SlowLoris: Crawling,
}
