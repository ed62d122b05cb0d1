"""Real recordings of OKX: published events compared with an independent reading of the same frames."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Context, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import pytest

from crosstape_connector.capture.reader import opened
from crosstape_connector.replay.normalize import normalize
from crosstape_connector.replay.summary import Summary
from crosstape_connector.venues.registry import find
from crosstape_schemas import Book, Event, Gap, Ticker, Trade
from tests.connector.venues.golden import as_read
from tests.connector.venues.test_recordings import CORPUS, frames, spelled

pytestmark = [
    pytest.mark.skipif(not CORPUS, reason="CROSSTAPE_CORPUS is not set: the recordings are not part of this project"),
    pytest.mark.slow,
    pytest.mark.xdist_group("okx"),
]
OLD, NEW = "cryptofeed_okx", "tickvault_okx_v5_btcusdt_20260824"
NAMES: Final = {"BTC-USDT": "BTC-USDT", "UNI-USD-SWAP": "UNI-USD-PERP", "BTC-USD-220527": "BTC-USD-20220527"}
VALUES: Final = {"UNI-USD-SWAP": 10, "BTC-USD-220527": 100}
"""US dollars of a contract."""
divide: Final = Context(prec=28).divide


@lru_cache(maxsize=4)
def read(venue: str, name: str) -> tuple[list[Event], Summary]:
    """All events of a recording as a venue's reader gets them, books at every change."""
    with opened(Path(CORPUS) / f"{name}.jsonl.zst") as lines:
        found = normalize(find(venue), lines, book_interval_ns=0)
        return [as_read(event) for event in found], found.summary


def data(venue: str, channel: str) -> Iterator[dict[str, Any]]:
    """The rows of a channel, of a venue's instruments."""
    for _, frame in frames(OLD):
        symbol = frame.get("arg", {}).get("instId", "")
        if "data" in frame and frame["arg"]["channel"] == channel and (symbol == "BTC-USDT") is (venue == "okx"):
            yield from ({**row, "instId": symbol} for row in frame["data"])


@pytest.mark.parametrize(("venue", "name"), [("okx", OLD), ("okx_swap", OLD), ("okx", NEW), ("okx_swap", NEW)])
def test_every_frame_is_used(venue: str, name: str) -> None:
    """Or is the other venue's; no book breaks, no trade is missed or published twice."""
    events, summary = read(venue, name)

    assert summary.frames == sum(1 for _ in frames(name))
    assert summary.unhandled == {}
    assert summary.odd == {}
    assert summary.unwanted == summary.duplicates == 0
    assert not [event for event in events if isinstance(event, Gap)]
    for bad in ("checksums_bad", "crossed", "holes", "impossible", "refused", "unproven"):
        assert summary.proofs[bad] == 0


@pytest.mark.parametrize(
    ("venue", "name", "checksums", "links", "snapshots"), [("okx", OLD, 98, 0, 1), ("okx_swap", OLD, 192, 0, 2), ("okx", NEW, 0, 6, 1)]
)
def test_books_are_proven_by_checksums_or_numbers(venue: str, name: str, checksums: int, links: int, snapshots: int) -> None:
    """Frames of 2022 by the first, of contracts too, those of 2026 by the second."""
    proofs = read(venue, name)[1].proofs

    assert (proofs["checksums_ok"], proofs["links"], proofs["snapshots"]) == (checksums, links, snapshots)


def test_a_book_keeps_as_many_levels_as_the_venue_has() -> None:
    """400 a side after each frame: the venue removes what falls out, so that we need not."""
    sides: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
    for _, frame in frames(NEW):
        for row in frame.get("data", []):
            for side, levels in sides.items():
                for price, size, _, _ in row[side]:
                    levels[price] = size
                    if size == "0":
                        del levels[price]
            assert [len(levels) for levels in sides.values()] == [400, 400]
    newest = [event for event in read("okx", NEW)[0] if isinstance(event, Book)][-1]
    assert [(str(price), str(size)) for price, size in newest.bids] == sorted(
        sides["bids"].items(), key=lambda level: Decimal(level[0]), reverse=True
    )[:10]


@pytest.mark.parametrize(("venue", "count"), [("okx", 69), ("okx_swap", 5)])
def test_trades_are_all_there_to_the_digit(venue: str, count: int) -> None:
    """Number, price, size, taker's side and time of each, in order; contracts of so many dollars by hand."""
    expected = [
        (
            NAMES[d["instId"]],
            d["tradeId"],
            d["px"],
            d["sz"] if venue == "okx" else format(divide(Decimal(d["sz"]) * VALUES[d["instId"]], Decimal(d["px"])), "f"),
            d["side"],
            int(d["ts"]) * 1_000_000,
        )
        for d in data(venue, "trades")
    ]
    trades = [event for event in read(venue, OLD)[0] if isinstance(event, Trade)]

    assert len(expected) == count
    assert [spelled(trade) for trade in trades] == expected


@pytest.mark.parametrize(("venue", "count"), [("okx", 25), ("okx_swap", 3)])
def test_the_day_is_that_of_the_venue(venue: str, count: int) -> None:
    """Base units are in another field of contracts; theirs are dollars, too. What says nothing new is left out."""
    rows = [
        (
            NAMES[d["instId"]],
            Decimal(d["last"]),
            Decimal(d["vol24h"] if venue == "okx" else d["volCcy24h"]),
            Decimal(d["volCcy24h"]) if venue == "okx" else Decimal(d["vol24h"]) * VALUES[d["instId"]],
        )
        for d in data(venue, "tickers")
    ]
    days = [event for event in read(venue, OLD)[0] if isinstance(event, Ticker)]

    assert len(rows) == count
    expected = [row for row, before in zip(rows, [None, *rows], strict=False) if row != before]
    assert [(day.instrument, day.last, day.base_volume, day.quote_volume) for day in days] == expected
