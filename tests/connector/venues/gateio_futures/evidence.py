"""Gate, USDT perpetuals: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import BROKEN, GOLDEN, HOLD, ITSELF, SILENT, Evidence, Limit

OWN: Final = "connector/venues/gateio_futures/test_gateio_futures.py::"

LIMITS: Final = {"v4": Limit(None, None, shared=False, connects_per_s=None, lifetime_s=0)}

EVIDENCE: Final = {
    "book": Evidence(
        (),
        (f"{OWN}test_contracts_are_base_units", f"{OWN}test_a_removed_level_has_no_size", HOLD, BROKEN, SILENT),
        "by a recording; levels beyond the best 50 or 400 a side",
    ),
    "trade": Evidence(
        (),
        (f"{OWN}test_a_negative_size_is_a_sellers", f"{OWN}test_a_takeover_by_the_venue_is_no_trade"),
        "by a recording; how many trades a lost connection cost: nothing says that ids are contiguous",
    ),
    "quote": Evidence((), (f"{OWN}test_contracts_are_base_units", f"{OWN}test_an_empty_text_is_an_empty_side"), ITSELF),
    "ticker": Evidence((), (f"{OWN}test_figures_that_a_frame_lacks_are_as_they_were",), ITSELF),
    "mark": Evidence((), (f"{OWN}test_one_frame_has_day_mark_funding_and_open_interest",), ITSELF),
    "funding": Evidence((), (f"{OWN}test_one_frame_has_day_mark_funding_and_open_interest",), ITSELF),
    "open_interest": Evidence(
        (), (f"{OWN}test_one_frame_has_day_mark_funding_and_open_interest",), f"{ITSELF}; whether it counts both sides"
    ),
    "liquidation": Evidence(
        (),
        (f"{OWN}test_a_forced_order_that_sells_has_a_negative_size", GOLDEN),
        "that none was lost: until 2026-08 the venue sent one a second of each contract",
    ),
    "candle": Evidence(
        (),
        (f"{OWN}test_a_candles_v_counts_contracts", GOLDEN),
        "by a recording; the base volume of inverse contracts but at the closing price",
    ),
}

FIGURES: Final = {
    "candle": "of inverse contracts `volume` is `quote_volume` at the close",
    "open_interest": "of inverse contracts `size` is `value` at the mark price; `value` is null for others",
    "ticker": "`open` is null; `quote_volume` is the base volume at the last price",
}
