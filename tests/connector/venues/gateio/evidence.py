"""Gate, spot: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import BROKEN, HOLD, ITSELF, SILENT, Evidence, Limit

OLD: Final = "cryptofeed_gateio"
OWN: Final = "connector/venues/gateio/test_gateio.py::"
BOOKS: Final = "connector/venues/gateio/test_gateio_books.py::"
RECORDED: Final = "connector/venues/test_gateio_recordings.py::"

LIMITS: Final = {"v4": Limit(None, None, shared=False, connects_per_s=None, lifetime_s=0)}

EVIDENCE: Final = {
    "book": Evidence(
        (OLD,),
        (
            f"{RECORDED}test_changes_are_linked_from_their_snapshot_on",
            f"{BOOKS}test_a_frame_without_levels_moves_the_number_on",
            f"{BOOKS}test_a_full_book_replaces_the_one_before_at_any_time",
            f"{BOOKS}test_changes_begin_one_after_the_end_of_those_before",
            HOLD,
            BROKEN,
            SILENT,
        ),
        "the channel of full books by a recording: the one there is has `order_book_update`; levels beyond the best 50 or 400 a side",
    ),
    "trade": Evidence(
        (OLD,),
        (f"{RECORDED}test_trades_are_all_there_to_the_digit", f"{OWN}test_a_trades_time_is_a_text_of_ms_with_decimals"),
        "how many trades a lost connection cost: ids are those of all pairs",
    ),
    "quote": Evidence((), (f"{OWN}test_an_empty_text_is_an_empty_side",), ITSELF),
    "ticker": Evidence((OLD,), (f"{RECORDED}test_the_day_is_that_of_the_venue",), ITSELF),
    "candle": Evidence(
        (OLD,),
        (f"{RECORDED}test_a_candles_turnover_is_that_of_the_trades", f"{OWN}test_a_candles_v_is_its_turnover_and_a_its_volume"),
        "that `w` always comes; the volume of frames of 2021 but at the closing price; where a month begins",
    ),
}

FIGURES: Final = {
    "candle": "of recordings of 2021, which have no base volume, `volume` is `quote_volume` at the close",
    "ticker": "`open` and `change` are null: the venue gives a percentage only",
}
