"""The fault pipeline of one connection: its messages pass the stages of all faults that are active for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from crosstape_simulator.faults.active import ActiveFault, State
from crosstape_simulator.faults.messages import Message, asked, encoded, recognised
from crosstape_simulator.faults.stage import Stage
from crosstape_simulator.server.connection import Connection, encode_frame
from crosstape_simulator.server.server import Endpoint
from crosstape_simulator.venues.spec import FrameInfo, Role, SimulatedVenue

NUMBERING: Final = 25
"""Rank of the numbering: stages below it come before a frame of a numbered connection gets its number."""


class FaultPipeline:
    """A `Tap`, and the `Pipeline` of its stages. Messages pass these in order of rank, then go to the connection."""

    def __init__(self, venue: SimulatedVenue, connection: Connection, endpoint: Endpoint, *, base: Callable[[str, int], int]) -> None:
        """`base`: see `Pipeline`; shared by all connections of a venue."""
        self.venue = venue
        self.connection = connection
        self.endpoint = endpoint
        self._base = base
        self._stages: list[Stage] = []
        self._numbers = venue.dialect(endpoint.name).numbers
        self._last: int | None = None
        """The last number that the client saw, …"""
        self._given: int | None = None
        """… and the last that the feed gave."""

    def send(self, frame: bytes) -> None:
        """Send a frame of the feed through all stages."""
        message = recognised(self.venue, self.endpoint.name, frame)
        number = message.info.number
        if self._numbers is not None and number is not None:
            if self._given is None:
                self._last = number - 1
            else:
                message = message._replace(lost=number - self._given - 1)  # a gap in a recording stays a gap
            self._given = number
        self._from(0, message)

    def receive(self, text: str) -> str | None:
        """Send a client's message through all stages to the feed; None: it does not arrive."""
        found = asked(self.venue, self.endpoint.name, text)
        if found is None:
            return text
        request = found
        for stage in tuple(self._stages):
            left = stage.receive(request)
            if left is None:
                return None
            request = left
        return text if request is found else encoded(request.body)

    def reply(self, payload: bytes) -> None:
        """Send a fault's own answer to a request. It has no number: the refusals of venues that number have none."""
        self._from(0, Message(payload, FrameInfo(Role.REPLY)))

    def forward(self, stage: Stage, message: Message) -> None:
        """Pass a message from one stage to the next."""
        self._from(self._stages.index(stage) + 1, message)

    def restart_numbers(self) -> None:
        """Give the next frame number 0."""
        self._last = -1

    def base(self, symbol: str, first: int) -> int:
        """See `Pipeline`."""
        return self._base(symbol, first)

    def add(self, stage: Stage) -> None:
        """Add a stage of a fault that becomes active."""
        self._stages.append(stage)
        self._stages.sort(key=lambda one: (one.rank, one.running.id))

    def joined(self) -> None:
        """Show the stages what the client's address subscribed."""
        for stage in self._stages:
            stage.joined(self.connection.topics)

    def release(self, running: ActiveFault) -> None:
        """Let the stages of a fault release what they hold: it is over."""
        for stage in tuple(self._stages):
            if stage.running is running:
                stage.release()
        self._sweep()

    def tick(self) -> None:
        """Let time pass in all stages."""
        now = time.monotonic()
        for stage in tuple(self._stages):
            stage.tick(now)
        self._sweep()

    @property
    def idle(self) -> bool:
        """Whether the connection is as it would be without this pipeline."""
        return not self._stages and self._given == self._last

    def _sweep(self) -> None:
        self._stages = [stage for stage in self._stages if not (stage.done and stage.running.state is State.ENDED)]

    def _from(self, index: int, message: Message) -> None:
        last = index == len(self._stages)
        if not message.numbered and (last or self._stages[index].rank > NUMBERING):
            message = self._numbered(message)
        if last:
            self.connection.emit(encode_frame(message.payload, message.opcode))
        else:
            self._stages[index].send(message)

    def _numbered(self, message: Message) -> Message:
        """The message with the connection's next number, however many were withheld before it."""
        given, payload = message.info.number, message.payload
        if self._numbers is not None and given is not None and self._last is not None:
            self._last += 1 + message.lost
            if self._last != given:
                payload = self._numbers.renumbered(payload, self._last)
        return message._replace(payload=payload, numbered=True)
