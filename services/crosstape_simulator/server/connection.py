"""One client's socket, as a queue of frames that never waits.

Frames are gathered here and written to the transport in one piece, because a market that moves thousands of times a second would
otherwise spend its time in system calls. Reading, the handshake and the answer to a client's close are aiohttp's.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

import msgspec

from crosstape_simulator.server.manners import Packing

Topic = tuple[str, ...]
"""One subscription: a channel and what it is narrowed to, as each feed says."""

TEXT: Final = 0x81
BINARY: Final = 0x82
CLOSE: Final = 0x88
PING: Final = 0x89
PONG: Final = 0x8A

DEAD: Final = (RuntimeError, OSError)
"""What a transport raises whose client has died: on uvloop a `RuntimeError` ("the handler is closed")."""


def encode_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A final, unmasked WebSocket frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((opcode, size)) + payload
    if size < 65_536:
        return struct.pack(">BBH", opcode, 126, size) + payload
    return struct.pack(">BBQ", opcode, 127, size) + payload


def opened(frame: bytes) -> tuple[int, bytes]:
    """(opcode byte, payload) of a frame that `encode_frame` made."""
    start = {126: 4, 127: 10}.get(frame[1], 2)
    return frame[0], frame[start:]


class Counters(msgspec.Struct):
    """Counters of one venue's server."""

    clients: int = 0
    """Clients that are connected now."""
    connects: int = 0
    frames: int = 0
    """Text and binary frames sent."""
    messages: int = 0
    """Received from clients, pings and pongs included."""
    requests: int = 0
    """REST requests answered."""
    slow: int = 0
    """Clients cut because they read too slowly."""
    limited: int = 0
    """Messages beyond a rate limit."""
    early: int = 0
    """Messages that came before the welcome, and were lost."""
    refused: int = 0
    """Connections without a valid token."""


class Tap(Protocol):
    """Stands between a connection and its feed: see `faults`."""

    def send(self, frame: bytes) -> None:
        """Handle a frame on its way to the client; it ends with `Connection.emit`."""
        ...

    def receive(self, text: str) -> str | None:
        """Handle a client's message; returns it as the feed gets it, None: the feed does not get it."""
        ...


class Connection:
    """One client.

    Ordered. Buffered here until `flush`, then by the transport; a client whose buffer exceeds `buffer_bytes` is cut, as venues do.
    A client that has died is no error: what is written to it is lost. Nothing here raises because of it, as the market writes too.
    """

    def __init__(self, transport: asyncio.Transport, counters: Counters, dirty: list[Connection], *, buffer_bytes: int) -> None:
        self.topics: dict[Topic, None] = {}
        """The client's subscriptions, in order."""
        self.opened = time.monotonic()
        self.last_ping = self.opened
        self.last_pong = self.opened
        self.last_message = self.opened
        """When the client sent its last message that is no control frame (monotonic seconds)."""
        self.is_welcome = True
        """Whether the client's messages are read: not before the welcome, where there is one."""
        self.packing: Packing | None = None
        """How text frames are sent as binary frames; None: as text."""
        self.closing_since: float | None = None
        self.sent = 0
        """Frames sent so far."""
        self.frames_left: int | None = None
        """Frames until the connection is cut; None: no limit."""
        self.tap: Tap | None = None
        """Stands between connection and feed while there are faults."""
        self.out: Callable[[bytes], object] = self._to_transport
        """Writes bytes: to the transport, unless a fault replaces it."""
        self._transport = transport
        self._counters = counters
        self._dirty = dirty
        self._buffer_bytes = buffer_bytes
        self._queue: list[bytes] = []
        self._received: deque[float] = deque()

    def send(self, payload: bytes, opcode: int = TEXT) -> None:
        """Queue one message."""
        self.send_frame(encode_frame(payload, opcode))

    def send_frame(self, frame: bytes) -> None:
        """Queue one frame: the same for many clients is built once."""
        if self.closing_since is not None or self.frames_left == 0:
            return
        if self.tap is None:
            self.emit(frame)
        else:
            self.tap.send(frame)

    def emit(self, frame: bytes) -> None:
        """Queue one frame after all faults."""
        if self.closing_since is not None or self.frames_left == 0:
            return
        self._write(frame if self.packing is None or frame[0] != TEXT else encode_frame(self.packing.pack(opened(frame)[1]), BINARY))
        self.sent += 1
        self._counters.frames += 1
        if self.frames_left is not None:
            self.frames_left -= 1

    def ping(self, payload: bytes) -> None:
        """Queue a protocol ping."""
        self.last_ping = time.monotonic()
        if self.closing_since is None:
            self._write(encode_frame(payload, PING))

    def pong(self, payload: bytes) -> None:
        """Answer the client's ping."""
        if self.closing_since is None:
            self._write(encode_frame(payload, PONG))

    def close(self, code: int, reason: str = "") -> None:
        """Queue a close frame; the client is expected to answer and hang up."""
        if self.closing_since is None:
            self._write(encode_frame(struct.pack(">H", code) + reason.encode(), CLOSE))
            self.closing_since = time.monotonic()

    def cut(self) -> None:
        """Drop the connection at once, without a close frame; what is queued is lost."""
        self.closing_since = time.monotonic()
        self._queue.clear()
        with suppress(*DEAD):
            self._transport.abort()

    def deafen(self) -> None:
        """Neither send nor read any more, with the connection open: only `cut` ends it."""
        self.out = len  # takes the bytes, and that is all
        with suppress(*DEAD):
            self._transport.pause_reading()

    def spill(self) -> None:
        """Cut a client that reads too slowly."""
        self._counters.slow += 1
        self.cut()

    def allow(self, size: int) -> None:
        """Let `size` more bytes wait for the client."""
        self._buffer_bytes += size

    def restore(self) -> None:
        """Write to the transport again."""
        self.out = self._to_transport

    def flush(self) -> None:
        """Write what is queued to the transport."""
        if self._queue:
            queue, self._queue = self._queue, []
            self.out(b"".join(queue))
        if self.unsent > self._buffer_bytes:
            self.spill()
        elif self.frames_left == 0 and self.closing_since is None:
            self.closing_since = time.monotonic()
            with suppress(*DEAD):
                self._transport.close()  # sends what it has, then hangs up without a close frame

    @property
    def buffer_bytes(self) -> int:
        """How many bytes may wait for the client."""
        return self._buffer_bytes

    @property
    def unsent(self) -> int:
        """Bytes that the client has not taken yet."""
        if self._transport.is_closing():
            return 0
        try:
            return self._transport.get_write_buffer_size()
        except DEAD:
            return 0

    def exceeds(self, messages: int, window_s: float) -> bool:
        """Count one more message of the client; True if the last `window_s` seconds then hold more than `messages`."""
        now = time.monotonic()
        while self._received and self._received[0] <= now - window_s:
            self._received.popleft()
        if len(self._received) >= messages:
            self._counters.limited += 1
            return True
        self._received.append(now)
        return False

    def _write(self, frame: bytes) -> None:
        if not self._queue:
            self._dirty.append(self)
        self._queue.append(frame)

    def _to_transport(self, data: bytes) -> None:
        """Write, unless the client has died: its feed learns it when its socket has been read to the end."""
        if self._transport.is_closing():
            return
        try:
            self._transport.write(data)
        except DEAD:
            self.cut()
