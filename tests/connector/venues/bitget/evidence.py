"""Bitget: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import BROKEN, GOLDEN, HOLD, ITSELF, SILENT, Evidence, Limit

BOTH: Final = "connector/venues/test_bitget.py::"

V2: Final = Limit(1_000, 10, shared=False, connects_per_s=1.0, lifetime_s=0)
LIMITS: Final = {"v2": V2}
SHARED: Final = {
    "book": Evidence(
        (),
        (
            f"{BOTH}test_an_update_follows_the_frame_whose_number_it_names",
            f"{BOTH}test_a_book_that_began_again_is_subscribed_again",
            f"{BOTH}test_a_book_begins_anew_with_each_snapshot",
            HOLD,
            BROKEN,
            SILENT,
        ),
        "by a recording; levels beyond the best 500 a side; what a frame says: its checksum is not there any more",
    ),
    "trade": Evidence(
        (),
        (f"{BOTH}test_trades_after_a_subscription_are_of_the_past", f"{BOTH}test_the_time_of_a_trade_is_in_its_id"),
        "by a recording; how many trades a lost connection cost: ids are not contiguous",
    ),
    "quote": Evidence((), (f"{BOTH}test_an_empty_side_of_a_quote_is_null", GOLDEN), ITSELF),
    "ticker": Evidence((), (f"{BOTH}test_the_open_of_another_day_is_left_out", GOLDEN), ITSELF),
    "candle": Evidence(
        (),
        (
            f"{BOTH}test_the_first_frame_of_candles_has_many",
            f"{BOTH}test_days_that_begin_at_16_utc_are_not_ours",
            f"{BOTH}test_which_volume_is_of_the_base_asset_shows_at_the_price",
        ),
        "by a recording; that a candle is final; where weeks begin: one that is not on a Monday is refused",
    ),
}
EVIDENCE: Final = SHARED

FIGURES: Final = {
    "candle": "`open` is the close before, so that `high` and `low` contain it",
    "ticker": "`open` and `change` are null, unless the venue's own change is of that open",
}
