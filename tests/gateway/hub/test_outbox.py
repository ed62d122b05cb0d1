"""The outbox of a client that does not read: what is kept, what is dropped, and what it says of that."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from crosstape_gateway.hub.item import Item, message_item
from crosstape_gateway.hub.outbox import Outbox
from crosstape_gateway.messages import Heartbeat, Missed

ALL = 1 << 30


def state(venue: str, number: int) -> Item:
    """A quote."""
    return Item(b'{"q":%d}' % number, "quote:A", venue, ("quote:A", venue), seq=number)


def event(venue: str, number: int) -> Item:
    """A trade."""
    return Item(b'{"t":%d}' % number, "trade:A", venue, None, is_event=True, epoch=7, seq=number)


def bar(minute: int, number: int, *, closed: bool) -> Item:
    """A bar."""
    return Item(b'{"b":%d}' % number, "bar:1m:A", "x", ("bar:1m:A", "x", minute), is_event=closed, epoch=7, seq=number)


def numbers(items: list[Item]) -> list[int]:
    """Their `seq`; -1 for a message that events are missing."""
    return [-1 if item.missed is not None else item.seq for item in items]


@given(
    limit=st.integers(1, 8),
    steps=st.lists(
        st.one_of(st.tuples(st.sampled_from(["state", "event"]), st.sampled_from("xyz")), st.tuples(st.just("take"), st.integers(1, 60)))
    ),
)
def test_what_is_kept_and_what_is_said_of_the_rest(limit: int, steps: list[tuple[str, object]]) -> None:
    """Each event is sent or said to be missing, with its number; each state or a newer one is sent; all in order; never more than fits."""
    outbox = Outbox(limit)
    sent: list[Item] = []
    count: dict[str, int] = defaultdict(int)
    newest: dict[str, int] = {}
    number = 0
    for what, value in steps:
        if what == "take":
            assert isinstance(value, int)
            sent += outbox.take(value)
            continue
        venue = str(value)
        if what == "state":
            number += 1
            newest[venue] = number
            outbox.add(state(venue, number))
        else:
            count[venue] += 1
            outbox.add(event(venue, count[venue]))
        assert outbox.events <= limit
        assert len(outbox) <= limit + 3 + 3  # states of three venues, and reports of three
    sent += outbox.take(ALL)

    assert not outbox
    expected: dict[str, int] = defaultdict(lambda: 1)
    for item in sent:
        if (missed := item.missed) is not None:
            assert (missed.epoch, missed.first_missing, missed.reason) == (7, expected[missed.venue], "slow")
            assert missed.count is not None
            expected[missed.venue] += missed.count
        elif item.is_event:
            assert item.seq == expected[item.venue]
            expected[item.venue] += 1
    assert {venue: after - 1 for venue, after in expected.items()} == {venue: all_of for venue, all_of in count.items() if all_of}
    states = [item for item in sent if item.topic == "quote:A"]
    assert {item.venue: item.seq for item in states} == newest
    assert [item.seq for item in states] == sorted(item.seq for item in states)


def test_a_replaced_state_moves_behind_what_came_before_it() -> None:
    """The order is by when each was added."""
    outbox = Outbox(10)
    outbox.extend([state("x", 1), event("x", 2), state("x", 3), event("x", 4)])

    assert numbers(outbox.take(ALL)) == [2, 3, 4]
    assert outbox.conflated == 1


def test_a_closed_bar_replaces_the_open_one_of_its_interval_alone() -> None:
    """An older bar must not come behind the closed one; the next interval's is kept."""
    outbox = Outbox(10)
    outbox.extend([bar(1, 1, closed=False), bar(2, 2, closed=False), bar(1, 3, closed=True), bar(2, 4, closed=False)])

    assert numbers(outbox.take(ALL)) == [3, 4]


def test_reports_of_trimmed_events_are_added_up() -> None:
    """However many come, one is kept for each numbering and reason; an unknown count stays unknown."""
    outbox = Outbox(10)
    for first in range(5, 1_000, 2):
        outbox.add(message_item(Missed("trade:A", "x", 7, first, 1, "trimmed")))
    outbox.add(message_item(Missed("trade:A", "", 0, 0, None, "trimmed")))
    outbox.add(message_item(Missed("trade:A", "", 0, 0, 4, "trimmed")))

    found = [item.missed for item in outbox.take(ALL)]

    assert found == [Missed("trade:A", "x", 7, 5, 498, "trimmed"), Missed("trade:A", "", 0, 0, None, "trimmed")]


def test_heartbeats_do_not_pile_up() -> None:
    """Only the newest one waits."""
    outbox = Outbox(10)
    for ts in range(100):
        outbox.add(message_item(Heartbeat(ts, "")))

    assert len(outbox) == 1


def test_what_is_taken_is_bounded() -> None:
    """About as many bytes as were asked for: one item more at most."""
    outbox = Outbox(1_000)
    outbox.extend(event("x", number) for number in range(1, 501))

    taken = outbox.take(100)

    assert 100 <= sum(len(item.data) for item in taken) < 100 + 16
    assert numbers(taken + outbox.take(ALL)) == list(range(1, 501))
