"""Bitfinex: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import BROKEN, GOLDEN, HOLD, ITSELF, SILENT, Evidence, Limit

TESTS: Final = "connector/venues/bitfinex/test_bitfinex.py::"
CHANNELS: Final = "connector/venues/bitfinex/test_channels.py::"
RECORDED_TESTS: Final = "connector/venues/test_bitfinex_recordings.py::"
RECORDING: Final = "cryptofeed_bitfinex"

LIMITS: Final = {"v2": Limit(30, None, shared=False, connects_per_s=20 / 60, lifetime_s=0)}

EVIDENCE: Final = {
    "book": Evidence(
        (RECORDING,),
        (
            f"{RECORDED_TESTS}test_bitfinex_books_are_those_of_a_plain_replay",
            f"{RECORDED_TESTS}test_bitfinex_numbers_every_frame_of_the_connection",
            f"{CHANNELS}test_the_checksum_is_that_of_the_documents",
            f"{CHANNELS}test_a_checksum_proves_the_book_after_each_change",
            f"{TESTS}test_a_jump_of_the_numbers_breaks_every_book_once",
            f"{TESTS}test_changes_are_no_snapshot_if_the_snapshot_may_be_lost",
            HOLD,
            BROKEN,
            SILENT,
        ),
        "what a frame says, until the next checksum; levels below the 25th; that one event never comes in two frames",
    ),
    "trade": Evidence(
        (RECORDING,),
        (
            f"{CHANNELS}test_a_trade_is_published_once",
            f"{TESTS}test_a_lost_frame_may_have_held_trades",
            f"{RECORDED_TESTS}test_bitfinex_trades_are_all_there_to_the_digit",
            GOLDEN,
        ),
        "how many a lost frame or connection cost. A lost `te` is made up for by its `tu`, if no later trade came before",
    ),
    "ticker": Evidence((RECORDING,), (GOLDEN, f"{RECORDED_TESTS}test_bitfinex_tickers_are_those_of_the_venue"), ITSELF),
    "candle": Evidence(
        (),
        (GOLDEN, f"{CHANNELS}test_candles_come_oldest_first"),
        "that a candle is complete before the next begins; that weeks begin on Monday",
    ),
    "mark": Evidence((), (GOLDEN, f"{CHANNELS}test_a_status_may_be_short"), ITSELF),
    "funding": Evidence((), (GOLDEN,), "whether `CURRENT_FUNDING` is what is settled at the next time, as other clients read it"),
    "open_interest": Evidence((), (GOLDEN,), ITSELF),
    "liquidation": Evidence(
        (), (GOLDEN, f"{CHANNELS}test_a_liquidation_is_published_once"), "that each position's trigger is sent, as other clients read it"
    ),
}

FIGURES: Final = {
    "liquidation": "`price` is the liquidation price of the position, not that of a trade",
}
