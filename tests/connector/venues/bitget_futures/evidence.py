"""Bitget's contracts: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import GOLDEN, ITSELF, Evidence
from tests.connector.venues.bitget.evidence import BOTH, SHARED, V2
from tests.connector.venues.bitget.evidence import FIGURES as OF_SPOT

LIMITS: Final = {"v2": V2, "v3": V2}
EVIDENCE: Final = {
    **SHARED,
    "mark": Evidence((), (f"{BOTH}test_a_ticker_of_a_contract_has_its_figures", GOLDEN), ITSELF),
    "funding": Evidence((), (f"{BOTH}test_a_ticker_of_a_contract_has_its_figures", GOLDEN), f"{ITSELF}; the interval is not in the frame"),
    "open_interest": Evidence((), (f"{BOTH}test_a_ticker_of_a_contract_has_its_figures", GOLDEN), ITSELF),
    "liquidation": Evidence(
        (),
        (f"{BOTH}test_the_amount_of_a_liquidation_is_worth_a_size", GOLDEN),
        "that `amount` is in quote units, though it fits 2 of 2 rows seen; that `side` is the forced order's; that none is sent twice",
    ),
}
FIGURES: Final = {
    **OF_SPOT,
    "liquidation": "`size` is the venue's amount in quote units at its price",
    "open_interest": "`size` as the venue gives it, of coin-margined contracts too; `value` is null",
}
