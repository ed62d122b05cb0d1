"""What is sent to Bitfinex's WebSocket: flags, subscriptions and pings. Pure.

A channel of the venue's table is `trades`, `book` or `ticker`, which have a symbol, or the first part of a key: `trade:1m` (candles),
`deriv` (a perpetual's status). `liq:global` is a key itself, of all symbols.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from crosstape_connector.venues.spec import Request, Verb

TIMESTAMP, SEQ_ALL, OB_CHECKSUM, BULK_UPDATES = 32_768, 65_536, 131_072, 536_870_912
FLAGS: Final = TIMESTAMP | SEQ_ALL | OB_CHECKSUM | BULK_UPDATES
LIQUIDATIONS: Final = "liq:global"
CANDLES: Final = "trade:"
DERIVATIVES: Final = "deriv"
_encode: Final = msgspec.json.encode

GREETING: Final = _encode({"event": "conf", "flags": FLAGS})
"""Every frame gets a number and the server's time, books get checksums, and all changes of a book by one event come in one frame: between
two frames of one event a book could be crossed."""


def request(verb: Verb, request: Request) -> bytes:
    """One channel of one symbol a message. An unsubscribe names the number that the venue gave the subscription."""
    (symbol,) = request.symbols
    if verb == "unsubscribe":
        handle = next(iter(request.handles), "")
        return _encode({"event": verb, "chanId": int(handle) if handle.isdecimal() else None})
    return _encode({"event": verb, **_about(request.channel, symbol, request.depth), "subId": str(request.request_id)})


def _about(channel: str, symbol: str, depth: int) -> dict[str, Any]:
    if channel == LIQUIDATIONS:
        return {"channel": "status", "key": channel}
    if channel == DERIVATIVES:
        return {"channel": "status", "key": f"{channel}:{symbol}"}
    if channel.startswith(CANDLES):
        return {"channel": "candles", "key": f"{channel}:{symbol}"}
    if channel == "book":
        return {"channel": channel, "symbol": symbol, "prec": "P0", "freq": "F0", "len": str(depth)}
    return {"channel": channel, "symbol": symbol}


def ping(request_id: int) -> bytes:
    """`cid` comes back in the answer."""
    return _encode({"event": "ping", "cid": request_id})
