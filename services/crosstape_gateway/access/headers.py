"""Sets the headers that every answer has, streams and errors included."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from crosstape_gateway.access.failures import STARTED

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""Content-Security-Policy: a page may load and ask only what is from here, and nothing may frame it."""

HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "crosstape",
}

SHARED_WITH: Final = web.RequestKey("shared_with", dict[str, str])
"""Headers of CORS of the answer to a request."""


async def set_headers(request: web.Request, answer: web.StreamResponse) -> None:
    """A signal of aiohttp, sent before an answer begins."""
    request[STARTED] = answer
    for name, value in HEADERS.items():
        if name not in answer.headers or name == "Server":  # the dashboard's own policy has one style more
            answer.headers[name] = value
    if (shared := request.get(SHARED_WITH)) is not None:
        vary = [before for before in (answer.headers.get("Vary"),) if before]
        answer.headers.update(shared)
        answer.headers["Vary"] = ", ".join([*vary, "Origin"])
