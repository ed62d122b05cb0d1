"""What happens to frames after the venue has numbered them: lost, doubled, in the wrong order, spoiled."""

from __future__ import annotations

from typing import Final

from crosstape_simulator.faults.active import ActiveFault
from crosstape_simulator.faults.messages import Message
from crosstape_simulator.faults.spec import Malformed, Oversized
from crosstape_simulator.faults.stage import Pipeline, Stage
from crosstape_simulator.venues.spec import Asked

RESERVED_OPCODE: Final = 0x83
UNKNOWN: Final = b'{"event":"mystery","data":[1,2,3]}'
_NO_TEXT: Final = b"\xff\xfe"


class Dropped(Stage):
    """Updates are lost."""

    rank = 30

    def send(self, message: Message) -> None:
        """Or not."""
        if not self.takes(message, updates=True):
            self.on(message)


class Duplicated(Stage):
    """Updates come twice."""

    rank = 31

    def send(self, message: Message) -> None:
        """The same again, with the same number."""
        again = self.takes(message, updates=True)
        self.on(message)
        if again:
            self.on(message)


class Swapped(Stage):
    """Updates change places."""

    rank = 32

    def __init__(self, running: ActiveFault, pipeline: Pipeline) -> None:
        super().__init__(running, pipeline)
        self._waiting: Message | None = None

    def send(self, message: Message) -> None:
        """One waits for the next of its feed, and goes after it."""
        waiting = self._waiting
        if waiting is not None and message.seen.topics == waiting.seen.topics:
            self._waiting = None
            self.on(message)
            self.on(waiting)
        elif waiting is None and self.takes(message, updates=True):
            self._waiting = message
        else:
            self.on(message)
        self.done = self._waiting is None

    def receive(self, asked: Asked) -> Asked | None:
        """A feed that begins anew forgets it."""
        if self._waiting is not None and not set(asked.topics).isdisjoint(self._waiting.seen.topics):
            self._waiting = None
            self.done = True
        return asked


class Broken(Stage):
    """Frames that cannot be read."""

    rank = 40

    def send(self, message: Message) -> None:
        """In one of some ways."""
        fault = self.fault
        assert isinstance(fault, Malformed)
        if not self.takes(message):
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


class Padded(Stage):
    """Frames that are too large."""

    rank = 41

    def send(self, message: Message) -> None:
        """White space after JSON is JSON."""
        fault = self.fault
        assert isinstance(fault, Oversized)
        if self.takes(message):
            self.pipeline.connection.allow(fault.size)
            message = message._replace(payload=message.payload.ljust(fault.size))
        self.on(message)
