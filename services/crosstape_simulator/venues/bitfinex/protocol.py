"""Bitfinex WebSocket v2, the rules: a greeting, flags, subscriptions with numbers, heartbeats, pings, errors.

Docs    https://docs.bitfinex.com/docs/ws-general
Quirks  flags hold for the connection and replace those before; numbers count arrays from 1, objects have none; a subscription that
        exists is refused with its number; an unknown perpetual's status and what is no JSON get no answer
Topics  ("trades", symbol), ("book", symbol, len), ("ticker", symbol), ("candles", symbol, timeframe), ("deriv", symbol), ("liq:global",)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from crosstape_simulator.formats import NS
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed, Source, decode_object
from crosstape_simulator.venues.bitfinex.frames import LIQUIDATIONS, error, number_of, topic_of
from crosstape_simulator.venues.spec import Options

PATH: Final = "/ws/2"
LENGTHS: Final = ("1", "25", "100", "250")
TIMESTAMP, SEQ_ALL, OB_CHECKSUM, BULK_UPDATES = 32_768, 65_536, 131_072, 536_870_912
BEAT_NS: Final = 15 * NS


class BitfinexFeed(Feed):
    """The public endpoint."""

    def __init__(self, source: Source, options: Options) -> None:
        super().__init__(source)
        self.system = "online"
        self._channels = int(options["channels"])
        self._flags: dict[Connection, int] = {}
        self._numbers: dict[Connection, int] = {}
        self._held: dict[Connection, dict[Topic, int]] = {}
        self._beats: dict[Connection, int] = {}

    def open(self, connection: Connection, path: str, query: Mapping[str, str]) -> None:
        """Greet the client."""
        super().open(connection, path, query)
        self._held[connection] = {}
        status = int(self.system == "online")
        _send(
            connection, {"event": "info", "version": 2, "serverId": "00000000-0000-4000-8000-000000000000", "platform": {"status": status}}
        )

    def close(self, connection: Connection) -> None:
        """Remove a client that has gone."""
        super().close(connection)
        for kept in (self._flags, self._numbers, self._held, self._beats):
            kept.pop(connection, None)

    def join(self, connection: Connection, topic: Topic) -> None:
        """Subscribe a client, with a new number."""
        super().join(connection, topic)
        self._held.setdefault(connection, {})[topic] = number_of(topic)

    def leave(self, connection: Connection, topic: Topic) -> None:
        """Unsubscribe a client."""
        super().leave(connection, topic)
        self._held.get(connection, {}).pop(topic, None)

    def receive(self, connection: Connection, text: str) -> None:
        """Answer a request; what is no JSON object gets no answer."""
        request = decode_object(text)
        match request:
            case None:
                return
            case {"event": "conf", "flags": int(flags)}:
                self._flags[connection] = flags
                _send(connection, {"event": "conf", "status": "OK", "flags": flags})
            case {"event": "ping"}:
                _send(connection, {"event": "pong", "ts": self.now // 1_000_000, "cid": request.get("cid")})
            case {"event": "subscribe"}:
                self._subscribe(connection, request)
            case {"event": "unsubscribe"}:
                self._unsubscribe(connection, request)
            case _:
                connection.send(error(request, "event: unknown", 10000))

    def second(self, now: int) -> None:
        """Send a heartbeat on each channel every 15 seconds."""
        super().second(now)
        for connection, channels in self._held.items():
            due = self._beats.setdefault(connection, now + BEAT_NS)
            if now >= due and self.source.beats():
                self._beats[connection] = now + BEAT_NS
                for number in channels.values():
                    self._send_array(connection, number, '"hb"', now)

    def announce(self, system: str, now: int) -> int:
        """Send that maintenance begins or is over."""
        self.system = system
        code, text = (20061, "Maintenance is over") if system == "online" else (20060, "Maintenance begins")
        for connection in self.connections:
            _send(connection, {"event": "info", "code": code, "msg": text})
        return len(self.connections)

    def send_data(self, connection: Connection, topic: Topic, text: str, ts: int) -> None:
        """Send a client one array: the number of its channel, the data, and what its flags ask for."""
        number = self._held.get(connection, {}).get(topic)
        if number is not None:
            self._send_array(connection, number, text, ts)

    def publish_data(self, topic: Topic, text: str, ts: int) -> None:
        """Send one array to all subscribers of a topic."""
        for connection in self.subscribers.get(topic, ()):
            self.send_data(connection, topic, text, ts)

    def publish_levels(self, topic: Topic, levels: Sequence[str], ts: int) -> None:
        """Send changes of a book: in one array, or one by one to clients that have not asked for bulk."""
        for connection in self.subscribers.get(topic, ()):
            if self._flags.get(connection, 0) & BULK_UPDATES and len(levels) > 1:
                self.send_data(connection, topic, f"[{','.join(levels)}]", ts)
            else:
                for level in levels:
                    self.send_data(connection, topic, level, ts)

    def publish_checksum(self, topic: Topic, checksum: int, ts: int) -> None:
        """Send a checksum to clients that have asked for it."""
        for connection in self.subscribers.get(topic, ()):
            if self._flags.get(connection, 0) & OB_CHECKSUM:
                self.send_data(connection, topic, f'"cs",{checksum}', ts)

    def _send_array(self, connection: Connection, number: int, text: str, ts: int) -> None:
        flags = self._flags.get(connection, 0)
        tail = ""
        if flags & SEQ_ALL:
            self._numbers[connection] = self._numbers.get(connection, 0) + 1
            tail = f",{self._numbers[connection]}"
        if flags & TIMESTAMP:
            tail += f",{ts // 1_000_000}"
        connection.send(f"[{number},{text}{tail}]".encode())

    def _subscribe(self, connection: Connection, request: dict[str, Any]) -> None:
        topic = topic_of(request)
        if topic is None:
            connection.send(error(request, "channel: unknown", 10302))
            return
        if topic[0] == "deriv" and not self.source.lists(topic[1]):
            return
        if topic != LIQUIDATIONS and not self.source.lists(topic[1]):
            connection.send(error(request, "symbol: invalid", 10300))
        elif topic[0] == "book" and topic[2] not in LENGTHS:
            connection.send(error(request, "length: invalid", 10300))
        elif topic in connection.topics:
            connection.send(error(request, "subscribe: dup", 10301, chanId=self._held[connection][topic]))
        elif len(connection.topics) >= self._channels:
            connection.send(error(request, "subscribe: limit", 10305))
        else:
            self.join(connection, topic)
            echo = {name: value for name, value in request.items() if name != "event"}
            _send(connection, {"event": "subscribed", **echo, "chanId": self._held[connection][topic]})
            self.source.subscribed(connection, topic)

    def _unsubscribe(self, connection: Connection, request: dict[str, Any]) -> None:
        number = request.get("chanId")
        topic = next((topic for topic, held in self._held.get(connection, {}).items() if held == number), None)
        if topic is None:
            connection.send(error(request, "unsubscribe: invalid", 10400))
            return
        self.leave(connection, topic)
        _send(connection, {"event": "unsubscribed", "status": "OK", "chanId": number})


def _send(connection: Connection, frame: Mapping[str, object]) -> None:
    connection.send(msgspec.json.encode(frame))
