"""Turns what a request fails by into an answer: `{"error": {"code", "message"}}`. What nobody expected is logged, without its text."""

from __future__ import annotations

import math
import traceback
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog
from aiohttp import web

from crosstape_gateway import metrics
from crosstape_gateway.errors import RequestError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STARTED: Final = web.RequestKey("started", web.StreamResponse)
"""The answer that has begun, on its request."""

_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}

log = structlog.get_logger(__name__)


@web.middleware
async def failures_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Returns the handler's answer, or one that says why there is none."""
    try:
        return await handler(request)
    except RequestError as exc:
        return started(request) or failure(exc)
    except web.HTTPException as exc:
        return started(request) or _http_failure(request, exc)
    except Exception as exc:
        if isinstance(exc, ConnectionError) and (request.transport is None or request.transport.is_closing()):
            return started(request) or web.Response(status=499)  # the client left: nobody reads this
        where = traceback.extract_tb(exc.__traceback__)[-1]
        # Not the error's own text, which may repeat what the request said.
        log.error("gateway.request_failed", path=path_of(request), error=type(exc).__name__, where=f"{where.filename}:{where.lineno}")
        return started(request) or failure(RequestError(500, "internal_error", "the gateway failed; its log says where"))


def failure(exc: RequestError) -> web.Response:
    """Returns the answer of an error, and counts it."""
    metrics.REFUSED.labels(exc.code).inc()
    body = msgspec.json.encode({"error": {"code": exc.code, "message": str(exc)}})
    headers = {"Cache-Control": "no-store"}
    if exc.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="crosstape"'
    if exc.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(exc.retry_after_s)))
    return web.Response(body=body, status=exc.status, content_type="application/json", headers=headers)


def path_of(request: web.Request) -> str:
    """Returns the path of a request as its route writes it; empty if there is no such route. What the client wrote is not in it."""
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical


def started(request: web.Request) -> web.StreamResponse | None:
    """Returns the answer of a request if it has begun already, and cuts the connection: a second one cannot follow."""
    answer: web.StreamResponse | None = request.get(STARTED)
    if answer is None:
        return None
    if request.transport is not None:
        request.transport.abort()
    return answer


def _http_failure(request: web.Request, exc: web.HTTPException) -> web.Response:
    text = {
        400: "this path speaks WebSocket, and the request is no handshake of it" if path_of(request) == "/ws" else exc.reason,
        404: "there is no such path; see /api/openapi.json",
        405: f"{request.method} is not allowed here",
        413: "the body of the request is too large",
    }.get(exc.status, exc.reason)
    answer = failure(RequestError(exc.status, _CODES.get(exc.status, "bad_request"), text))
    if "Allow" in exc.headers:
        answer.headers["Allow"] = exc.headers["Allow"]
    return answer
