"""What happens to frames after the venue has numbered them: they are lost, doubled, swapped, broken."""

from __future__ import annotations

from typing import Final

from crosstape_simulator.faults.active import ActiveFault
from crosstape_simulator.faults.messages import Message
from crosstape_simulator.faults.spec import Malformed, Oversized
from crosstape_simulator.faults.stage import Pipeline, Stage
from crosstape_simulator.server.connection import BINARY
from crosstape_simulator.venues.spec import Request

RESERVED_OPCODE: Final = 0x83
UNKNOWN: Final = b'{"event":"mystery","data":[1,2,3]}'
_NO_TEXT: Final = b"\xff\xfe"


class Dropped(Stage):
    """Loses updates."""

    rank = 30

    def send(self, message: Message) -> None:
        """Drop the update, or let it pass."""
        if not self.acts_on(message, updates=True):
            self.on(message)


class Duplicated(Stage):
    """Doubles updates."""

    rank = 31

    def send(self, message: Message) -> None:
        """Send the update, and again with the same number."""
        again = self.acts_on(message, updates=True)
        self.on(message)
        if again:
            self.on(message)


class Swapped(Stage):
    """Swaps updates."""

    rank = 32

    def __init__(self, running: ActiveFault, pipeline: Pipeline) -> None:
        super().__init__(running, pipeline)
        self._waiting: Message | None = None

    def send(self, message: Message) -> None:
        """Hold one update back until the next of its topic has gone."""
        waiting = self._waiting
        if waiting is not None and message.info.topics == waiting.info.topics:
            self._waiting = None
            self.on(message)
            self.on(waiting)
        elif waiting is None and self.acts_on(message, updates=True):
            self._waiting = message
        else:
            self.on(message)
        self.done = self._waiting is None

    def receive(self, asked: Request) -> Request | None:
        """Forget an update of a topic that is subscribed or unsubscribed: it begins again."""
        if self._waiting is not None and not set(asked.topics).isdisjoint(self._waiting.info.topics):
            self._waiting = None
            self.done = True
        return asked


class Broken(Stage):
    """Breaks frames."""

    rank = 40

    def send(self, message: Message) -> None:
        """Break the frame as the fault says."""
        fault = self.fault
        assert isinstance(fault, Malformed)
        packing = self.pipeline.connection.packing
        if (fault.how == "gzip" and (packing is None or not packing.compresses)) or not self.acts_on(message):
            self.on(message)
            return
        half = len(message.payload) // 2
        match fault.how:
            case "json":
                self.on(message._replace(payload=message.payload[:half]))
            case "utf8":
                self.on(message._replace(payload=message.payload[:half] + _NO_TEXT + message.payload[half:]))
            case "opcode":
                self.on(message._replace(opcode=RESERVED_OPCODE))
            case "unknown":
                self.on(message._replace(payload=UNKNOWN, lost=0))
                self.on(message)
            case "binary":
                self.on(message._replace(opcode=BINARY))
            case "gzip" if packing is not None:
                packed = packing.pack(message.payload)
                self.on(message._replace(payload=packed[: len(packed) // 2], opcode=BINARY))


class Padded(Stage):
    """Makes frames too large."""

    rank = 41

    def send(self, message: Message) -> None:
        """Append white space, which JSON allows."""
        fault = self.fault
        assert isinstance(fault, Oversized)
        if self.acts_on(message):
            self.pipeline.connection.allow(fault.size)
            message = message._replace(payload=message.payload.ljust(fault.size))
        self.on(message)
