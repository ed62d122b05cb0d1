"""Writes items as the bytes of one write to a client: Server-Sent Events, with or without HTTP chunks, or WebSocket messages. Pure.

All clients that follow the same topics with the same options are sent the same bytes object. That is why frames are made here, once, and
not by aiohttp, which makes them for each client: headers of WebSocket frames (RFC 6455, section 5.2) from a server are not masked, so they
are the same for all; so are those of HTTP chunks (RFC 9112, section 7.1).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final

import msgspec

from crosstape_gateway.hub.item import Item
from crosstape_gateway.whole_numbers import as_text

MESSAGE_BYTES: Final = 128 * 1024
"""A WebSocket message ends once it has this many bytes: many clients accept messages of at most 1 MiB."""
GOING_AWAY: Final = b"\x88\x02" + struct.pack("!H", 1001)
"""The WebSocket frame by which a server that stops closes a connection."""
_TEXT: Final = 0x81  # the final fragment of a text message


class Transfer(Enum):
    """How the bytes are framed."""

    SSE = "sse"
    """Server-Sent Events to the end of the connection: HTTP/1.0."""
    SSE_CHUNKED = "sse_chunked"
    WEBSOCKET = "websocket"

    @property
    def name_of_metric(self) -> str:
        """The label in metrics."""
        return "websocket" if self is Transfer.WEBSOCKET else "sse"


class Options(msgspec.Struct, frozen=True):
    """What the bytes for a client depend on, beside its topics."""

    transfer: Transfer
    gather_s: float = 0.0
    """Events are gathered for this time and sent together; 0: at once."""
    quote_integers: bool = False
    """Whether times and epochs are strings."""
    last_values: bool = True
    """Whether last values are sent at the start."""
    candle_updates: bool = False
    """Whether candles and bars are sent inside `{"type":"candle_update","candle":…}`."""


def chunk_of(items: Sequence[Item], options: Options, last_id: str = "") -> bytes:
    """Returns the bytes of these items (one at least), ready for the socket.

    `last_id`: the id up to which everything was sent once these are; it is written with the last message of Server-Sent Events.
    """
    messages = [_payload(item, options) for item in items] if options.quote_integers or options.candle_updates else [i.data for i in items]
    return _FRAMES[options.transfer](messages, last_id)


def _payload(item: Item, options: Options) -> bytes:
    data = item.data
    if options.candle_updates and item.topic:
        data = b'{"type":"candle_update","candle":%b}' % data
    return as_text(data) if options.quote_integers else data


def _sse(messages: Sequence[bytes], last_id: str) -> bytes:
    identity = b"id: %b\n" % last_id.encode() if last_id else b""
    first = b"".join([b"data: %b\n\n" % message for message in messages[:-1]])
    return b"%b%bdata: %b\n\n" % (first, identity, messages[-1])


def _sse_chunked(messages: Sequence[bytes], last_id: str) -> bytes:
    body = _sse(messages, last_id)
    return b"%x\r\n%b\r\n" % (len(body), body)


def _websocket(messages: Sequence[bytes], _last_id: str) -> bytes:
    frames: list[bytes] = []
    lines: list[bytes] = []
    size = 0
    for message in messages:
        lines.append(message)
        size += len(message) + 1
        if size >= MESSAGE_BYTES:
            frames.append(_frame(b"\n".join(lines)))
            lines, size = [], 0
    if lines:
        frames.append(_frame(b"\n".join(lines)))
    return frames[0] if len(frames) == 1 else b"".join(frames)


def _frame(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", _TEXT, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", _TEXT, 126, size) + payload
    return struct.pack("!BBQ", _TEXT, 127, size) + payload


_FRAMES: Final[dict[Transfer, Callable[[Sequence[bytes], str], bytes]]] = {
    Transfer.SSE: _sse,
    Transfer.SSE_CHUNKED: _sse_chunked,
    Transfer.WEBSOCKET: _websocket,
}
