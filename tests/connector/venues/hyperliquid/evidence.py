"""Hyperliquid perpetuals: what the venue allows, as of 2026-09, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import GOLDEN, HOLD, ITSELF, SILENT, Evidence, Limit

TESTS: Final = "connector/venues/hyperliquid/test_hyperliquid.py::"

LIMITS: Final = {"ws": Limit(1_000, 33, shared=True, connects_per_s=0.5, lifetime_s=0)}

EVIDENCE: Final = {
    "trade": Evidence(
        (),
        (
            f"{TESTS}test_past_trades_after_a_subscription_are_not_published_twice",
            f"{TESTS}test_a_lost_connection_leaves_a_gap_only_if_its_trades_may_be_missing",
            f"{TESTS}test_trades_of_one_time_have_ids_of_their_own",
            GOLDEN,
        ),
        "that none was lost while the connection stood; which of the trades after a subscription are past ones, nothing marks them",
    ),
    "quote": Evidence((), (f"{TESTS}test_a_quote_without_a_side_is_null_there", GOLDEN), ITSELF),
    "book": Evidence(
        (),
        (
            f"{TESTS}test_books_of_two_forms_are_not_mixed",
            f"{TESTS}test_a_book_that_cannot_be_read_is_a_break",
            HOLD,
            SILENT,
        ),
        "levels below the fifth; what a frame says; that the newest frame was not lost, until the next",
    ),
    "ticker": Evidence((), (f"{TESTS}test_figures_without_a_time_are_those_of_their_receipt", GOLDEN), ITSELF),
    "mark": Evidence((), (GOLDEN,), ITSELF),
    "funding": Evidence((), (f"{TESTS}test_funding_is_paid_at_the_next_whole_hour", GOLDEN), ITSELF),
    "open_interest": Evidence((), (GOLDEN,), ITSELF),
    "candle": Evidence(
        (), (f"{TESTS}test_a_candle_of_another_interval_is_nothing", GOLDEN), "that it is final; what comes of an interval without trades"
    ),
}

FIGURES: Final = {
    "ticker": "there is no last price; `open` is the price 24 h ago",
    "funding": "the running estimate of the rate of one hour, which is paid at each whole hour; nothing in a frame says when",
}
