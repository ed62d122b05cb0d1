"""What is proven of each venue, by which rule, and which recording and test shows it: for docs/reference/venues.md.

The rules are read off the venues' tables. The evidence is beside each venue's tests: `EVIDENCE` and `LIMITS` in
`tests/connector/venues/VENUE/evidence.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final, NamedTuple

from crosstape_connector.venues import proofs
from crosstape_connector.venues.past import PastTrades, TradesById, TradesByTime, TradesOfSpan
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import Endpoint, Venue
from crosstape_schemas import TIMEFRAMES
from crosstape_simulator.venues.registry import default_listings
from docs.figures import figures

HEADING: Final = ["kind", "from", "proven by", "rule", "what is not proven", "a break leads to", "recordings", "tests"]


class Evidence(NamedTuple):
    """The evidence for one kind of feed of one venue."""

    recordings: tuple[str, ...] = ()
    """Names of recordings that show it."""
    tests: tuple[str, ...] = ()
    """Tests that show it, as `file::name` under `tests`."""
    limits: str = ""
    """What is not proven."""


class Limit(NamedTuple):
    """What a venue lets one address do on an endpoint, from its documents; None: the venue states no limit."""

    topics: int | None
    """Topics on one connection."""
    messages_per_s: float | None
    shared: bool
    """The messages are counted over all connections of an address."""
    connects_per_s: float | None
    lifetime_s: float
    """A connection that is so old is cut by the venue; 0: it states none."""


HOLD: Final = "end_to_end/test_books_hold.py::test_a_book_that_is_called_live_is_the_true_one"
REPLAYED: Final = "end_to_end/test_recorded_books_hold.py::test_a_recorded_book_is_true_or_said_not_to_be"
BROKEN: Final = "end_to_end/test_faults.py::test_a_broken_book_is_told_and_mended"
SILENT: Final = "end_to_end/test_faults.py::test_a_subscription_that_is_acknowledged_and_silent_is_found_out"
KEPT: Final = "end_to_end/test_recordings.py::test_the_tape_of_a_recording_is_what_normalize_makes_of_it"
RECORDED: Final = "connector/venues/test_recordings.py::"
GOLDEN: Final = "connector/venues/test_contract.py::test_golden_frames_and_answers_become_what_is_written_down"
ITSELF: Final = "each message is sent once, and replaces the one before"


def evidence_of(venue_id: str) -> Mapping[str, Evidence]:
    """Kind → evidence. `book` is also the evidence of `delta`, and of `quote` where that is the top of the book."""
    found: Mapping[str, Evidence] = import_module(f"tests.connector.venues.{venue_id}.evidence").EVIDENCE
    return found


def limits_of(venue_id: str) -> Mapping[str, Limit]:
    """Endpoint → the venue's limits."""
    found: Mapping[str, Limit] = import_module(f"tests.connector.venues.{venue_id}.evidence").LIMITS
    return found


def venues() -> Iterator[str]:
    """Names of venues and instruments, then a section per venue: a row for each kind that it has."""
    yield from names()
    for venue in VENUES.values():
        yield f"## {venue.id}\n"
        yield f"Environments: {', '.join(f'`{name}`' for name in venue.environments) or 'none but the live one'}.\n"
        yield f"| {' | '.join(HEADING)} |"
        yield "|" + "---|" * len(HEADING)
        for kind in sorted(kinds(venue)):
            yield f"| {' | '.join(row(venue, kind))} |"
        yield ""
    yield from candles()
    yield from pasts()
    yield from figures({venue.id: kinds(venue) for venue in VENUES.values()})


NAMES: Final = ["venue", "spot", "perpetuals", "dated futures", "test environments"]


def names() -> Iterator[str]:
    """What the venues are called in settings, and what an instrument of each market is called here and there."""
    yield "## Names\n"
    yield "The ids of venues, as they stand in settings, commands and events, with an instrument of each market, as the simulated"
    yield "venue lists it: our name, which settings want, and the venue's own in brackets. Where an exchange has two or three ids,"
    yield "each is a venue of its own here. `crosstape venues okx_swap` prints the row of one venue. A name of an instrument that the"
    yield "venue does not list is refused with those that are near.\n"
    yield f"| {' | '.join(NAMES)} |"
    yield "|" + "---|" * len(NAMES)
    for venue in VENUES.values():
        found: dict[str, str] = {}
        for one in default_listings(venue.id):
            found.setdefault(_market(one.instrument), f"`{one.instrument}` (`{one.symbol}`)")
        examples = [found.get(market, "") for market in NAMES[1:4]]
        yield f"| `{venue.id}` | {' | '.join(examples)} | {', '.join(f'`{name}`' for name in venue.environments)} |"
    yield "\n`ccxt.EXCHANGE` is any exchange that ccxt streams: [which](../how-to/any-exchange.md).\n"


