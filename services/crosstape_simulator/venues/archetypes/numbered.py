"""Feeds that number all frames of a connection, acknowledgements and heartbeats too."""

from __future__ import annotations

from abc import abstractmethod

from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed, Source


class NumberedFeed(Feed):
    """Gives each connection its own numbers, from 0. `framed` writes the frame around data."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._numbers: dict[Connection, int] = {}

    @abstractmethod
    def framed(self, topic: Topic, text: str, ts: int, number: int) -> bytes:
        """A frame with data of a topic, and its number."""

    @abstractmethod
    def acknowledge(self, connection: Connection, ts: int) -> None:
        """Send a client what it is subscribed to."""

    @abstractmethod
    def with_own_subscriptions(self, payload: bytes, connection: Connection) -> bytes:
        """A recorded acknowledgement, with this client's subscriptions in it."""

    def close(self, connection: Connection) -> None:
        """Remove a client that has gone."""
        super().close(connection)
        self._numbers.pop(connection, None)

    def send_data(self, connection: Connection, topic: Topic, text: str, ts: int) -> None:
        """Send a client one frame with its next number."""
        connection.send(self.framed(topic, text, ts, self.next_number(connection)))

    def publish_data(self, topic: Topic, text: str, ts: int) -> None:
        """Send one frame to all subscribers of a topic, each with its own number."""
        for connection in self.subscribers.get(topic, ()):
            self.send_data(connection, topic, text, ts)

    def next_number(self, connection: Connection) -> int:
        """The number of the frame that is sent next; it is used up."""
        number = self._numbers.get(connection, -1) + 1
        self._numbers[connection] = number
        return number

    def last_number(self, connection: Connection) -> int | None:
        """The number of the last frame, None before the first."""
        return self._numbers.get(connection)

    def set_number(self, connection: Connection, number: int) -> None:
        """Go on counting from `number`, which is used up."""
        self._numbers[connection] = number
