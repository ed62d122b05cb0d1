"""What each request passes: whether it may, then CORS's questions, then its handler."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import hdrs, web

from crosstape_gateway.access.access import ACCESS, STREAMS
from crosstape_gateway.access.failures import Handler, path_of
from crosstape_gateway.access.headers import SHARED_WITH
from crosstape_gateway.metrics import REQUEST_SECONDS

COMPRESSED_BYTES: Final = 8_192
"""Smallest answer that is compressed, if the client can read that. 130 kB of trades take half a millisecond."""
PREFLIGHT_S: Final = 600
"""How long a browser may keep the answer to a preflight."""

_GZIP: Final = re.compile(r"(^|[\s,])(gzip|\*)\s*($|,|;\s*q\s*=\s*(1|0\.0*[1-9]))", re.IGNORECASE)


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
            return compressed(request, await handler(request))
    with access.streaming(request, reader):
        return await handler(request)


def compressed(request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    """Returns the answer, to be compressed if it is large. With gzip: aiohttp would choose deflate, of which there are two forms."""
    body = answer.body if isinstance(answer, web.Response) else None
    if isinstance(body, bytes) and len(body) >= COMPRESSED_BYTES and hdrs.CONTENT_ENCODING not in answer.headers:
        answer.headers[hdrs.VARY] = "Accept-Encoding"
        if _GZIP.search(request.headers.get(hdrs.ACCEPT_ENCODING, "")):
            answer.enable_compression(web.ContentCoding.gzip)
    return answer


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
