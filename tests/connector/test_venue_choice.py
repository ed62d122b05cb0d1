"""The settings of a venue against its table: environment, addresses, candles."""

from __future__ import annotations

import msgspec
import pytest

from crosstape.errors import SettingsError
from crosstape_connector import service
from crosstape_connector.venue_choice import addresses, check_candles, chosen, in_environment
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import CandleRules, Environment
from crosstape_schemas import TIMEFRAMES
from tests.connector.fake_venue import endpoint, fake
from tests.connector.world import World, changed

CANDLES = CandleRules(
    timeframes={"1m": "1min", "5m": "5min"},
    refused={"3d": "begins on the day the symbol was listed"},
    open="first trade",
    empty="nothing",
    closed="next candle",
    volume="base units",
    first="none",
)
TESTNET = Environment(ws_urls={"market": "wss://test/market"}, rest_urls={"api": "https://test"})
VENUE = msgspec.structs.replace(
    fake(endpoint("trading"), endpoint("market")), candles=CANDLES, environments={"testnet": TESTNET, "demo": TESTNET}
)


@pytest.mark.parametrize(
    ("own", "given", "expected"),
    [
        ({"a": "wss://x/1", "b": "wss://x/2"}, "", {"a": "wss://x/1", "b": "wss://x/2"}),
        ({"a": "wss://x/1", "b": "wss://x/2"}, "ws://y/z", {"a": "ws://y/z", "b": "ws://y/z"}),
        ({"a": "wss://x/1", "b": "wss://x/2"}, {"b": "ws://y/z?q"}, {"a": "wss://x/1", "b": "ws://y/z?q"}),
    ],
)
def test_addresses_can_be_replaced_for_all_or_by_name(own: dict[str, str], given: str | dict[str, str], expected: dict[str, str]) -> None:
    """The path of the given address is used unchanged."""
    assert addresses("venues.x.ws_url", own, given) == expected


def test_an_address_for_an_unknown_endpoint_is_an_error() -> None:
    """The error has the path of the setting and the nearest name."""
    with pytest.raises(SettingsError, match=r"venues\.x\.ws_url\.mian: .* nearest is main"):
        addresses("venues.x.ws_url", {"main": "wss://x"}, {"mian": "ws://y"})


def test_an_environment_has_its_own_addresses() -> None:
    """An endpoint that it does not have is left out: the live one must not take its place."""
    found = in_environment(VENUE, "testnet")
    assert [(one.name, one.url) for one in found.endpoints] == [("market", "wss://test/market")]
    assert found.rest_urls == {"api": "https://test"}
    assert in_environment(VENUE, "") is VENUE


def test_an_unknown_environment_is_an_error() -> None:
    """The error lists those that there are."""
    with pytest.raises(SettingsError, match=r"^venues\.fake\.environment: tesnet: there is no such .* has testnet, demo$"):
        in_environment(VENUE, "tesnet")
    with pytest.raises(SettingsError, match=r"^venues\.fake\.environment: testnet: the venue has no environment but the live one$"):
        in_environment(fake(), "testnet")


BYBIT = ("bybit", "bybit_linear", "bybit_inverse")


@pytest.mark.parametrize("venue", VENUES)
def test_the_environments_of_every_venue_are_complete(venue: str) -> None:
    """They name endpoints of the venue, and each of its REST addresses: a request to the live venue must not get in between.

    A header may choose the environment at the live address. Public streams of Bybit's demo are those of the live market.
    """
    table = VENUES[venue]
    for environment in table.environments.values():
        assert environment.ws_urls
        assert environment.ws_urls.keys() <= {one.name for one in table.endpoints}
        assert environment.rest_urls.keys() == table.rest_urls.keys()
        if not environment.headers:
            assert not {*table.rest_urls.values()} & {*environment.rest_urls.values()}
            assert venue in BYBIT or not {one.url for one in table.endpoints} & {*environment.ws_urls.values()}


def test_timeframes_that_a_venue_does_not_have_are_an_error() -> None:
    """Each has its reason. Those that the venue has are fine."""
    check_candles(VENUE, ("1m", "5m"))
    check_candles(fake(), ())
    with pytest.raises(SettingsError) as caught:
        check_candles(VENUE, ("1m", "3d", "7m", "1min", "3m"))
    assert str(caught.value).splitlines() == [
        "venues.fake.candles: 3d: begins on the day the symbol was listed; the venue has 1m, 5m",
        "venues.fake.candles: 7m: there are no such candles; the venue has 1m, 5m",
        "venues.fake.candles: 1min: did you mean 1m? the venue has 1m, 5m",
        "venues.fake.candles: 3m: there are no such candles; the venue has 1m, 5m",
    ]
    with pytest.raises(SettingsError, match=r"venues\.fake\.candles: 1m: the venue publishes no candles"):
        check_candles(fake(), ("1m",))


def test_a_wrong_environment_does_not_hide_wrong_candles() -> None:
    """All that is wrong is said at once. The candles of a wrong environment are taken to be those of the live one."""
    assert chosen(VENUE, "testnet", ()) == in_environment(VENUE, "testnet")
    with pytest.raises(SettingsError) as caught:
        chosen(VENUE, "tesnet", ("3d", "7m"))
    assert [text.split(": ")[:2] for text in str(caught.value).splitlines()] == [
        ["venues.fake.environment", "tesnet"],
        ["venues.fake.candles", "3d"],
        ["venues.fake.candles", "7m"],
    ]


def test_candles_of_an_endpoint_that_the_environment_lacks_are_an_error() -> None:
    """Coinbase's sandbox has only the feed without candles."""
    sandbox = in_environment(VENUES["coinbase"], "sandbox")
    check_candles(VENUES["coinbase"], ("5m",))
    with pytest.raises(SettingsError, match=r"^venues\.coinbase\.candles: 5m: this environment of the venue has no candles$"):
        check_candles(sandbox, ("5m",))


@pytest.mark.parametrize("venue", VENUES)
def test_the_candles_of_every_venue_can_be_subscribed(venue: str) -> None:
    """A timeframe that its rules name is in a channel of each environment, or in its REST source."""
    table = VENUES[venue]
    if table.candles is None:
        return
    assert table.candles.timeframes.keys() <= set(TIMEFRAMES)
    assert not table.candles.timeframes.keys() & table.candles.refused.keys()
    channels = {kind for one in table.endpoints for kind in one.channels}
    assert {f"candle:{timeframe}" for timeframe in table.candles.timeframes} == {kind for kind in channels if kind.startswith("candle:")}


@pytest.mark.parametrize(("own", "said"), [({"environment": "testnet"}, "environment: testnet"), ({"candles": ("1m",)}, "candles: 1m")])
async def test_the_service_does_not_start_with_what_the_venue_lacks(world: World, own: dict[str, object], said: str) -> None:
    """Nothing is connected."""
    with pytest.raises(SettingsError, match=said):
        await service.run(changed(world.settings, **own), "fake")
    assert world.server.calls == []