def _market(instrument: str) -> str:
    """Return the heading of an instrument's market, by our name of it."""
    last = instrument.rpartition("-")[2]
    return "perpetuals" if last == "PERP" else "dated futures" if last.isdigit() else "spot"


CANDLES: Final = ["venue", "timeframes", "`open` is", "an interval without trades", "closed by", "volume", "past candles", "not to be had"]
PAST: Final = {"snapshot": "with the subscription", "none": "by REST"}


def candles() -> Iterator[str]:
    """What the figures of each venue's candles mean, a row for each venue."""
    yield "## Candles\n"
    yield "A candle is published as its venue makes it. Our days begin at 00:00 UTC, our weeks on Monday, our months on the 1st. What"
    yield "begins at another time is refused, because nothing would be comparable with it.\n"
    yield "**closed by**: `flag`: the venue marks a candle as final. `next candle`: it does not, so a candle stays open until"
    yield "the first one of a later interval comes. In a quiet market that may be long after its `close_ts`.\n"
    yield f"| {' | '.join(CANDLES)} |"
    yield "|" + "---|" * len(CANDLES)
    for venue in VENUES.values():
        yield f"| {' | '.join(candle_row(venue))} |"
    yield ""


def candle_row(venue: Venue) -> list[str]:
    """One row."""
    rules = venue.candles
    if rules is None:
        return [f"`{venue.id}`", "none: it has no channel of candles", *[""] * (len(CANDLES) - 2)]
    past = PAST[rules.first] + (", by REST after a gap" if rules.first == "snapshot" and venue.candle_source is not None else "")
    reasons = dict.fromkeys(rules.refused.values())
    refused = [f"{', '.join(f'`{name}`' for name, one in rules.refused.items() if one == why)}: {why}" for why in reasons]
    lacking = [f"`{name}`" for name in TIMEFRAMES if name not in rules.timeframes and name not in rules.refused]
    return [
        f"`{venue.id}`",
        ", ".join(f"`{name}`" for name in rules.timeframes),
        rules.open,
        rules.empty,
        rules.closed,
        rules.volume,
        past,
        "<br>".join([*refused, *([f"not offered: {', '.join(lacking)}"] if lacking else [])]),
    ]


PASTS: Final = ["venue", "trades", "trades go back", "candles", "candles go back", "requests", "notes"]
ASKED: Final = {TradesById: "by id", TradesByTime: "by time", TradesOfSpan: "all of the last hour or day at once"}


def pasts() -> Iterator[str]:
    """What can be backfilled from each venue and how far, a row for each venue."""
    yield "## The past\n"
    yield "What `crosstape backfill` and repairs can fetch by REST, of any range. A request brings so many rows at most. **requests**: the"
    yield "venue's limit for one internet address, and what a request for trades, and one for candles, counts of it;"
    yield "`connector.backfill_share` of it may be used.\n"
    yield f"| {' | '.join(PASTS)} |"
    yield "|" + "---|" * len(PASTS)
    for venue in VENUES.values():
        yield f"| {' | '.join(past_row(venue))} |"
    yield ""


def past_row(venue: Venue) -> list[str]:
    """One row."""
    trades, candles = venue.past_trades, venue.past_candles
    notes = [one.note for one in (trades, candles) if not isinstance(one, str) and one is not None and one.note]
    notes += [EMPTY[candles.empty]] if candles is not None else []
    if isinstance(trades, str):
        of_trades = [f"none: {trades}", ""]
    else:
        rows = "" if isinstance(trades, TradesOfSpan) else f", {trades.page:,} a request"
        of_trades = [f"{ASKED[type(trades)]}{rows}", f"{trades.reach_s / 3_600:g} hours" if trades.reach_s else "to the first"]
    of_candles = ["none", ""]
    if candles is not None:
        names = ", ".join(f"`{name}`" for name in candles.timeframes)
        reach = f"{candles.reach_intervals} intervals" if candles.reach_intervals else "to the first"
        of_candles = [f"{names}; {candles.page:,} a request", reach]
    return [f"`{venue.id}`", *of_trades, *of_candles, requests(venue), "; ".join(notes)]


