"""Serves the files of the dashboard from the package: `/` is its document, `/page/…` the rest. All are read once, at the first request.

A browser asks again each time it loads the page (`no-cache`) and gets 304 while nothing has changed: after an update of crosstape no
browser runs old modules beside new ones. The files hold no data, so they need no token.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

_HERE: Final = Path(__file__).parent

TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".svg": "image/svg+xml",
    "": "text/plain; charset=utf-8",
}
"""Content types by a file's suffix. A file with another suffix is not served."""

LOGO_STYLE: Final = "sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY="
"""Hash of the one `<style>` element on the page: the chart library makes it, for the logo that its licence asks for."""

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' '{LOGO_STYLE}'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""The page's Content-Security-Policy: nothing inline, nothing from elsewhere."""


class File(msgspec.Struct, frozen=True):
    """One file of the page, as it is sent."""

    body: bytes
    packed: bytes
    """The same, gzipped."""
    content_type: str
    tag: str
    """Hash of the body, the core of its ETags."""


@cache
def files() -> dict[str, File]:
    """Returns all files by their path: below `/page/` those of `static`, and `vendor/…`. The document is `index.html`."""
    found = {}
    for folder, prefix in ((_HERE / "static", ""), (_HERE / "vendor", "vendor/")):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix in TYPES:
                body = path.read_bytes()
                tag = hashlib.sha256(body).hexdigest()[:32]
                found[prefix + path.relative_to(folder).as_posix()] = File(body, gzip.compress(body, mtime=0), TYPES[path.suffix], tag)
    return found


async def _document(request: web.Request) -> web.Response:
    return _answer(request, files()["index.html"])


async def _file(request: web.Request) -> web.Response:
    file = files().get(request.match_info["path"])
    if file is None:
        return web.Response(status=404, text="The page has no such file.\n")
    return _answer(request, file)


def _answer(request: web.Request, file: File) -> web.Response:
    packs = "gzip" in request.headers.get("Accept-Encoding", "")
    tag = f"{file.tag}-gzip" if packs else file.tag
    headers = {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": POLICY,
        "ETag": f'"{tag}"',
        "Vary": "Accept-Encoding",
    }
    if any(one.value in (tag, "*") for one in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = file.content_type
    if packs:
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=file.packed if packs else file.body, headers=headers)


routes: Final = [web.get("/", _document), web.get("/page/{path:.+}", _file)]
"""The page's routes, each also for HEAD."""
