"""All composites of a shard: which events reach them."""

from __future__ import annotations

import math

import msgspec

from crosstape.settings import AggregatorSettings
from crosstape.settings.model import CompositeSettings
from crosstape_aggregator.composites.composites import Composites
from crosstape_schemas import Cbbo, Exclusion
from tests.aggregator.builders import T0, alive, quote
from tests.aggregator.composites.builders import NAME, PAIR, USD, USDT, cbbo, depth, leg, rate, sign

OTHER = "BTC-USDT*"
COMPOSITES = {NAME: CompositeSettings(parts=(USD, USDT)), OTHER: CompositeSettings(parts=(USDT,))}


def last(composites: Composites, now_s: float = 0.0) -> dict[str, dict[str, Exclusion | None]]:
    """Publish what is due. Returns composite → part → why it does not count."""
    events = composites.due(now_s, T0)
    return {event.instrument: {part.instrument: part.excluded for part in event.parts} for event in events if isinstance(event, Cbbo)}


def test_events_reach_the_composites_that_need_them() -> None:
    """Others change nothing: of a venue, of another instrument, of a composite of the same name as a part would have."""
    composites = Composites(AggregatorSettings(composites=COMPOSITES, min_interval_s=0))
    assert composites.next_s() == math.inf
    foreign = msgspec.structs.replace(cbbo(USDT, leg("kraken", "1", "2")), venue="kraken")
    for event in (sign(), foreign, quote("kraken", "1", "2"), alive("kraken"), cbbo(OTHER, leg("kraken", "1", "2"))):
        composites.apply(event, 0.0, T0)
    assert last(composites) == {}

    composites.apply(cbbo(USD, leg("kraken", "1", "2")), 0.0, T0)
    assert last(composites) == {NAME: {USD: None, USDT: Exclusion.EMPTY}}
    composites.apply(cbbo(USDT, leg("kraken", "1", "2")), 0.0, T0)
    assert last(composites) == {NAME: {USD: None, USDT: Exclusion.RATE}, OTHER: {USDT: None}}
    composites.apply(rate("1", "1"), 0.0, T0)
    assert last(composites) == {NAME: {USD: None, USDT: None}}


def test_without_any_part_a_composite_is_published_when_the_parts_had_time_to_appear() -> None:
    """It names each part as `empty`. Then it is said of which parts and pairs no quote was read; a book is none."""
    composites = Composites(AggregatorSettings(composites=COMPOSITES, min_interval_s=0))
    for event in (sign(), rate("1", "1"), depth(USDT, [], [])):
        composites.apply(event, 0.0, T0)
    assert [event for event in composites.due(0.0, T0) if isinstance(event, Cbbo)] == []

    assert composites.settle() == {NAME: [USD, USDT], OTHER: [USDT]}
    assert last(composites) == {NAME: {USD: Exclusion.EMPTY, USDT: Exclusion.EMPTY}, OTHER: {USDT: Exclusion.EMPTY}}
    assert composites.due(1.0, T0) == []
    composites.apply(cbbo(USDT, leg("kraken", "1", "2")), 0.0, T0)
    assert last(composites) == {NAME: {USD: Exclusion.EMPTY, USDT: None}, OTHER: {USDT: None}}
    assert composites.settle() == {NAME: [USD]}


def test_lost_and_unread_entries_concern_the_composites_that_need_them() -> None:
    """Also of a stream of another kind, which no composite reads. What has been read up to now counts again."""
    composites = Composites(AggregatorSettings(composites=COMPOSITES, min_interval_s=0))
    for event in (sign(), cbbo(USD, leg("kraken", "1", "2")), cbbo(USDT, leg("kraken", "1", "2")), rate("1", "1")):
        composites.apply(event, 0.0, T0)
    last(composites)

    composites.set_behind([("cbbo", USD), ("venue", "consolidated")])
    assert last(composites) == {NAME: {USD: Exclusion.STALE, USDT: None}}
    composites.set_behind([])
    assert last(composites) == {NAME: {USD: None, USDT: None}}
    composites.missed("cbbo", USDT)
    composites.missed("venue", "consolidated")
    composites.missed("trade", USD)
    assert last(composites) == {NAME: {USD: None, USDT: Exclusion.STALE}, OTHER: {USDT: Exclusion.STALE}}
    composites.missed("cbbo", PAIR)
    assert last(composites) == {}
