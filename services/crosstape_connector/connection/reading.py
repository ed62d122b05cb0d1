"""Reads the frames of one connection: parses them, applies them to the feeds, and publishes what comes of them. The hot path.

What has arrived together is one bunch: the clock is read once for it, and it is counted and published in one call. Nothing else runs
meanwhile, so that nobody sees feeds whose effects are not published yet. A message about the connection itself ends a bunch: what came
before it is published first, because handling it may wait.

Each frame of a bunch is received `STEP_NS` after the one before. Readers go by these times: two gaps are the same if their moments are, and
the newest of a feed's data and statuses, which are on two streams, says its state.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import WebSocketError, WSCloseCode, WSMsgType
from aiohttp.http import WSMessageNoDecodeText

from crosstape_connector.connection.address import Address
from crosstape_connector.connection.bad_frames import BadFrames
from crosstape_connector.connection.context import ConnectionContext
from crosstape_connector.connection.subscribed_feeds import SubscribedFeeds
from crosstape_connector.connection.websocket import DATA, Sender, Socket, arrived
from crosstape_connector.errors import BinaryFrame, ConnectionLost, FeedError, OversizedFrame
from crosstape_connector.feeds.effects import Effect
from crosstape_connector.feeds.handover import Handover
from crosstape_connector.metrics.counters import SAMPLE
from crosstape_connector.venues.messages import Output
from crosstape_connector.venues.parsing import unreadable
from crosstape_connector.venues.parsing.binary import bounded
from crosstape_connector.venues.spec import Endpoint

HARD_LIMIT: Final = 4
"""A session ends without reading a frame to its end if the frame is this many times larger than its endpoint allows."""

BUNCH: Final = 64
"""The most frames of a bunch."""

STEP_NS: Final = 10
"""So much later each frame of a bunch is received: less than it takes to read one, and enough for a part of a gap between two frames."""

FAIR: Final = 256
"""Other tasks get a turn after this many frames in a row, because reading frames that have already arrived never waits by itself."""

TEXT: Final = WSMsgType.TEXT

Control = Callable[[Sender, Output, Address], Awaitable[None]]
"""Handles a message about the connection itself. May wait; raises `ConnectionLost`."""


class FrameReader:
    """Reads one connection. Call `run` only once."""

    def __init__(
        self, context: ConnectionContext, endpoint: Endpoint, feeds: SubscribedFeeds, bad: BadFrames, number: int, *, control: Control
    ) -> None:
        """`number` names the connection in the capture."""
        self.handover: Handover | None = None
        """Keeps what is read while the connection is on standby; None: it is published."""
        self.heard_ts = 0
        """When the newest bunch was read."""
        self.is_held_back = False
        """We do not read now, so a silence is ours and not the venue's."""
        self._context = context
        self._counters = context.counters.endpoints[endpoint.name]
        self._endpoint = endpoint
        self._feeds = feeds
        self._bad = bad
        self._number = number
        self._control = control
        self._unpacker = bounded(endpoint)
        self._unsampled = self._in_a_row = 0

    async def run(self, socket: Socket, sender: Sender, address: Address) -> None:
        """Read until the connection ends. Raises `ConnectionLost`. Per frame there is no waiting, clock, log or label look-up."""
        capture, handler_of = self._context.capture, self._context.feeds.handlers.get
        parse, limit = self._endpoint.parser(self._feeds.symbols), self._endpoint.max_frame_bytes
        receive, (waiting, read) = socket.receive, arrived(socket)
        effects: list[Effect] = []
        while True:
            message = await receive()
            received_ts = self.heard_ts = time.time_ns()
            if message.type not in DATA:
                await self._read_other(sender, message)
                continue
            handover = self.handover
            frames, most, size = 0, BUNCH, 0
            try:
                while True:
                    data: bytes = message.data
                    frames += 1
                    size += len(data)
                    try:
                        if message.type is not TEXT or len(data) > limit:
                            data = self._text_of(message)
                        for output in parse(data, received_ts):
                            handle = handler_of(output.__class__)
                            if handle is None:
                                self._publish(effects)
                                await self._control(sender, output, address)
                                handover, most = self.handover, 0  # the bunch ends with this frame
                            elif handover is None:
                                effects += handle(output)
                            else:
                                handover.hold(output)
                    except FeedError:
                        raise
                    except Exception as exc:  # an unexpected error in one frame must not stop the frames after it
                        self._publish(effects)
                        self._skip(message, received_ts, exc, data)
                    else:
                        if capture is not None:
                            (capture.frame_in if message.type is TEXT else capture.binary_in)(
                                received_ts, self._number, address.hide_in(message.data)
                            )
                    if frames >= most or not waiting or waiting[0][0].type not in DATA:
                        break
                    message = await read()  # does not wait: it has arrived
                    received_ts += STEP_NS
            finally:
                self._end_bunch(effects, frames, size)
            if self._in_a_row >= FAIR:
                await self._give_turn()

    def _end_bunch(self, effects: list[Effect], frames: int, size: int) -> None:
        """Count the bunch, and publish what came of it and is not published yet."""
        self._counters.frames += frames
        self._counters.bytes += size
        self._unsampled += frames
        self._in_a_row += frames
        self._publish(effects)

    async def _give_turn(self) -> None:
        """Let other tasks run, and wait while the bus is far behind."""
        self._in_a_row = 0
        self.is_held_back = True
        await self._context.flow()
        self.is_held_back = False

    def _publish(self, effects: list[Effect]) -> None:
        """Publish these, and empty the list."""
        if not effects:
            return
        sink = self._context.sink
        try:
            sink.publish(effects)
        except Exception as exc:  # as above: it concerns one event, and the others are published
            self._bad.report_unpublished(exc)
        if self._unsampled >= SAMPLE:
            self._unsampled %= SAMPLE
            sink.sample(effects[-1])
        effects.clear()

    async def _read_other(self, sender: Sender, message: WSMessageNoDecodeText) -> None:
        """Handle a message that brings no data. Raises `ConnectionLost` if it ends the connection."""
        match message.type:
            case WSMsgType.PING:
                await sender.pong(message.data)
            case WSMsgType.PONG:
                pass
            case WSMsgType.CLOSE:
                raise ConnectionLost(" ".join(filter(None, (f"closed by the venue: {message.data}", message.extra))))
            case WSMsgType.ERROR if isinstance(message.data, WebSocketError) and message.data.code == WSCloseCode.MESSAGE_TOO_BIG:
                self._context.counters.bad_frames[OversizedFrame.kind] += 1
                raise ConnectionLost(f"a frame larger than {HARD_LIMIT * self._endpoint.max_frame_bytes} bytes")
            case WSMsgType.ERROR:
                raise ConnectionLost(f"not a WebSocket frame: {message.data}")
            case _:
                raise ConnectionLost("the connection broke")

    def _text_of(self, message: WSMessageNoDecodeText) -> bytes:
        """Return the text of a binary frame. Raises a `FrameError`, or what a venue's own code raises, if it has none or is too large."""
        binary, limit = message.type is not TEXT, self._endpoint.max_frame_bytes
        if binary and self._unpacker is None:
            raise BinaryFrame("a binary frame from a venue that sends text")
        if len(message.data) > limit:
            raise OversizedFrame(f"{len(message.data)} bytes, {limit} at most")
        return self._unpacker(message.data) if binary and self._unpacker is not None else message.data

    def _skip(self, message: WSMessageNoDecodeText, received_ts: int, exc: Exception, text: bytes) -> None:
        """Report a frame that cannot be used. The quotes and tickers that it may contain make those on the tape out of date.

        `text`: that of a binary frame, if it could be turned into text; else the frame.
        """
        kind = self._bad.report(message.data, received_ts, exc, binary=message.type is WSMsgType.BINARY)
        if kind in unreadable.NOT_OURS:
            return
        for output in unreadable.feeds_of(self._endpoint, self._feeds.symbols, text, received_ts, kind):
            if self.handover is None:
                self._publish([*self._context.feeds.apply(output)])
            else:
                self.handover.hold(output)
