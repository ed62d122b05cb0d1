"""The bounded queue: the newest of each state, and all other events or an exact count of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape.bus import Entry, Missed
from crosstape.tape import queue as module
from crosstape.tape.queue import EventQueue, state_key
from crosstape_schemas import Event, FeedState, Status, stamp
from tests.bus.tape import QUOTES, TRADES, quote, status, trade
from tests.tape.reading import bar

BARS = "tape:bar:1m:BTC-USDT"


def entry(stream: str, event: Any, seq: int, epoch: int = 5) -> Entry:
    """An event with this number, on this stream."""
    stamp(event, epoch, seq)
    return Entry(stream, f"{seq}-0", event)


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    """Trades, quotes and bars of a few venues and epochs, numbered without a gap."""
    numbers: Counter[tuple[str, str, int]] = Counter()
    found: list[Entry] = []
    for what, venue, epoch in draw(
        st.lists(st.tuples(st.sampled_from(["trade", "quote", "open", "closed"]), st.sampled_from("ab"), st.sampled_from([5, 9])))
    ):
        stream = {"trade": TRADES, "quote": QUOTES}.get(what, BARS)
        numbers[stream, venue, epoch] += 1
        number = numbers[stream, venue, epoch]
        event: Event
        if what == "trade":
            event = trade(number, venue=venue)
        elif what == "quote":
            event = quote(number, venue=venue)
        else:
            event = bar(number, venue=venue, closed=what == "closed")
        found.append(entry(stream, event, number, epoch))
    return found


@given(entries(), st.integers(1, 6), st.data())
def test_every_event_is_returned_or_counted_and_states_are_the_newest(items: list[Entry], limit: int, data: st.DataObject) -> None:
    """For any order of puts and gets: no event is returned twice or lost uncounted, each stream keeps its order, and no more than the limit
    and one of each state waits.
    """
    queue = EventQueue(limit)
    got: list[Entry | Missed] = []
    waiting_states = {state_key(item) for item in items} - {None}
    for item in items:
        queue.put(item)
        states = [one for one in queue._items.values() if isinstance(one, Entry) and state_key(one) is not None]
        assert len(queue._items) - len(states) <= limit
        assert len(states) <= len(waiting_states)
        if data.draw(st.booleans()) and (next_item := queue.get()) is not None:
            got.append(next_item)
    got += list(iter(queue.get, None))
    assert len(queue) == 0

    events = [item for item in items if state_key(item) is None]
    returned = [item for item in got if isinstance(item, Entry)]
    assert len({id(item) for item in returned}) == len(returned)
    dropped = sum(item.count or 0 for item in got if isinstance(item, Missed))
    assert dropped == queue.dropped == len(events) - sum(state_key(item) is None for item in returned)
    for key in waiting_states:
        newest = [item for item in items if state_key(item) == key][-1]
        assert [item for item in returned if state_key(item) == key][-1] is newest
    for stream in (TRADES, QUOTES, BARS):
        for venue in "ab":
            places = [items.index(item) for item in returned if item.stream == stream and item.event.venue == venue]
            assert places == sorted(places)


@given(entries(), st.integers(1, 6))
def test_missed_names_the_first_that_was_dropped(items: list[Entry], limit: int) -> None:
    """Before a numbering's next event comes one `Missed` with the first number that was dropped, and how many were."""
    queue = EventQueue(limit)
    for item in items:
        queue.put(item)
    got = list(iter(queue.get, None))
    missed = [item for item in got if isinstance(item, Missed)]
    assert got[: len(missed)] == missed
    lossless = [item for item in items if state_key(item) is None]
    expected: dict[tuple[str, str, int], list[int]] = {}
    for item in lossless[: max(0, len(lossless) - limit)]:
        expected.setdefault((item.stream, item.event.venue, item.event.epoch), []).append(item.event.seq)
    assert {(one.stream, one.venue, one.epoch): (one.first_missing, one.count) for one in missed} == {
        key: (min(seqs), len(seqs)) for key, seqs in expected.items()
    }


def test_a_missed_that_waits_is_added_to_what_is_dropped() -> None:
    """What had left the tape and what was dropped here is one report."""
    queue = EventQueue(1)
    queue.put(entry(TRADES, trade(1), 1))
    queue.put(Missed(TRADES, "binance", 5, 2, 3))
    queue.put(entry(TRADES, trade(5), 5))
    assert list(iter(queue.get, None)) == [Missed(TRADES, "binance", 5, 1, 4), entry(TRADES, trade(5), 5)]
    assert queue.dropped == 1


def test_a_missed_without_a_count_stays_without_one() -> None:
    """At least so many is not exactly so many."""
    queue = EventQueue(1)
    for _ in range(2):
        queue.put(Missed(TRADES, "", 0, 0, None))
    queue.put(entry(TRADES, trade(5), 5))
    assert next(iter(queue.get, None)) == Missed(TRADES, "", 0, 0, None)


def test_statuses_of_several_feeds_are_several_states() -> None:
    """Those of one venue and instrument share a stream, and do not hide one another."""
    queue = EventQueue(1)
    for kind, state in (("trade", FeedState.LIVE), ("quote", FeedState.LIVE), ("trade", FeedState.DOWN)):
        queue.put(entry("tape:status:BTC-USDT", status(kind, state), 1))
    found = [item.event for item in iter(queue.get, None) if isinstance(item, Entry)]
    assert [(one.kind, one.state) for one in found if isinstance(one, Status)] == [("trade", FeedState.DOWN), ("quote", FeedState.LIVE)]


def test_what_is_kept_of_dropped_events_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the numberings that are too many it is kept that something is missing."""
    monkeypatch.setattr(module, "RECORDS", 3)
    queue = EventQueue(1)
    for epoch in range(1, 8):
        queue.put(entry(TRADES, trade(1), 1, epoch))
    got = [item for item in iter(queue.get, None) if isinstance(item, Missed)]
    assert len(got) <= 4
    assert Missed(TRADES, "", 0, 0, None) in got


def test_a_queue_holds_at_least_one_event() -> None:
    """Else it would hold none."""
    with pytest.raises(ValueError, match="at least one"):
        EventQueue(0)
