"""Coinbase Advanced Trade, the WebSocket's rules: one channel a message, one number over the whole connection.

Docs    https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels
Quirks  `sequence_num` counts acknowledgements and heartbeats too; errors have no number and do not name the product; level2 comes as
        `l2_data`, its snapshot before the acknowledgement
Topics  (channel, product), heartbeats: ("heartbeats", "")
"""

from __future__ import annotations

import time
from typing import Final

import msgspec

from crosstape_simulator.formats import go_time, iso_ns
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed, Source, decode_object, strings

PATH: Final = "/advanced"
CHANNELS: Final = ("level2", "market_trades", "ticker", "ticker_batch", "status", "heartbeats")
WITHOUT_PRODUCTS: Final = ("heartbeats",)
HEARTBEATS: Final[Topic] = ("heartbeats", "")
NORMAL: Final = 1000


class AdvancedFeed(Feed):
    """The market data endpoint."""

    def __init__(self, source: Source, *, subscribe_within_s: float) -> None:
        super().__init__()
        self.source = source
        self.now = 0
        self._subscribe_within_s = subscribe_within_s
        self._numbers: dict[Connection, int] = {}
        self._beats = 0

    def close(self, connection: Connection) -> None:
        """Forget the client."""
        super().close(connection)
        self._numbers.pop(connection, None)

    def receive(self, connection: Connection, text: str) -> None:
        """A subscribe or unsubscribe request."""
        request = decode_object(text)
        if request is None:
            _error(connection, "json: malformed message")
            return
        channel, products = request.get("channel"), strings(request.get("product_ids", []))
        kind = request.get("type")
        if kind not in ("subscribe", "unsubscribe"):
            _error(connection, "unknown message type")
        elif channel not in CHANNELS or not isinstance(channel, str):
            _error(connection, "failure to subscribe: unknown channel")
        elif products is None:
            _error(connection, "failure to subscribe: invalid product ids")
        elif kind == "unsubscribe":
            self._unsubscribe(connection, channel, products)
        elif not all(self.source.lists(product) for product in products):
            _error(connection, "failure to subscribe: invalid product ids")
        else:
            self._subscribe(connection, channel, [""] if channel in WITHOUT_PRODUCTS else products)

    def second(self, now: int) -> None:
        """Heartbeats; and whoever has not subscribed to anything in time is cut."""
        self.now = now
        self._beats += 1
        if self.source.beats():
            for connection in self.subscribers.get(HEARTBEATS, ()):
                self._heartbeat(connection)
        for connection in self.connections:
            if not connection.topics and time.monotonic() - connection.opened > self._subscribe_within_s:
                connection.close(NORMAL, "subscribe within 5 seconds")

    def _heartbeat(self, connection: Connection) -> None:
        current = go_time(self.now, self._beats * 1_000_000_000)
        self.send(connection, "heartbeats", f'{{"current_time":"{current}","heartbeat_counter":{self._beats}}}', self.now)

    def send(self, connection: Connection, channel: str, events: str, ts: int) -> None:
        """One frame, numbered. `events`: JSON objects, comma-separated."""
        head = f'{{"channel":"{channel}","client_id":"","timestamp":"{iso_ns(ts)}","sequence_num":{self.next_number(connection)}'
        connection.send(f'{head},"events":[{events}]}}'.encode())

    def publish_events(self, topic: Topic, channel: str, events: str, ts: int) -> None:
        """One frame to all subscribers of a topic, each with its own number."""
        for connection in self.subscribers.get(topic, ()):
            self.send(connection, channel, events, ts)

    def acknowledge(self, connection: Connection, ts: int) -> None:
        """Everything the client is subscribed to."""
        self.send(connection, "subscriptions", f'{{"subscriptions":{self.subscriptions(connection)}}}', ts)

    def subscriptions(self, connection: Connection) -> str:
        """The JSON object of what a client is subscribed to, by channel."""
        listed: dict[str, list[str]] = {}
        for channel, product in connection.topics:
            listed.setdefault(channel, []).append(product or channel)
        return msgspec.json.encode(listed).decode()

    def next_number(self, connection: Connection) -> int:
        """The number of the frame that is sent next."""
        number = self._numbers.get(connection, -1) + 1
        self._numbers[connection] = number
        return number

    def last_number(self, connection: Connection) -> int | None:
        """The number of the last frame, None before the first."""
        return self._numbers.get(connection)

    def set_number(self, connection: Connection, number: int) -> None:
        """Go on counting from `number`, which is taken."""
        self._numbers[connection] = number

    def _subscribe(self, connection: Connection, channel: str, products: list[str]) -> None:
        topics: list[Topic] = [(channel, product) for product in products]
        for topic in topics:
            self.join(connection, topic)
        if channel == "level2":
            self._first_data(connection, topics)
        if not self.source.holds_acks():
            self.acknowledge(connection, self.now)
        if channel != "level2":
            self._first_data(connection, topics)

    def _first_data(self, connection: Connection, topics: list[Topic]) -> None:
        for topic in topics:
            self.source.subscribed(connection, topic)

    def _unsubscribe(self, connection: Connection, channel: str, products: list[str]) -> None:
        for topic in tuple(connection.topics):
            if topic[0] == channel and (not products or topic[1] in products):
                self.leave(connection, topic)
        if not self.source.holds_acks():
            self.acknowledge(connection, self.now)


def _error(connection: Connection, message: str) -> None:
    connection.send(msgspec.json.encode({"type": "error", "message": message}))
