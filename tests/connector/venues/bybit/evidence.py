"""Bybit, spot: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import BROKEN, HOLD, ITSELF, SILENT, Evidence, Limit

BOOK_RECORDING: Final = "tickvault_bybit_v5_spot_btcusdt_20260824"
OWN: Final = "connector/venues/bybit/test_bybit.py::"
RECORDED: Final = "connector/venues/test_bybit_recordings.py::"

LIMITS: Final = {"spot": Limit(None, None, shared=False, connects_per_s=500 / 300, lifetime_s=0)}
"""Topics have 21,000 characters together; a request names ten at most. No limit on messages is stated."""

CANDLES: Final = Evidence(
    (),
    (f"{OWN}test_a_candle_opens_at_the_close_before_it", f"{OWN}test_a_frame_may_hold_the_closed_candle_and_the_next"),
    "by a recording; whether an interval without trades has one; where a month begins, of which the end is compared",
)

EVIDENCE: Final = {
    "book": Evidence(
        (BOOK_RECORDING,),
        (
            f"{RECORDED}test_a_recorded_book_is_linked_from_its_snapshot_on",
            f"{OWN}test_a_number_that_is_left_out_breaks_the_book",
            f"{OWN}test_number_one_is_a_restart_whatever_the_frame_calls_itself",
            HOLD,
            BROKEN,
            SILENT,
        ),
        "that numbers have no holes at volume: the recording has eight changes",
    ),
    "trade": Evidence(
        (),
        (f"{OWN}test_ids_of_spot_are_numbers_and_another_one_is_a_row_that_cannot_be_read",),
        "by a recording; how many trades a lost connection cost: nothing says that ids are contiguous",
    ),
    "quote": Evidence((), (f"{OWN}test_a_quote_that_is_sent_again_is_a_sign_of_life",), f"{ITSELF}, but for the repetitions"),
    "ticker": Evidence((), (f"{OWN}test_the_ticker_of_spot_is_complete_in_each_frame",), ITSELF),
    "candle": CANDLES,
}
