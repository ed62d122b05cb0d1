"""Signs browsers in and out: the token goes once into the body of a request, and never into an address or into the page's storage."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec
from aiohttp import hdrs, web

from crosstape_gateway.access import sessions
from crosstape_gateway.access.access import ACCESS
from crosstape_gateway.access.tokens import LONGEST
from crosstape_gateway.errors import RequestError

BODY_S: Final = 10.0
"""How long the body of a request may take."""
LARGEST_BODY: Final = 4 * LONGEST


class SignIn(msgspec.Struct, frozen=True):
    """The body of `POST /api/session`."""

    token: str

    def __repr__(self) -> str:
        return "SignIn(***)"


class Session(msgspec.Struct, frozen=True):
    """Who reads."""

    tokens: bool
    """Whether this gateway asks for a token."""
    name: str | None = None
    """The name beside the token; null: nobody is signed in."""
    expires_ts: int | None = None
    """When a session that was just begun ends, ns."""


_decode: Final = msgspec.json.Decoder(SignIn).decode


async def show(request: web.Request) -> web.Response:
    """Whether a token is needed, and who reads."""
    access = request.app[ACCESS]
    if access.tokens is None:
        return _answer(Session(tokens=False))
    try:
        return _answer(Session(tokens=True, name=access.reader(request).name))
    except RequestError:
        return _answer(Session(tokens=True))


async def begin(request: web.Request) -> web.Response:
    """Begins a session: its cookie has the name beside the token, the end, and a signature."""
    access = request.app[ACCESS]
    if access.tokens is None:
        raise RequestError(404, "no_tokens", "this gateway has no tokens: there is nothing to sign in to")
    if (request.content_length or 0) > LARGEST_BODY:
        raise RequestError(413, "too_large", f"the body has more than {LARGEST_BODY} bytes")
    try:
        async with asyncio.timeout(BODY_S):
            token = _decode(await request.read()).token.strip()
    except TimeoutError:
        raise RequestError(408, "too_slow", f"the body did not come within {BODY_S:g} s") from None
    except (web.RequestPayloadError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise RequestError(400, "bad_body", 'expected a JSON object: {"token": "…"}') from None
    if (reader := access.tokens.holder(token)) is None:
        raise RequestError(401, "wrong_token", "this gateway does not know this token")
    expires_s = int(time.time()) + sessions.LIFETIME_S
    answer = _answer(Session(tokens=True, name=reader.name, expires_ts=expires_s * 1_000_000_000))
    # The proxy that has the certificate is unknown to us; the browser says by which scheme the page came.
    secure = request.secure or request.headers.get(hdrs.ORIGIN, "").startswith("https://")
    cookie = sessions.cookie_of(reader, expires_s)
    answer.set_cookie(sessions.COOKIE, cookie, max_age=sessions.LIFETIME_S, httponly=True, samesite="Strict", secure=secure, path="/")
    return answer


async def end(request: web.Request) -> web.Response:
    """Ends the session of this browser."""
    answer = web.Response(status=204, headers={"Cache-Control": "no-store"})
    answer.del_cookie(sessions.COOKIE, path="/", httponly=True, samesite="Strict")
    return answer


def _answer(session: Session) -> web.Response:
    return web.Response(body=msgspec.json.encode(session), content_type="application/json", headers={"Cache-Control": "no-store"})


routes: Final[list[web.RouteDef]] = [
    web.get("/api/session", show),
    web.post("/api/session", begin),
    web.delete("/api/session", end),
]
