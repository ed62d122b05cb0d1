"""The bridge with the face of an HTTP client: opens connections, and answers the requests of a venue's table."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from crosstape.settings import VenueSettings
from crosstape_connector.bridge import library, writing
from crosstape_connector.bridge.exchange import ExchangeRules
from crosstape_connector.bridge.failures import PAUSES_S, meaning, ours, reason
from crosstape_connector.bridge.parking import Parking
from crosstape_connector.bridge.socket import BridgeSocket
from crosstape_connector.connection.websocket import UpgradeRefused
from crosstape_connector.venues.ccxt import MARKETS
from crosstape_connector.venues.spec import Venue

APART_S: Final = 0.5
"""The least time between the end of a connection and the next: sooner, exchanges and the library keep both."""


class BridgeFailed(aiohttp.ClientError):
    """The library could not answer a request."""


class Content(NamedTuple):
    """The body of an answer."""

    body: bytes

    async def iter_any(self) -> AsyncIterator[bytes]:
        """Yield the body."""
        yield self.body


class Answer(NamedTuple):
    """An answer, as aiohttp gives one."""

    content: Content
    status: int = 200
    headers: Mapping[str, str] = {}


@asynccontextmanager
async def opened(
    venue: Venue, own: VenueSettings, http: aiohttp.ClientSession, ws_urls: Mapping[str, str], rest_urls: Mapping[str, str]
) -> AsyncIterator[BridgeClient]:
    """Give the client that reaches this venue through the library. Raises `SettingsError` if the library is not installed.

    `ws_urls`, `rest_urls`: where the endpoints are, by the settings. One that is not the table's takes the place of all hosts of the class.
    """
    tables = {endpoint.name: endpoint.url for endpoint in venue.endpoints}
    ws_url = next((url for name, url in ws_urls.items() if url != tables[name]), "")
    rest_url = next((url for name, url in rest_urls.items() if url != venue.rest_urls[name]), "")
    rules = ExchangeRules(
        library.load(venue.id), venue.library_class, http,
        ws_url=ws_url, rest_url=rest_url, sandbox=bool(own.environment), timeout_s=own.rest_timeout_s,
    )  # fmt: skip
    client = BridgeClient(rules)
    try:
        yield client
    finally:
        await client.close()


class BridgeClient:
    """Reaches one exchange. It keeps one exchange object for requests, whose markets those of the connections share."""

    def __init__(self, rules: ExchangeRules) -> None:
        self._rules = rules
        self._requests: Any = rules.make()
        self._parking = Parking()
        self._not_before = 0.0
        """By the monotonic clock: no connection is opened sooner …"""
        self._held_until = 0.0
        """… nor before this, because the exchange is busy or closed; nor is a request made."""
        self._why_held = ""
        self._loading = asyncio.Lock()

    async def ws_connect(self, url: str, **_options: Any) -> BridgeSocket:
        """Open a connection. Raises an error of aiohttp's. The library connects with the first stream."""
        if held_s := self._held_s():
            raise UpgradeRefused(self._why_held, held_s)
        while (pause := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(pause)
        await self._load(again=False)
        exchange = self._rules.make()
        try:
            exchange.set_markets_from_exchange(self._requests)
        except Exception as exc:  # a fault of the library's must not end the service
            await exchange.close()
            raise BridgeFailed(f"the library cannot share its markets: {type(exc).__name__}: {reason(exc)}") from exc
        return BridgeSocket(exchange, self._rules.library_class, self._parking, on_end=self._ended)

    @asynccontextmanager
    async def request(self, _method: str, url: str, **_options: Any) -> AsyncIterator[Answer]:
        """Make a request of the venue's table. Raises `BridgeFailed`."""
        if not urlsplit(url).path.endswith(MARKETS):
            raise BridgeFailed(f"the bridge has no {urlsplit(url).path}")
        if self._held_s():
            raise BridgeFailed(self._why_held)
        await self._load(again=True)
        try:
            body = writing.markets(self._requests.markets)
        except (TypeError, ValueError, AttributeError) as exc:  # a market of another shape must not end the service
            raise BridgeFailed(f"the library's markets cannot be written: {type(exc).__name__}: {reason(exc)}") from exc
        yield Answer(Content(body))

    async def close(self) -> None:
        """Close what requests need."""
        await self._requests.close()

    async def _load(self, *, again: bool) -> None:
        async with self._loading:
            if self._requests.markets and not again:
                return
            try:
                await self._requests.load_markets(again)
            except asyncio.CancelledError:
                raise
            except Exception as exc:
                if (found := ours(exc)) is not None:
                    raise found from exc
                self._hold(exc)
                raise BridgeFailed(reason(exc)) from exc

    def _ended(self, error: BaseException | None) -> None:
        self._not_before = time.monotonic() + APART_S
        if error is not None:
            self._hold(error)

    def _hold(self, error: BaseException) -> None:
        """Leave the exchange alone for a while, if this error asks for it."""
        if pause_s := PAUSES_S.get(meaning(error)):
            self._held_until, self._why_held = time.monotonic() + pause_s, reason(error)

    def _held_s(self) -> float:
        return max(0.0, self._held_until - time.monotonic())
