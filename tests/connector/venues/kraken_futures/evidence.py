"""Kraken Futures: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import BROKEN, HOLD, ITSELF, SILENT, Evidence, Limit

OWN: Final = "connector/venues/kraken_futures/test_kraken_futures.py::"
RECORDED: Final = "connector/venues/kraken_futures/test_recording.py::"
ONE: Final = "cryptofeed_kraken_futures"

LIMITS: Final = {"v1": Limit(None, 100, shared=False, connects_per_s=None, lifetime_s=0)}

EVIDENCE: Final = {
    "book": Evidence(
        (ONE,),
        (
            f"{RECORDED}test_books_of_a_recording_are_linked_and_those_of_its_frames",
            f"{OWN}test_contracts_are_base_units",
            HOLD,
            BROKEN,
            SILENT,
        ),
        "that a level is what the venue has: there is no checksum",
    ),
    "trade": Evidence(
        (ONE,),
        (f"{RECORDED}test_trades_of_a_recording_are_all_there", f"{OWN}test_contracts_are_base_units"),
        "more than 100 trades of a lost connection are not repaired: REST does not number them as the stream does",
    ),
    "ticker": Evidence((), (f"{OWN}test_a_ticker_has_four_kinds_of_figures",), ITSELF),
    "mark": Evidence((), (f"{OWN}test_a_ticker_has_four_kinds_of_figures",), ITSELF),
    "funding": Evidence((), (f"{OWN}test_the_funding_rate_is_the_relative_one",), ITSELF),
    "open_interest": Evidence((), (f"{OWN}test_open_interest_of_an_inverse_contract_is_worth_dollars",), ITSELF),
    "liquidation": Evidence(
        (),
        (f"{OWN}test_a_trade_that_was_forced_is_a_liquidation_too",),
        "by a recording; those of a lost connection, whose trades come again, are not published again",
    ),
}

FIGURES: Final = {
    "funding": "`rate` is of the hour that ends at `next_ts`, also where settlements were further apart",
    "liquidation": "a trade of the type `liquidation`, which is on the tape as a trade, too",
    "open_interest": "of inverse contracts `size` is `value` at the mark price; `value` is null for others",
    "ticker": "of inverse contracts `base_volume` is null, and `quote_volume` the contracts' value; `change` is `last` - `open`",
}
