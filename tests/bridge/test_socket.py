"""The bridge's connection and its client, with an exchange object that stands for the library's."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import WSMsgType

from crosstape_connector.bridge.client import APART_S, BridgeClient, BridgeFailed
from crosstape_connector.bridge.parking import PARKED_S, Parking
from crosstape_connector.bridge.socket import UNIT, BridgeSocket
from crosstape_connector.connection.websocket import UpgradeRefused
from tests.waiting import wait_until

SPOT, PERPETUAL = "BTC/USD", "BTC/USD:USD"


class RateLimitExceeded(Exception):
    """Stands for the library's."""


class FakeExchange:
    """Every stream is quiet."""

    def __init__(self, error: Exception | None = None) -> None:
        """`error`: what the list of markets fails with; None: it is there."""
        self.markets: Any = {SPOT: {"symbol": SPOT}, PERPETUAL: {"symbol": PERPETUAL, "contract": True, "contractSize": "0.01"}}
        self.loads = self.closes = 0
        self._error = error

    def __getattr__(self, name: str) -> Any:
        if not name.startswith(("watch_", "un_watch_")):
            raise AttributeError(name)
        return lambda *_: asyncio.Event().wait()

    def client(self, url: str) -> Any:
        """Have no connection."""
        raise AssertionError(url)

    def on_connected(self, *_: Any) -> None:
        """Do nothing."""

    on_error = on_close = on_connected

    def set_markets_from_exchange(self, other: FakeExchange) -> None:
        """Take the markets of another."""
        self.markets = other.markets

    async def load_markets(self, _again: bool) -> None:
        """Fail, or have the markets."""
        self.loads += 1
        if self._error is not None:
            raise self._error

    async def close(self) -> None:
        """Do nothing."""
        self.closes += 1


class FakeRules:
    """Makes exchange objects that are all alike."""

    library_class = "kraken"

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.made: list[FakeExchange] = []

    def make(self) -> FakeExchange:
        """Return a new one."""
        self.made.append(FakeExchange(self._error))
        return self.made[-1]


def order(channel: str, *symbols: str, number: int = 1) -> bytes:
    """A request to subscribe."""
    return msgspec.json.encode({"op": "subscribe", "channel": channel, "symbols": symbols, "id": number, "depth": 10})


async def frames(socket: BridgeSocket, count: int) -> list[Any]:
    """Receive so many frames."""
    async with asyncio.timeout(5):
        return [msgspec.json.decode((await socket.receive()).data) for _ in range(count)]


async def test_what_was_refused_is_not_confirmed_when_the_connection_opens() -> None:
    """To confirm a rejected subscription would undo the refusal."""
    exchange = FakeExchange()
    socket = BridgeSocket(exchange, "kraken", Parking(), on_end=lambda _: None)
    try:
        await socket.send_frame(order("ohlcv 1m", SPOT, PERPETUAL), WSMsgType.TEXT)
        await socket.send_frame(order("ohlcv 5m", PERPETUAL, number=2), WSMsgType.TEXT)
        await socket.send_frame(order("ticker", PERPETUAL, number=3), WSMsgType.TEXT)
        exchange.on_connected(None)
        found = await frames(socket, 4)
    finally:
        await socket.close()

    assert [(one["t"], one.get("symbol"), one.get("reason")) for one in found[:2]] == [("refused", PERPETUAL, UNIT)] * 2
    assert [(one["t"], one["channel"], one["symbols"]) for one in found[2:]] == [
        ("ready", "ohlcv 1m", [SPOT]),
        ("ready", "ticker", [PERPETUAL]),
    ]


async def test_a_parked_stream_is_refused_on_an_open_connection_too() -> None:
    """Before its request is confirmed: later it could not be."""
    parking, exchange = Parking(), FakeExchange()
    parking.park(("trades", SPOT), asyncio.get_running_loop().time(), "no such market")
    socket = BridgeSocket(exchange, "kraken", parking, on_end=lambda _: None)
    try:
        exchange.on_connected(None)
        await socket.send_frame(order("trades", SPOT, PERPETUAL), WSMsgType.TEXT)
        refused, ready = await frames(socket, 2)
    finally:
        await socket.close()

    assert (refused["t"], refused["symbol"]) == ("refused", SPOT)
    assert refused["reason"] == f"no such market; asked for again in {PARKED_S:.0f} s"
    assert (ready["t"], ready["symbols"]) == ("ready", [PERPETUAL])


async def test_a_connection_that_we_close_is_an_end_too() -> None:
    """The next one waits: sooner, exchanges and the library keep both."""
    rules: Any = FakeRules()
    client = BridgeClient(rules)
    first = await client.ws_connect("")
    await first.close()
    loop = asyncio.get_running_loop()
    closed_at = loop.time()
    second = await client.ws_connect("")
    await second.close()

    assert loop.time() - closed_at >= APART_S * 0.9


async def test_an_exchange_that_wants_fewer_requests_is_left_alone() -> None:
    """Also where it says so of the list of markets: neither a connection nor a request is made for a while."""
    rules: Any = FakeRules(RateLimitExceeded("too fast"))
    client = BridgeClient(rules)
    with pytest.raises(BridgeFailed, match="too fast"):
        async with client.request("GET", "https://exchange/markets"):
            pass
    with pytest.raises(BridgeFailed, match="too fast"):
        async with client.request("GET", "https://exchange/markets"):
            pass
    with pytest.raises(UpgradeRefused, match="too fast") as refused:
        await client.ws_connect("")

    assert rules.made[0].loads == 1
    assert refused.value.retry_after_s == pytest.approx(30, abs=2)


async def test_markets_of_another_shape_are_an_error_of_that_request() -> None:
    """They do not end the service."""
    rules: Any = FakeRules()
    client = BridgeClient(rules)
    rules.made[0].markets = [1]

    with pytest.raises(aiohttp.ClientError, match="the library's markets cannot be written"):
        async with client.request("GET", "https://exchange/markets"):
            pass


async def test_a_stop_while_connecting_leaves_nothing_behind() -> None:
    """The markets are being loaded: no exchange object was made for the connection."""
    rules: Any = FakeRules()
    client = BridgeClient(rules)
    rules.made[0].markets = None
    rules.made[0].load_markets = lambda _again: asyncio.Event().wait()
    connecting = asyncio.create_task(client.ws_connect(""))
    await wait_until(client._loading.locked, what="loading")
    connecting.cancel()
    await asyncio.wait({connecting})

    assert connecting.cancelled()
    assert len(rules.made) == 1
    assert not client._loading.locked()
