"""Kraken: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import BROKEN, GOLDEN, HOLD, ITSELF, RECORDED, REPLAYED, SILENT, Evidence, Limit

TEN, DEEP = "kraken_v2_btcusd_d10_20260801", "kraken_v2_btcusd_d25_20260802"

CANDLES: Final = "connector/venues/kraken/test_candles.py::"

LIMITS: Final = {"v2": Limit(None, 20, shared=False, connects_per_s=150 / 600, lifetime_s=0)}

EVIDENCE: Final = {
    "book": Evidence(
        (TEN, DEEP),
        (
            f"{RECORDED}test_kraken_books_have_the_venues_checksum_after_each_frame",
            f"{RECORDED}test_kraken_resyncs_are_told",
            "connector/venues/kraken/test_kraken.py::test_the_checksum_is_that_of_the_documents",
            "connector/feeds/books/test_order_book.py::test_an_update_that_was_overtaken_is_a_break",
            HOLD,
            REPLAYED,
            BROKEN,
            SILENT,
        ),
        "levels below the tenth (`book_depth` above 10), until they rise; that the newest frame was not lost, until the next",
    ),
    "trade": Evidence((), ("connector/venues/kraken/test_kraken.py::test_replayed_trades_come_as_one_snapshot", BROKEN)),
    "quote": Evidence((), ("connector/venues/kraken/test_kraken.py::test_a_ticker_holds_a_quote_and_the_day",), ITSELF),
    "ticker": Evidence((), ("connector/venues/kraken/test_kraken.py::test_a_ticker_holds_a_quote_and_the_day",), ITSELF),
    "candle": Evidence(
        (),
        (
            GOLDEN,
            f"{CANDLES}test_a_row_whose_figures_contradict_each_other_is_left_out",
            f"{CANDLES}test_a_page_reaches_back_to_what_is_wanted",
        ),
        "that a candle is final, until the next begins",
    ),
}
