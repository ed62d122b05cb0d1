"""Keeps the embedded server of a run alive."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from crosstape.runtime.embedded_server import EmbeddedServer

START_S: Final = 120.0
"""Longest wait for the embedded server to start: it first reads its data from disk."""

WATCH_S: Final = 0.25
"""Seconds between two checks whether the embedded server still runs."""

log = structlog.get_logger(__name__)


async def keep_running(server: EmbeddedServer) -> None:
    """Start the embedded server again whenever it dies, until cancelled. It reads its data from its file; meanwhile the services wait.

    Raises `BusError` or `StorageError` if it cannot be started again.
    """
    while True:
        await asyncio.sleep(WATCH_S)
        if not server.running:
            log.error("server.died", log=str(server.log_path))
            await server.restart(START_S)
            log.warning("server.restarted", url=server.url)
