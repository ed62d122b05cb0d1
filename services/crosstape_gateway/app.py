"""Gathers the routes of the gateway, and what each request passes before it is handled."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from crosstape_gateway import openapi, page, rest, streams
from crosstape_gateway.access import session_routes
from crosstape_gateway.access.access import ACCESS, Access, watching
from crosstape_gateway.access.failures import failures_as_json
from crosstape_gateway.access.headers import set_headers
from crosstape_gateway.access.passage import checked
from crosstape_gateway.access.server_log import hide_contents
from crosstape_gateway.parts import PARTS, Parts
from crosstape_gateway.rest.bus import LARGE, LARGE_READS
from crosstape_gateway.rest.closed_bars import CLOSED_BARS, ClosedBars, keeping
from crosstape_gateway.rest.recorded import PLACES, READS, TAPES

LARGEST_BODY: Final = 64 * 1024
"""Bytes that a request may send."""


def make_app(parts: Parts) -> web.Application:
    """Returns the application that serves `parts`. Raises `SettingsError` if its settings would open it to others by mistake."""
    app = web.Application(middlewares=[failures_as_json, checked], client_max_size=LARGEST_BODY)
    app[PARTS] = parts
    app[ACCESS] = access = Access(parts.settings)
    app[LARGE] = asyncio.Semaphore(LARGE_READS)
    app[PLACES] = asyncio.Semaphore(READS)
    app[TAPES] = set()
    app.add_routes([*rest.routes, *session_routes.routes, *streams.routes, *openapi.routes])
    for route in app.add_routes(page.routes):
        if route.resource is not None:
            access.open_paths.add(route.resource.canonical)
    app[CLOSED_BARS] = ClosedBars(parts)
    app.on_response_prepare.append(set_headers)
    app.cleanup_ctx.extend((watching, keeping))
    hide_contents()
    return app
