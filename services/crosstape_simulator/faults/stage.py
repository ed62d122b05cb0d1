"""A stage of the fault pipeline: a message passes it, is held in it, changed by it, or lost in it.

A stage has a rank. What a venue does wrong (`at_venue`, `delays`) comes before a numbered connection gives frames their numbers, what is
lost or mixed up `in_transit` comes after: so a stalled feed leaves no gap in the numbers and a lost frame does.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Protocol

from crosstape_simulator.faults.active import ActiveFault
from crosstape_simulator.faults.messages import Message
from crosstape_simulator.faults.spec import AnyFault
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.server import Endpoint
from crosstape_simulator.venues.spec import Request, Role, SimulatedVenue


class Pipeline(Protocol):
    """What a stage is part of: see `pipeline`."""

    venue: SimulatedVenue
    connection: Connection
    endpoint: Endpoint

    def forward(self, stage: Stage, message: Message) -> None:
        """Pass a message to the next stage."""
        ...

    def reply(self, payload: bytes) -> None:
        """Send a fault's own answer to a request."""
        ...

    def restart_numbers(self) -> None:
        """Give the next frame number 0."""
        ...

    def base(self, symbol: str, first: int) -> int:
        """The offset of a symbol's update ids, so that `first`, the first that is seen, becomes 1."""
        ...


class Stage:
    """Lets everything pass. Faults override what they change."""

    rank: ClassVar[int] = 0

    def __init__(self, running: ActiveFault, pipeline: Pipeline) -> None:
        self.running = running
        self.pipeline = pipeline
        self.done = True
        """Whether nothing is left to be done once the fault has ended."""

    def send(self, message: Message) -> None:
        """Handle a message on its way to the client."""
        self.on(message)

    def on(self, message: Message) -> None:
        """Pass a message to the next stage."""
        self.pipeline.forward(self, message)

    def receive(self, asked: Request) -> Request | None:
        """Handle a client's request; None: the feed does not get it."""
        return asked

    def joined(self, topics: Collection[Topic]) -> None:
        """Handle topics that were subscribed without a request."""

    def tick(self, now: float) -> None:
        """Let time pass (`now`: monotonic seconds)."""

    def release(self) -> None:
        """Release what is held: the fault is over."""

    @property
    def fault(self) -> AnyFault:
        """The fault as it was asked for."""
        return self.running.fault

    def acts_on(self, message: Message, *, updates: bool = False) -> bool:
        """Whether the fault acts on this message, which is then counted. `updates`: not on snapshots."""
        if message.info.role is not Role.DATA or (updates and message.snapshot):
            return False
        return self.running.acts_on(self.pipeline.venue, message)
