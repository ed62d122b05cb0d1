"""All faults of one venue. They stand between its server and its clients while any is active, and are removed afterwards."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from crosstape_simulator.faults import at_venue, delays, in_transit, rest
from crosstape_simulator.faults.active import ActiveFault
from crosstape_simulator.faults.connections import CONNECTION_FAULTS, ConnectionFault
from crosstape_simulator.faults.pipeline import FaultPipeline
from crosstape_simulator.faults.spec import (
    Checksum,
    Delay,
    Drop,
    Duplicate,
    Late,
    Maintenance,
    Malformed,
    OddRow,
    Oversized,
    Refuse,
    Reset,
    RestOld,
    Silent,
    Skew,
    Stall,
    Swap,
)
from crosstape_simulator.faults.stage import Stage
from crosstape_simulator.server.connection import Connection
from crosstape_simulator.server.server import Endpoint, Make, VenueServer
from crosstape_simulator.venues.spec import SimulatedVenue

STAGES: Final[Mapping[type, type[Stage]]] = {
    Skew: at_venue.Skewed,
    Checksum: at_venue.WrongChecksum,
    OddRow: at_venue.Spoiled,
    Refuse: at_venue.Refused,
    Silent: at_venue.Silenced,
    Late: delays.Lateness,
    Stall: delays.Stalled,
    Delay: delays.Delayed,
    Drop: in_transit.Dropped,
    Duplicate: in_transit.Duplicated,
    Swap: in_transit.Swapped,
    Malformed: in_transit.Broken,
    Oversized: in_transit.Padded,
}


class VenueFaults:
    """The `Interference` of a venue's server."""

    def __init__(self, server: VenueServer, venue: SimulatedVenue, symbols: tuple[str, ...]) -> None:
        """`symbols`: what the venue lists, if it is synthetic."""
        self.venue = venue
        self._server = server
        self._symbols = symbols
        self._running: list[ActiveFault] = []
        self._connection_faults: list[ConnectionFault] = []
        self._pipelines: dict[Connection, FaultPipeline] = {}
        self._old = rest.OldSnapshots(venue)
        self._bases: dict[str, int] = {}

    def activate(self, running: ActiveFault) -> None:
        """Activate a fault on this venue."""
        self._running.append(running)
        self._server.interference = self
        match running.fault:
            case RestOld():
                self._old.keep(running, self._server.rest, time.time_ns(), self._symbols)
            case Reset():
                self._bases.clear()
        for endpoint in self._server.endpoints:
            for connection in endpoint.feed.connections:
                self._engage(self._pipeline(connection, endpoint), running)
        if isinstance(running.fault, Maintenance):
            self._say(running, running.fault.system)
        if (made := CONNECTION_FAULTS.get(type(running.fault))) is not None:
            self._connection_faults.append(made(running, self._server))
            self._connection_faults[-1].activate()

    def deactivate(self, running: ActiveFault) -> None:
        """End a fault on this venue; its state says so already."""
        self._running.remove(running)
        for pipeline in tuple(self._pipelines.values()):
            pipeline.release(running)
        for fault in tuple(self._connection_faults):
            if fault.running is running:
                fault.deactivate()
                self._connection_faults.remove(fault)
        self._old.forget(running)
        if isinstance(running.fault, Maintenance):
            self._say(running, "online")

    def tick(self, elapsed_s: float) -> None:
        """Let time pass for all faults of this venue."""
        for fault in self._connection_faults:
            fault.tick(elapsed_s)
        for connection, pipeline in tuple(self._pipelines.items()):
            pipeline.tick()
            gone = connection not in pipeline.endpoint.feed.connections
            if gone or (not self._running and pipeline.idle):
                connection.tap = None
                del self._pipelines[connection]
        if not self._running and not self._pipelines:
            self._server.interference = None

    @property
    def idle(self) -> bool:
        """Whether no fault has an effect here any more."""
        return self._server.interference is None

    def base(self, symbol: str, first: int) -> int:
        """See `Pipeline`."""
        return self._bases.setdefault(symbol.upper(), first - 1)

    async def admit(self, request: web.Request) -> bool:
        """See `Interference`."""
        for fault in tuple(self._connection_faults):
            if not await fault.admit(request):
                return False
        return True

    def opened(self, connection: Connection, endpoint: Endpoint) -> None:
        """See `Interference`."""
        pipeline = self._pipeline(connection, endpoint)
        for running in self._running:
            self._engage(pipeline, running)

    def joined(self, connection: Connection, endpoint: Endpoint) -> None:
        """See `Interference`."""
        if (pipeline := self._pipelines.get(connection)) is not None:
            pipeline.joined()
        for fault in self._connection_faults:
            fault.joined(connection, endpoint)

    async def answer(self, request: web.Request, make: Make) -> web.StreamResponse:
        """See `Interference`."""
        return await rest.answered(self.venue, request, running=tuple(self._running), old=self._old, base=self.base, make=make)

    def _pipeline(self, connection: Connection, endpoint: Endpoint) -> FaultPipeline:
        pipeline = self._pipelines.get(connection)
        if pipeline is None:
            pipeline = self._pipelines[connection] = FaultPipeline(self.venue, connection, endpoint, base=self.base)
            connection.tap = pipeline
        return pipeline

    def _engage(self, pipeline: FaultPipeline, running: ActiveFault) -> None:
        made = STAGES.get(type(running.fault))
        match running.fault:
            case Reset():
                made = at_venue.LowerIds if self.venue.ids is not None else at_venue.Restarted
            case Maintenance() if self.venue.maintenance_words is not None:
                made = at_venue.Offline
        if made is not None:
            pipeline.add(made(running, pipeline))

    def _say(self, running: ActiveFault, system: str) -> None:
        """Let the venue announce its state, as far as it does."""
        for endpoint in self._server.endpoints:
            reached = endpoint.feed.announce(system, time.time_ns())  # frames that it sends may count, too
            running.acted += reached
