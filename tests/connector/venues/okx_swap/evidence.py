"""OKX, swaps and futures: what the venue allows, as of 2026-09, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import BROKEN, GOLDEN, HOLD, ITSELF, SILENT, Evidence, Limit

OLD: Final = "cryptofeed_okx"
OWN: Final = "connector/venues/okx_swap/test_okx_swap.py::"
REAL: Final = "connector/venues/test_okx_recordings.py::"

LIMITS: Final = dict.fromkeys(("public", "business"), Limit(None, None, shared=False, connects_per_s=3, lifetime_s=0))

EVIDENCE: Final = {
    "book": Evidence(
        (OLD,),
        (f"{REAL}test_books_are_proven_by_checksums_or_numbers", f"{OWN}test_contracts_are_base_units", HOLD, BROKEN, SILENT),
        "numbers by a recording of contracts; levels beyond the best 400 a side; that the newest update was not lost, until the next",
    ),
    "trade": Evidence(
        (OLD,),
        (f"{REAL}test_trades_are_all_there_to_the_digit", f"{OWN}test_contracts_are_base_units"),
        "the channel of single fills by a recording; those that a row of several stands for are not on the tape one by one",
    ),
    "quote": Evidence((), (f"{OWN}test_contracts_are_base_units",), ITSELF),
    "ticker": Evidence((OLD,), (f"{REAL}test_the_day_is_that_of_the_venue",), ITSELF),
    "candle": Evidence(
        (),
        (GOLDEN, f"{OWN}test_a_candles_contracts_are_base_units"),
        "by a recording; the base volume of inverse contracts, which is the venue's; that a week begins on Monday",
    ),
    "mark": Evidence((), (f"{OWN}test_a_mark_has_the_newest_price_of_its_index",), f"{ITSELF}; that the index is of the same moment"),
    "funding": Evidence((), (f"{OWN}test_funding_is_the_rate_to_come",), ITSELF),
    "open_interest": Evidence((), (f"{OWN}test_open_interest_is_in_base_units",), ITSELF),
    "liquidation": Evidence(
        (),
        (f"{OWN}test_liquidations_are_those_of_our_contracts",),
        "the venue sends at most one a second and contract: sums are lower bounds",
    ),
    "status": Evidence((), (GOLDEN,), "which announcements concern market data"),
}

FIGURES: Final = {
    "candle": "of inverse contracts `volume` is the venue's, `quote_volume` is exact",
    "liquidation": "`price` is the bankruptcy price of the position",
    "mark": "`index_price` is the newest of the minute before, from a channel of its own",
    "open_interest": "of inverse contracts `size` is the venue's; `value` is null for others",
    "ticker": "of linear contracts `quote_volume` is null",
}
