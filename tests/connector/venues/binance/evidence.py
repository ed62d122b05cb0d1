"""Binance: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import BROKEN, HOLD, ITSELF, KEPT, RECORDED, REPLAYED, SILENT, Evidence, Limit

SPOT, FOUR = "binance_spot_btcusdt_20240808", "cryptofeed_binance"

LIMITS: Final = {"stream": Limit(1024, 5, shared=False, connects_per_s=300 / 300, lifetime_s=86_400)}

EVIDENCE: Final = {
    "book": Evidence(
        (SPOT, FOUR),
        (
            f"{RECORDED}test_binance_books_are_linked_from_their_snapshot_on",
            f"{RECORDED}test_binance_books_have_the_venues_own_best_bid_and_ask",
            "connector/feeds/books/test_order_book.py::test_numbers_that_begin_again_are_a_break",
            HOLD,
            REPLAYED,
            BROKEN,
            SILENT,
        ),
        "`delta` beyond the best 1,000 a side, until it changes; what an update says; that the newest was not lost, until the next",
    ),
    "trade": Evidence((SPOT,), (f"{RECORDED}test_binance_trades_are_all_there_to_the_digit",)),
    "quote": Evidence((SPOT, FOUR), (f"{RECORDED}test_binance_quotes_are_those_of_the_venue", KEPT), ITSELF),
    "candle": Evidence(
        (FOUR,),
        (
            "connector/venues/test_binance_futures_recordings.py::test_candles_are_those_of_the_venue",
            "connector/venues/binance/test_klines.py::test_a_candle_is_that_of_the_venue",
        ),
        "what the venue counts in it; it may correct a closed one",
    ),
    "ticker": Evidence((), ("connector/venues/binance/test_binance.py::test_the_day_is_told_as_the_venue_counts_it",), ITSELF),
}
