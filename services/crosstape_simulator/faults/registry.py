"""The registry of faults, of all venues: it sets them, and activates and ends them by the clock or on request."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Final

import structlog

from crosstape.settings.words import nearest
from crosstape_simulator.errors import FaultError
from crosstape_simulator.faults.active import ActiveFault, State
from crosstape_simulator.faults.market import FaultyMarket, MarketFaults, only_of_a_synthetic_market
from crosstape_simulator.faults.spec import AnyFault, RestOld
from crosstape_simulator.faults.table import absent, once
from crosstape_simulator.faults.venue_faults import VenueFaults
from crosstape_simulator.server.server import VenueServer
from crosstape_simulator.venues.registry import VENUES, find

KEPT: Final = 100
"""Faults that are over and still listed."""

SET_MAX: Final = 100
"""Faults that are not over, at most."""

log = structlog.get_logger(__name__)


class FaultRegistry:
    """Sets, ends and lists faults. `tick` must be called often while `any`."""

    def __init__(self, servers: Mapping[str, VenueServer], market: FaultyMarket | None, names: Mapping[str, Mapping[str, str]]) -> None:
        """`names`: venue → symbol → our name, of synthetic venues; a venue that is not in it may list anything."""
        self._market = None if market is None else MarketFaults(market)
        self._names = names
        self._venues = {name: VenueFaults(server, find(name), tuple(names.get(name, {}))) for name, server in servers.items()}
        self._set: dict[int, ActiveFault] = {}
        self._over: deque[ActiveFault] = deque(maxlen=KEPT)
        self._count = 0
        self._ticked = time.monotonic()

    @property
    def any(self) -> bool:
        """Whether a fault is set or still has an effect."""
        return bool(self._set) or not all(venue.idle for venue in self._venues.values())

    def add(self, fault: AnyFault) -> ActiveFault:
        """Set a fault; it becomes active at once, or after its `after`. Raises `FaultError` if it cannot exist."""
        if len(self._set) >= SET_MAX:
            raise FaultError(f"there are {SET_MAX} faults already: remove some")
        venues = self._where(fault)
        self._check_instrument(fault, venues)
        self._count += 1
        running = ActiveFault(self._count, fault, venues, self._names)
        self._set[running.id] = running
        log.info("simulator.fault_set", id=running.id, fault=running.fault)
        self.tick()
        return running

    def remove(self, number: int) -> ActiveFault | None:
        """End a fault now; None: no fault of this number is set."""
        running = self._set.get(number)
        if running is not None:
            self._end(running)
        return running

    def listed(self) -> list[ActiveFault]:
        """All faults, oldest first; of those that are over the last hundred."""
        return sorted((*self._over, *self._set.values()), key=lambda running: running.id)

    def tick(self) -> None:
        """Activate and end what is due."""
        now = time.monotonic()
        elapsed, self._ticked = now - self._ticked, now
        for running in tuple(self._set.values()):
            if running.state is State.WAITING and now >= running.due:
                self._activate(running, now)
            elif running.state is State.ACTIVE and (now >= running.due or running.spent):
                self._end(running)
            elif running.state is State.ACTIVE and self._market is not None:
                self._market.tick(running, now)
        for venue in self._venues.values():
            if not venue.idle:
                venue.tick(elapsed)

    def _activate(self, running: ActiveFault, now: float) -> None:
        running.state, running.begun = State.ACTIVE, now
        running.due = float("inf") if running.over is None else now + running.over
        log.info("simulator.fault_begun", id=running.id)
        if self._market is not None:
            self._market.activate(running, now)
        for name in running.venues:
            self._venues[name].activate(running)
        if once(running.fault, running.venues):
            self._end(running)

    def _end(self, running: ActiveFault) -> None:
        begun = running.state is State.ACTIVE
        running.state = State.ENDED
        del self._set[running.id]
        self._over.append(running)
        if begun:
            for name in running.venues:
                self._venues[name].deactivate(running)
            if self._market is not None:
                self._market.deactivate(running)
        log.info("simulator.fault_ended", id=running.id, acted=running.acted)

    def _where(self, fault: AnyFault) -> tuple[str, ...]:
        """The venues that the fault acts on. Raises `FaultError` with the reason if there is none."""
        name = str(type(fault).__struct_config__.tag)
        synthetic = () if self._market is None else self._market.venues
        if only_of_a_synthetic_market(fault) and not synthetic:
            raise FaultError(f"{name}: there is no synthetic market; recordings have a --speed")
        if isinstance(fault, RestOld):
            self._check_snapshots(name, fault)
        if fault.venue != "all" and fault.venue not in self._venues:
            raise FaultError(f"{name}: venue={fault.venue}: not simulated here; there are {', '.join(self._venues)}")
        wanted = tuple(self._venues) if fault.venue == "all" else (fault.venue,)
        reasons = {venue: absent(fault, find(venue)) for venue in wanted}
        if only_of_a_synthetic_market(fault):
            reasons |= {venue: f"{venue} plays a recording, which is what it is" for venue in wanted if venue not in synthetic}
        found = tuple(venue for venue, reason in reasons.items() if reason is None)
        if not found:
            raise FaultError(f"{name}: {'; '.join(reason for reason in reasons.values() if reason is not None)}")
        return found

    def _check_snapshots(self, name: str, fault: RestOld) -> None:
        """Raises `FaultError` where only recordings have snapshots by REST."""
        able = [venue for venue in VENUES.values() if venue.rest.book is not None and fault.venue in ("all", venue.id)]
        if able and not any(venue.id in self._names for venue in able):
            titles = " and ".join(venue.title for venue in able if venue.id in self._venues or len(able) == 1)
            raise FaultError(f"{name}: {titles or able[0].title} is not synthetic here: a recording's snapshots are what they are")

    def _check_instrument(self, fault: AnyFault, venues: tuple[str, ...]) -> None:
        """Raises `FaultError` for an instrument that none of the venues lists, if all of them are synthetic."""
        instrument = getattr(fault, "instrument", "all")
        if instrument in ("", "all") or any(venue not in self._names for venue in venues):
            return
        known = {name for venue in venues for listed in self._names[venue].items() for name in listed}
        if instrument not in known and instrument.upper() not in known:
            ours = sorted({name for venue in venues for name in self._names[venue].values()})
            guess = nearest(instrument, [name.lower() for name in ours])
            meant = f"did you mean {guess.upper()}?" if guess else f"there are {', '.join(ours)}"
            raise FaultError(f"{type(fault).__struct_config__.tag}: instrument={instrument}: not listed; {meant}")
