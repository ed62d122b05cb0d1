"""Binance USD-M futures: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import BROKEN, GOLDEN, HOLD, ITSELF, SILENT, Evidence, Limit

ONE, BURST, FOUR = "binance_usdm_btcusdt_20240808", "binance_usdm_btcusdt_20220811", "cryptofeed_binance_futures"

LIMITS: Final = dict.fromkeys(("public", "market"), Limit(200, 10, shared=False, connects_per_s=None, lifetime_s=86_400))

TESTS: Final = "connector/venues/test_binance_futures_recordings.py::"
OWN: Final = "connector/venues/binance_usdm/test_binance_usdm.py::"

EVIDENCE: Final = {
    "book": Evidence(
        (
            ONE,
            BURST,
            FOUR,
        ),
        (
            f"{TESTS}test_books_are_linked_from_their_snapshot_on",
            f"{TESTS}test_books_have_the_venues_own_best_bid_and_ask",
            HOLD,
            BROKEN,
            SILENT,
        ),
        "`delta` beyond the best 1,000 a side, until it changes; what an update says; that the newest was not lost, until the next",
    ),
    "trade": Evidence(
        (
            ONE,
            BURST,
            FOUR,
        ),
        (f"{TESTS}test_trades_are_all_there_to_the_digit", f"{TESTS}test_volume_and_mean_price_of_a_window"),
        "recordings have `trade` or `aggTrade`; single trades of an aggregate are not on the tape",
    ),
    "quote": Evidence(
        (
            ONE,
            FOUR,
        ),
        (f"{TESTS}test_quotes_are_those_of_the_venue",),
        ITSELF,
    ),
    "ticker": Evidence((), (GOLDEN, f"{OWN}test_the_day_is_that_of_the_venue"), ITSELF),
    "candle": Evidence(
        (FOUR,), (f"{TESTS}test_candles_are_those_of_the_venue", GOLDEN), "what the venue counts in it; it may correct a closed one"
    ),
    "mark": Evidence((), (GOLDEN, f"{OWN}test_a_perpetual_has_a_mark_and_a_funding_rate"), ITSELF),
    "funding": Evidence((), (GOLDEN, f"{OWN}test_a_perpetual_has_a_mark_and_a_funding_rate"), "the interval is not in the frame"),
    "open_interest": Evidence((), (GOLDEN,), "it is asked for every 30 s, and may be older"),
    "liquidation": Evidence(
        (),
        (GOLDEN, f"{OWN}test_a_forced_order_counts_as_far_as_it_is_filled"),
        "the venue sends at most one a second and symbol: sums are lower bounds",
    ),
}

FIGURES: Final = {
    "liquidation": "`price` is the average at which the order was filled, `size` what was filled of it",
}
