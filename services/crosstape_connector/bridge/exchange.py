"""Makes exchange objects of the library, and mends what would stop their streams without a word."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp

PING_S: Final = 20.0
"""The longest pause between two pings: some classes wait for half an hour, and would notice a dead connection after an hour."""
STREAMS: Final = ("ws://", "wss://")
REQUESTS: Final = ("http://", "https://")


class ExchangeRules:
    """How exchange objects of one class are made."""

    def __init__(
        self, library: Any, library_class: str, http: aiohttp.ClientSession, *, ws_url: str, rest_url: str, sandbox: bool, timeout_s: float
    ) -> None:
        """`ws_url`, `rest_url`: where to go instead of the exchange's own hosts, paths kept; empty: to those."""
        self.library_class = library_class
        self._class = getattr(library, library_class)
        self._http = http
        self._hosts = {**dict.fromkeys(STREAMS, ws_url), **dict.fromkeys(REQUESTS, rest_url)}
        self._sandbox = sandbox
        self._timeout_s = timeout_s
        self._trusted = ssl.create_default_context()  # to make one takes longer than all the rest of an exchange object

    def make(self) -> Any:
        """Return a new exchange object. It uses our HTTP client, with its proxies and checks."""
        exchange = self._class(
            {
                "session": self._http,
                "enableRateLimit": True,
                "newUpdates": True,
                "timeout": int(self._timeout_s * 1_000),
                "timeout_on_exit": 0,
            }
        )
        exchange.ssl_context = self._trusted
        exchange.number = str  # the texts of the exchange, where it sends texts; see `BridgeSocket` for books
        exchange.has = {**exchange.has, "fetchCurrencies": False}  # markets need none, and some exchanges want keys for the list
        if self._sandbox:
            exchange.set_sandbox_mode(True)
        exchange.urls = self._redirected(exchange.urls)
        return exchange

    def _redirected(self, urls: Any) -> Any:
        if isinstance(urls, dict):
            return {key: self._redirected(value) for key, value in urls.items()}
        if isinstance(urls, list):
            return [self._redirected(value) for value in urls]
        host = next((host for scheme, host in self._hosts.items() if isinstance(urls, str) and urls.startswith(scheme)), "")
        return at_host(urls, host) if host else urls


def at_host(url: str, host: str) -> str:
    """Return this URL at another host: its path and query stay."""
    theirs, ours = urlsplit(url), urlsplit(host)
    return urlunsplit((ours.scheme, ours.netloc, ours.path.rstrip("/") + theirs.path, theirs.query, ""))


class Guard:
    """Watches the connections of one exchange object.

    The library reads in a callback: an error there stops the reading, and the connection stays open and silent. The guard catches it.
    """

    def __init__(
        self,
        exchange: Any,
        *,
        on_open: Callable[[], None],
        on_lost: Callable[[str], None],
        on_bad: Callable[[Exception, str], None],
    ) -> None:
        """`on_open`: a connection is open. `on_lost`: one is closed, and why. `on_bad`: a frame could not be handled."""
        self.heard = 0.0
        """When anything came last, by the monotonic clock."""
        self._on_open = on_open
        self._on_lost = on_lost
        self._on_bad = on_bad
        self._make_client: Callable[[str], Any] = exchange.client
        exchange.client = self._client
        for hook, note in (("on_connected", self._opened), ("on_error", self._failed), ("on_close", self._closed)):
            setattr(exchange, hook, _both(getattr(exchange, hook), note))
        self._seen: dict[str, Any] = {}

    @property
    def connections(self) -> int:
        """How many connections the library has opened."""
        return len(self._seen)

    def _client(self, url: str) -> Any:
        client = self._make_client(url)
        known = self._seen.setdefault(url, client)
        if known is not client:
            self._on_lost("the library opened a second connection in place of a lost one")
            return client
        if getattr(client, "guarded", False):
            return client
        client.guarded = True
        client.keepAlive = min(client.keepAlive or PING_S * 1_000, PING_S * 1_000)
        handle = client.handle_message

        def guarded(message: Any) -> None:
            self.heard = time.monotonic()
            try:
                handle(message)
            except Exception as exc:  # a fault of the library's, or of the frame's, concerns that frame
                self._on_bad(exc, repr(getattr(message, "data", ""))[:500])

        client.handle_message = guarded
        return client

    def _opened(self, *_: Any) -> None:
        self.heard = time.monotonic()
        self._on_open()

    def _failed(self, _client: Any, error: object = "", *_: Any) -> None:
        self._on_lost(" ".join(str(error).split()) or type(error).__name__)

    def _closed(self, _client: Any, code: object = "", *_: Any) -> None:
        self._on_lost(f"closed by the venue: {code}")


def _both(first: Callable[..., Any], then: Callable[..., None]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        found = first(*arguments)
        then(*arguments)
        return found

    return call
