"""Prepares the connection of a streaming client."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from aiohttp import web

UNSENT_BYTES: Final = 128 * 1024
"""What the kernel keeps of a connection beside what is under way. Without a limit it takes megabytes for a client that does not read, and
this client would get all of it, outdated, when it reads again."""

UNACKNOWLEDGED_S: Final = 60
"""After this time without an acknowledgement the kernel ends a connection: the client has vanished. Heartbeats are what it does not
acknowledge."""


def transport_of(request: web.Request) -> asyncio.Transport:
    """Returns the transport of a request. Raises `ConnectionResetError` if the client has left already."""
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client has left")
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_S * 1000)
    return transport
