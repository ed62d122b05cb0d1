"""Sentences that say what a venue still lacks, from its table and the files in its test folder: for who adds one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import TIMEFRAMES
from crosstape_simulator.venues.registry import VENUES as SIMULATED
from tests.connector.venues.golden import answers_of, expected_of, frames_of, outputs, polled_name

CANDLES: Final = tuple(f"candle:{timeframe}" for timeframe in TIMEFRAMES)
KINDS: Final = ("trade", "quote", "book", "delta", "ticker", "status", "mark", "funding", "open_interest", "liquidation", *CANDLES)
"""Every kind of feed."""
CLASSES: Final = {
    "trade": ("Trade", "TradeSnapshot"),
    "quote": ("Quote",),
    "book": ("BookSnapshot", "BookUpdate"),
    "delta": ("BookUpdate",),
    "ticker": ("Ticker",),
    "status": ("Status",),
    "candle": ("Candle", "CandleSnapshot"),
    "mark": ("Mark",),
    "funding": ("Funding",),
    "open_interest": ("OpenInterest",),
    "liquidation": ("Liquidation",),
}
"""Kind of feed → what its frames become; `candle` is that of every timeframe."""
ANSWERS: Final = {
    "instruments": "instruments",
    "snapshots": "snapshot",
    "trades": "trades",
    "quotes": "quotes",
    "trading": "trading",
    "candle_source": "candles",
}
"""Sources by REST, as the venue's table names them → their answers in `rest.jsonl`."""


def unfinished(venue: Venue) -> list[str]:
    """What is missing, in the order in which it is best done; empty: nothing."""
    return [f"{venue.id}: {sentence}" for sentence in _sentences(venue)]


def _sentences(venue: Venue) -> Iterator[str]:
    urls = [endpoint.url for endpoint in venue.endpoints] + list(venue.rest_urls.values())
    if any(".invalid" in url for url in urls):
        yield "the table in its `__init__.py` has the addresses of the skeleton still: write the venue's, its channels and its limits"
    bodies = answers_of(venue.id)
    for source, name in ANSWERS.items():
        if getattr(venue, source) is not None and name not in bodies:
            yield f"rest.jsonl has no answer `{name}` yet: add one from the venue's documentation of its REST, or set `{source}` to None"
    for name in map(polled_name, venue.polled):
        if name not in bodies:
            yield f"rest.jsonl has no answer `{name}` yet: add one from the venue's documentation of its REST"
    try:
        made = list(outputs(venue))
    except FRAME_ERRORS as exc:
        yield f"an example in frames.jsonl or rest.jsonl cannot be parsed yet: {type(exc).__name__}: {exc}"
        return
    for endpoint in venue.endpoints:
        if not frames_of(venue.id, endpoint.name):
            yield f"frames.jsonl has no frame of the endpoint `{endpoint.name}` yet: add those that the venue's documentation shows"
        found = {output["is"] for line in made if line.endpoint == endpoint.name for output in line.outputs}
        for kind, channel in endpoint.channels.items():
            from_book = kind == "quote" and venue.quote_from_book
            if not found.intersection(CLASSES["book" if from_book else kind.partition(":")[0]]):
                yield f"frames.jsonl has no {kind} frame of `{channel}` yet: add one from the venue's documentation, and parse it"
        for needed, why in (("Ack", "accepted"), ("Rejected", "refused")):
            if needed not in found:
                yield f"frames.jsonl has no reply to a subscription that is {why} yet (endpoint `{endpoint.name}`)"
    places = {(line.endpoint, line.name) for line in made}
    lacking = sorted("/".join(place) for place in places - expected_of(venue.id).keys())
    if lacking or not places:
        command = f"python -m tests.connector.venues.golden {venue.id}"
        yield f"expected.jsonl lacks {', '.join(lacking) or 'everything'}: run `{command}`, and check what it writes by the documentation"
    if venue.id not in SIMULATED:
        path = f"services/crosstape_simulator/venues/{venue.id}.py"
        yield f"it is not simulated yet: write {path}, which says how, and add it to the simulator's registry"


FINISHED: Final = [venue for venue in VENUES.values() if not unfinished(venue)]
"""Those that all other tests are about."""
