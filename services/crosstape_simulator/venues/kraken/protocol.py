"""Kraken spot WebSocket v2, the rules: a status on connecting, one acknowledgement a symbol, heartbeats, pings, refusals.

Docs    https://docs.kraken.com/api/docs/guides/spot-ws-intro
Quirks  a refused subscription leaves the socket open and beating; an unsubscribe must repeat the depth; one that fails calls itself a
        subscribe; beyond the rate limit there is a bare `Error` and the request is lost
Topics  ("book", symbol, depth), ("trade", symbol), ("ticker", symbol, trigger), ("ohlc", symbol, minutes), ("instrument",)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from crosstape_simulator.formats import iso_us
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed, Source, decode_object, strings
from crosstape_simulator.venues.kraken.candles import GRIDS
from crosstape_simulator.venues.spec import Options

PATH: Final = "/v2"
DEPTHS: Final = (10, 25, 100, 500, 1000)
TRIGGERS: Final = ("trades", "bbo")
INTERVALS: Final = tuple(GRIDS)
SYMBOL_CHANNELS: Final = ("book", "trade", "ticker", "ohlc")
PRIVATE: Final = ("executions", "balances", "level3")
HEARTBEAT: Final = b'{"channel":"heartbeat"}'


class KrakenFeed(Feed):
    """The public endpoint."""

    def __init__(self, source: Source, options: Options) -> None:
        super().__init__(source)
        self.system = "online"
        self._messages_per_s = int(options["messages_per_s"])
        self._connects = 0
        self._snapshots: dict[tuple[Connection, Topic], bool] = {}

    def open(self, connection: Connection, path: str, query: Mapping[str, str]) -> None:
        """Greet the client with the venue's state."""
        super().open(connection, path, query)
        self._connects += 1
        connection.send(self.source.greeting() or self._status())

    def close(self, connection: Connection) -> None:
        """Remove a client that has gone."""
        for topic in connection.topics:
            self._snapshots.pop((connection, topic), None)
        super().close(connection)

    def receive(self, connection: Connection, text: str) -> None:
        """Answer a subscribe, unsubscribe or ping request."""
        if connection.exceeds(self._messages_per_s, 1.0):
            connection.send(b'{"Error":"Exceeded msg rate"}')
            return
        request = decode_object(text)
        if request is None:
            self._refuse(connection, "Malformed request", None, None)
            return
        method, request_id = request.get("method"), request.get("req_id")
        if request_id is not None and (not isinstance(request_id, int) or isinstance(request_id, bool) or request_id < 0):
            self._refuse(connection, "Req_id field must be an unsigned integer", method, None)
            return
        params = request.get("params")
        match method:
            case "ping" if "params" in request:
                self._refuse(connection, "Unsupported field: 'params' for the given msg type: ping", method, request_id)
            case "ping":
                self._reply(connection, {"method": "pong"}, request_id)
            case "subscribe" | "unsubscribe" if isinstance(params, dict) and isinstance(params.get("channel"), str):
                self._request(connection, method, params, request_id)
            case _:
                self._refuse(connection, "Unsupported event", method, request_id)

    def second(self, now: int) -> None:
        """Send a heartbeat to each client that has subscribed to something."""
        super().second(now)
        for connection in self.connections:
            if connection.topics and self.source.beats():
                connection.send(HEARTBEAT)

    def wants_snapshot(self, connection: Connection, topic: Topic) -> bool:
        """Whether the client asked for a snapshot of this topic."""
        return self._snapshots.get((connection, topic), False)

    def announce(self, system: str, now: int) -> int:
        """Change the engine's state and send it: `online`, `cancel_only`, `post_only`, `maintenance`."""
        self.system = system
        for connection in self.connections:
            connection.send(self._status())
        return len(self.connections)

    def _status(self) -> bytes:
        number = 12_393_906_104_898_154_338 + self._connects  # beyond 2^63, as some real ones
        data = f'{{"version":"2.0.10","system":"{self.system}","api_version":"v2","connection_id":{number}}}'
        return f'{{"channel":"status","type":"update","data":[{data}]}}'.encode()

    def _request(self, connection: Connection, method: str, params: dict[str, object], request_id: int | None) -> None:
        channel = str(params["channel"])
        symbols = strings(params.get("symbol", []))
        depth, trigger, minutes = params.get("depth", 10), params.get("event_trigger", "trades"), params.get("interval", 1)
        if channel in PRIVATE:
            reason = "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com"
            self._refuse(connection, reason, method, request_id)
        elif channel == "instrument":
            self._one(connection, method, ("instrument",), params, request_id)
        elif channel not in SYMBOL_CHANNELS:
            self._refuse(connection, "Unsupported channel", method, request_id)
        elif not symbols:
            self._refuse(connection, "Symbol(s) not found", method, request_id)
        elif channel == "book" and depth not in DEPTHS:
            self._refuse(connection, "Subscription depth not supported", method, request_id)
        elif channel == "ticker" and trigger not in TRIGGERS:
            self._refuse(connection, "Event trigger not supported", method, request_id)
        elif channel == "ohlc" and minutes not in INTERVALS:
            self._refuse(connection, "Ohlc interval not supported", method, request_id)
        else:
            suffix = {"book": (str(depth),), "ticker": (str(trigger),), "ohlc": (str(minutes),)}.get(channel, ())
            for symbol in symbols:
                self._one(connection, method, (channel, symbol, *suffix), params, request_id)

    def _one(self, connection: Connection, method: str, topic: Topic, params: dict[str, object], request_id: int | None) -> None:
        """Answer for one symbol of a request."""
        symbol = topic[1] if len(topic) > 1 else None
        same = 3 if topic[0] == "ohlc" else 2  # several intervals of a pair may be had at once
        taken = next((held for held in connection.topics if held[:same] == topic[:same]), None)
        if symbol is not None and not self.source.lists(symbol):
            self._refuse(connection, f"Currency pair not supported {symbol}", method, request_id, symbol)
        elif method == "unsubscribe" and topic not in connection.topics:
            self._refuse(connection, "Subscription Not Found", "subscribe", request_id, symbol)
        elif method == "subscribe" and taken is not None:
            self._refuse(connection, "Already subscribed", method, request_id, symbol)
        elif topic[0] == "book" and str(self.source.depth(topic[1]) or topic[2]) != topic[2]:
            self._refuse(connection, "Subscription depth not supported", method, request_id)
        elif method == "unsubscribe":
            self._reply(connection, {"method": method, "result": _result(topic, None), "success": True}, request_id)
            self._snapshots.pop((connection, topic), None)
            self.leave(connection, topic)
        else:
            snapshot = params.get("snapshot", topic[0] != "trade") is True
            self._reply(connection, {"method": method, "result": _result(topic, snapshot), "success": True}, request_id)
            self._snapshots[connection, topic] = snapshot
            self.join(connection, topic)
            self.source.subscribed(connection, topic)

    def _refuse(self, connection: Connection, error: str, method: object, request_id: int | None, symbol: str | None = None) -> None:
        reply: dict[str, object] = {"error": error}
        if isinstance(method, str):
            reply["method"] = method
        reply["success"] = False
        if symbol is not None:
            reply["symbol"] = symbol
        self._reply(connection, reply, request_id)

    def _reply(self, connection: Connection, reply: dict[str, object], request_id: int | None) -> None:
        if request_id is not None:
            reply["req_id"] = request_id
        reply["time_in"], reply["time_out"] = iso_us(self.now), iso_us(self.now + 35_000)
        connection.send(msgspec.json.encode(reply))


def _result(topic: Topic, snapshot: bool | None) -> dict[str, object]:
    result: dict[str, object] = {"channel": topic[0]}
    if topic[0] == "book":
        result["depth"] = int(topic[2])
    if topic[0] == "ticker":
        result["event_trigger"] = topic[2]
    if topic[0] == "ohlc":
        result["interval"] = int(topic[2])
    if snapshot is not None:
        result["snapshot"] = snapshot
        if topic[0] == "instrument":
            result["warnings"] = ["tick_size is deprecated, use price_increment"]
        if topic[0] == "ohlc":
            result["warnings"] = ["timestamp is deprecated, use interval_begin"]
    if len(topic) > 1:
        result["symbol"] = topic[1]
    return result
