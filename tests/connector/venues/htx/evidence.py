"""HTX spot: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import BROKEN, GOLDEN, HOLD, ITSELF, SILENT, Evidence, Limit

OWN: Final = "connector/venues/htx/test_htx.py::"
KEPT: Final = "connector/venues/test_htx_recordings.py::"
RECORDING: Final = "cryptofeed_huobi"

LIMITS: Final = {
    "spot": Limit(None, None, shared=False, connects_per_s=None, lifetime_s=0),
    "feed": Limit(None, 10, shared=False, connects_per_s=None, lifetime_s=0),
}

EVIDENCE: Final = {
    "book": Evidence(
        (),
        (
            f"{OWN}test_a_book_is_asked_for_after_the_first_change_and_joined_to_what_was_kept",
            f"{OWN}test_an_answer_that_is_older_than_what_was_kept_is_asked_for_again",
            HOLD,
            BROKEN,
            SILENT,
        ),
        "by a recording: the frames seen of `mbp` are of 2020; levels beyond the depth; what a frame says, as there is no checksum",
    ),
    "trade": Evidence(
        (RECORDING,),
        (f"{KEPT}test_trades_of_htx_are_all_there_to_the_digit", f"{OWN}test_the_first_trades_are_from_before", GOLDEN),
        "that ids are contiguous since 2021",
    ),
    "quote": Evidence((), (f"{OWN}test_a_quote_without_a_time_is_none",), ITSELF),
    "ticker": Evidence((), (GOLDEN,), ITSELF),
    "candle": Evidence(
        (),
        (GOLDEN, f"{OWN}test_candles_by_rest_come_newest_first"),
        "by a recording; what `open` is, and what the socket sends for an interval without trades",
    ),
}

FIGURES: Final = {"ticker": "both volumes are of the last 24 hours, so that they can fall"}
