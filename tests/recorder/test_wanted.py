"""Which kinds of the history a stream feeds."""

from __future__ import annotations

import pytest

from crosstape.settings import RecorderSettings
from crosstape_recorder.wanted import Wanted
from crosstape_schemas import Keys


@pytest.mark.parametrize(
    ("stream", "kinds"),
    [
        ("tape:trade:BTC-USDT", ("trade",)),
        ("tape:candle:1m:BTC-USDT", ("candle",)),
        ("tape:bar:1d:BTC-USD*", ("bar",)),
        ("tape:gap:BTC-USDT", ("gap",)),
        ("tape:venue:kraken", ("status", "gap")),
        ("tape:venue:consolidated", ("status", "gap")),
        ("tape:book:BTC-USDT", ()),  # not among the kinds
        ("tape:nonsense:BTC-USDT", ()),
        ("tape:trade", ()),
        ("other:trade:BTC-USDT", ()),
        ("", ()),
    ],
)
@pytest.mark.parametrize("partitions", [1, 4])
def test_a_stream_feeds_the_kind_in_its_name(stream: str, kinds: tuple[str, ...], partitions: int) -> None:
    """Of all timeframes; a venue's own stream feeds two. What is no stream of ours feeds none."""
    name = stream.replace("tape:", "tape:{3}:") if partitions > 1 else stream

    assert Wanted(RecorderSettings(), Keys(partitions=partitions)).kinds_of(name) == kinds


def test_chosen_instruments() -> None:
    """A venue's own stream is of all of them."""
    wanted = Wanted(RecorderSettings(instruments=("BTC-USDT",), kinds=("trade",)), Keys())
    streams = ["tape:trade:BTC-USDT", "tape:trade:ETH-USDT", "tape:gap:BTC-USDT", "tape:gap:ETH-USDT", "tape:venue:kraken"]

    assert wanted.select(streams) == {
        "tape:trade:BTC-USDT": ("trade",),
        "tape:gap:BTC-USDT": ("gap",),
        "tape:venue:kraken": ("gap",),
    }


def test_gaps_are_recorded_in_any_case() -> None:
    """And kinds come in one order, whatever the order of the settings is."""
    assert Wanted(RecorderSettings(kinds=("quote", "trade")), Keys()).kinds == ("trade", "quote", "gap")
    assert Wanted(RecorderSettings(kinds=()), Keys()).kinds == ("gap",)


@pytest.mark.parametrize(
    ("stream", "feed"),
    [
        ("tape:trade:BTC-USDT", ("trade", "BTC-USDT")),
        ("tape:candle:1m:BTC-USDT", ("candle:1m", "BTC-USDT")),
        ("tape:venue:kraken", ("status", "*")),
    ],
)
def test_how_a_gap_names_the_feed_of_a_stream(stream: str, feed: tuple[str, str]) -> None:
    """A gap of kind `*` would say that something of all feeds of the venue is missing."""
    assert Wanted(RecorderSettings(), Keys()).feed(stream) == feed
