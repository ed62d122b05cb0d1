"""A recording of Bybit's spot book of 2026-08, compared with an independent reading of its frames.

`CROSSTAPE_CORPUS` names the folder of the recordings, which are not part of this project.
"""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Final

import pytest

from crosstape_schemas import Book, Delta
from tests.connector.venues.test_recordings import frames, normalized

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("CROSSTAPE_CORPUS"), reason="CROSSTAPE_CORPUS is not set: the recordings are not part of this project"
    ),
    pytest.mark.slow,
]
NAME: Final = "tickvault_bybit_v5_spot_btcusdt_20260824"
LEVELS: Final = 50


def test_a_recorded_book_is_linked_from_its_snapshot_on() -> None:
    """Nine frames, each with the number after the one before; nothing is left over."""
    events, summary = normalized(NAME)

    assert [summary.proofs[name] for name in ("snapshots", "updates", "links", "holes")] == [1, 8, 8, 0]
    assert (summary.unhandled, summary.odd, summary.gaps) == ({}, {}, {})
    assert summary.session["acknowledged"] == 1
    assert len([one for one in events if isinstance(one, Delta)]) == 9


def test_the_venue_removes_what_leaves_the_depth() -> None:
    """After each frame the book has fifty levels a side, and its best ten are those that were published."""
    events, _ = normalized(NAME)
    published = {one.sequence: one for one in events if isinstance(one, Book)}
    sides: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = ({}, {})
    compared = 0
    for _, frame in frames(NAME):
        if "topic" not in frame:
            continue
        for side, rows in zip(sides, (frame["data"]["b"], frame["data"]["a"]), strict=True):
            for price, size in rows:
                side[Decimal(price)] = Decimal(size)
                if not Decimal(size):
                    del side[Decimal(price)]
        assert [len(side) for side in sides] == [LEVELS, LEVELS]
        book = published.get(frame["data"]["u"])
        if book is not None:
            assert list(book.bids) == sorted(sides[0].items(), reverse=True)[:10]
            assert list(book.asks) == sorted(sides[1].items())[:10]
            compared += 1
    assert compared == len(published) == 9
