"""A WebSocket as we open it, what we say on it, and how its silence is measured. What is heard on it is the session's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Final, Literal, TypeAlias

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType

from crosstape_connector.capture.writer import Capture
from crosstape_connector.errors import ConnectFailed, ConnectionLost
from crosstape_connector.rate_limit import RateLimit, retry_after
from crosstape_connector.venues.parsing.refusals import BODY, line, public, refusal

CLOSE_S: Final = 2.0
REFUSAL_S: Final = 2.0
"""How long the reason of a refused handshake is waited for, once its status is there."""

Socket: TypeAlias = ClientWebSocketResponse[Literal[False]]
"""One whose text frames come as bytes."""


class UpgradeRefused(aiohttp.ClientError):
    """A handshake that the venue answered otherwise than by opening a WebSocket, with its reason."""

    def __init__(self, message: str, retry_after_s: float | None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


async def read_refusal(response: aiohttp.ClientResponse) -> None:
    """For `raise_for_status` of an HTTP session: reads why a handshake was refused, which aiohttp leaves unread. Others are not judged.

    Raises `UpgradeRefused`. A body that does not come is not waited for beyond `REFUSAL_S`.
    """
    if "Sec-WebSocket-Key" not in response.request_info.headers or response.status == 101:
        return
    body = b""
    try:
        async with asyncio.timeout(REFUSAL_S):
            while len(body) < BODY and (chunk := await response.content.readany()):
                body += chunk
    except (aiohttp.ClientError, OSError):  # what has come is all there is; a TimeoutError is an OSError
        pass
    response.close()
    raise UpgradeRefused(refusal(response.status, body), retry_after(response.headers, time.time()))


async def connect(http: aiohttp.ClientSession, url: str, *, timeout_s: float, max_bytes: int) -> Socket:
    """Open one; a frame larger than `max_bytes` will be an error. Raises `ConnectFailed`."""
    try:
        async with asyncio.timeout(timeout_s):
            return await http.ws_connect(
                url,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                max_msg_size=max_bytes,
                decode_text=False,
                autoping=False,  # a ping of the venue's proves that it lives, so we want to see it
                autoclose=False,
            )
    except UpgradeRefused as exc:
        raise ConnectFailed(str(exc), exc.retry_after_s) from exc
    except aiohttp.WSServerHandshakeError as exc:
        raise ConnectFailed(f"HTTP {exc.status}", retry_after(exc.headers or {}, time.time())) from exc
    except TimeoutError as exc:
        raise ConnectFailed(f"no connection within {timeout_s:g} s") from exc
    except (aiohttp.ClientError, OSError, ValueError) as exc:
        raise ConnectFailed(line(str(exc).replace(url, public(url))) or type(exc).__name__) from exc


class Sender:
    """What one connection says, within its endpoint's limit. `number` names it in the capture.

    Sending has no timeout: a venue that does not read is found out when it does not speak either.
    """

    def __init__(self, socket: Socket, number: int, *, rate_limit: RateLimit, capture: Capture | None) -> None:
        self._socket = socket
        self._number = number
        self._rate_limit = rate_limit
        self._capture = capture

    async def turn(self) -> None:
        """Wait until there may be another message."""
        if (pause := self._rate_limit.reserve(time.monotonic())) > 0:
            await asyncio.sleep(pause)

    async def send(self, data: bytes) -> None:
        """The message that had its turn. Raises `ConnectionLost`."""
        if self._capture is not None:
            self._capture.frame_out(time.time_ns(), self._number, data)
        await self._sending(self._socket.send_frame(data, WSMsgType.TEXT))

    async def send_now(self, data: bytes) -> None:
        """What cannot wait for its turn; others wait longer. Raises `ConnectionLost`."""
        self._rate_limit.spend(time.monotonic())
        await self.send(data)

    async def pong(self, data: bytes) -> None:
        """Answer a ping: venues count it among our messages. Raises `ConnectionLost`."""
        self._rate_limit.spend(time.monotonic())
        await self._sending(self._socket.pong(data))

    async def _sending(self, sending: Awaitable[None]) -> None:
        try:
            await sending
        except (aiohttp.ClientError, OSError) as exc:
            raise ConnectionLost(f"sending failed: {exc}") from exc


class Silence:
    """How long nothing was heard, looked at about every `poll_s`.

    Not the clock alone: a process that was stopped for a minute finds its frames waiting, and must read them first.
    """

    def __init__(self, poll_s: float, now: float, heard_ts: int) -> None:
        self._poll_s = poll_s
        self._before = now
        self._heard_ts = heard_ts
        self._silent_s = 0.0

    def look(self, now: float, heard_ts: int, *, reading: bool) -> float:
        """Seconds so far. `heard_ts`: of the newest frame; `reading`: it is not us who do not read."""
        is_silent = heard_ts == self._heard_ts and reading
        self._silent_s = self._silent_s + min(now - self._before, 2 * self._poll_s) if is_silent else 0.0
        self._before, self._heard_ts = now, heard_ts
        return self._silent_s
