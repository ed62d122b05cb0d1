"""How much of a predecessor's spool is on the tape, by the header of the spool and the cursor of the producer."""

from __future__ import annotations

import pytest

from crosstape.bus.spool.format import SegmentHeader
from crosstape.bus.spool.recovery import Cursor, Recovered, recover

HEADER = SegmentHeader(id=77, first=0, epoch=5, batch=9, carried=3)
"""A spool that was started while batch 9 of epoch 5 was in flight with 3 entries, which are its first."""


@pytest.mark.parametrize(
    ("cursor", "found"),
    [
        pytest.param(Cursor(b"77:12", b"5", b"30"), Recovered(12), id="the cursor knows the position"),
        pytest.param(Cursor(b"77:1", b"5", b"30"), Recovered(1, lost=3), id="the server has lost what it had acknowledged"),
        pytest.param(Cursor(b"77:99", b"5", b"30"), Recovered(20), id="not behind the end of the spool"),
        pytest.param(Cursor(b"66:12", b"5", b"9"), Recovered(3), id="the batch in flight was written"),
        pytest.param(Cursor(None, b"5", b"8"), Recovered(0), id="the batch in flight was not written"),
        pytest.param(Cursor(None, b"5", b"7"), Recovered(0, lost=None), id="nor was the one before: the server has lost it"),
        pytest.param(Cursor(None, None, None), Recovered(0, lost=None), id="the server has lost all"),
        pytest.param(Cursor(None, b"6", b"2"), Recovered(3), id="another producer without a spool has written since"),
    ],
)
def test_the_cursor_decides(cursor: Cursor, found: Recovered) -> None:
    """The name of the first segment says that 4 entries were done; there are 20 in all."""
    assert recover(HEADER, cursor, done_to=4, written_to=20) == found


def test_what_cannot_be_known_is_skipped_and_counted() -> None:
    """The entries in flight may be on the tape: another producer has written since, and its cursor says nothing of them."""
    assert recover(HEADER, Cursor(None, b"6", b"2"), done_to=1, written_to=20) == Recovered(3, unknown=2)


def test_a_cursor_that_is_no_number_says_nothing() -> None:
    """It counts as no cursor."""
    assert recover(HEADER, Cursor(b"77:x", b"y", b"z"), done_to=0, written_to=20) == Recovered(0)
