"""Coinbase: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import BROKEN, GOLDEN, HOLD, ITSELF, RECORDED, REPLAYED, SILENT, Evidence, Limit

EXCHANGE, ADVANCED = "cryptofeed_coinbase", "tickvault_coinbase_advanced_btcusd_20260824"

CANDLES: Final = "connector/venues/coinbase/test_candles.py::"

LIMITS: Final = {
    "advanced": Limit(None, 8, shared=True, connects_per_s=8, lifetime_s=0),
    "exchange": Limit(None, 8, shared=True, connects_per_s=8, lifetime_s=0),
}

EVIDENCE: Final = {
    "book": Evidence(
        (ADVANCED, EXCHANGE),
        (
            f"{RECORDED}test_coinbase_advanced_frames_follow_each_other",
            f"{RECORDED}test_coinbase_exchange_books_are_those_of_a_plain_replay",
            "connector/venues/coinbase/test_advanced.py::test_a_hole_in_the_sequence_is_told_with_the_books_it_spoils",
            "connector/venues/coinbase/test_advanced.py::test_a_book_frame_that_cannot_be_read_is_a_hole",
            HOLD,
            REPLAYED,
            BROKEN,
            SILENT,
        ),
        "what an update says; that the newest frame was not lost, until the next",
    ),
    "trade": Evidence(
        (EXCHANGE,),
        (
            f"{RECORDED}test_coinbase_matches_are_all_there_to_the_digit",
            "connector/feeds/trades/test_sequence.py::test_a_trade_named_twice_and_never_sent_is_missed",
            "connector/feeds/trades/test_sequence.py::test_a_named_id_confirms_a_quiet_feed",
        ),
    ),
    "ticker": Evidence((EXCHANGE,), (f"{RECORDED}test_coinbase_tickers_agree_with_the_takers_side",), ITSELF),
    "status": Evidence((), ("connector/venues/coinbase/test_advanced.py::test_a_product_that_is_not_online_is_down",), ITSELF),
    "candle": Evidence(
        (),
        (GOLDEN, f"{CANDLES}test_a_row_whose_figures_contradict_each_other_is_left_out", f"{CANDLES}test_a_page_has_both_bounds"),
        "that a candle is final, until the next begins",
    ),
}
