"""Deribit: what the venue allows, as of 2026-09, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import GOLDEN, HOLD, ITSELF, SILENT, Evidence, Limit

TESTS: Final = "connector/venues/deribit/test_deribit.py::"
RECORDED: Final = "connector/venues/test_deribit_recordings.py::"

LIMITS: Final = {"v2": Limit(None, 3.3, shared=False, connects_per_s=None, lifetime_s=0)}

EVIDENCE: Final = {
    "trade": Evidence(
        (),
        (
            f"{TESTS}test_a_trade_of_no_book_counts_by_its_number_only",
            f"{TESTS}test_amounts_of_an_inverse_contract_are_dollars",
            GOLDEN,
        ),
        "that a block trade or a leg of a combination is always marked as one",
    ),
    "quote": Evidence((), (f"{TESTS}test_a_side_of_zero_is_empty", GOLDEN), ITSELF),
    "book": Evidence(
        ("cryptofeed_deribit",),
        (
            f"{RECORDED}test_each_change_names_the_one_before",
            f"{TESTS}test_a_change_that_does_not_follow_breaks_the_book",
            f"{TESTS}test_books_of_some_levels_are_not_mixed_with_changes",
            HOLD,
            SILENT,
        ),
        "what a frame says; the recording has books of options, which keep the same rule",
    ),
    "ticker": Evidence((), (f"{TESTS}test_figures_of_an_expired_contract", GOLDEN), ITSELF),
    "mark": Evidence((), (GOLDEN,), ITSELF),
    "funding": Evidence((), (f"{TESTS}test_funding_has_no_next_time", GOLDEN), ITSELF),
    "open_interest": Evidence((), (f"{TESTS}test_amounts_of_an_inverse_contract_are_dollars", GOLDEN), ITSELF),
    "liquidation": Evidence((), (f"{TESTS}test_a_liquidation_is_the_side_of_the_forced_order", GOLDEN), ITSELF),
    "candle": Evidence(
        (), (f"{TESTS}test_a_candle_of_another_resolution_is_nothing", GOLDEN), "that it is final; whether block trades count"
    ),
}

FIGURES: Final = {
    "trade": "block trades and legs of combinations, at prices that no book had, are left out",
    "liquidation": "part of the trades: `price` and `size` are those of the trade by which a position was closed",
    "ticker": "`open` is null: the venue gives the relative change only",
    "funding": "the rate of eight hours as of now, which is paid all the time: there is no next time",
    "open_interest": "of an inverse contract `value` (US dollars), of a linear one `size`",
}
