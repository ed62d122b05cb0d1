"""KuCoin, futures: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import BROKEN, HOLD, ITSELF, SILENT, Evidence, Limit

OWN: Final = "connector/venues/kucoin_futures/test_kucoin_futures.py::"

LIMITS: Final = {
    "pro": Limit(600, 10, shared=False, connects_per_s=250 / 300, lifetime_s=0),
    "classic": Limit(300, 10, shared=False, connects_per_s=30 / 60, lifetime_s=86_400),
}

CANDLES: Final = Evidence(
    (),
    (f"{OWN}test_a_candles_contracts_are_base_units", f"{OWN}test_past_candles_have_another_order_than_those_of_the_stream"),
    "by a recording; the base volume of inverse contracts but at the closing price; what an interval without trades looks like",
)

EVIDENCE: Final = {
    "book": Evidence(
        (),
        (f"{OWN}test_contracts_are_base_units", HOLD, BROKEN, SILENT),
        "by a recording; levels beyond the best 500 a side",
    ),
    "trade": Evidence(
        (),
        (f"{OWN}test_contracts_are_base_units",),
        "by a recording; how many trades a lost connection cost: ids are not contiguous, and REST has the newest 100",
    ),
    "quote": Evidence((), (f"{OWN}test_contracts_are_base_units",), ITSELF),
    "ticker": Evidence((), (f"{OWN}test_the_day_of_an_inverse_contract_has_no_volume",), f"{ITSELF}; volumes of inverse contracts"),
    "mark": Evidence((), (f"{OWN}test_one_frame_has_mark_index_and_open_interest",), ITSELF),
    "open_interest": Evidence((), (f"{OWN}test_one_frame_has_mark_index_and_open_interest",), ITSELF),
    "funding": Evidence((), (f"{OWN}test_funding_is_the_rate_to_come",), ITSELF),
    "candle": CANDLES,
}

FIGURES: Final = {
    "candle": "of inverse contracts `volume` is `quote_volume` at the close",
    "open_interest": "of inverse contracts `size` is `value` at the mark price; `value` is null for others",
    "ticker": "of inverse contracts both volumes are null",
}
