"""KuCoin, spot: what the venue allows, as of 2026-11, and what shows that each kind of feed is right."""

from __future__ import annotations

from typing import Final

from docs.conformance import BROKEN, HOLD, ITSELF, RECORDED, SILENT, Evidence, Limit

OLD = "cryptofeed_kucoin"
OWN: Final = "connector/venues/kucoin/test_kucoin.py::"

LIMITS: Final = {
    "pro": Limit(600, 10, shared=False, connects_per_s=250 / 300, lifetime_s=0),
    "classic": Limit(300, 10, shared=False, connects_per_s=30 / 60, lifetime_s=86_400),
}

CANDLES: Final = Evidence(
    (OLD,),
    (f"{RECORDED}test_kucoin_candles_are_those_of_the_venue", f"{OWN}test_a_candle_is_closed_when_the_venue_says_so_at_its_end"),
    "the newer protocol's candles, of which no recording exists; that `S` is ever true; where a month begins",
)

EVIDENCE: Final = {
    "book": Evidence(
        (OLD,),
        (
            f"{RECORDED}test_kucoin_books_are_linked_from_their_snapshot_on",
            f"{RECORDED}test_kucoin_books_have_the_venues_own_best_bid_and_ask",
            f"{OWN}test_changes_may_overlap_and_not_leave_a_hole",
            HOLD,
            BROKEN,
            SILENT,
        ),
        "the newer protocol's books by a recording: the one there is has the older protocol's; levels beyond the best 500 a side",
    ),
    "trade": Evidence(
        (OLD,),
        (f"{RECORDED}test_kucoin_trades_are_all_there_to_the_digit",),
        "how many trades a lost connection cost: ids are not contiguous, and REST has the newest 100",
    ),
    "quote": Evidence((), (f"{OWN}test_a_quote_has_the_symbol_of_its_topic_and_empty_sides_are_null",), ITSELF),
    "ticker": Evidence((), (f"{OWN}test_the_day_keeps_every_digit",), ITSELF),
    "candle": CANDLES,
}
