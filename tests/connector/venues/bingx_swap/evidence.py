"""BingX perpetuals: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import GOLDEN, HOLD, ITSELF, SILENT, Evidence, Limit

TESTS: Final = "connector/venues/bingx_swap/test_bingx_swap.py::"

LIMITS: Final = {"swap": Limit(200, 10, shared=False, connects_per_s=None, lifetime_s=0)}

EVIDENCE: Final = {
    "book": Evidence(
        (),
        (
            f"{TESTS}test_numbers_that_jump_are_no_gap_and_are_counted",
            f"{TESTS}test_a_number_that_does_not_grow_breaks_the_book",
            f"{TESTS}test_a_book_may_be_crossed_for_one_frame_and_is_not_published_so",
            f"{TESTS}test_a_book_has_at_most_1024_levels_a_side",
            HOLD,
            SILENT,
        ),
        "levels below the depth; what a frame says; that the newest frame was not lost, until the next. Of books deeper than 100 levels: "
        "that no change was lost, because numbers jump: only the order of frames is proven, and the best prices by the quote's stream",
    ),
    "trade": Evidence(
        (),
        (
            f"{TESTS}test_trades_have_ids_of_their_times_and_equal_rows_are_two_trades",
            f"{TESTS}test_past_trades_after_a_reconnect_are_not_published_twice",
            f"{TESTS}test_new_trades_after_a_reconnect_are_not_lost",
            GOLDEN,
        ),
        "that none was lost; whether the first list after a subscription holds past trades",
    ),
    "quote": Evidence((), (f"{TESTS}test_a_quote_is_the_best_of_levels_in_any_order", GOLDEN), ITSELF),
    "ticker": Evidence((), (f"{TESTS}test_a_ticker_has_no_turnover_and_no_open_of_minutes", GOLDEN), ITSELF),
    "mark": Evidence((), (GOLDEN,), ITSELF),
    "candle": Evidence((), (f"{TESTS}test_a_candle_begins_at_its_time", GOLDEN), "that it is final"),
    "funding": Evidence((), (f"{TESTS}test_funding_of_all_symbols_is_in_one_answer",), ITSELF),
    "open_interest": Evidence((), (f"{TESTS}test_open_interest_is_in_quote_units",), f"{ITSELF}; that its unit is the quote asset"),
}
