"""The simulator: its servers, its clock, and what a test or a person can ask of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import structlog

from crosstape.runtime.exit_codes import leaves
from crosstape_simulator.control import Control
from crosstape_simulator.errors import SimulatorError
from crosstape_simulator.faults.registry import FaultRegistry
from crosstape_simulator.market_clock import SyntheticMarket
from crosstape_simulator.recordings.player import PlayedSource, Player
from crosstape_simulator.recordings.recording import Recording
from crosstape_simulator.recordings.rest import RecordedRest
from crosstape_simulator.server.connection import Connection, Counters
from crosstape_simulator.server.rest import Rest
from crosstape_simulator.server.server import Endpoint, VenueServer
from crosstape_simulator.spec import SimulatorSpec
from crosstape_simulator.truth import Truth
from crosstape_simulator.venues.registry import find
from crosstape_simulator.venues.spec import SimulatedVenue

TICK_MIN_S: Final = 0.002
TICK_MAX_S: Final = 0.05
FAULT_TICK_S: Final = 0.005
"""How often faults are looked at while there are any."""


log = structlog.get_logger(__name__)


class Simulator:
    """Simulated venues, and the market or recordings that drive them. Made by `simulator`."""

    def __init__(self, spec: SimulatorSpec) -> None:
        """Reads all recordings. Raises `SimulatorError`."""
        self.spec = spec
        self.players: dict[str, tuple[Player, ...]] = {}
        self.servers: dict[str, VenueServer] = {}
        recordings = [Recording(Path(path)) for path in spec.recordings]
        played = tuple(dict.fromkeys(recording.venue.id for recording in recordings))
        synthetic = tuple(venue for venue in spec.venues if venue not in played)
        self.market = SyntheticMarket(spec, synthetic) if synthetic else None
        for venue in played:
            self._add_played(find(venue), tuple(recording for recording in recordings if recording.venue.id == venue))
        if self.market is not None:
            for venue in synthetic:
                self._add(venue, self.market.endpoints[venue], self.market.venues[venue])
        names = {venue: listed_names(spec, venue) for venue in synthetic}
        self.faults = FaultRegistry(self.servers, self.market, names)
        self.control = self._control()
        self.running: asyncio.Task[None] | None = None
        """Drives the market and the players while the venues listen."""

    def check(self) -> None:
        """Raises `SimulatorError` if what drives the market or the players has ended by an error."""
        if self.running is None or not self.running.done() or self.running.cancelled():
            return
        if (failure := self.running.exception()) is not None:
            causes = "; ".join(f"{type(leaf).__name__}: {leaf}" for leaf in leaves(failure))
            raise SimulatorError(f"the simulated market has ended: {causes}") from failure

    @property
    def ws_url(self) -> dict[str, str | dict[str, str]]:
        """The connector's `ws_url`, by venue."""
        return {venue: server.ws_url for venue, server in self.servers.items()}

    @property
    def rest_url(self) -> dict[str, str | dict[str, str]]:
        """The connector's `rest_url`, by venue."""
        return {venue: server.rest_url for venue, server in self.servers.items()}

    def announce(self) -> str:
        """One line of JSON: `{"venues": {"kraken": {"ws_url": …, "rest_url": …}, …}, "control": …}`; `control` only if it is served."""
        venues = {venue: {"ws_url": server.ws_url, "rest_url": server.rest_url} for venue, server in self.servers.items()}
        control = {} if self.control is None else {"control": self.control.url}
        return msgspec.json.encode({"venues": venues} | control).decode()

    def counters(self, venue: str) -> Counters:
        """The counters of a venue's server."""
        return self.servers[venue].counters

    def pause(self) -> None:
        """Stop the market's clock. Connections and heartbeats go on."""
        if self.market is not None:
            self.market.tick()
            self.market.paused = True

    def resume(self) -> None:
        """Let the market's clock go on from where it stopped."""
        if self.market is not None:
            self.market.tick()
            self.market.paused = False

    def advance(self, seconds: float) -> None:
        """Let `seconds` of the market's time pass at once. On return all frames of that time have been written to the sockets."""
        if self.market is None:
            raise SimulatorError("there is no synthetic market")
        self.market.advance(round(seconds * 1e9))
        self._flush()

    def start(self, venue: str | None = None) -> None:
        """Play the recordings of a venue, or all, without waiting for subscriptions."""
        for name, players in self.players.items():
            if venue in (None, name):
                for player in players:
                    player.start()

    def finished(self, venue: str | None = None) -> bool:
        """Whether the recordings of a venue, or all, have been played to their ends."""
        return all(player.finished for name, players in self.players.items() if venue in (None, name) for player in players)

    def drop_connections(self, venue: str, code: int | None = None, *, endpoint: str | None = None) -> int:
        """Cut all connections of a venue or of one endpoint, or with a `code` close them; returns how many there were."""
        server = self.servers[venue]
        count = server.each(Connection.cut if code is None else lambda connection: connection.close(code), endpoint)
        server.flush()
        return count

    def limit_frames(self, venue: str, frames: int | None) -> None:
        """Cut new connections after `frames` frames; None: no longer."""
        self.servers[venue].frame_limit = frames

    def announce_state(self, venue: str, system: str) -> None:
        """Let a venue announce its state, as far as it does: `online`, `maintenance`, `cancel_only`, `post_only`."""
        server = self.servers[venue]
        for endpoint in server.endpoints:
            endpoint.feed.announce(system, time.time_ns())
        server.flush()

    async def run(self) -> None:
        """Drive the market and the players until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._drive(), name="simulator.drive")
                for venue, players in self.players.items():
                    for player in players:
                        tasks.create_task(self._play(player), name=f"simulator.play.{venue}")
        except Exception:
            log.exception("simulator.market_ended")
            raise

    async def _drive(self) -> None:
        beat = time.monotonic() + 1.0
        while True:
            wait_s = TICK_MAX_S
            if self.market is not None:
                self.market.tick()
                if not self.market.paused:
                    wait_s = min(max(self.market.wait_ns() / 1e9, TICK_MIN_S), TICK_MAX_S)
            if time.monotonic() >= beat:
                beat = max(beat + 1.0, time.monotonic())
                self._second(time.time_ns())
            if self.faults.any:
                self.faults.tick()
                wait_s = min(wait_s, FAULT_TICK_S)
            self._flush()
            await asyncio.sleep(wait_s)  # the market's own pace

    async def _play(self, player: Player) -> None:
        while True:
            await player.play()
            log.info("simulator.played", path=str(player.recording.path), frames=player.played)
            if not self.spec.repeat:
                return
            player.again()
            counters = self.servers[player.recording.venue.id].counters
            connects = counters.connects
            while counters.connects == connects:
                await asyncio.sleep(TICK_MAX_S)  # for as long as nobody comes

    def _second(self, now: int) -> None:
        if self.market is not None:
            self.market.second(self.market.now)
        for venue, server in self.servers.items():
            if self.market is not None and venue in self.market.venues:
                server.second(self.market.shown_ts)
                continue
            server.second(now)
            for endpoint in server.endpoints:
                endpoint.feed.beat(now)

    def _flush(self) -> None:
        for server in self.servers.values():
            server.flush()

    def _control(self) -> Control | None:
        if self.spec.control_port is None:
            return None
        truth = None if self.market is None else Truth(self.market)
        return Control(self.faults, truth, host=self.spec.control_host, port=self.spec.control_port)

    def _add(self, venue: str, endpoints: tuple[Endpoint, ...], rest: Rest) -> None:
        spec = self.spec
        self.servers[venue] = VenueServer(
            venue,
            endpoints,
            rest,
            host=spec.host,
            port=spec.ports.get(venue, 0),
            buffer_bytes=spec.buffer_bytes,
            posted=find(venue).rest.posted,
        )

    def _add_played(self, venue: SimulatedVenue, recordings: tuple[Recording, ...]) -> None:
        spec = self.spec
        rest = RecordedRest(venue, recordings)
        players = tuple(
            Player(recording, rest, speed=spec.speed, settle_s=spec.settle_s, manual=spec.start == "manual") for recording in recordings
        )
        self.players[venue.id] = players
        source, options = PlayedSource(players), venue.settings(spec.options)
        endpoints = tuple(one.endpoint(one.feed(source, options), options) for one in venue.dialects)
        for player in players:
            for endpoint in endpoints:
                player.attach(endpoint.name, endpoint.feed)
        self._add(venue.id, endpoints, rest)
        self._second(time.time_ns())


def listed_names(spec: SimulatorSpec, venue: str) -> dict[str, str]:
    """The symbols of a synthetic venue → our names."""
    listings = spec.listings.get(venue) or find(venue).listings
    return {listing.symbol: listing.instrument for listing in listings}


@asynccontextmanager
async def simulator(spec: SimulatorSpec | None = None) -> AsyncIterator[Simulator]:
    """Serve venues while the context is open. Raises `SimulatorError` if they cannot listen, or at its end if the market ended before."""
    made = Simulator(spec or SimulatorSpec())
    async with AsyncExitStack() as stack:
        for server in made.servers.values():
            await stack.enter_async_context(server.listening())
        if made.control is not None:
            await stack.enter_async_context(made.control.listening())
        for fault in made.spec.faults:
            made.faults.add(fault)
        made.running = asyncio.create_task(made.run(), name="simulator")
        try:
            yield made
        finally:
            made.running.cancel()
            await asyncio.wait({made.running})
            made.check()


async def run(spec: SimulatorSpec, announce: Callable[[str], None] | None = None) -> None:
    """Serve until cancelled. `announce` is called with `Simulator.announce()` once everything listens. Raises `SimulatorError`, also if the
    market ends.
    """
    async with simulator(spec) as made:
        log.info("simulator.listening", venues={venue: server.base for venue, server in made.servers.items()})
        if announce is not None:
            announce(made.announce())
        assert made.running is not None
        await asyncio.wait({made.running})  # until it is cancelled, or the market ends by an error
        made.check()
