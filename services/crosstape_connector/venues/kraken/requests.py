"""What is sent to Kraken's WebSocket: subscriptions and pings. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from crosstape_connector.venues.spec import Request, Verb

_encode: Final = msgspec.json.encode


def request(verb: Verb, request: Request) -> bytes:
    """One message for all symbols, one acknowledgement each. Unsubscribing repeats the depth, and the interval of candles.

    Trades are subscribed with a snapshot: its 50 trades repair a lost connection.
    """
    channel, _, interval = request.channel.partition("-")
    params: dict[str, Any] = {"channel": channel, "symbol": request.symbols}
    if interval:
        params["interval"] = int(interval)
    if request.channel == "book":
        params["depth"] = request.depth
    if request.channel == "ticker":
        params["event_trigger"] = "bbo"
    if verb == "subscribe":
        params["snapshot"] = True
    return _encode({"method": verb, "params": params, "req_id": request.request_id})


def ping(request_id: int) -> bytes:
    """`params` in a ping would be an error."""
    return _encode({"method": "ping", "req_id": request_id})
