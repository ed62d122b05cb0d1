"""Binance spot, the WebSocket's rules: streams in the URL, requests and their answers, limits, pings.

Docs    https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
Quirks  unknown streams are acknowledged like valid ones; errors come in two shapes; the limit on messages counts pings and pongs too
Topics  (stream,)
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

import msgspec

from crosstape_simulator.server.connection import Connection, Topic, encode_frame
from crosstape_simulator.server.feed import Feed, Source, decode_object, strings
from crosstape_simulator.venues.spec import Options

PATHS: Final = ("/stream", "/ws")
STREAMS_MAX: Final = 1024
PONG_WITHIN_S: Final = 60.0
POLICY_VIOLATION: Final = 1008

_METHODS: Final = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"


class BinanceFeed(Feed):
    """`/stream` (wrapped frames) and `/ws` (bare ones)."""

    def __init__(self, source: Source, options: Options) -> None:
        super().__init__(source)
        self._messages_per_s = int(options["messages_per_s"])
        self._ping_s = options["ping_s"]
        self._bare: set[Connection] = set()

    def open(self, connection: Connection, path: str, query: Mapping[str, str]) -> None:
        """Subscribe the streams named in the URL, without an acknowledgement."""
        super().open(connection, path, query)
        is_wrapped = path.endswith("/stream")
        if not is_wrapped:
            self._bare.add(connection)
        named = query.get("streams", "") if is_wrapped else path.removeprefix("/ws").strip("/")
        self._subscribe(connection, [stream for stream in named.split("/") if stream])

    def close(self, connection: Connection) -> None:
        """Remove a client that has gone."""
        super().close(connection)
        self._bare.discard(connection)

    def receive(self, connection: Connection, text: str) -> None:
        """Answer a request; beyond the limit close the connection instead."""
        if self._limited(connection):
            return
        request = decode_object(text)
        if request is None:
            _send(connection, {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"})
        elif "method" not in request:
            _send(connection, _invalid(f"missing field `method` at line 1 column {len(text)}"))
        elif not _is_id(request.get("id")):
            _send(connection, _invalid("request ID must be an unsigned integer"))
        else:
            self._request(connection, str(request["method"]), request.get("params"), request.get("id"))

    def control(self, connection: Connection, *, pong: bool) -> None:
        """Count pings and pongs as messages."""
        if pong:
            connection.last_pong = time.monotonic()
        self._limited(connection)

    def second(self, now: int) -> None:
        """Ping clients that are due; cut those that have not answered for a minute."""
        super().second(now)
        moment = time.monotonic()
        for connection in self.connections:
            if connection.last_ping - connection.last_pong > 0 and moment - connection.last_pong > self._ping_s + PONG_WITHIN_S:
                connection.cut()
            elif moment - connection.last_ping >= self._ping_s:
                connection.ping(str(now // 1_000_000).encode())

    def publish_data(self, topic: Topic, text: str, ts: int) -> None:
        """Send one frame of a stream: wrapped or bare, as each client's address wants it."""
        clients = self.subscribers.get(topic)
        if not clients:
            return
        wrapped = encode_frame(f'{{"stream":"{topic[0]}","data":{text}}}'.encode())
        for connection in clients:
            connection.send_frame(encode_frame(text.encode()) if connection in self._bare else wrapped)

    def announce(self, system: str, now: int) -> int:
        """Say that all connections will be closed soon; nothing says that it is over."""
        if system == "online":
            return 0
        data = f'{{"e":"serverShutdown","E":{now // 1_000_000}}}'
        for connection in self.connections:
            connection.send((data if connection in self._bare else f'{{"stream":"!serverShutdown","data":{data}}}').encode())
        return len(self.connections)

    def _limited(self, connection: Connection) -> bool:
        if connection.exceeds(self._messages_per_s, 1.0):
            connection.close(POLICY_VIOLATION, "Too many requests")
            return True
        return False

    def _request(self, connection: Connection, method: str, params: object, request_id: object) -> None:
        match method:
            case "SUBSCRIBE" | "UNSUBSCRIBE":
                streams = strings(params)
                if streams is None:
                    _send(connection, _invalid("params must be an array of strings"))
                elif method == "UNSUBSCRIBE":
                    for stream in streams:
                        self.leave(connection, (stream,))
                    _send(connection, {"result": None, "id": request_id})
                elif len(connection.topics.keys() | {(stream,) for stream in streams}) > STREAMS_MAX:
                    _send(connection, {"error": {"code": 4, "msg": "Too many subscriptions"}, "id": request_id})
                else:
                    _send(connection, {"result": None, "id": request_id})
                    self._subscribe(connection, streams)
            case "LIST_SUBSCRIPTIONS":
                _send(connection, {"result": [stream for (stream,) in connection.topics], "id": request_id})
            case "SET_PROPERTY" | "GET_PROPERTY":
                self._property(connection, method, params, request_id)
            case _:
                _send(connection, _invalid(f"unknown variant `{method}`, expected one of {_METHODS} at line 1 column {len(method) + 12}"))

    def _property(self, connection: Connection, method: str, params: object, request_id: object) -> None:
        match params:
            case ["combined"] if method == "GET_PROPERTY":
                _send(connection, {"result": connection not in self._bare, "id": request_id})
            case ["combined", bool(combined)] if method == "SET_PROPERTY":
                (self._bare.discard if combined else self._bare.add)(connection)
                _send(connection, {"result": None, "id": request_id})
            case ["combined", _] if method == "SET_PROPERTY":
                _send(connection, {"code": 1, "msg": "Invalid value type: expected Boolean"})
            case [str(), *_]:
                _send(connection, {"code": 0, "msg": "Unknown property"})
            case _:
                _send(connection, _invalid("property name must be a string"))

    def _subscribe(self, connection: Connection, streams: list[str]) -> None:
        for stream in streams:
            self.join(connection, (stream,))
            self.source.subscribed(connection, (stream,))


def _is_id(value: object) -> bool:
    match value:
        case None:
            return True
        case bool():
            return False
        case int():
            return value >= 0
        case str():
            return len(value) <= 36 and value.isalnum()
        case _:
            return False


def _invalid(what: str) -> dict[str, object]:
    return {"code": 2, "msg": f"Invalid request: {what}"}


def _send(connection: Connection, reply: object) -> None:
    connection.send(msgspec.json.encode(reply))
