"""Gathers the routes of the gateway, and what each request passes before it is handled."""

from __future__ import annotations

import asyncio

from aiohttp import web

from crosstape_gateway import page, rest, streams
from crosstape_gateway.access.failures import failures_as_json
from crosstape_gateway.parts import PARTS, Parts
from crosstape_gateway.rest.bus import LARGE, LARGE_READS


def make_app(parts: Parts) -> web.Application:
    """Returns the application that serves `parts`."""
    app = web.Application(middlewares=[failures_as_json])
    app[PARTS] = parts
    app[LARGE] = asyncio.Semaphore(LARGE_READS)
    app.add_routes([*page.routes, *rest.routes, *streams.routes])
    return app
