"""Bybit, inverse contracts: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import BROKEN, HOLD, ITSELF, SILENT, Evidence, Limit

OWN: Final = "connector/venues/bybit_linear/test_bybit_linear.py::"
INVERSE: Final = "connector/venues/bybit_inverse/test_bybit_inverse.py::"
SPOT: Final = "connector/venues/bybit/test_bybit.py::"
MERGED: Final = f"{OWN}test_a_field_that_a_ticker_leaves_out_is_as_it_was"

LIMITS: Final = {"inverse": Limit(None, None, shared=False, connects_per_s=500 / 300, lifetime_s=0)}
"""Topics have 21,000 characters together. No limit on messages is stated."""

EVIDENCE: Final = {
    "book": Evidence(
        (),
        (
            f"{INVERSE}test_sizes_are_dollars_on_every_channel",
            f"{SPOT}test_a_number_that_is_left_out_breaks_the_book",
            HOLD,
            BROKEN,
            SILENT,
        ),
        "by a recording; that numbers have no holes at volume",
    ),
    "trade": Evidence(
        (),
        (f"{OWN}test_ids_of_contracts_are_texts_without_an_order", f"{OWN}test_a_trade_that_comes_again_is_known_by_its_id"),
        "by a recording; how many trades a lost connection cost: ids have no order",
    ),
    "quote": Evidence((), (f"{SPOT}test_a_quote_that_is_sent_again_is_a_sign_of_life",), f"{ITSELF}, but for the repetitions"),
    "ticker": Evidence((), (f"{INVERSE}test_a_days_volume_is_its_turnover",), ITSELF),
    "mark": Evidence((), (MERGED,), ITSELF),
    "funding": Evidence((), (MERGED, f"{OWN}test_an_empty_text_is_a_value_so_that_a_dated_contract_has_no_funding"), ITSELF),
    "open_interest": Evidence((), (f"{INVERSE}test_open_interest_is_dollars_and_the_venues_own_base_units",), ITSELF),
    "liquidation": Evidence(
        (),
        (f"{OWN}test_the_side_of_a_liquidation_is_that_of_the_position",),
        "by a recording; the side, which early documents gave the other way round",
    ),
    "candle": Evidence(
        (),
        (f"{INVERSE}test_a_candles_volume_is_its_turnover", f"{SPOT}test_a_candle_opens_at_the_close_before_it"),
        "by a recording; whether an interval without trades has one; where a month begins, of which the end is compared",
    ),
}

FIGURES: Final = {
    "liquidation": "`price` is the bankruptcy price",
    "open_interest": "`size` is the venue's own, with two decimals; `value` is exact",
    "trade": "block trades and those with retail orders are among them",
}
