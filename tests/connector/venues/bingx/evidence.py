"""BingX spot: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import GOLDEN, HOLD, ITSELF, SILENT, Evidence, Limit

TESTS: Final = "connector/venues/bingx/test_bingx.py::"
SOCKET: Final = "the socket as such: its documents were read, no recording of it was"

LIMITS: Final = {"spot": Limit(200, 10, shared=False, connects_per_s=None, lifetime_s=0)}

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
        f"levels below the depth; what a frame says; that the newest frame was not lost, until the next; {SOCKET}",
    ),
    "trade": Evidence((), (f"{TESTS}test_trades_whose_ids_do_not_ascend_are_all_published_once", GOLDEN), f"that none was lost; {SOCKET}"),
    "quote": Evidence((), (GOLDEN,), f"{ITSELF}; {SOCKET}"),
    "ticker": Evidence((), (f"{TESTS}test_open_and_change_are_those_of_a_day_or_null", GOLDEN), f"{ITSELF}; {SOCKET}"),
    "candle": Evidence(
        (), (f"{TESTS}test_prices_of_candles_are_on_the_tick_and_volumes_keep_their_digits", GOLDEN), f"that it is final; {SOCKET}"
    ),
}

FIGURES: Final = {
    "candle": "prices are rounded to the tick",
}
