"""HTX contracts: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import BROKEN, GOLDEN, HOLD, ITSELF, SILENT, Evidence, Limit

OWN: Final = "connector/venues/htx_swap/test_htx_swap.py::"

LIMITS: Final = {
    "market": Limit(None, 40, shared=False, connects_per_s=None, lifetime_s=0),
    "index": Limit(None, 40, shared=False, connects_per_s=None, lifetime_s=0),
    "notification": Limit(None, 40, shared=False, connects_per_s=None, lifetime_s=0),
}
HALVED: Final = f"{OWN}test_a_trade_counts_both_sides_until_a_number_is_odd"

EVIDENCE: Final = {
    "book": Evidence(
        (),
        (f"{OWN}test_versions_link_a_book", HOLD, BROKEN, SILENT),
        "levels beyond the 20th or 150th; what a frame says, as there is no checksum",
    ),
    "trade": Evidence(
        (),
        (HALVED, f"{OWN}test_the_first_trades_are_from_before", GOLDEN),
        "how many trades a lost connection cost: ids are not contiguous; that both sides are counted since 2022, but by even numbers",
    ),
    "quote": Evidence((), (GOLDEN,), ITSELF),
    "ticker": Evidence((), (f"{OWN}test_an_odd_volume_is_not_halved",), f"{ITSELF}; that both sides are counted, but by even numbers"),
    "mark": Evidence((), (f"{OWN}test_the_index_price_is_that_of_its_own_topic",), ITSELF),
    "funding": Evidence((), (f"{OWN}test_funding_has_the_next_payment_and_the_contracts_own_interval",), ITSELF),
    "open_interest": Evidence(
        (), (f"{OWN}test_open_interest_is_halved_only_if_all_numbers_are_even",), "whether both sides are counted, but by even numbers"
    ),
    "liquidation": Evidence((), (GOLDEN,), "that all are sent, and that their sizes are of one side"),
    "candle": Evidence(
        (),
        (HALVED, f"{OWN}test_an_odd_volume_is_not_halved"),
        "by a recording; what `open` is, and what the socket sends for an interval without trades",
    ),
}

FIGURES: Final = {
    "candle": "half of the venue's volumes, which count both sides; `trades` is null: whether `count` is of both sides is not clear",
    "funding": "`interval_s` is that of the list of instruments",
    "liquidation": "`price` is that of the bankruptcy",
    "mark": "`index_price` is from a topic of its own, and null if that has none of the same second",
    "open_interest": "half of the venue's figures, if all of an answer are even numbers of contracts; else they are as they are",
    "ticker": "half of the venue's volumes, which count both sides",
}
