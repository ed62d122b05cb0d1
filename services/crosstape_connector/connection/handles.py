"""What a venue calls the subscriptions of one connection: its acknowledgements say it, and an unsubscribe must name it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.messages import Ack


class Handles:
    """The handles of one connection, as far as they are known. They end with it."""

    def __init__(self, *, required: bool) -> None:
        """`required`: the venue accepts no unsubscribe without them."""
        self._required = required
        self._of: dict[Topic, str] = {}
        self._leaving: dict[Topic, int] = {}

    def note(self, topics: Iterable[Topic], handle: str) -> None:
        """Note the handle of these topics; empty: nothing."""
        if handle:
            self._of.update(dict.fromkeys(topics, handle))

    def of(self, topics: Iterable[Topic]) -> tuple[str, ...]:
        """Return the handle of each of these topics, or nothing if none has one."""
        found = tuple(self._of.get(topic, "") for topic in topics)
        return found if any(found) else ()

    def topics(self, handle: str) -> list[Topic]:
        """Return the topics with this handle."""
        return [topic for topic, known in self._of.items() if known == handle]

    def may_leave(self, topic: Topic) -> bool:
        """Whether a topic can be unsubscribed now."""
        return topic in self._of or not self._required

    def forget(self, topics: Iterable[Topic]) -> None:
        """Forget the handles of these topics."""
        for topic in topics:
            self._of.pop(topic, None)

    def leave_later(self, asked: Mapping[Topic, int]) -> None:
        """Note that these topics are to be unsubscribed when the answer to their request, by its id, brings their handle."""
        if self._required:
            self._leaving.update({topic: number for topic, number in asked.items() if topic not in self._of})

    def stay(self, topic: Topic) -> None:
        """Note that a topic is wanted again."""
        self._leaving.pop(topic, None)

    def leaving(self, ack: Ack) -> list[Topic]:
        """Return the topics that an acknowledgement is about, and that are to be unsubscribed now. Their handle is noted."""
        found = [
            topic
            for topic, number in self._leaving.items()
            if number == ack.request_id or (topic.channel == ack.channel and (not ack.symbols or topic.symbol in ack.symbols))
        ]
        for topic in found:
            del self._leaving[topic]
        self.note(found, ack.handle)
        return found
