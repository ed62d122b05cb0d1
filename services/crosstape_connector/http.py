"""The seam between the connector and the way in which a venue is reached: our own HTTP client, or the bridge to a library."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol


class Http(Protocol):
    """Reaches a venue. An `aiohttp.ClientSession` does, and a `bridge.client.BridgeClient`; both have aiohttp's words and errors."""

    async def ws_connect(self, *args: Any, **kwargs: Any) -> Any:
        """Open a WebSocket: what it gives has `receive`, `send_frame`, `pong` and `close`."""
        ...

    def request(self, *args: Any, **kwargs: Any) -> AbstractAsyncContextManager[Any]:
        """Make a request: what it gives has `status`, `headers`, and `content.iter_any()`."""
        ...
