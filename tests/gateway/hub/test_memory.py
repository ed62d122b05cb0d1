"""The last values of a stream, for clients that come later."""

from __future__ import annotations

import msgspec

from crosstape_gateway.hub.item import Item, item_of
from crosstape_gateway.hub.memory import VENUES, Memory
from crosstape_schemas import AnyEvent, FeedState, encode
from tests.bus.tape import status
from tests.gateway.streams.running import bar, quote, trade


def remembered(*events: AnyEvent) -> list[Item]:
    """Returns the last values after these events."""
    memory = Memory()
    for event in events:
        memory.note(event, item_of(event, encode(event), "topic", "1-1"))
    return list(memory.values(None))


def test_the_newest_of_each_venue() -> None:
    """The one that changed last is the last one."""
    events = [quote(1), quote(2, venue="binance"), quote(3)]

    assert [item.data for item in remembered(*events)] == [encode(events[1]), encode(events[2])]


def test_each_feed_of_a_venue_has_its_status() -> None:
    """One feed's state says nothing of another's."""
    events = [status("trade", FeedState.LIVE), status("quote", FeedState.STALE), status("trade", FeedState.DOWN)]

    assert [item.data for item in remembered(*events)] == [encode(events[1]), encode(events[2])]


def test_a_late_revision_is_not_the_newest_bar() -> None:
    """Nor is a trade that was fetched later the newest trade."""
    bars = [bar(1, closed=True), bar(2), bar(1, 9, closed=True), bar(2, 3)]
    late = msgspec.structs.replace(trade(8), backfilled=True)

    assert [item.data for item in remembered(*bars[:3])] == [encode(bars[1])]
    assert [item.data for item in remembered(*bars)] == [encode(bars[3])]
    assert [b'"trade_id":"7"' in item.data for item in remembered(trade(7), late)] == [True]


def test_last_values_are_no_events() -> None:
    """They take no room from events, and none is said to be missing if a newer one replaces it."""
    (item,) = remembered(trade(1))

    assert not item.is_event
    assert item.key is not None


def test_the_values_are_bounded() -> None:
    """The venue that was silent for longest is forgotten."""
    values = remembered(*(quote(number, venue=f"v{number}") for number in range(VENUES + 5)))

    assert len(values) == VENUES
    assert values[0].venue == "v5"
