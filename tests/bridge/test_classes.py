"""All streaming classes of the library, offline: each can be made, mended and asked, and does what the shipped list says."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
import pytest

from crosstape_connector.bridge import describe
from crosstape_connector.bridge.exchange import ExchangeRules, Guard
from crosstape_connector.bridge.failures import _BY_NAME, Meaning, meaning
from crosstape_connector.bridge.pump import unwatching, watching
from crosstape_connector.venues.ccxt import facts, names, venue
from crosstape_connector.venues.ccxt.exchanges import known
from crosstape_connector.venues.registry import VENUES, find, get

NAMES = tuple(known().exchanges)
LOCAL = "127.0.0.1:9"

library: Any = pytest.importorskip("ccxt.pro", reason="needs the extra ccxt: `make test-ccxt` has an environment of its own")


def made(name: str, *, sandbox: bool = False) -> Any:
    """An exchange object as a connection has it, with all addresses on this machine. It never connects."""
    http: Any = object()
    rules = ExchangeRules(library, name, http, ws_url=f"ws://{LOCAL}", rest_url=f"http://{LOCAL}", sandbox=sandbox, timeout_s=1.0)
    return rules.make()


def test_the_shipped_list_is_that_of_the_library() -> None:
    """After an update of the library: `make ccxt`."""
    assert msgspec.to_builtins(describe.described(library)) == msgspec.to_builtins(known())
    assert len(NAMES) == 76


@pytest.mark.parametrize("name", NAMES)
async def test_a_class_can_be_made_and_mended(name: str) -> None:
    """It uses our HTTP client, has texts for numbers, and goes where the settings say."""
    exchange = made(name)
    Guard(exchange, on_open=lambda: None, on_lost=lambda why: None, on_bad=lambda exc, frame: None)

    assert exchange.number is str
    assert not exchange.own_session
    assert exchange.newUpdates
    addresses = list(describe._texts({"api": exchange.urls.get("api")}))
    assert addresses
    assert all(LOCAL in text for text in addresses if "://" in text), addresses
    client = exchange.client(f"ws://{LOCAL}/")
    assert client.keepAlive <= 20_000
    assert client.guarded
    exchange.session = None


@pytest.mark.parametrize("name", NAMES)
def test_a_class_has_the_methods_that_its_table_subscribes(name: str) -> None:
    """With these arguments: a call is made, and thrown away before it begins."""
    exchange = made(name)
    table = venue(f"ccxt.{name}")
    channels = {channel for endpoint in table.endpoints for channel in endpoint.channels.values()}

    assert channels
    for channel in channels:
        for call in (watching(exchange, (channel, "BTC/USDT")), unwatching(exchange, (channel, "BTC/USDT"))):
            _close(call)
    exchange.session = None


def _close(call: Any) -> None:
    """Make the coroutine of a call, and do not run it. Some are plain functions that the library makes to fail at once."""
    try:
        found = call()
    except library.NotSupported:
        return
    if inspect.iscoroutine(found):
        found.close()


@pytest.mark.parametrize("name", [name for name in NAMES if known().exchanges[name].test_ws])
def test_a_class_with_a_test_environment_can_be_set_to_it(name: str) -> None:
    """Before anything else is done with it."""
    exchange = made(name, sandbox=True)

    assert exchange.isSandboxModeEnabled
    assert list(venue(f"ccxt.{name}").environments) == ["sandbox"]
    exchange.session = None


def test_every_venue_of_the_library_can_be_named() -> None:
    """A wrong one cannot, and the native ones are not among them."""
    assert [find(name).id for name in names()] == names()
    assert get("ccxt.nobody") is None
    assert "ccxt.kraken" not in VENUES


def test_what_is_said_of_classes_is_said_of_some_that_exist() -> None:
    """A class that is renamed must not lose what is known of it."""
    named = {*facts.NO_CANDLES, *facts.NO_QUOTES, *facts.NULL_IN_TICKER, *facts.TEXTS, *facts.TRADE_TIMES}

    assert named <= set(NAMES)


def test_the_errors_whose_meaning_is_known_exist() -> None:
    """Their tree is as it was: an error of the network's is the connection's end."""
    import ccxt  # only where it is installed

    for name in _BY_NAME:
        assert hasattr(ccxt, name), name
    assert meaning(ccxt.RequestTimeout("x")) is Meaning.CLOSED
    assert meaning(ccxt.ExchangeNotAvailable("x")) is Meaning.CLOSED
    assert meaning(ccxt.PermissionDenied("x")) is Meaning.PERMANENT
    assert meaning(ccxt.ExchangeError("x")) is Meaning.AGAIN
