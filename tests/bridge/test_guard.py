"""What the guard mends in an exchange object of the library, here one that stands for it."""

from __future__ import annotations

from typing import Any

import pytest

from crosstape_connector.bridge.exchange import PING_S, Guard, at_host


class FakeClient:
    """A connection of the library: its `handle_message` is called from a callback."""

    def __init__(self, url: str, keep_alive: float) -> None:
        self.url = url
        self.keepAlive = keep_alive
        self.handled: list[str] = []

    def handle_message(self, message: Any) -> None:
        """Fail at what is marked as bad."""
        if message.data == "bad":
            raise KeyError("price")
        self.handled.append(message.data)


class FakeExchange:
    """Makes a client for each URL, and a new one for one that it has forgotten."""

    def __init__(self, keep_alive: float = 1_800_000) -> None:
        self.clients: dict[str, FakeClient] = {}
        self._keep_alive = keep_alive

    def client(self, url: str) -> FakeClient:
        """Return the connection to this URL."""
        return self.clients.setdefault(url, FakeClient(url, self._keep_alive))

    def on_connected(self, client: FakeClient) -> None:
        """Do nothing."""

    def on_error(self, client: FakeClient, error: object) -> None:
        """Forget the connection."""
        self.clients.pop(client.url, None)

    def on_close(self, client: FakeClient, code: object) -> None:
        """Forget the connection."""
        self.clients.pop(client.url, None)


class Message:
    """A message with these data."""

    def __init__(self, data: str) -> None:
        self.data = data


class Notes:
    """What the guard reported."""

    def __init__(self, exchange: FakeExchange) -> None:
        self.opened = 0
        self.lost: list[str] = []
        self.bad: list[tuple[Exception, str]] = []
        self.guard = Guard(exchange, on_open=self._open, on_lost=self.lost.append, on_bad=lambda exc, frame: self.bad.append((exc, frame)))

    def _open(self) -> None:
        self.opened += 1


@pytest.fixture
def exchange() -> FakeExchange:
    """An exchange object whose class pings every half an hour."""
    return FakeExchange()


def test_a_frame_that_cannot_be_handled_is_reported_and_the_next_is_read(exchange: FakeExchange) -> None:
    """Without the guard the error would end the library's reading."""
    notes = Notes(exchange)
    client = exchange.client("wss://a")

    client.handle_message(Message("good"))
    client.handle_message(Message("bad"))
    client.handle_message(Message("next"))

    assert client.handled == ["good", "next"]
    assert [(type(exc), frame) for exc, frame in notes.bad] == [(KeyError, "'bad'")]
    assert notes.guard.heard > 0


def test_a_second_connection_in_place_of_a_lost_one_is_the_end(exchange: FakeExchange) -> None:
    """The library would keep both, and hand out every trade twice."""
    notes = Notes(exchange)
    first = exchange.client("wss://a")
    assert exchange.client("wss://a") is first
    assert notes.guard.connections == 1
    assert notes.lost == []

    exchange.clients.clear()
    exchange.client("wss://a")

    assert notes.lost == ["the library opened a second connection in place of a lost one"]
    assert notes.guard.connections == 1


def test_a_class_may_have_several_connections(exchange: FakeExchange) -> None:
    """To different addresses: then one for each is wanted."""
    notes = Notes(exchange)
    exchange.client("wss://a")
    exchange.client("wss://b")

    assert (notes.guard.connections, notes.lost) == (2, [])


def test_a_close_is_noticed_though_nobody_waits_for_a_stream(exchange: FakeExchange) -> None:
    """The library raises only where a stream is waited for."""
    notes = Notes(exchange)
    client = exchange.client("wss://a")

    exchange.on_connected(client)
    exchange.on_close(client, 1001)
    exchange.on_error(client, ValueError("broken"))

    assert notes.opened == 1
    assert notes.lost == ["closed by the venue: 1001", "broken"]
    assert exchange.clients == {}


def test_pings_are_often_enough_to_notice_a_dead_connection(exchange: FakeExchange) -> None:
    """Of a class that pings more often, the pause stays."""
    Notes(exchange)
    assert exchange.client("wss://a").keepAlive == PING_S * 1_000

    other = FakeExchange(keep_alive=6_000)
    Notes(other)
    assert other.client("wss://a").keepAlive == 6_000


@pytest.mark.parametrize(
    ("url", "host", "found"),
    [
        ("wss://ws.kraken.com/v2", "ws://127.0.0.1:8101", "ws://127.0.0.1:8101/v2"),
        ("https://api.kraken.com", "http://127.0.0.1:8101/relay/", "http://127.0.0.1:8101/relay"),
        ("wss://a.example/ws?version=2", "ws://b.example", "ws://b.example/ws?version=2"),
    ],
)
def test_an_address_of_the_settings_takes_the_place_of_the_host(url: str, host: str, found: str) -> None:
    """Path and query stay."""
    assert at_host(url, host) == found
