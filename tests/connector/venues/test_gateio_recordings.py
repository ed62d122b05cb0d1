"""A recording of Gate's spot market of 2021, compared with an independent reading of its frames. See `test_recordings`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import pytest

from crosstape_schemas import Book, Candle, Gap, Ticker, Trade
from tests.connector.venues.test_recordings import CORPUS, frames, normalized, spelled

NAME: Final = "cryptofeed_gateio"
pytestmark = [
    pytest.mark.skipif(not CORPUS, reason="CROSSTAPE_CORPUS is not set: the recordings are not part of this project"),
    pytest.mark.slow,
    pytest.mark.xdist_group(NAME),
]


def rows(channel: str) -> list[tuple[dict[str, Any], int]]:
    """Row and time (s) of all frames with data of a channel."""
    return [(frame["result"], frame["time"]) for _, frame in frames(NAME) if (frame["channel"], frame["event"]) == (channel, "update")]


def ours(symbol: str) -> str:
    """Our name."""
    return symbol.replace("_", "-")


def test_every_frame_is_used() -> None:
    """None is unknown or malformed."""
    _, summary = normalized(NAME)

    assert summary.frames == sum(1 for _ in frames(NAME)) == 239
    assert (summary.unhandled, summary.odd, summary.unwanted, summary.duplicates) == ({}, {}, 0, 0)


def test_changes_are_linked_from_their_snapshot_on() -> None:
    """All 162 links hold, and each of the eight books of which changes follow its snapshot meets it."""
    events, summary = normalized(NAME)

    assert [summary.proofs[name] for name in ("updates", "links", "bridged", "snapshots", "holes", "crossed")] == [172, 162, 8, 10, 0, 0]
    assert not [event for event in events if isinstance(event, Gap)]
    assert len({event.instrument for event in events if isinstance(event, Book)}) == 10


def test_trades_are_all_there_to_the_digit() -> None:
    """With times to a part of a µs."""
    expected = [
        (ours(row["currency_pair"]), str(row["id"]), row["price"], row["amount"], row["side"], int(Decimal(row["create_time_ms"]) * 10**6))
        for row, _ in rows("spot.trades")
    ]

    assert len(expected) == 9
    assert [spelled(event) for event in normalized(NAME)[0] if isinstance(event, Trade)] == expected


def test_the_day_is_that_of_the_venue() -> None:
    """Each that has changed."""
    found = {
        (event.instrument, event.venue_ts, event.last, event.base_volume, event.quote_volume)
        for event in normalized(NAME)[0]
        if isinstance(event, Ticker)
    }
    theirs = {
        (ours(row["currency_pair"]), at * 10**9, *(Decimal(row[name]) for name in ("last", "base_volume", "quote_volume")))
        for row, at in rows("spot.tickers")
    }

    assert found
    assert found <= theirs


def test_a_candles_turnover_is_that_of_the_trades() -> None:
    """Four candles have grown by exactly price × amount of the trades that the recording has of them, so that `v` is no volume."""
    candles = [event for event in normalized(NAME)[0] if isinstance(event, Candle)]
    traded: dict[str, Decimal] = {}
    for row, _ in rows("spot.trades"):
        name = ours(row["currency_pair"])
        traded[name] = traded.get(name, Decimal(0)) + Decimal(row["price"]) * Decimal(row["amount"])
    newest = {one.instrument: one for one in candles}
    first: dict[str, Candle] = {}
    for one in candles:
        first.setdefault(one.instrument, one)
    grown = {
        name: (one.quote_volume or Decimal(0)) - (first[name].quote_volume or Decimal(0))
        for name, one in newest.items()
        if one.quote_volume != first[name].quote_volume
    }

    assert len(rows("spot.candlesticks")) == 14
    assert len(grown) == 4
    assert {name: grown[name] for name in ("DIS-USDT", "FAST-USDT", "ZKS-ETH")} == {
        name: traded[name] for name in ("DIS-USDT", "FAST-USDT", "ZKS-ETH")
    }
