"""The numbering read backwards finds the same gaps as a reader that reads forwards."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from crosstape import Missed, Trade
from crosstape.bus.read.continuity import Continuity
from crosstape.tape.numbering import BackwardNumbering
from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, FeedState, stamp
from tests.bus.tape import TRADES, status, trade


@st.composite
def streams(draw: st.DrawFn) -> list[Trade]:
    """A stream of two venues, each started again a few times, with gaps, and entries that are there twice."""
    venues: list[list[tuple[str, int, int]]] = []
    for venue in "ab":
        entries = []
        for epoch in draw(st.lists(st.integers(1, 9), unique=True, max_size=3).map(sorted)):
            seqs = sorted(draw(st.sets(st.integers(1, 12), max_size=8)))
            entries += [(venue, epoch, seq) for seq in seqs]
        venues.append(entries)
    events = []
    while any(venues):
        venue_entries = draw(st.sampled_from([entries for entries in venues if entries]))
        venue, epoch, seq = venue_entries.pop(0)
        event = trade(seq, venue=venue)
        stamp(event, epoch, seq)
        events.append(event)
        if draw(st.booleans()) and draw(st.booleans()):
            events.append(event)
    return events


def forwards(events: Sequence[Trade]) -> tuple[set[Missed], int]:
    """What a reader reports, and how many events it returns. (It knows the first of a venue, whatever its number.)"""
    continuity = Continuity(TRADES, from_first=False)
    found = [continuity.check(event) for event in events]
    return {one for one in found if isinstance(one, Missed)}, sum(one is not False for one in found)


@given(streams())
def test_backwards_as_forwards(events: list[Trade]) -> None:
    """Of each gap the venue, the epoch, the first number and the count; and each event once."""
    numbering = BackwardNumbering(TRADES)
    returned = sum(numbering.check(event) for event in reversed(events))
    assert (set(numbering.missed()), returned) == forwards(events)


def test_several_aggregators_write_on_one_stream_at_the_same_time() -> None:
    """Each under its own epoch: nothing is missing before the first of one."""
    numbering = BackwardNumbering("tape:venue:consolidated")
    for epoch, seq in ((5, 8), (4, 3), (5, 7)):
        event = status(VENUE_WIDE, FeedState.LIVE, VENUE_WIDE, CONSOLIDATED)
        stamp(event, epoch, seq)
        assert numbering.check(event)
    assert list(numbering.missed()) == []
    assert numbering.begins_later


def test_events_without_a_number_are_accepted() -> None:
    """A producer that does not number."""
    numbering = BackwardNumbering(TRADES)
    assert numbering.check(trade(1))
    assert numbering.check(trade(1))
    assert not numbering.begins_later
