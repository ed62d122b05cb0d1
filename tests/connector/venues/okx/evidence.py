"""OKX, spot: what the venue allows, as of 2026-09, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import BROKEN, GOLDEN, HOLD, ITSELF, SILENT, Evidence, Limit

OLD, NEW = "cryptofeed_okx", "tickvault_okx_v5_btcusdt_20260824"
OWN: Final = "connector/venues/okx/test_okx.py::"
REAL: Final = "connector/venues/test_okx_recordings.py::"

LIMITS: Final = dict.fromkeys(("public", "business"), Limit(None, None, shared=False, connects_per_s=3, lifetime_s=0))

EVIDENCE: Final = {
    "book": Evidence(
        (OLD, NEW),
        (
            f"{REAL}test_books_are_proven_by_checksums_or_numbers",
            f"{REAL}test_a_book_keeps_as_many_levels_as_the_venue_has",
            f"{OWN}test_an_update_follows_the_one_that_it_names",
            HOLD,
            BROKEN,
            SILENT,
        ),
        "levels beyond the best 400 a side; that the newest update was not lost, until the next; what orders that others cannot take are",
    ),
    "trade": Evidence(
        (OLD,),
        (f"{REAL}test_trades_are_all_there_to_the_digit", f"{OWN}test_a_row_of_several_fills_uses_up_their_ids"),
        "the channel of single fills by a recording; those that a row of several stands for are not on the tape one by one",
    ),
    "quote": Evidence((), (GOLDEN, f"{OWN}test_a_side_without_orders_is_null"), ITSELF),
    "ticker": Evidence((OLD,), (f"{REAL}test_the_day_is_that_of_the_venue",), ITSELF),
    "candle": Evidence(
        (),
        (GOLDEN, f"{OWN}test_days_begin_at_midnight_utc"),
        "by a recording; what the venue counts in it; that a week begins on Monday",
    ),
    "status": Evidence((), (f"{OWN}test_maintenance_of_all_is_the_venues_state",), "which announcements concern market data"),
}