EMPTY: Final = {
    "flat": "an interval without trades has a candle at the close before",
    "none": "an interval without trades has no candle",
    "untrue": "the venue's rows of intervals without trades are left out: they are at the price after",
}


def requests(venue: Venue) -> str:
    """The limits that concern requests for the past."""
    found: list[str] = []
    paths = [] if isinstance(venue.past_trades, str) else [("trades", _trades_path(venue.past_trades))]
    if venue.past_candles is not None:
        paths.append(("candles", venue.past_candles.path("X", venue.past_candles.timeframes[0], 0, 0)))
    for what, path in paths:
        limit = venue.rest_limit(path)
        if limit is not None:
            found.append(f"{what} {limit.weight(path)} of {limit.capacity:,} in {limit.window_s:g} s")
    return "; ".join(found)


def _trades_path(trades: PastTrades) -> str:
    match trades:
        case TradesById():
            return trades.path("X", 1)
        case TradesByTime():
            return trades.path("X", 0, 0)
        case _:
            return next(iter(trades.spans.values()))("X")


def kinds(venue: Venue) -> set[str]:
    """The kinds of feeds that a venue has; `candle` stands for all timeframes."""
    streamed = {kind.partition(":")[0] for endpoint in venue.endpoints for kind in endpoint.channels}
    return streamed | {kind for source in venue.polled for kind in source.kinds}


def row(venue: Venue, kind: str) -> list[str]:
    """One row."""
    places = [(one, name) for one in venue.endpoints for name in one.channels if name.partition(":")[0] == kind]
    endpoint, first = places[0] if places else (venue.endpoints[0], "")  # a kind on two endpoints is taken from the first
    found = evidence(venue, kind)
    names, rule, consequence = proof(venue, endpoint, kind)
    source = f"`{endpoint.channels[first]}` of `{endpoint.name}`" if places else "REST"
    return [
        f"`{kind}`",
        source + (", REST snapshot" if proofs.from_book(venue, kind) and venue.snapshots else ""),
        names,
        rule,
        found.limits,
        consequence,
        ", ".join(f"`{name}`" for name in found.recordings),
        "<br>".join(f"`{name}`" for name in found.tests),
    ]


def evidence(venue: Venue, kind: str) -> Evidence:
    """The evidence for a kind of feed. Raises `KeyError` where there is none."""
    return evidence_of(venue.id)["book" if proofs.from_book(venue, kind) else kind]


def proof(venue: Venue, endpoint: Endpoint, kind: str) -> tuple[str, str, str]:
    """(by what, in more words, what a break leads to)."""
    short = proofs.proof(venue, endpoint, kind)
    if proofs.from_book(venue, kind):
        every = "every book of the connection" if endpoint.numbered else "that instrument alone"
        how = "a snapshot by REST" if venue.book.snapshot == "rest" else "subscribed again"
        return short, venue.book.proof, f"`recovering` at once, a `gap`, {how}: {every}"
    if kind == "trade" and venue.trade_ids == "contiguous":
        rule = "ids count by one: no trade twice, and a gap has its size"
        found = "a `gap` with `missed`; a trade that comes late is `backfilled`, and a gap that is complete again `repaired`"
        return short, rule, found
    if kind == "trade" and venue.trade_ids == "increasing":
        rule = "ids increase: no trade twice; how many are missing cannot be known"
        after = "a lost connection or, as the connection is numbered, a lost frame" if endpoint.numbered else "a lost connection"
        return short, rule, f"a `gap` without `missed` after {after}"
    if kind == "trade" and venue.trade_ids == "unique":
        rule = "ids have no order: no trade twice; what is missing cannot be known"
        return short, rule, "a `gap` without `missed` after a lost connection"
    silence = "" if kind == "status" else "silence is found by the watchdog"  # a state is sent when it changes
    return short, "the venue gives nothing to prove it by", silence
