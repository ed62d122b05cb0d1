"""What faults do to the messages of one connection: each a stage that a message passes, may be held in, changed by, or lost in.

A stage has a rank. What a venue does wrong (`at_the_venue`, `held_back`) comes before the numbers of a connection are given (Coinbase
Advanced), what is lost or mixed up `on_the_way` comes after: so a stalled feed leaves no hole in the numbers and a lost frame does.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar, Protocol

from crosstape_simulator.faults.active import ActiveFault
from crosstape_simulator.faults.messages import Message
from crosstape_simulator.faults.spec import AnyFault
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.server import Endpoint
from crosstape_simulator.venues.spec import Asked, Role, SimulatedVenue


class Pipeline(Protocol):
    """What a stage stands in: see `pipeline`."""

    venue: SimulatedVenue
    connection: Connection
    endpoint: Endpoint

    def forward(self, stage: Stage, message: Message) -> None:
        """From a stage to the next."""
        ...

    def reply(self, payload: bytes) -> None:
        """A fault's own answer to a request."""
        ...

    def restart_numbers(self) -> None:
        """The next number is 0."""
        ...

    def base(self, symbol: str, first: int) -> int:
        """What is taken from Binance's update ids of a symbol so that `first`, the first that is seen, becomes 1."""
        ...


class Stage:
    """Lets everything pass."""

    rank: ClassVar[int] = 0

    def __init__(self, running: ActiveFault, pipeline: Pipeline) -> None:
        self.running = running
        self.pipeline = pipeline
        self.done = True
        """Whether nothing of it remains to be done once the fault has ended."""

    def send(self, message: Message) -> None:
        """A message comes by."""
        self.on(message)

    def on(self, message: Message) -> None:
        """To the next stage."""
        self.pipeline.forward(self, message)

    def receive(self, asked: Asked) -> Asked | None:
        """A request comes by, the other way; None: the feed does not hear of it."""
        return asked

    def joined(self, topics: Collection[Topic]) -> None:
        """Topics that were subscribed without a request."""

    def tick(self, now: float) -> None:
        """Time has passed (monotonic seconds)."""

    def end(self) -> None:
        """The fault is over."""

    @property
    def fault(self) -> AnyFault:
        """What was asked for."""
        return self.running.fault

    def takes(self, message: Message, *, updates: bool = False) -> bool:
        """Whether the fault acts on this one, which it then has done. `updates`: not on snapshots."""
        if message.seen.role is not Role.DATA or (updates and message.snapshot):
            return False
        return self.running.takes(self.pipeline.venue, message)
