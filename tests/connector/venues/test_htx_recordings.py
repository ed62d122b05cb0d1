"""HTX in a real recording of 2021-04: published events compared with an independent reading of the same frames.

`CROSSTAPE_CORPUS` names the folder of the recordings, which are not part of this project.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import pytest
import zstandard

from crosstape_connector.capture.reader import opened
from crosstape_connector.replay.normalize import normalize
from crosstape_connector.replay.summary import Summary
from crosstape_connector.venues.htx import SPOT
from crosstape_schemas import Book, Event, Gap, Trade
from tests.connector.venues.golden import as_read

CORPUS: Final = os.environ.get("CROSSTAPE_CORPUS", "")
NAME: Final = "cryptofeed_huobi"
pytestmark = [
    pytest.mark.skipif(not CORPUS, reason="CROSSTAPE_CORPUS is not set: the recordings are not part of this project"),
    pytest.mark.slow,
    pytest.mark.xdist_group(NAME),
]


@lru_cache(maxsize=1)
def normalized() -> tuple[list[Event], Summary]:
    """All events, books at every change."""
    with opened(Path(CORPUS) / f"{NAME}.jsonl.zst") as lines:
        found = normalize(SPOT, lines, book_depth=150, book_interval_ns=0)
        return [as_read(event) for event in found], found.summary


def frames() -> Iterator[dict[str, Any]]:
    """The frames that came in, numbers as decimals."""
    with (Path(CORPUS) / f"{NAME}.jsonl.zst").open("rb") as file:
        for text in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file)):
            line = json.loads(text)
            if line.get("d") == "in":
                yield json.loads(gzip.decompress(base64.b64decode(line["b"])), parse_float=Decimal)


def symbol(frame: dict[str, Any]) -> str:
    """The symbol in a frame's topic, in upper case."""
    return str(frame["ch"]).split(".")[1].upper()


def test_every_frame_of_htx_is_used() -> None:
    """None is unknown, no book breaks, no trade is missing."""
    events, summary = normalized()

    assert summary.frames == 362
    assert summary.unhandled == summary.odd == {}
    assert summary.unwanted == summary.duplicates == 0
    assert (summary.proofs["snapshots"], summary.proofs["links"]) == (10, 282)
    assert not [event for event in events if isinstance(event, Gap)]
    assert Counter(type(event) for event in events if isinstance(event, Book | Trade)) == {Book: 292, Trade: 62}


def test_trades_of_htx_are_all_there_to_the_digit() -> None:
    """Rows come newest first. The first frame of each symbol is left out: it holds what was traded before."""
    expected: dict[str, list[tuple[str, str, str, str]]] = defaultdict(list)
    seen: set[str] = set()
    for frame in frames():
        if "trade.detail" not in frame.get("ch", ""):
            continue
        if symbol(frame) in seen:
            rows = sorted(frame["tick"]["data"], key=lambda row: row["tradeId"])
            expected[symbol(frame)] += [(str(row["tradeId"]), f"{row['price']:f}", f"{row['amount']:f}", row["direction"]) for row in rows]
        seen.add(symbol(frame))
    found: dict[str, list[tuple[str, str, str, str]]] = defaultdict(list)
    for event in normalized()[0]:
        if isinstance(event, Trade):
            made = event.trade_id, f"{event.price:f}", f"{event.size:f}", event.taker.value if event.taker else ""
            found[event.instrument.replace("-", "")].append(made)

    assert found == expected
    assert len(seen) == 10
    for trades in found.values():
        assert [int(trade[0]) for trade in trades] == list(range(int(trades[0][0]), int(trades[-1][0]) + 1))


def test_books_of_htx_are_those_of_the_frames() -> None:
    """All levels of each complete book, in order."""
    expected: dict[str, list[Any]] = defaultdict(list)
    for frame in frames():
        if "depth.step0" in frame.get("ch", ""):
            tick = frame["tick"]
            expected[symbol(frame)].append(tuple(tuple((Decimal(p), Decimal(s)) for p, s in tick[side]) for side in ("bids", "asks")))
    found: dict[str, list[Any]] = defaultdict(list)
    for event in normalized()[0]:
        if isinstance(event, Book):
            found[event.instrument.replace("-", "")].append((event.bids, event.asks))

    assert found == expected
