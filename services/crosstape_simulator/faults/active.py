"""A fault that was set: since when, until when, how often it acted, and whom it chooses."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from crosstape_simulator.faults.messages import Message, concerns
from crosstape_simulator.faults.spec import AnyFault, Counted, Lasting, Selected
from crosstape_simulator.venues.spec import SimulatedVenue


class State(StrEnum):
    """Where a fault stands."""

    WAITING = "waiting"
    ACTIVE = "active"
    ENDED = "ended"


class ActiveFault:
    """One fault, on all venues where it acts. Its state changes in `FaultRegistry` alone."""

    def __init__(self, number: int, fault: AnyFault, venues: tuple[str, ...], names: Mapping[str, Mapping[str, str]]) -> None:
        """`names`: venue → symbol → our name."""
        self.id = number
        self.fault = fault
        self.venues = venues
        self.state = State.WAITING
        self.acted = 0
        """How often: frames, connections, requests."""
        self.lost = 0
        """Messages that were held and had to be given up, because too many were."""
        self.set_ts = time.time_ns()
        self.due = time.monotonic() + fault.after_s
        """When the next change of state is; once active without an end: never."""
        self.begun = float("inf")
        """When it became active (monotonic seconds)."""
        self._names = names
        self._random = random.Random(fault.seed if isinstance(fault, Counted) else 1)  # noqa: S311 - a die, not a secret

    @property
    def over(self) -> float | None:
        """Seconds that it lasts, None: until it is removed."""
        return (self.fault.for_s or None) if isinstance(self.fault, Lasting) else None

    @property
    def spent(self) -> bool:
        """Whether it has acted as often as it may."""
        count = getattr(self.fault, "count", 0)
        return bool(count) and self.acted >= count

    def concerns(self, venue: SimulatedVenue, topics: tuple[tuple[str, ...], ...]) -> bool:
        """Whether it is about one of these topics."""
        return isinstance(self.fault, Selected) and concerns(self.fault, venue, topics, self.names(venue.id))

    def names(self, venue: str) -> Mapping[str, str]:
        """Symbol → our name."""
        return self._names.get(venue, {})

    def takes(self, venue: SimulatedVenue, message: Message) -> bool:
        """Whether it acts on this frame. A draw for each that it could act on; what it takes is counted."""
        fault = self.fault
        if self.state is not State.ACTIVE or self.spent or not self.concerns(venue, message.seen.topics):
            return False
        if isinstance(fault, Counted) and fault.probability < 1 and self._random.random() >= fault.probability:
            return False
        self.acted += 1
        return True

    def shown(self) -> dict[str, Any]:
        """For people and programs."""
        return {
            "id": self.id,
            "state": self.state,
            "venues": self.venues,
            "acted": self.acted,
            "lost": self.lost,
            "set_ts": self.set_ts,
            "fault": self.fault,
        }
