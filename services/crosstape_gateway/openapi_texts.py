"""Says in the OpenAPI document what parameters, streams and errors mean."""

from __future__ import annotations

from typing import Any, Final

from crosstape_gateway.rest import history
from crosstape_gateway.rest.parameters import INTS
from crosstape_gateway.streams import query
from crosstape_schemas import TIMEFRAMES

DESCRIPTION: Final = """The tape over HTTP, for programs without Redis and for browsers. All of it is read-only.

Rows are the events of the tape, byte for byte. Times are ns since the epoch UTC, and decimals are strings, so that no digit is lost.
JavaScript's numbers cannot hold these times: `ints=string` writes them, and epochs, as strings.
How far back the tape goes, the settings `bus.max_len` say. What an event means: docs/reference/events.md."""

PARAMETERS: Final[dict[str, tuple[str, Any, Any]]] = {
    "instrument": ("An instrument, in any spelling: `BTC-USDT`, `BTCUSDT`, `btc/usdt`.", {"type": "string"}, "BTC-USDT"),
    "symbol": ("The same as `instrument`.", {"type": "string"}, "BTCUSDT"),
    "venue": ("A venue's id; `consolidated` is what aggregators compute.", {"type": "string"}, "kraken"),
    "timeframe": ("Length of a bar or candle.", {"type": "string", "enum": list(TIMEFRAMES), "default": "1m"}, "1m"),
    "from_ts": (
        "The first moment that counts: of `received_ts`, of bars and candles of `open_ts`, in the recorded history of the event's own "
        "time. ns, or ISO 8601.",
        {"type": "string"},
        "2026-11-30T12:00:00Z",
    ),
    "to_ts": ("The first moment that does not count any more, in the same forms.", {"type": "string"}, "2026-11-30T13:00:00Z"),
    "limit": (
        f"Most rows; the newest of the range come. {history.ROWS} if it is not given, at most `gateway.rows`.",
        {"type": "integer", "minimum": 1},
        100,
    ),
    "after": ("An id that the gateway gave: only what came behind it, the oldest first.", {"type": "string"}, "1764500000000-0"),
    "before": ("An id that an answer gave: only what came before it.", {"type": "string"}, "1764500000000-0"),
    "ints": ("How times and epochs are written.", {"type": "string", "enum": list(INTS), "default": INTS[0]}, INTS[1]),
    "topics": (
        "Topics with commas between them: KIND:INSTRUMENT, `bar:1m:BTC-USDT@kraken` of one venue, `cbbo:*` of all instruments, `venue:*`.",
        {"type": "string"},
        "cbbo:BTC-USDT,bar:1m:BTC-USDT",
    ),
    "gather_ms": (
        "For how long events are gathered and sent together, ms.",
        {"type": "integer", "minimum": 0, "maximum": query.MAX_GATHER_MS},
        0,
    ),
    "last": ("Whether the newest values come first: 1, or 0.", {"type": "string", "enum": ["0", "1"], "default": "1"}, "0"),
}
"""Name → what it means, its schema, an example."""

INSTRUMENT_NEEDED: Final = "One of `instrument` and `symbol` is required; they mean the same."
"""OpenAPI has no form for it: neither is required alone."""

STREAM_NOTE: Final = """Server-Sent Events: unnamed messages, each with one JSON object. First comes `connected`, then the newest
values, then what is new, and every `gateway.heartbeat_s` at least a `heartbeat`. A client that reads too slowly gets the newest of each
state, and `missed` says which events it did not get. On a reconnect EventSource sends `Last-Event-ID`, and the stream goes on there."""

WEBSOCKET_NOTE: Final = """A WebSocket. The client sends `{"op":"subscribe","topics":["cbbo:BTC-USDT"],"id":1}`, or `unsubscribe` with the
same members, or `{"op":"ping"}`. The gateway sends text messages of one or more lines, each a JSON object: an event of the tape, or
`connected`, `subscribed`, `unsubscribed`, `missed`, `bus`, `heartbeat`, `error`. To resume, name the newest heartbeat's id as `after`."""

ERRORS: Final = {
    400: "A parameter is wrong; the message says which, and what is allowed or was probably meant.",
    401: "A token is needed, or this one does not count.",
    403: "The page's origin, or the name by which the gateway was addressed, is not among those that may read.",
    404: "The tape has no such instrument, venue or timeframe.",
    413: "The body is too large.",
    429: "Too many requests or streams of this address; `Retry-After` says when to ask again.",
    503: "The bus does not answer at the moment; `Retry-After` says when to ask again.",
}
"""Status → when a request is answered with it."""
