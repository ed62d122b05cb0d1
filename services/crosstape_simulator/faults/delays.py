"""What comes later than it should, or not while the fault lasts: in order, and bounded."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

from crosstape_simulator.faults.active import ActiveFault
from crosstape_simulator.faults.messages import Message
from crosstape_simulator.faults.spec import Delay, Late, Stall
from crosstape_simulator.faults.stage import Pipeline, Stage
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.venues.spec import Asked, Role

HELD_MAX: Final = 50_000
"""Messages that one fault holds back of one client; beyond, the oldest are lost and counted."""


class Holding(Stage):
    """Keeps messages back, in order. The oldest are lost beyond a bound."""

    def __init__(self, running: ActiveFault, pipeline: Pipeline) -> None:
        super().__init__(running, pipeline)
        self._held: deque[tuple[float, Message]] = deque()
        self._lost = 0

    def hold(self, message: Message, until: float) -> None:
        """Until then (monotonic seconds)."""
        self.running.acted += 1
        self._held.append((until, message))
        if len(self._held) > HELD_MAX:
            self._held.popleft()
            self._lost += 1
            self.running.lost += 1

    def receive(self, asked: Asked) -> Asked | None:
        """A feed that is subscribed anew, or no more, begins anew: what was held of it is forgotten."""
        self._held = deque(kept for kept in self._held if set(asked.topics).isdisjoint(kept[1].seen.topics))
        return asked

    def tick(self, now: float) -> None:
        """Let go of what is due."""
        while self._held and self._held[0][0] <= now:
            _, message = self._held.popleft()
            lost, self._lost = self._lost, 0
            self.on(message._replace(lost=message.lost + lost))

    def end(self) -> None:
        """Let go of all."""
        self.tick(float("inf"))


class Lateness(Holding):
    """Acknowledgements come late."""

    rank = 12

    def __init__(self, running: ActiveFault, pipeline: Pipeline) -> None:
        super().__init__(running, pipeline)
        self._expected: list[frozenset[Topic]] = []

    def receive(self, asked: Asked) -> Asked | None:
        """Note the answers to come: one a topic or one a request, as the venue does."""
        late = [topic for topic in asked.topics if self.running.concerns(self.pipeline.venue, (topic,))]
        if asked.subscribe and late:
            each = self.pipeline.venue.dialect(self.pipeline.endpoint.name).acknowledges_each
            self._expected += [frozenset({topic}) for topic in late] if each else [frozenset(late)]
        return asked

    def send(self, message: Message) -> None:
        """An answer that is expected."""
        fault, seen = self.fault, message.seen
        assert isinstance(fault, Late)
        if seen.role is Role.REPLY:
            for index, topics in enumerate(self._expected):
                if not seen.topics or not topics.isdisjoint(seen.topics):
                    del self._expected[index]
                    self.hold(message, time.monotonic() + fault.by)
                    return
        self.on(message)


class Stalled(Holding):
    """Feeds say nothing until it ends, or until they are healed."""

    rank = 13

    def __init__(self, running: ActiveFault, pipeline: Pipeline) -> None:
        super().__init__(running, pipeline)
        fault = self.fault
        assert isinstance(fault, Stall)
        self._heals = fault.heals
        self._is_new = fault.heals != "never" and pipeline.connection.opened > running.begun
        self._healed: set[Topic] = set()

    def receive(self, asked: Asked) -> Asked | None:
        """What is subscribed again may be healed by that."""
        if asked.subscribe and self._heals == "resubscribe":
            self._healed.update(asked.topics)
        return super().receive(asked)

    def send(self, message: Message) -> None:
        """Data, not heartbeats."""
        seen = message.seen
        is_alive = self._is_new or not self._healed.isdisjoint(seen.topics)
        if not is_alive and seen.role is Role.DATA and self.running.concerns(self.pipeline.venue, seen.topics):
            self.hold(message, float("inf"))
        else:
            self.on(message)


class Delayed(Holding):
    """Data come later."""

    rank = 14

    def send(self, message: Message) -> None:
        """By always the same."""
        fault = self.fault
        assert isinstance(fault, Delay)
        if message.seen.role is Role.DATA and self.running.concerns(self.pipeline.venue, message.seen.topics):
            self.hold(message, time.monotonic() + fault.by)
        else:
            self.on(message)
