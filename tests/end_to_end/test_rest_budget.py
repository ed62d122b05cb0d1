"""The most that a connector requests from a venue by REST, against the limits that the simulator enforces.

Time is simulated: pacers and markets receive it as a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, product
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from crosstape_connector.rate_limit import BURST_S, RateLimit
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import Venue
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.market_clock import SyntheticMarket
from crosstape_simulator.spec import SimulatorSpec
from tests.end_to_end.venues import ALL, pair
from tests.rare import rare_but

BOOKS = 200
NS = 10**9
START_S = 1_800_000_000
PHASES = (0.0, 29.5, 57.0)
"""Seconds of the venue's minute at which it begins. Only Binance counts by the minute."""


def listings(venue: str) -> tuple[Listing, ...]:
    """Returns this many pairs, with symbols of the venue's form."""
    own, _ = pair(venue)
    form = re.sub(own.quote, "{}", own.symbol, flags=re.IGNORECASE)
    case = str.lower if own.symbol.islower() else str
    named = ((form.format(case(f"Q{number}")), f"Q{number}") for number in range(BOOKS))
    return tuple(msgspec.structs.replace(own, symbol=symbol, quote=quote) for symbol, quote in named)


def market(venue: str) -> SyntheticMarket:
    """Returns a market that does not move."""
    spec = SimulatorSpec(venues=(venue,), paused=True, start_ts=START_S * NS, levels=20, listings={venue: listings(venue)})
    return SyntheticMarket(spec, (venue,))


def slots(per_minute: int, weight: int = 1) -> Iterator[float]:
    """Yields the times at which a queue that is never empty may send, in seconds from its start."""
    rate_limit = RateLimit(max(1, int(per_minute * BURST_S / 60)), BURST_S)
    while True:
        yield rate_limit.reserve(0.0, weight)


def asked(venue: Venue, symbols: list[str], levels: int) -> Iterator[tuple[float, str, str]]:
    """Yields (time, kind, path): each book again, each instrument's missed trades, and quotes for as long as these take.

    `levels`: of each book, where there is a choice.
    """
    yield 0.0, "instruments", venue.instruments.path
    last = 0.0
    if venue.snapshots is not None:
        weight = venue.snapshots.levels.get(levels, 1)
        for at, symbol in zip(slots(venue.snapshots.per_minute, weight), symbols, strict=False):
            yield at, "snapshot", venue.snapshots.path(symbol, levels)
            last = max(last, at)
    if venue.trades is not None:
        for at, symbol in zip(slots(venue.trades.per_minute), symbols, strict=False):
            yield at, "trades", venue.trades.path(symbol, 1, START_S * NS)
            last = max(last, at)
    assert venue.quotes is not None
    for number, at in enumerate(slots(venue.quotes.per_minute)):
        if at > last:
            return
        first = number * venue.quotes.batch % len(symbols)
        yield at, "quotes", venue.quotes.path(list(islice(symbols, first, first + venue.quotes.batch)))


@pytest.mark.parametrize(
    ("name", "phase"), rare_but(product(ALL, PHASES), *product(ALL, PHASES[:1]), *product(("binance", "binance_coinm"), PHASES[1:]))
)
def test_books_trades_and_quotes_of_200_instruments_together_stay_within_the_limits(name: str, phase: float) -> None:
    """Whenever within the venue's minute it begins: never a refusal, and room is left for another program."""
    venue = VENUES[name]
    choices = () if venue.snapshots is None else tuple(venue.snapshots.levels)
    for levels in sorted({min(choices, default=0), max(choices, default=0)}):
        check(name, venue, phase, levels)


def check(name: str, venue: Venue, phase: float, levels: int) -> None:
    """Ask for all of it with books of so many levels."""
    weight = 1 if venue.snapshots is None else venue.snapshots.levels.get(levels, 1)
    server = market(name).venues[name]
    begin = (START_S + phase) * NS
    heaviest = 0
    done: dict[str, float] = {}
    for at, kind, path in sorted(asked(venue, [listing.symbol for listing in listings(name)], levels)):
        url = urlsplit(path)
        answer = server.answer(url.path, dict(parse_qsl(url.query)), int(begin + at * NS))
        assert answer.status == 200, (at, path, answer.body)
        assert b'"error":["' not in answer.body, (at, path, answer.body)
        heaviest = max(heaviest, int(answer.headers.get("X-MBX-USED-WEIGHT-1M", "0")))
        done[kind] = at
    assert done.get("snapshot", 0.0) <= BOOKS * weight * 60 / (venue.snapshots.per_minute if venue.snapshots is not None else 60) + BURST_S
    assert done.get("trades", 0.0) <= BOOKS * 60 / (venue.trades.per_minute * 0.8 if venue.trades is not None else 1) + BURST_S
    assert heaviest <= getattr(server, "weight_max", 6_000) * 0.8
