"""A fault that was set: its state, how often it has acted, and which frames it acts on."""

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
    """The state of a fault."""

    WAITING = "waiting"
    ACTIVE = "active"
    ENDED = "ended"


class ActiveFault:
    """One fault, on all venues where it acts. Only `FaultRegistry` changes its state."""

    def __init__(self, number: int, fault: AnyFault, venues: tuple[str, ...], names: Mapping[str, Mapping[str, str]]) -> None:
        """`names`: venue → symbol → our name."""
        self.id = number
        self.fault = fault
        self.venues = venues
        self.state = State.WAITING
        self.acted = 0
        """How often: frames, connections, requests."""
        self.lost = 0
        """Messages that were held back and then dropped, because too many were."""
        self.set_ts = time.time_ns()
        self.due = time.monotonic() + fault.after_s
        """When its state changes next (monotonic seconds); infinity for an active fault without an end."""
        self.begun = float("inf")
        """When it became active (monotonic seconds)."""
        self._names = names
        self._random = random.Random(fault.seed if isinstance(fault, Counted) else 1)  # noqa: S311 - a die, not a secret

    @property
    def over(self) -> float | None:
        """How long the fault lasts (s); None: until it is removed."""
        return (self.fault.for_s or None) if isinstance(self.fault, Lasting) else None

    @property
    def spent(self) -> bool:
        """Whether the fault has acted as often as it may."""
        count = getattr(self.fault, "count", 0)
        return bool(count) and self.acted >= count

    def concerns(self, venue: SimulatedVenue, topics: tuple[tuple[str, ...], ...]) -> bool:
        """Whether the fault is about one of these topics."""
        return isinstance(self.fault, Selected) and concerns(self.fault, venue, topics, self.names(venue.id))

    def names(self, venue: str) -> Mapping[str, str]:
        """The symbols of a venue → our names."""
        return self._names.get(venue, {})

    def acts_on(self, venue: SimulatedVenue, message: Message) -> bool:
        """Whether the fault acts on this frame: drawn by its probability, counted if it does."""
        fault = self.fault
        if self.state is not State.ACTIVE or self.spent or not self.concerns(venue, message.info.topics):
            return False
        if isinstance(fault, Counted) and fault.probability < 1 and self._random.random() >= fault.probability:
            return False
        self.acted += 1
        return True

    def shown(self) -> dict[str, Any]:
        """The fault as the control API shows it."""
        return {
            "id": self.id,
            "state": self.state,
            "venues": self.venues,
            "acted": self.acted,
            "lost": self.lost,
            "set_ts": self.set_ts,
            "fault": self.fault,
        }
