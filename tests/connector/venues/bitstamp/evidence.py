"""Bitstamp: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import GOLDEN, HOLD, SILENT, Evidence, Limit

TESTS: Final = "connector/venues/bitstamp/test_bitstamp.py::"
RECORDING: Final = "cryptofeed_bitstamp"

LIMITS: Final = {"v2": Limit(None, None, shared=False, connects_per_s=None, lifetime_s=0)}

EVIDENCE: Final = {
    "book": Evidence(
        (),
        (
            f"{TESTS}test_a_complete_book_is_a_snapshot_and_then_its_changes",
            f"{TESTS}test_a_lost_book_frame_costs_nothing_but_time",
            f"{TESTS}test_a_book_that_cannot_be_read_is_subscribed_again",
            HOLD,
            SILENT,
        ),
        "levels below the hundredth; what a frame says; that the newest frame was not lost, until the next",
    ),
    "trade": Evidence(
        (RECORDING,),
        (f"{TESTS}test_trades_of_a_recording_are_all_there_to_the_digit", GOLDEN),
        "that none was lost: ids are not contiguous",
    ),
}
