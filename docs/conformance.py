"""What is proven of each venue, by which rule, and which recording and test shows it: for docs/reference/venues.md.

The rules are read off the venues' tables; only the evidence stands here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import Endpoint, Venue

HEADING: Final = ["kind", "from", "proven by", "rule", "what is not proven", "a break leads to", "recordings", "tests"]


class Evidence(NamedTuple):
    """Of one kind of one venue. Recordings by name, tests as `file::name` under `tests`."""

    recordings: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    limits: str = ""


HOLD: Final = "end_to_end/test_books_hold.py::test_a_book_that_is_called_live_is_the_true_one"
REPLAYED: Final = "end_to_end/test_recorded_books_hold.py::test_a_recorded_book_is_true_or_said_not_to_be"
BROKEN: Final = "end_to_end/test_faults.py::test_a_broken_book_is_told_and_mended"
SILENT: Final = "end_to_end/test_faults.py::test_a_subscription_that_is_acknowledged_and_silent_is_found_out"
KEPT: Final = "end_to_end/test_recordings.py::test_the_tape_of_a_recording_is_what_normalize_makes_of_it"
RECORDED: Final = "connector/venues/test_recordings.py::"
SPOT, FOUR = "binance_spot_btcusdt_20240808", "cryptofeed_binance"
EXCHANGE, ADVANCED = "cryptofeed_coinbase", "tickvault_coinbase_advanced_btcusd_20260824"
TEN, DEEP = "kraken_v2_btcusd_d10_20260801", "kraken_v2_btcusd_d25_20260802"

_ITSELF: Final = "each is told once, and replaces the one before"

EVIDENCE: Final[dict[tuple[str, str], Evidence]] = {
    ("binance", "book"): Evidence(
        (SPOT, FOUR),
        (
            f"{RECORDED}test_binance_books_are_linked_from_their_snapshot_on",
            f"{RECORDED}test_binance_books_have_the_venues_own_best_bid_and_ask",
            "connector/feeds/books/test_order_book.py::test_numbers_that_begin_again_are_a_break",
            HOLD,
            REPLAYED,
            BROKEN,
            SILENT,
        ),
        "levels beyond the snapshot's 1,000 a side, until they change; what an update says; that the newest was not lost, until the next",
    ),
    ("binance", "trade"): Evidence((SPOT,), (f"{RECORDED}test_binance_trades_are_all_there_to_the_digit",)),
    ("binance", "quote"): Evidence((SPOT, FOUR), (f"{RECORDED}test_binance_quotes_are_those_of_the_venue", KEPT), _ITSELF),
    ("binance", "ticker"): Evidence((), ("connector/venues/test_binance.py::test_the_day_is_told_as_the_venue_counts_it",), _ITSELF),
    ("coinbase", "book"): Evidence(
        (ADVANCED, EXCHANGE),
        (
            f"{RECORDED}test_coinbase_advanced_frames_follow_each_other",
            f"{RECORDED}test_coinbase_exchange_books_are_those_of_a_plain_replay",
            "connector/venues/coinbase/test_advanced.py::test_a_hole_in_the_sequence_is_told_with_the_books_it_spoils",
            "connector/venues/coinbase/test_advanced.py::test_a_book_frame_that_cannot_be_read_is_a_hole",
            HOLD,
            REPLAYED,
            BROKEN,
            SILENT,
        ),
        "what an update says; that the newest frame was not lost, until the next",
    ),
    ("coinbase", "trade"): Evidence(
        (EXCHANGE,),
        (
            f"{RECORDED}test_coinbase_matches_are_all_there_to_the_digit",
            "connector/feeds/trades/test_sequence.py::test_a_trade_the_venue_speaks_of_twice_and_never_sends_is_missed",
            "connector/feeds/trades/test_sequence.py::test_the_venues_word_proves_a_quiet_line",
        ),
    ),
    ("coinbase", "ticker"): Evidence((EXCHANGE,), (f"{RECORDED}test_coinbase_tickers_agree_with_the_takers_side",), _ITSELF),
    ("coinbase", "status"): Evidence(
        (), ("connector/venues/coinbase/test_advanced.py::test_a_product_that_is_not_online_is_down",), _ITSELF
    ),
    ("kraken", "book"): Evidence(
        (TEN, DEEP),
        (
            f"{RECORDED}test_kraken_books_have_the_venues_checksum_after_each_frame",
            f"{RECORDED}test_kraken_resyncs_are_told",
            "connector/venues/test_kraken.py::test_the_checksum_is_that_of_the_documents",
            "connector/feeds/books/test_order_book.py::test_an_update_that_was_overtaken_is_a_break",
            HOLD,
            REPLAYED,
            BROKEN,
            SILENT,
        ),
        "levels below the tenth (`book_depth` above 10), until they rise; that the newest frame was not lost, until the next",
    ),
    ("kraken", "trade"): Evidence((), ("connector/venues/test_kraken.py::test_replayed_trades_come_as_one_snapshot", BROKEN)),
    ("kraken", "quote"): Evidence((), ("connector/venues/test_kraken.py::test_a_ticker_holds_a_quote_and_the_day",), _ITSELF),
    ("kraken", "ticker"): Evidence((), ("connector/venues/test_kraken.py::test_a_ticker_holds_a_quote_and_the_day",), _ITSELF),
}
"""`book` is also the evidence of `delta`, and of `quote` where that is the top of the book."""


def venues() -> Iterator[str]:
    """A section per venue: a row for each kind that it has."""
    for venue in VENUES.values():
        yield f"## {venue.id}\n"
        yield f"| {' | '.join(HEADING)} |"
        yield "|" + "---|" * len(HEADING)
        kinds = dict.fromkeys(kind for endpoint in venue.endpoints for kind in endpoint.channels)
        for kind in sorted(kinds):
            yield f"| {' | '.join(row(venue, kind))} |"
        yield ""


def row(venue: Venue, kind: str) -> list[str]:
    """One row."""
    endpoint = next(one for one in venue.endpoints if kind in one.channels)  # a kind on two endpoints is taken from the first
    found = evidence(venue, kind)
    names, rule, consequence = proof(venue, endpoint, kind)
    return [
        f"`{kind}`",
        f"`{endpoint.channels[kind]}` of `{endpoint.name}`" + (", REST snapshot" if from_book(venue, kind) and venue.snapshots else ""),
        names,
        rule,
        found.limits,
        consequence,
        ", ".join(f"`{name}`" for name in found.recordings),
        "<br>".join(f"`{name}`" for name in found.tests),
    ]


def evidence(venue: Venue, kind: str) -> Evidence:
    """Raises `KeyError` for a kind that nobody has shown to be right."""
    return EVIDENCE[venue.id, "book" if from_book(venue, kind) else kind]


def from_book(venue: Venue, kind: str) -> bool:
    """Whether the book's proof is that of this kind."""
    return kind in ("book", "delta") or (kind == "quote" and venue.quote_from_book)


def proof(venue: Venue, endpoint: Endpoint, kind: str) -> tuple[str, str, str]:
    """(by what, in more words, what a break leads to)."""
    if from_book(venue, kind):
        names = [
            name
            for name, has in (
                ("sequence", venue.book.follows is not None),
                ("sequence of the connection", endpoint.numbered),
                ("checksum", venue.book.checksum is not None),
                ("times in order", venue.book.ordered),
            )
            if has
        ]
        every = "every book of the connection" if endpoint.numbered else "that instrument alone"
        how = "a snapshot by REST" if venue.book.snapshot == "rest" else "subscribed anew"
        return ", ".join([*names, "never crossed"]), venue.book.proof, f"`recovering` at once, a `gap`, {how}: {every}"
    if kind == "trade" and venue.trade_ids == "contiguous":
        rule = "ids count by one: no trade twice, a hole is told with its size"
        found = "a `gap` with `missed`; a trade that comes late is `backfilled`, and a gap that is whole again `repaired`"
        return "id continuity", rule, found
    silence = "" if kind == "status" else "silence is found by the watchdog"  # a state is told when it changes
    return "none", "the venue gives nothing to prove it by", silence
