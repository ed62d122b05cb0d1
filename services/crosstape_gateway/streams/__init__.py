"""Server-Sent Events and WebSocket: how a client gets what the hub has for it."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from crosstape_gateway.streams.sse import candles, stream
from crosstape_gateway.streams.websocket import websocket

routes: Final[list[web.RouteDef]] = [
    web.get("/api/stream", stream, allow_head=False),
    web.get("/api/candles/stream", candles, allow_head=False),
    web.get("/ws", websocket, allow_head=False),
]
