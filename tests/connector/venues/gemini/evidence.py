"""Gemini: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import BROKEN, GOLDEN, HOLD, ITSELF, SILENT, Evidence, Limit

OWN: Final = "connector/venues/gemini/test_gemini.py::"
OLD: Final = "connector/venues/gemini/test_recorded.py::"
RECORDING: Final = "cryptofeed_gemini"

LIMITS: Final = {"stream": Limit(None, None, shared=False, connects_per_s=1.0, lifetime_s=0)}

EVIDENCE: Final = {
    "book": Evidence(
        (RECORDING,),
        (
            f"{OWN}test_the_first_frame_of_a_book_is_complete_and_has_one_id",
            f"{OWN}test_a_change_begins_with_the_last_id_of_the_one_before",
            f"{OLD}test_books_of_a_recording_are_those_of_its_frames",
            HOLD,
            BROKEN,
            SILENT,
        ),
        "that a level is what the venue has: there is no checksum; the recording is of the old socket, which numbers nothing",
    ),
    "trade": Evidence(
        (RECORDING,),
        (f"{OWN}test_a_buyer_who_is_the_maker_is_a_taker_who_sold", f"{OLD}test_trades_of_a_recording_are_all_there_to_the_digit", GOLDEN),
        "that none was lost: ids are not contiguous; that REST has the ids of the stream; the recording is of the old socket",
    ),
    "quote": Evidence((), (f"{OWN}test_a_side_that_is_not_there_is_null",), ITSELF),
}
