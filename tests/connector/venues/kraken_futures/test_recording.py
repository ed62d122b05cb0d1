"""A recording of Kraken Futures, compared with an independent reading of its frames with plain `json`."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
import zstandard

from crosstape_connector.capture.reader import opened
from crosstape_connector.replay.normalize import normalize
from crosstape_connector.venues.kraken_futures import VENUE
from crosstape_schemas import Delta, Trade
from tests.connector.venues.golden import as_read

CORPUS: Final = os.environ.get("CROSSTAPE_CORPUS", "")
NAME: Final = "cryptofeed_kraken_futures"
D: Final = Decimal

needs_corpus = pytest.mark.skipif(not CORPUS, reason="CROSSTAPE_CORPUS is not set: the recordings are not part of this project")


def raw() -> Iterator[dict[str, Any]]:
    """The frames of the recording but replies, read with plain `json` whose numbers keep their digits."""
    with (Path(CORPUS) / f"{NAME}.jsonl.zst").open("rb") as file:
        for text in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file)):
            line = json.loads(text)
            if line.get("d") == "in" and "event" not in (frame := json.loads(line["f"], parse_float=D)):
                yield frame


def of_recording() -> tuple[list[Any], Any]:
    """All events of the recording, and the summary."""
    with opened(Path(CORPUS) / f"{NAME}.jsonl.zst") as lines:
        found = normalize(VENUE, lines, delta=True, book_interval_ns=0)
        return [as_read(event) for event in found], found.summary


@needs_corpus
@pytest.mark.slow
def test_books_of_a_recording_are_linked_and_those_of_its_frames() -> None:
    """Ten books, 7,014 levels without a hole, never crossed: at the end each has the levels that plain `json` finds."""
    expected: dict[str, dict[tuple[str, Decimal], Decimal]] = {}
    for frame in raw():
        book = expected.setdefault(str(frame.get("product_id")), {})
        if frame.get("feed") == "book_snapshot":
            for side, rows in (("buy", frame["bids"]), ("sell", frame["asks"])):
                book.update({(side, D(row["price"])): D(row["qty"]) / D(row["price"]) for row in rows})
        elif frame.get("feed") == "book":
            book[frame["side"], D(frame["price"])] = D(frame["qty"]) / D(frame["price"])
    events, summary = of_recording()
    ours: dict[str, dict[tuple[str, Decimal], Decimal]] = {}
    for event in events:
        if isinstance(event, Delta):
            book = ours.setdefault(event.instrument, {})
            book.update({("buy", price): size for price, size in event.bids} | {("sell", price): size for price, size in event.asks})

    def held(books: dict[str, dict[tuple[str, Decimal], Decimal]]) -> list[list[tuple[str, Decimal, Decimal]]]:
        rows = [sorted((*level, round(size, 20)) for level, size in book.items() if size) for book in books.values()]
        return sorted(book for book in rows if book)

    assert held(ours) == held(expected)
    assert (len(ours), summary.frames, summary.unhandled, summary.odd) == (10, 7_175, {}, {})
    assert (summary.proofs["snapshots"], summary.proofs["links"], summary.proofs["holes"]) == (10, 7_014, 0)
    assert summary.proofs["crossed"] == 0
    assert set(ours) >= {"ETH-USD-PERP", "BTC-USD-20210730", "ETH-USD-20211231"}


@needs_corpus
@pytest.mark.slow
def test_trades_of_a_recording_are_all_there() -> None:
    """Three; the thousand before them are older than the tape."""
    expected = [(str(one["seq"]), D(one["price"]), D(one["qty"]), one["side"]) for one in raw() if one.get("feed") == "trade"]
    trades = [event for event in of_recording()[0] if isinstance(event, Trade)]

    assert len(expected) == 3
    assert [(one.trade_id, one.price, one.taker.value if one.taker else None) for one in trades] == [
        (row[0], row[1], row[3]) for row in expected
    ]
    assert [round(one.price * one.size, 20) for one in trades] == [row[2] for row in expected]
