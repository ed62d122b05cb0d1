"""Names on the bus: one place, and back again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_schemas import KINDS, VENUE_WIDE, Keys, asset, is_composite, spot
from crosstape_schemas.keys import partition_of

NAMES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", min_size=1, max_size=20)


def test_names_are_plain_by_default() -> None:
    """They are easy to type into redis-cli."""
    keys = Keys()

    assert keys.stream("trade", "BTC-USDT") == "tape:trade:BTC-USDT"
    assert keys.venue("binance") == "tape:venue:binance"
    assert keys.last("quote", "BTC-USDT") == "tape:last:quote:BTC-USDT"
    assert keys.registry() == "tape:streams"
    assert keys.cursor("connector.binance") == "tape:cursor:connector.binance"
    assert keys.bell("quote") == "tape:bell:quote"
    assert keys.bell("bar:1m") == "tape:bell:bar"


def test_all_names_of_a_partition_share_its_hash_tag() -> None:
    """One script call touches one slot of a cluster."""
    keys = Keys("t", 8)
    partition = keys.partition("BTC-USDT")
    tag = f"t:{{{partition}}}:"

    names = [keys.stream("trade", "BTC-USDT"), keys.last("trade", "BTC-USDT"), keys.registry(partition), keys.cursor("p", partition)]
    names.append(keys.bell("trade", partition))
    assert all(name.startswith(tag) for name in names)
    assert keys.venue("binance").startswith("t:{0}:")


@given(NAMES, st.sampled_from(list(KINDS)), st.integers(1, 64), st.sampled_from(["tape", "a:b", "{x}"]))
def test_a_streams_name_says_what_it_holds(instrument: str, kind: str, partitions: int, prefix: str) -> None:
    """`parse` is the inverse of `stream` and of `venue`, under every prefix and number of partitions."""
    keys = Keys(prefix, partitions)

    assert 0 <= keys.partition(instrument) < partitions
    assert keys.parse(keys.stream(kind, instrument)) == (kind, instrument)
    assert keys.parse(keys.venue("kraken")) == ("venue", "kraken")
    assert keys.parse(keys.bell(kind, partitions - 1)) is None


@pytest.mark.parametrize("name", ["", "tape", "tape:", "tape:streams", "tape:trade:", "tape::X", "other:trade:X", "tape:last:quote:X"])
def test_a_foreign_name_is_not_ours(name: str) -> None:
    """A stream that happens to lie on the same server is left alone."""
    assert Keys().parse(name) is None


def test_venue_wide_names_lie_in_the_first_partition() -> None:
    """Every service knows where to find them."""
    assert Keys(partitions=16).partition(VENUE_WIDE) == 0


def test_a_composite_is_an_instrument_and_not_venue_wide() -> None:
    """Its name ends with the character that alone means the whole venue."""
    keys = Keys(partitions=16)
    stream = keys.stream("cbbo", "BTC-USD*")

    assert keys.parse(stream) == ("cbbo", "BTC-USD*")
    assert stream.startswith(f"tape:{{{partition_of('BTC-USD*', 16)}}}:")
    assert keys.parse(keys.stream("bar:1m", "BTC-USD*")) == ("bar:1m", "BTC-USD*")
    assert [is_composite(name) for name in ("BTC-USD*", "BTC-USD", VENUE_WIDE, "")] == [True, False, False, False]


def test_an_asset_has_one_name() -> None:
    """Whatever a venue calls it, the same asset consolidates."""
    assert spot("XBT", "USDT") == "BTC-USDT"
    assert spot("XDG", "USD") == "DOGE-USD"
    assert asset("ETH") == "ETH"
