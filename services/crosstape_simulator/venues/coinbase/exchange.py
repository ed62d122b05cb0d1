"""Coinbase Exchange, the WebSocket's rules: several channels a message, acknowledgements that list everything, no numbers on book updates.

Docs    https://docs.cdp.coinbase.com/exchange/websocket-feed/channels
Quirks  `level2` and `full` want a key since 2023; `level2_batch` is echoed as `level2_50`; one bad product fails the complete message
Topics  (channel, product), status: ("status", "")
"""

from __future__ import annotations

import time
from typing import Final

import msgspec

from crosstape_simulator.formats import iso_us
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed, Source, decode_object, strings
from crosstape_simulator.venues.coinbase.products import repeat_status
from crosstape_simulator.venues.spec import Options

PATH: Final = "/exchange"
CHANNELS: Final = ("matches", "ticker", "ticker_batch", "level2_batch", "heartbeat", "status")
PRIVATE: Final = ("level2", "level3", "full", "user")
ECHOED: Final = {"level2_batch": "level2_50", "ticker_batch": "ticker_1000"}
NORMAL: Final = 1000

_KEY_WANTED: Final = (
    "level2, level3, and full channels now require authentication. See https://docs.cloud.coinbase.com/exchange/docs/websocket-auth"
)


class _Refused(Exception):
    pass


class ExchangeFeed(Feed):
    """The public endpoint."""

    def __init__(self, source: Source, options: Options) -> None:
        super().__init__(source)
        self._subscribe_within_s = options["subscribe_within_s"]

    def receive(self, connection: Connection, text: str) -> None:
        """Answer a subscribe or unsubscribe request."""
        request = decode_object(text)
        if request is None:
            _error(connection, "Malformed JSON", "")
            return
        try:
            match request.get("type"):
                case "subscribe":
                    self._subscribe(connection, self._wanted(request))
                case "unsubscribe":
                    self._unsubscribe(connection, request)
                case other:
                    raise _Refused(f"Type has to be either subscribe or unsubscribe, not {other}")
        except _Refused as refused:
            _error(connection, "Failed to subscribe", str(refused))

    def second(self, now: int) -> None:
        """Close clients that have not subscribed in time. Heartbeats are the source's: they carry its numbers."""
        super().second(now)
        for connection in self.connections:
            if not connection.topics and time.monotonic() - connection.opened > self._subscribe_within_s:
                connection.close(NORMAL, "subscribe within 5 seconds")

    def beat(self, now: int) -> None:
        """Send heartbeats before and after a recording, without numbers of its trades."""
        if self.source.beats():
            for topic in tuple(self.subscribers):
                if topic[0] == "heartbeat":
                    ids = f'"sequence":0,"last_trade_id":0,"product_id":"{topic[1]}"'
                    self.publish(topic, f'{{"type":"heartbeat",{ids},"time":"{iso_us(now)}"}}'.encode())

    def announce(self, system: str, now: int) -> int:
        """Send the products' state again; a fault changes what it says."""
        return repeat_status(self)

    def _wanted(self, request: dict[str, object]) -> list[Topic]:
        shared, channels = strings(request.get("product_ids", [])), request.get("channels")
        if shared is None or not isinstance(channels, list) or not channels:
            raise _Refused("channels not provided")
        topics: list[Topic] = []
        for channel in channels:
            name, products = _channel(channel, shared)
            if name in PRIVATE:
                raise _Refused(_KEY_WANTED)
            if name not in CHANNELS:
                raise _Refused(f"{name} is not a valid channel")
            if not products and name != "status":
                raise _Refused(f"No products are provided for channel {name}")
            for product in products if name != "status" else ():
                if not self.source.lists(product):
                    raise _Refused(f"{product} is not a valid product")
            topics += [(name, product) for product in (products if name != "status" else [""])]
        return topics

    def _subscribe(self, connection: Connection, topics: list[Topic]) -> None:
        for topic in topics:
            self.join(connection, topic)
        self._acknowledge(connection)
        for topic in topics:
            self.source.subscribed(connection, topic)

    def _unsubscribe(self, connection: Connection, request: dict[str, object]) -> None:
        shared, channels = strings(request.get("product_ids", [])) or [], request.get("channels")
        for channel in channels if isinstance(channels, list) else []:
            name, products = _channel(channel, shared)
            for topic in tuple(connection.topics):
                if topic[0] == name and (not products or topic[1] in products):
                    self.leave(connection, topic)
        self._acknowledge(connection)

    def _acknowledge(self, connection: Connection) -> None:
        listed: dict[str, list[str]] = {}
        for channel, product in connection.topics:
            listed.setdefault(ECHOED.get(channel, channel), []).extend([product] if product else [])
        channels = [{"name": name, "product_ids": products} for name, products in listed.items()]
        connection.send(msgspec.json.encode({"type": "subscriptions", "channels": channels}))


def _channel(channel: object, shared: list[str]) -> tuple[str, list[str]]:
    match channel:
        case str():
            return channel, shared
        case {"name": str(name), "product_ids": products}:
            return name, strings(products) or shared
        case {"name": str(name)}:
            return name, shared
        case _:
            raise _Refused("channels must be names or objects with a name")


def _error(connection: Connection, message: str, reason: str) -> None:
    connection.send(msgspec.json.encode({"type": "error", "message": message, "reason": reason}))
