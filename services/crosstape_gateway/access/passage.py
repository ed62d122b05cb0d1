"""What each request passes: whether it may, then CORS's questions, then its handler."""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web

from crosstape_gateway.access.access import ACCESS, STREAMS
from crosstape_gateway.access.failures import Handler, path_of
from crosstape_gateway.access.headers import SHARED_WITH
from crosstape_gateway.metrics import REQUEST_SECONDS

PREFLIGHT_S: Final = 600
"""How long a browser may keep the answer to a preflight."""


@web.middleware
async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Serves a request that may be served. Raises `RequestError` for others."""
    access = request.app[ACCESS]
    if request.method == hdrs.METH_OPTIONS:
        access.check_stranger(request)
        return _options(request)
    reader = access.check(request)
    if (path := path_of(request)) not in STREAMS:
        with REQUEST_SECONDS.labels(path).time():
            return await handler(request)
    with access.streaming(request, reader):
        return await handler(request)


def _options(request: web.Request) -> web.Response:
    """Answers which methods a path has; to a preflight of an origin that may read, also that it may send a token."""
    problem = request.match_info.http_exception
    if problem is not None and not isinstance(problem, web.HTTPMethodNotAllowed):
        raise problem
    methods = sorted({*(problem.allowed_methods if problem is not None else ()), hdrs.METH_OPTIONS})
    headers = {"Allow": ", ".join(methods)}
    if SHARED_WITH in request and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
        headers |= {
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: ", ".join(methods),
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "Authorization, Content-Type, Last-Event-ID",
            hdrs.ACCESS_CONTROL_MAX_AGE: str(PREFLIGHT_S),
        }
        if request.headers.get("Access-Control-Request-Private-Network") == "true":
            headers["Access-Control-Allow-Private-Network"] = "true"
    return web.Response(status=204, headers=headers)
