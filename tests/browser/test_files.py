"""How the files of the page are served: types, caching, the policy; no browser is needed."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import aiohttp
import pytest

from crosstape_gateway.page import files
from tests.browser.rig import Gateway

VENDOR = Path(files.__file__).parent / "vendor"
STATIC = Path(files.__file__).parent / "static"
LIBRARY = "lightweight-charts.standalone.production.js"


@pytest.mark.asyncio(loop_scope="session")
async def test_files_are_served_with_type_tag_and_policy(gateway: Gateway) -> None:
    """A browser asks again and gets 304 while nothing changed; a file that there is not is 404, also one beside the folders."""
    async with aiohttp.ClientSession(gateway.url) as http:
        for path, kind in (
            ("/", "text/html"),
            ("/page/main.js", "text/javascript"),
            ("/page/style/theme.css", "text/css"),
            ("/page/icon.svg", "image/svg+xml"),
            (f"/page/vendor/{LIBRARY}", "text/javascript"),
            ("/page/vendor/LICENSE", "text/plain"),
            ("/page/vendor/NOTICE", "text/plain"),
        ):
            for encoding in ("gzip", "identity"):
                async with http.get(path, headers={"Accept-Encoding": encoding}) as answer:
                    assert answer.status == 200, path
                    assert answer.content_type == kind
                    assert answer.headers["Cache-Control"] == "no-cache"
                    assert answer.headers["Content-Security-Policy"] == files.POLICY
                    assert answer.headers["X-Content-Type-Options"] == "nosniff"
                    name = "index.html" if path == "/" else path.removeprefix("/page/")
                    assert await answer.read() == files.files()[name].body
                    tag = answer.headers["ETag"]
                async with http.get(path, headers={"Accept-Encoding": encoding, "If-None-Match": f'"other", {tag}'}) as answer:
                    assert (answer.status, await answer.read(), answer.headers["ETag"]) == (304, b"", tag)
            async with http.head(path) as answer:
                assert answer.status == 200
        for path in ("/page/", "/page/none.js", "/page/files.py", "/page/../files.py", "/page/%2e%2e/files.py", "/page/vendor/../files.py"):
            async with http.get(path) as answer:
                assert answer.status == 404, path


def test_the_library_is_the_one_that_is_named() -> None:
    """Version and hash stand in the README; the hash of its only style element is in the policy."""
    body = (VENDOR / LIBRARY).read_bytes()
    readme = (VENDOR / "README.md").read_text()
    assert hashlib.sha256(body).hexdigest() in readme
    assert re.search(rb"Lightweight Charts\S+ v([0-9.]+)", body).group(1).decode() in readme  # type: ignore[union-attr]
    (style,) = re.findall(r'\.innerText="([^"]*)"', body.decode())
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"sha256-{digest}" == files.LOGO_STYLE
    assert body.count(b'createElement("style")') == 1


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    """The document has no script or style in it, and no file of ours names another host, but for links that a reader may follow."""
    document = (STATIC / "index.html").read_text()
    assert not re.search(r"<style|style=|<script(?![^>]*src=)|\son[a-z]+=|javascript:", document)
    allowed = ("https://www.tradingview.com/", "http://www.w3.org/2000/svg")
    for path in STATIC.rglob("*"):
        if path.is_file():
            found = [url for url in re.findall(r"(?:https?|wss?)://[^\s\"'<>)]+", path.read_text()) if url not in allowed]
            assert not found, path


def test_the_notice_and_the_link_that_the_licence_asks_for_are_shown() -> None:
    """The page has TradingView's notice and a link to its site."""
    document = (STATIC / "index.html").read_text()
    assert "TradingView Lightweight Charts" in document
    assert 'href="https://www.tradingview.com/"' in document
    assert "2023 TradingView, Inc." in (VENDOR / "NOTICE").read_text()


def test_every_module_that_is_imported_is_served() -> None:
    """No import leads to a file that there is not, and every module is used."""
    found = set()
    for path in STATIC.rglob("*.js"):
        for name in re.findall(r'^import .*? from "(\./|\.\./)([^"]+)";$', path.read_text(), re.MULTILINE):
            target = (path.parent / "".join(name)).resolve()
            assert target.is_file(), f"{path.name} imports {name}"
            found.add(target)
    assert {path.resolve() for path in STATIC.rglob("*.js")} - found == {(STATIC / "main.js").resolve()}
