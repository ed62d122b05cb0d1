"""What the seam itself does with a venue's table."""

from __future__ import annotations

import msgspec

from crosstape_connector.connection.hourly_budget import REPLACED
from crosstape_connector.venues.messages import Unreadable
from crosstape_connector.venues.parsing.unreadable import feeds_of
from crosstape_connector.venues.registry import VENUES
from tests.connector.venues.golden import symbols_of


def test_a_new_connection_is_not_replaced_at_once() -> None:
    """All that it subscribes at first leaves most of the requests of its hour."""
    for venue in VENUES.values():
        for one in venue.endpoints:
            assert one.topics <= one.requests_per_hour * REPLACED or not one.requests_per_hour, (venue.id, one.name)


def test_a_list_of_instruments_may_be_recorded_in_parts() -> None:
    """A path that ends with a slash stands for all below it; another one must be the end."""
    source = msgspec.structs.replace(VENUES["binance"].instruments, path="/v1/symbols/all", recorded=("/v1/symbols/", "/old"))

    assert source.match("https://example.com/v1/symbols/all?x=1")
    assert source.match("https://example.com/v1/symbols/btcusd")
    assert source.match("https://example.com/v0/old")
    assert not source.match("https://example.com/v1/symbols")
    assert not source.match("https://example.com/old/btcusd")


def test_a_frame_that_names_no_channel_is_known_by_a_mark() -> None:
    """Where the table gives one of the kind; other kinds are known by their channel."""
    endpoint = msgspec.structs.replace(VENUES["binance"].endpoints[0], marks={"quote": b'{"u":'})
    symbols = symbols_of("binance")

    assert feeds_of(endpoint, symbols, b'{"u":1,"s":"BTCUSDT","b":"91', 7) == [Unreadable("quote", "BTC-USDT", 7)]
    assert not feeds_of(endpoint, symbols, b'{"stream":"btcusdt@bookTicker","data":{"u"', 7)
    assert feeds_of(endpoint, symbols, b'{"stream":"btcusdt@ticker","data":{"E"', 7) == [Unreadable("ticker", "BTC-USDT", 7)]
