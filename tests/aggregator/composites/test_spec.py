"""The composites of the settings: what is accepted, and what a mistake says."""

from __future__ import annotations

import pytest

from crosstape.errors import SettingsError
from crosstape.settings import AggregatorSettings
from crosstape.settings.model import CompositeSettings
from crosstape_aggregator.composites.composites import Composites
from crosstape_aggregator.composites.spec import PartSpec, parse_all
from crosstape_aggregator.sharding.assignment import Shard
from crosstape_schemas import Keys


def composite(name: str, *parts: str, **changed: object) -> AggregatorSettings:
    """Settings with one composite."""
    return AggregatorSettings(composites={name: CompositeSettings(parts=parts)}, **changed)  # type: ignore[arg-type]


def test_parts_of_another_quote_currency_are_converted_by_their_pair() -> None:
    """The pair is spot, also for derivatives; another name of an asset is ours."""
    (spec,) = parse_all(composite("BTC-USD-PERP*", "BTC-USD-PERP", "BTC-USDT-PERP"))
    assert spec.parts == (PartSpec("BTC-USD-PERP", None), PartSpec("BTC-USDT-PERP", "USDT-USD"))
    assert parse_all(composite("ETH-USDT*", "ETH-USDC"))[0].parts == (PartSpec("ETH-USDC", "USDC-USDT"),)
    assert parse_all(AggregatorSettings()) == ()


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        (composite("BTC-USD", "BTC-USD"), "aggregator.composites.BTC-USD: the name of a composite is"),
        (composite("*", "BTC-USD"), 'aggregator.composites."*": the name'),
        (composite("BTC*", "BTC-USD"), 'aggregator.composites."BTC*": the name'),
        (composite("BTC-USD**", "BTC-USD"), 'aggregator.composites."BTC-USD**": the name'),
        (composite("BTC-USD*", "BTCUSDT"), '"BTCUSDT" is no instrument'),
        (composite("BTC-USD*", "BTC-US:DT"), '"BTC-US:DT" is no instrument'),
        (composite("BTC-USD*", "BTC-USDC", instruments=("BTC-USDC",)), "USDC-USD, whose mid converts it, is not in aggregator.instruments"),
    ],
)
def test_a_mistake_is_named_with_its_path(settings: AggregatorSettings, mistake: str) -> None:
    """The same as in a file, also for settings that were made in code. It stops the start."""
    with pytest.raises(SettingsError) as error:
        parse_all(settings)
    assert mistake in str(error.value)


def test_a_composite_belongs_to_one_shard_and_its_streams_are_named_once() -> None:
    """Two composites share a part and a pair. Books are read only if they are published."""
    both = {"BTC-USD*": CompositeSettings(parts=("BTC-USD", "BTC-USDT")), "BTC-EUR*": CompositeSettings(parts=("BTC-USDT",))}
    settings = AggregatorSettings(composites=both)
    names = [[one.name for one in Composites(settings, Shard(number, 8).has).all] for number in range(8)]
    assert sorted(name for some in names for name in some) == sorted(both)

    streams = list(Composites(settings).streams(Keys()))
    cbbo = ["tape:cbbo:BTC-USD", "tape:cbbo:BTC-USDT", "tape:cbbo:USDT-EUR", "tape:cbbo:USDT-USD"]
    assert (streams[0], sorted(streams[1:])) == ("tape:venue:consolidated", cbbo)
    books = Composites(AggregatorSettings(composites=both, depth_levels=3))
    assert sorted(set(books.streams(Keys())) - set(streams)) == ["tape:depth:BTC-USD", "tape:depth:BTC-USDT"]
