"""Gathers the routes of the gateway, and what each request passes before it is handled."""

from __future__ import annotations

from aiohttp import web

from crosstape_gateway import streams
from crosstape_gateway.parts import PARTS, Parts


def make_app(parts: Parts) -> web.Application:
    """Returns the application that serves `parts`."""
    app = web.Application()
    app[PARTS] = parts
    app.add_routes(streams.routes)
    return app
