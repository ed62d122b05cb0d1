"""All faults of one venue: they stand between its server and its clients while there are any, and are gone when there are none."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from crosstape_simulator.binance_feed import BinanceFeed
from crosstape_simulator.coinbase_advanced import AdvancedFeed
from crosstape_simulator.coinbase_exchange import ExchangeFeed
from crosstape_simulator.connection import Connection
from crosstape_simulator.faults import at_the_venue, held_back, on_the_way, rest
from crosstape_simulator.faults.lane import Lane
from crosstape_simulator.faults.links import LINKS, Link
from crosstape_simulator.faults.running import Running
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
from crosstape_simulator.kraken_feed import KrakenFeed
from crosstape_simulator.server import Endpoint, Make, VenueServer

STAGES: Final[Mapping[type, type[Stage]]] = {
    Skew: at_the_venue.Skewed,
    Checksum: at_the_venue.WrongChecksum,
    OddRow: at_the_venue.Spoiled,
    Refuse: at_the_venue.Refused,
    Silent: at_the_venue.Silenced,
    Late: held_back.Lateness,
    Stall: held_back.Stalled,
    Delay: held_back.Delayed,
    Drop: on_the_way.Dropped,
    Duplicate: on_the_way.Duplicated,
    Swap: on_the_way.Swapped,
    Malformed: on_the_way.Broken,
    Oversized: on_the_way.Padded,
}


class VenueFaults:
    """An `Interference`."""

    def __init__(self, server: VenueServer, symbols: tuple[str, ...]) -> None:
        """`symbols`: what the venue lists, if it is synthetic."""
        self.venue = server.venue
        self._server = server
        self._symbols = symbols
        self._running: list[Running] = []
        self._links: list[Link] = []
        self._lanes: dict[Connection, Lane] = {}
        self._old = rest.OldSnapshots()
        self._bases: dict[str, int] = {}

    def begin(self, running: Running) -> None:
        """A fault begins here."""
        self._running.append(running)
        self._server.interference = self
        match running.fault:
            case RestOld():
                self._old.begin(running, self._server.rest, time.time_ns(), self._symbols)
            case Reset():
                self._bases.clear()
        for endpoint in self._server.endpoints:
            for connection in endpoint.feed.connections:
                self._engage(self._lane(connection, endpoint), running)
        if isinstance(running.fault, Maintenance):
            self._say(running, running.fault.system)
        if (made := LINKS.get(type(running.fault))) is not None:
            self._links.append(made(running, self._server))
            self._links[-1].begin()

    def end(self, running: Running) -> None:
        """A fault is over here; its state says so already."""
        self._running.remove(running)
        for lane in tuple(self._lanes.values()):
            lane.end(running)
        for link in tuple(self._links):
            if link.running is running:
                link.end()
                self._links.remove(link)
        self._old.end(running)
        if isinstance(running.fault, Maintenance):
            self._say(running, "online")

    def tick(self, elapsed_s: float) -> None:
        """Time has passed."""
        for link in self._links:
            link.tick(elapsed_s)
        for connection, lane in tuple(self._lanes.items()):
            lane.tick()
            gone = connection not in lane.endpoint.feed.connections
            if gone or (not self._running and lane.idle):
                connection.tap = None
                del self._lanes[connection]
        if not self._running and not self._lanes:
            self._server.interference = None

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do, now and later."""
        return self._server.interference is None

    def base(self, symbol: str, first: int) -> int:
        """What is taken from Binance's update ids of a symbol so that `first`, the first that is seen, becomes 1."""
        return self._bases.setdefault(symbol.upper(), first - 1)

    async def admit(self, request: web.Request) -> bool:
        """See `Interference`."""
        for link in tuple(self._links):
            if not await link.admit(request):
                return False
        return True

    def opened(self, connection: Connection, endpoint: Endpoint) -> None:
        """See `Interference`."""
        lane = self._lane(connection, endpoint)
        for running in self._running:
            self._engage(lane, running)

    def joined(self, connection: Connection, endpoint: Endpoint) -> None:
        """See `Interference`."""
        if (lane := self._lanes.get(connection)) is not None:
            lane.joined()
        for link in self._links:
            link.joined(connection, endpoint)

    async def answer(self, request: web.Request, make: Make) -> web.StreamResponse:
        """See `Interference`."""
        return await rest.answered(self.venue, request, running=tuple(self._running), old=self._old, base=self.base, make=make)

    def _lane(self, connection: Connection, endpoint: Endpoint) -> Lane:
        lane = self._lanes.get(connection)
        if lane is None:
            lane = self._lanes[connection] = Lane(self.venue, connection, endpoint, base=self.base)
            connection.tap = lane
        return lane

    def _engage(self, lane: Lane, running: Running) -> None:
        made = STAGES.get(type(running.fault))
        match running.fault:
            case Reset():
                made = at_the_venue.LowerIds if self.venue == "binance" else at_the_venue.Restarted
            case Maintenance() if self.venue == "coinbase":
                made = at_the_venue.Offline
        if made is not None:
            lane.add(made(running, lane))

    def _say(self, running: Running, system: str) -> None:
        """The venue's word about itself: Kraken's state, Binance's shutdown (which has no end), Coinbase's products."""
        for endpoint in self._server.endpoints:
            match endpoint.feed:
                case KrakenFeed() as feed:
                    running.acted += len(feed.connections)
                    feed.set_system(system)
                case BinanceFeed() as feed if system != "online":
                    running.acted += len(feed.connections)
                    feed.announce_shutdown(time.time_ns())
                case AdvancedFeed() | ExchangeFeed() as feed:
                    _repeat_status(feed)
                case _:
                    pass


def _repeat_status(feed: AdvancedFeed | ExchangeFeed) -> None:
    """Send each who wants to know its products' state anew: a lane changes what it says."""
    for topic, clients in tuple(feed.subscribers.items()):
        for connection in tuple(clients) if topic[0] == "status" else ():
            feed.source.subscribed(connection, topic)
