"""What faults do to the messages of one connection: each a stage that a message passes, may be held in, changed by, or lost in.

A stage has a rank. What a venue does wrong comes before the numbers of a connection are given (Coinbase Advanced), what is lost or
mixed up on the way comes after: so a stalled feed leaves no hole in the numbers and a lost frame does.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar, Final

from crosstape_simulator.connection import Topic
from crosstape_simulator.dialects import Role
from crosstape_simulator.faults import rewrite
from crosstape_simulator.faults.messages import Asked, Message, concerns, named, symbol
from crosstape_simulator.faults.replies import refusals
from crosstape_simulator.faults.running import Running
from crosstape_simulator.faults.spec import AnyFault, Checksum, Delay, Late, Malformed, Oversized, Refuse, Reset, Skew

if TYPE_CHECKING:
    from crosstape_simulator.faults.lane import Lane

HELD_MAX: Final = 50_000
"""Messages that one fault holds back of one client; beyond, the oldest are lost and counted."""

RESERVED_OPCODE: Final = 0x83
UNKNOWN: Final = b'{"event":"mystery","data":[1,2,3]}'
_NO_TEXT: Final = b"\xff\xfe"


class Stage:
    """Lets everything pass."""

    rank: ClassVar[int] = 0

    def __init__(self, running: Running, lane: Lane) -> None:
        self.running = running
        self.lane = lane
        self.done = True
        """Whether nothing of it remains to be done once the fault has ended."""

    def send(self, message: Message) -> None:
        """A message comes by."""
        self.on(message)

    def on(self, message: Message) -> None:
        """To the next stage."""
        self.lane.forward(self, message)

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
        return self.running.takes(self.lane.venue, message)


class Skewed(Stage):
    """The venue's clock is wrong."""

    rank = 0

    def send(self, message: Message) -> None:
        """With other times."""
        fault = self.fault
        assert isinstance(fault, Skew)
        everything = fault.kind == "all" and fault.instrument == "all"
        if everything or self.running.concerns(self.lane.venue, message.seen.topics):
            changed = rewrite.shifted(message.payload, round(fault.by * 1e9))
            self.running.acted += changed != message.payload
            message = message._replace(payload=changed)
        self.on(message)


class Offline(Stage):
    """Coinbase's products are said to be offline."""

    rank = 1

    def send(self, message: Message) -> None:
        """Words of a product's state."""
        if any(topic[0] == "status" for topic in message.seen.topics) and b'"status":"online"' in message.payload:
            self.running.acted += 1
            message = message._replace(payload=message.payload.replace(b'"status":"online"', b'"status":"offline"'))
        self.on(message)


class WrongChecksum(Stage):
    """A book's checksum does not match."""

    rank = 2

    def send(self, message: Message) -> None:
        """Book frames, snapshots too."""
        fault = self.fault
        assert isinstance(fault, Checksum)
        if fault.what == "checksum" and self.takes(message):
            message = message._replace(payload=rewrite.with_wrong_checksum(message.payload))
        elif fault.what == "level" and (changed := rewrite.with_wrong_level(message.payload)) is not None and self.takes(message):
            message = message._replace(payload=changed)
        self.on(message)


class LowerIds(Stage):
    """Binance's update ids begin again."""

    rank = 3

    def send(self, message: Message) -> None:
        """Book and best price frames."""
        fault = self.fault
        assert isinstance(fault, Reset)
        of = symbol(self.lane.venue, message.seen.topics[0]) if message.seen.topics else ""
        first = rewrite.first_id(message.payload) if message.seen.role is Role.DATA else None
        if first is not None and named(fault.instrument, of, self.running.names(self.lane.venue)):
            self.running.acted += 1
            message = message._replace(payload=rewrite.with_lower_ids(message.payload, self.lane.venue_faults.base(of, first)))
        self.on(message)


class Refused(Stage):
    """Subscriptions are refused."""

    rank = 10

    def receive(self, asked: Asked) -> Asked | None:
        """Answers in the feed's place; what may go on does."""
        fault = self.fault
        assert isinstance(fault, Refuse)
        venue = self.lane.venue
        bad = tuple(topic for topic in asked.topics if concerns(fault, venue, (topic,), self.running.names(venue)))
        if not asked.subscribe or not bad:
            return asked
        self.running.acted += len(bad)
        replies, rest = refusals(venue, self.lane.endpoint.name, asked, bad)
        for reply in replies:
            self.lane.reply(reply)
        return rest


class Silenced(Stage):
    """Subscriptions are acknowledged, and that is all."""

    rank = 11

    def __init__(self, running: Running, lane: Lane) -> None:
        super().__init__(running, lane)
        self._topics: set[Topic] = set()
        self._over = False

    def receive(self, asked: Asked) -> Asked | None:
        """From a subscription on, until it is ended or made anew."""
        self._topics.difference_update(asked.topics)
        if asked.subscribe:
            self.joined(asked.topics)
        self.done = not self._topics
        return asked

    def joined(self, topics: Collection[Topic]) -> None:
        """The same for those in the address."""
        new = () if self._over else tuple(topic for topic in topics if self.running.concerns(self.lane.venue, (topic,)))
        self.running.acted += len(new)
        self._topics.update(new)
        self.done = not self._topics

    def send(self, message: Message) -> None:
        """What a silent subscription would have got is never sent, nor numbered."""
        if message.seen.role is not Role.DATA or self._topics.isdisjoint(message.seen.topics):
            self.on(message)

    def end(self) -> None:
        """New subscriptions are heard; those that are silent stay so."""
        self._over = True


class Holding(Stage):
    """Keeps messages back, in order. The oldest are lost beyond a bound."""

    def __init__(self, running: Running, lane: Lane) -> None:
        super().__init__(running, lane)
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

    def __init__(self, running: Running, lane: Lane) -> None:
        super().__init__(running, lane)
        self._expected: list[frozenset[Topic]] = []

    def receive(self, asked: Asked) -> Asked | None:
        """Kraken answers each symbol, the others each request."""
        late = [topic for topic in asked.topics if self.running.concerns(self.lane.venue, (topic,))]
        if asked.subscribe and late:
            self._expected += [frozenset({topic}) for topic in late] if self.lane.venue == "kraken" else [frozenset(late)]
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
    """Feeds say nothing until it ends."""

    rank = 13

    def send(self, message: Message) -> None:
        """Data, not heartbeats."""
        if message.seen.role is Role.DATA and (self.running.concerns(self.lane.venue, message.seen.topics)):
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
        if message.seen.role is Role.DATA and self.running.concerns(self.lane.venue, message.seen.topics):
            self.hold(message, time.monotonic() + fault.by)
        else:
            self.on(message)


class Restarted(Stage):
    """Coinbase Advanced's numbers begin again, once on a connection."""

    rank = 20

    def __init__(self, running: Running, lane: Lane) -> None:
        super().__init__(running, lane)
        self._acted = False

    def send(self, message: Message) -> None:
        """From the next frame on; a connection's first has number 0 anyway."""
        if not self._acted and message.seen.number is not None:
            self._acted = True
            if message.seen.number > 0:
                self.running.acted += 1
                self.lane.restart_numbers()
        self.on(message)


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

    def __init__(self, running: Running, lane: Lane) -> None:
        super().__init__(running, lane)
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
            self.lane.connection.allow(fault.size)
            message = message._replace(payload=message.payload.ljust(fault.size))
        self.on(message)
