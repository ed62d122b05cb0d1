"""KuCoin's requests: the older protocol's topics, with several symbols each, and the newer protocol's channels, with one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from crosstape_connector.venues.kucoin.values import OURS
from crosstape_connector.venues.spec import Request, Verb

DEPTH: Final = "increment@10ms"
"""The book that begins with a snapshot on the stream: the best 500 levels a side."""
_encode = msgspec.json.encode


def classic(topics: Mapping[str, str]) -> Callable[[Verb, Request], bytes]:
    """Return what writes a request of the older protocol: one topic of several symbols. `topics`: channel → topic."""

    def request(verb: Verb, request: Request) -> bytes:
        topic = f"{topics[request.channel]}:{','.join(request.symbols)}"
        return _encode({"id": str(request.request_id), "type": verb, "topic": topic, "privateChannel": False, "response": True})

    return request


def pro(market: str) -> Callable[[Verb, Request], bytes]:
    """Return what writes a request of the newer protocol: one channel of one symbol. `market`: SPOT or FUTURES.

    A channel of candles is called by its timeframe, which its frames name, too.
    """

    def request(verb: Verb, request: Request) -> bytes:
        (symbol,) = request.symbols
        channel = "kline" if request.channel in OURS else request.channel
        asked = {"id": str(request.request_id), "action": verb, "channel": channel, "tradeType": market, "symbol": symbol}
        if channel == "obu":
            asked["depth"] = DEPTH
        elif channel == "kline":
            asked["interval"] = request.channel
        return _encode(asked)

    return request


def ping(request_id: int) -> bytes:
    """Return a ping of either protocol. The older one closes a connection without them after a minute, however much it sends."""
    return _encode({"id": str(request_id), "type": "ping"})
