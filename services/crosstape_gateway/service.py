"""Runs the gateway as a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
from aiohttp import web

from crosstape.bus import connect
from crosstape.errors import HistoryError
from crosstape.history.store import Store
from crosstape.runtime.telemetry import listen, serve
from crosstape.settings import GatewaySettings, Settings
from crosstape.tape.recorded import recorded_store
from crosstape_gateway import metrics
from crosstape_gateway.access import check_access
from crosstape_gateway.access.access import ACCESS
from crosstape_gateway.access.connections import KEEP_S
from crosstape_gateway.app import make_app
from crosstape_gateway.hub.catalogue import Catalogue
from crosstape_gateway.hub.hub import Hub
from crosstape_gateway.parts import Parts
from crosstape_schemas import Keys

SHUTDOWN_S = 1.0
"""How long a connection may take to end when the gateway stops."""

log = structlog.get_logger(__name__)


async def run(settings: Settings) -> None:
    """Run until cancelled. The bus need not be up yet. Raises `SettingsError` if it cannot listen or must not without tokens."""
    check_access(settings.gateway)
    metrics.LIMIT.set(settings.gateway.clients)
    keys = Keys(settings.bus.prefix, settings.bus.partitions)
    async with recorded(settings) as store, connect(settings.bus) as client:
        catalogue = Catalogue(client, keys)
        hub = Hub(client, keys, settings.gateway, catalogue)

        def ready() -> tuple[bool, dict[str, Any]]:
            return hub.away_since_ts is None, {"bus": hub.away_since_ts is None}

        app = make_app(Parts(settings.gateway, client, keys, catalogue, hub, store))
        app.on_shutdown.append(hub.stop)
        async with serve(settings.telemetry, ready), asyncio.TaskGroup() as tasks:
            tasks.create_task(catalogue.run(), name="gateway.catalogue")
            tasks.create_task(hub.run(), name="gateway.hub")
            await catalogue.next_look()  # so that the first clients are not told that the bus is away while it is not known
            async with listening(app, settings.gateway):
                await asyncio.Event().wait()  # until cancelled: the streams end before the tasks do


@asynccontextmanager
async def recorded(settings: Settings) -> AsyncIterator[Store | None]:
    """Yields the store of the recorded history, if the settings name one and it can be opened: without it, answers end with the streams."""
    async with AsyncExitStack() as stack:
        store = None
        try:
            store = await stack.enter_async_context(recorded_store(settings))
        except HistoryError as exc:
            log.warning("gateway.no_history", reason=str(exc), effect="answers go back as far as the streams do")
        yield store


@asynccontextmanager
async def listening(app: web.Application, settings: GatewaySettings) -> AsyncIterator[str]:
    """Serve the application for the length of the block. Yields its URL, which is also logged."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_S, keepalive_timeout=KEEP_S)
    await runner.setup()
    app[ACCESS].connections.server = runner.server
    try:
        where = f"gateway.host = {settings.host}, gateway.port = {settings.port}"
        url = await listen(runner, settings.host, settings.port, where)
        log.info("gateway.listening", url=url)
        yield url
    finally:
        await runner.cleanup()
