"""Coinbase Advanced Trade, the WebSocket's rules: one channel a message, one sequence over all channels of a connection.

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
from crosstape_simulator.server.feed import Source, decode_object, strings
from crosstape_simulator.venues.archetypes.numbered import NumberedFeed
from crosstape_simulator.venues.coinbase.products import repeat_status
from crosstape_simulator.venues.spec import Options

PATH: Final = "/advanced"
CHANNELS: Final = ("level2", "market_trades", "ticker", "ticker_batch", "candles", "status", "heartbeats")
WITHOUT_PRODUCTS: Final = ("heartbeats",)
HEARTBEATS: Final[Topic] = ("heartbeats", "")
SUBSCRIPTIONS: Final[Topic] = ("subscriptions", "")
SENT_AS: Final = {"level2": "l2_data"}
"""Channel → its name in frames, where that differs."""
NORMAL: Final = 1000


class AdvancedFeed(NumberedFeed):
    """The market data endpoint."""

    def __init__(self, source: Source, options: Options) -> None:
        super().__init__(source)
        self._subscribe_within_s = options["subscribe_within_s"]
        self._beats = 0

    def receive(self, connection: Connection, text: str) -> None:
        """Answer a subscribe or unsubscribe request."""
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
        """Send heartbeats; close clients that have not subscribed in time."""
        super().second(now)
        self._beats += 1
        if self.source.beats():
            for connection in self.subscribers.get(HEARTBEATS, ()):
                self._heartbeat(connection)
        for connection in self.connections:
            if not connection.topics and time.monotonic() - connection.opened > self._subscribe_within_s:
                connection.close(NORMAL, "subscribe within 5 seconds")

    def _heartbeat(self, connection: Connection) -> None:
        current = go_time(self.now, self._beats * 1_000_000_000)
        self.send_data(connection, HEARTBEATS, f'{{"current_time":"{current}","heartbeat_counter":{self._beats}}}', self.now)

    def framed(self, topic: Topic, text: str, ts: int, number: int) -> bytes:
        """A frame around `text`, comma-separated JSON objects."""
        channel = SENT_AS.get(topic[0], topic[0])
        head = f'{{"channel":"{channel}","client_id":"","timestamp":"{iso_ns(ts)}","sequence_num":{number}'
        return f'{head},"events":[{text}]}}'.encode()

    def acknowledge(self, connection: Connection, ts: int) -> None:
        """Send a client everything that it is subscribed to."""
        self.send_data(connection, SUBSCRIPTIONS, f'{{"subscriptions":{self._subscriptions(connection)}}}', ts)

    def with_own_subscriptions(self, payload: bytes, connection: Connection) -> bytes:
        """A recorded acknowledgement, with this client's subscriptions in it."""
        frame = msgspec.json.decode(payload, type=dict[str, object])
        own = [{"subscriptions": msgspec.json.decode(self._subscriptions(connection))}]
        return payload if frame.get("events") == own else msgspec.json.encode({**frame, "events": own})

    def announce(self, system: str, now: int) -> int:
        """Send the products' state again; a fault changes what it says."""
        return repeat_status(self)

    def _subscriptions(self, connection: Connection) -> str:
        """The JSON object of what a client is subscribed to, by channel."""
        listed: dict[str, list[str]] = {}
        for channel, product in connection.topics:
            listed.setdefault(channel, []).append(product or channel)
        return msgspec.json.encode(listed).decode()

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
