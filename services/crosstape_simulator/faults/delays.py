"""Messages that come later than they should, or not while a fault lasts: in order, and bounded."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

from crosstape_simulator.faults.active import ActiveFault
from crosstape_simulator.faults.messages import Message
from crosstape_simulator.faults.spec import Delay, Late, Stall
from crosstape_simulator.faults.stage import Pipeline, Stage
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.venues.spec import Request, Role

HELD_MAX: Final = 50_000
"""Messages that one fault holds back of one client; beyond, the oldest are dropped and counted."""


class Holding(Stage):
    """Holds messages back, in order. Beyond a bound the oldest are dropped."""

    def __init__(self, running: ActiveFault, pipeline: Pipeline) -> None:
        super().__init__(running, pipeline)
        self._held: deque[tuple[float, Message]] = deque()
        self._lost = 0

    def hold(self, message: Message, until: float) -> None:
        """Hold a message back until then (monotonic seconds)."""
        self.running.acted += 1
        self._held.append((until, message))
        if len(self._held) > HELD_MAX:
            self._held.popleft()
            self._lost += 1
            self.running.lost += 1

    def receive(self, asked: Request) -> Request | None:
        """Drop what is held of a topic that is subscribed or unsubscribed: it begins again."""
        self._held = deque(kept for kept in self._held if set(asked.topics).isdisjoint(kept[1].info.topics))
        return asked

    def tick(self, now: float) -> None:
        """Send what is due."""
        while self._held and self._held[0][0] <= now:
            _, message = self._held.popleft()
            lost, self._lost = self._lost, 0
            self.on(message._replace(lost=message.lost + lost))

    def release(self) -> None:
        """Send everything."""
        self.tick(float("inf"))


class Lateness(Holding):
    """Delays acknowledgements."""

    rank = 12

    def __init__(self, running: ActiveFault, pipeline: Pipeline) -> None:
        super().__init__(running, pipeline)
        self._expected: list[frozenset[Topic]] = []

    def receive(self, asked: Request) -> Request | None:
        """Note the acknowledgements to come: one a topic or one a request, as the venue does."""
        late = [topic for topic in asked.topics if self.running.concerns(self.pipeline.venue, (topic,))]
        if asked.subscribe and late:
            each = self.pipeline.venue.dialect(self.pipeline.endpoint.name).acknowledges_each
            self._expected += [frozenset({topic}) for topic in late] if each else [frozenset(late)]
        return asked

    def send(self, message: Message) -> None:
        """Hold back an acknowledgement that is expected."""
        fault, seen = self.fault, message.info
        assert isinstance(fault, Late)
        if seen.role is Role.REPLY:
            for index, topics in enumerate(self._expected):
                if not seen.topics or not topics.isdisjoint(seen.topics):
                    del self._expected[index]
                    self.hold(message, time.monotonic() + fault.by)
                    return
        self.on(message)


class Stalled(Holding):
    """Holds data of feeds back until the fault ends, or until a subscription heals them."""

    rank = 13

    def __init__(self, running: ActiveFault, pipeline: Pipeline) -> None:
        super().__init__(running, pipeline)
        fault = self.fault
        assert isinstance(fault, Stall)
        self._heals = fault.heals
        self._is_new = fault.heals != "never" and pipeline.connection.opened > running.begun
        self._healed: set[Topic] = set()

    def receive(self, asked: Request) -> Request | None:
        """Note what is subscribed again: that may heal it."""
        if asked.subscribe and self._heals == "resubscribe":
            self._healed.update(asked.topics)
        return super().receive(asked)

    def send(self, message: Message) -> None:
        """Hold back data; heartbeats pass."""
        seen = message.info
        is_alive = self._is_new or not self._healed.isdisjoint(seen.topics)
        if not is_alive and seen.role is Role.DATA and self.running.concerns(self.pipeline.venue, seen.topics):
            self.hold(message, float("inf"))
        else:
            self.on(message)


class Delayed(Holding):
    """Delays data."""

    rank = 14

    def send(self, message: Message) -> None:
        """Hold back each message for the same time."""
        fault = self.fault
        assert isinstance(fault, Delay)
        if message.info.role is Role.DATA and self.running.concerns(self.pipeline.venue, message.info.topics):
            self.hold(message, time.monotonic() + fault.by)
        else:
            self.on(message)
