"""Opens a WebSocket and sends on it within the endpoint's rate limit. `reading` reads from it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType
from aiohttp.http import WSMessageNoDecodeText

from crosstape_connector.capture.writer import Capture
from crosstape_connector.errors import ConnectFailed, ConnectionLost
from crosstape_connector.http import Http
from crosstape_connector.rate_limit import RateLimit, retry_after
from crosstape_connector.venues.parsing.refusals import BODY, line, public, refusal

CLOSE_S: Final = 2.0
REFUSAL_S: Final = 2.0
"""How long to wait for the reason of a refused handshake after its status has come."""

Socket: TypeAlias = ClientWebSocketResponse[Literal[False]]
"""A WebSocket whose text frames come as bytes."""

Messages: TypeAlias = Sequence[tuple[WSMessageNoDecodeText, int]]
"""Messages, each with its size."""
Read: TypeAlias = Callable[[], Awaitable[WSMessageNoDecodeText]]

DATA: Final = (WSMsgType.TEXT, WSMsgType.BINARY)
"""The messages that bring data."""


class UpgradeRefused(aiohttp.ClientError):
    """The venue answered a handshake without opening a WebSocket. The message gives its reason."""

    def __init__(self, message: str, retry_after_s: float | None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


async def read_refusal(response: aiohttp.ClientResponse) -> None:
    """Read the reason of a refused handshake, which aiohttp does not read. A hook for `raise_for_status` of an HTTP session.

    Ignores other answers.

    Waits `REFUSAL_S` for the body at most. Raises `UpgradeRefused`.
    """
    if "Sec-WebSocket-Key" not in response.request_info.headers or response.status == 101:
        return
    body = b""
    try:
        async with asyncio.timeout(REFUSAL_S):
            while len(body) < BODY and (chunk := await response.content.readany()):
                body += chunk
    except (aiohttp.ClientError, OSError):  # the bytes so far are the reason; a TimeoutError is an OSError
        pass
    response.close()
    raise UpgradeRefused(refusal(response.status, body), retry_after(response.headers, time.time()))


async def connect(http: Http, url: str, *, timeout_s: float, max_bytes: int, headers: Mapping[str, str] | None = None) -> Socket:
    """Open a WebSocket on which a frame larger than `max_bytes` is an error. Raises `ConnectFailed`."""
    try:
        async with asyncio.timeout(timeout_s):
            socket: Socket = await http.ws_connect(
                url,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                headers=headers,
                max_msg_size=max_bytes,
                decode_text=False,
                autoping=False,  # a ping of the venue proves that it is alive, so we want to see it
                autoclose=False,
            )
            return socket
    except UpgradeRefused as exc:
        raise ConnectFailed(str(exc), exc.retry_after_s) from exc
    except aiohttp.WSServerHandshakeError as exc:
        raise ConnectFailed(f"HTTP {exc.status}", retry_after(exc.headers or {}, time.time())) from exc
    except TimeoutError as exc:
        raise ConnectFailed(f"no connection within {timeout_s:g} s") from exc
    except (aiohttp.ClientError, OSError, ValueError) as exc:
        raise ConnectFailed(line(str(exc).replace(url, public(url))) or type(exc).__name__) from exc


def arrived(socket: Socket) -> tuple[Messages, Read]:
    """Return the messages that have arrived and were not received yet, and a function that receives the next of them.

    The function is only for data: of a close, an end or an error, `receive` must know. Where aiohttp keeps the messages is private; a test
    fails when that changes. Then nothing seems to have arrived, and all messages go through `receive`.
    """
    queue = getattr(socket, "_reader", None)
    return getattr(queue, "_buffer", ()), getattr(queue, "read", socket.receive)


class Sender:
    """Sends the messages of one connection within its rate limit. `number` names the connection in the capture, `dated` writes the time of
    sending into a message (see `Endpoint.dated`).

    Sending has no timeout: a venue that does not read does not send either, and its silence ends the connection.
    """

    def __init__(
        self, socket: Socket, number: int, *, rate_limit: RateLimit, capture: Capture | None, dated: Callable[[bytes, int], bytes]
    ) -> None:
        self._socket = socket
        self._number = number
        self._dated = dated
        self._rate_limit = rate_limit
        self._capture = capture

    async def wait_turn(self) -> None:
        """Wait until the rate limit allows another message."""
        if (pause := self._rate_limit.reserve(time.monotonic())) > 0:
            await asyncio.sleep(pause)

    async def send(self, data: bytes) -> None:
        """Send a message after its `wait_turn`. Raises `ConnectionLost`."""
        data = self._dated(data, time.time_ns())
        if self._capture is not None:
            self._capture.frame_out(time.time_ns(), self._number, data)
        await self._sending(self._socket.send_frame(data, WSMsgType.TEXT))

    async def send_now(self, data: bytes) -> None:
        """Send a message that cannot wait for its turn; later messages wait longer. Raises `ConnectionLost`."""
        self._rate_limit.spend(time.monotonic())
        await self.send(data)

    async def ping(self) -> None:
        """Send a WebSocket ping. Venues count it among our messages. Raises `ConnectionLost`."""
        self._rate_limit.spend(time.monotonic())
        await self._sending(self._socket.ping())

    async def pong(self, data: bytes) -> None:
        """Answer a ping. Venues count it among our messages. Raises `ConnectionLost`."""
        self._rate_limit.spend(time.monotonic())
        await self._sending(self._socket.pong(data))

    async def _sending(self, sending: Awaitable[None]) -> None:
        try:
            await sending
        except (aiohttp.ClientError, OSError) as exc:
            raise ConnectionLost(f"sending failed: {exc}") from exc
