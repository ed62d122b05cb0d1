"""What a venue itself does wrong: its clock, its checksums, its numbers, its answers to subscriptions."""

from __future__ import annotations

from collections.abc import Collection

from crosstape_simulator.faults import rows
from crosstape_simulator.faults.active import ActiveFault
from crosstape_simulator.faults.messages import Message, concerns, kinds, named
from crosstape_simulator.faults.spec import Checksum, OddRow, Refuse, Reset, Skew
from crosstape_simulator.faults.stage import Pipeline, Stage
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.venues.spec import Request, Role


class Skewed(Stage):
    """Shifts all times in frames."""

    rank = 0

    def send(self, message: Message) -> None:
        """Shift the frame's times."""
        fault = self.fault
        assert isinstance(fault, Skew)
        everything = fault.kind == "all" and fault.instrument == "all"
        if everything or self.running.concerns(self.pipeline.venue, message.info.topics):
            changed = self.pipeline.venue.shift(message.payload, round(fault.by * 1e9))
            self.running.acted += changed != message.payload
            message = message._replace(payload=changed)
        self.on(message)


class Offline(Stage):
    """Says in frames of the channel `status` that instruments are not traded."""

    rank = 1

    def send(self, message: Message) -> None:
        """Replace the text that says an instrument is traded."""
        words = self.pipeline.venue.maintenance_words
        assert words is not None
        if any(topic[0] == "status" for topic in message.info.topics) and words[0] in message.payload:
            self.running.acted += 1
            message = message._replace(payload=message.payload.replace(*words))
        self.on(message)


class WrongChecksum(Stage):
    """Makes a book frame's checksum, or one of its levels, wrong."""

    rank = 2

    def send(self, message: Message) -> None:
        """Change book frames, snapshots too."""
        fault = self.fault
        assert isinstance(fault, Checksum)
        checksum = self.pipeline.venue.checksum
        assert checksum is not None
        if fault.what == "checksum" and (wrong := checksum.wrong(message.payload)) != message.payload and self.acts_on(message):
            message = message._replace(payload=wrong)
        elif fault.what == "missing" and message.snapshot and self.acts_on(message):
            message = message._replace(payload=checksum.without(message.payload))
        elif fault.what == "level" and (changed := checksum.wrong_level(message.payload)) is not None and self.acts_on(message):
            message = message._replace(payload=changed)
        self.on(message)


class Spoiled(Stage):
    """Makes one row of a frame unreadable."""

    rank = 4

    def send(self, message: Message) -> None:
        """Change the frame if it has such a row."""
        fault = self.fault
        assert isinstance(fault, OddRow)
        venue = self.pipeline.venue
        for kind in sorted({kind for topic in message.info.topics for kind in kinds(venue, topic)}):
            if fault.kind in ("all", kind):
                payload = rows.with_an_odd_row(message.payload, venue, kind, fault.what, fault.how)
                if payload is not None and self.acts_on(message):
                    message = message._replace(payload=payload)
                    break
        self.on(message)


class LowerIds(Stage):
    """Lets the update ids of books begin again at 1."""

    rank = 3

    def send(self, message: Message) -> None:
        """Lower the ids of book and best price frames."""
        fault = self.fault
        assert isinstance(fault, Reset)
        venue = self.pipeline.venue
        assert venue.ids is not None
        of = venue.named(message.info.topics[0])[1] if message.info.topics else ""
        first = venue.ids.first(message.payload) if message.info.role is Role.DATA else None
        if first is not None and named(fault.instrument, of, self.running.names(venue.id)):
            self.running.acted += 1
            message = message._replace(payload=venue.ids.lowered(message.payload, self.pipeline.base(of, first)))
        self.on(message)


class Refused(Stage):
    """Refuses subscriptions."""

    rank = 10

    def receive(self, asked: Request) -> Request | None:
        """Answer in the feed's place; pass on what is not refused."""
        fault = self.fault
        assert isinstance(fault, Refuse)
        venue = self.pipeline.venue
        bad = tuple(topic for topic in asked.topics if concerns(fault, venue, (topic,), self.running.names(venue.id)))
        if not asked.subscribe or not bad:
            return asked
        self.running.acted += len(bad)
        replies, rest = venue.dialect(self.pipeline.endpoint.name).refuse(asked, bad)
        for reply in replies:
            self.pipeline.reply(reply)
        return rest


class Silenced(Stage):
    """Lets subscriptions be acknowledged, and drops their data."""

    rank = 11

    def __init__(self, running: ActiveFault, pipeline: Pipeline) -> None:
        super().__init__(running, pipeline)
        self._topics: set[Topic] = set()
        self._over = False

    def receive(self, asked: Request) -> Request | None:
        """Silence what is subscribed from now on, until it is subscribed again after the fault."""
        self._topics.difference_update(asked.topics)
        if asked.subscribe:
            self.joined(asked.topics)
        self.done = not self._topics
        return asked

    def joined(self, topics: Collection[Topic]) -> None:
        """Silence topics that were subscribed in the address."""
        new = () if self._over else tuple(topic for topic in topics if self.running.concerns(self.pipeline.venue, (topic,)))
        self.running.acted += len(new)
        self._topics.update(new)
        self.done = not self._topics

    def send(self, message: Message) -> None:
        """Drop data of silent subscriptions before they get a number."""
        if message.info.role is not Role.DATA or self._topics.isdisjoint(message.info.topics):
            self.on(message)

    def release(self) -> None:
        """Silence no new subscription; those that are silent stay so."""
        self._over = True


class Restarted(Stage):
    """Lets the numbers of a connection begin again, once on each."""

    rank = 20

    def __init__(self, running: ActiveFault, pipeline: Pipeline) -> None:
        super().__init__(running, pipeline)
        self._acted = False

    def send(self, message: Message) -> None:
        """Restart with the next frame; the first frame of a connection has number 0 anyway."""
        if not self._acted and message.info.number is not None:
            self._acted = True
            if message.info.number > 0:
                self.running.acted += 1
                self.pipeline.restart_numbers()
        self.on(message)
