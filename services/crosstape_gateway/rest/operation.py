"""Answers for those who run the gateway: health and metrics."""

from __future__ import annotations

from aiohttp import web

from crosstape.runtime.telemetry import metrics_answer
from crosstape.version import __version__
from crosstape_gateway.parts import PARTS
from crosstape_gateway.rest.answers import object_answer


async def healthz(_request: web.Request) -> web.Response:
    """200 while the process runs."""
    return object_answer({"status": "ok", "version": __version__})


async def readyz(request: web.Request) -> web.Response:
    """200 while the bus answers, else 503."""
    away_since_ts = request.app[PARTS].hub.away_since_ts
    ready = away_since_ts is None
    return object_answer({"ready": ready, "bus": ready, "away_since_ts": away_since_ts}, status=200 if ready else 503)


async def metrics(request: web.Request) -> web.Response:
    """The metrics of this process, in Prometheus's format."""
    answer = metrics_answer(request)
    answer.headers["Cache-Control"] = "no-store"
    return answer
