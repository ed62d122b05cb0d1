"""Bars and candles are brought together in any order of arrival, with their highest revisions, in bounded memory."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from crosstape_aggregator.checks.candle_pairs import CandlePairs
from crosstape_schemas import Bar, Candle
from tests.aggregator.checks.candles import bar, candle

S = 1_000_000_000


def pairs(limit: int = 100) -> CandlePairs:
    """Return a settle time of 10 s, and a wait of 100 s. A candle of the feed was seen."""
    made = CandlePairs(settle_ns=10 * S, wait_ns=100 * S, limit=limit)
    made.add_candle(replace(candle(), closed=False), 0)
    return made


def add(to: CandlePairs, event: Bar | Candle, now: int) -> None:
    """Add either side."""
    if isinstance(event, Bar):
        to.add_bar(event, now)
    else:
        to.add_candle(event, now)


SIDES: list[Bar | Candle] = [
    replace(bar(), complete=False), bar(revision=1), bar(revision=2), replace(bar(), closed=False),
    candle(), candle(revision=1), replace(candle(), closed=False),
]  # fmt: skip


@given(st.lists(st.sampled_from(SIDES), max_size=8).flatmap(lambda more: st.permutations([bar(revision=2), candle(revision=1), *more])))
@settings(max_examples=60)
def test_any_order_of_arrival_gives_the_highest_revisions_once(events: list[Bar | Candle]) -> None:
    """A second apart, so that all come before the pair has settled."""
    made = pairs()
    for now, event in enumerate(events, 1):
        add(made, event, now * S)
        assert made.due(now * S) == []

    now = (len(events) + 10) * S
    assert made.due(now) == [(bar(revision=2), candle(revision=1))]
    assert made.due(now + 1_000 * S) == []
    assert len(made) == 0


def test_a_revision_begins_the_settling_again() -> None:
    """And one that says that trades are missing ends it, until a complete one comes."""
    made = pairs()
    made.add_bar(bar(), 0)
    made.add_candle(candle(), 0)
    made.add_bar(replace(bar(revision=1), complete=False), 9 * S)

    assert made.due(50 * S) == []
    made.add_bar(bar(revision=2), 60 * S)
    assert made.due(69 * S) == []
    assert made.due(70 * S) == [(bar(revision=2), candle())]


def test_what_lacks_its_other_side_is_forgotten() -> None:
    """After the wait. A bar of a feed without candles is not kept at all."""
    made = pairs()
    made.add_bar(bar(), 0)
    made.add_candle(candle(minute=1), S)
    made.add_bar(bar(instrument="ETH-USDT"), 0)

    assert len(made) == 2
    assert made.due(100 * S) == []
    assert len(made) == 1
    made.due(101 * S)
    assert len(made) == 0


def test_the_oldest_are_dropped_and_counted() -> None:
    """Those that wait before those that settle."""
    made = pairs(limit=3)
    made.add_bar(bar(), 0)
    made.add_candle(candle(), 0)
    for minute in range(1, 5):
        made.add_bar(bar(minute=minute), minute * S)

    assert (len(made), made.dropped) == (3, 2)
    assert made.due(60 * S) == [(bar(), candle())]
