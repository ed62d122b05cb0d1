"""A bounded queue of events: of a state the newest, of all other events the newest `limit`, and exact counts of what was dropped. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final, TypeAlias

from crosstape.bus import Entry, Missed
from crosstape_schemas import (
    Bar,
    Book,
    Candle,
    Cbbo,
    Depth,
    Funding,
    Mark,
    OpenInterest,
    Quote,
    Status,
    Ticker,
)

STATES: Final = (Quote, Book, Ticker, Mark, Funding, OpenInterest, Cbbo, Depth)
"""Kinds of events that show a state: a new one replaces the one before. So does a candle or bar until it is closed."""
RECORDS: Final = 4_096
"""Numberings of which the count of dropped events is kept at most; beyond that, of the oldest it is kept only that some are missing."""

Key: TypeAlias = tuple[str, str, str]
"""Stream, venue, and for a status the kind of the feed that it is about."""


def state_key(entry: Entry) -> Key | None:
    """Returns what newer states replace this one by; None: the event is no state."""
    event = entry.event
    if isinstance(event, Status):
        return entry.stream, event.venue, f"{event.instrument} {event.kind}"
    if isinstance(event, STATES) or (isinstance(event, Candle | Bar) and not event.closed):
        return entry.stream, event.venue, ""
    return None


class EventQueue:
    """Events in the order in which they came; a state stands where the first one that was not returned yet stood.

    When more than `limit` events wait that are no states, the oldest is dropped. What was dropped is returned first, as one `Missed` for
    each stream, venue and epoch: `first_missing` is the first dropped event's `seq`, `count` is how many were dropped. States are as many
    as there are streams and venues at most.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"a queue holds at least one event, not {limit}")
        self.limit = limit
        self.dropped = 0
        """How many events were dropped since the start."""
        self._items: OrderedDict[int, Entry | Missed] = OrderedDict()
        self._events: deque[int] = deque()
        """Places of all items that are no states."""
        self._states: dict[Key, int] = {}
        """Places of the states."""
        self._passed: set[Key] = set()
        """States behind which a closed bar of theirs stands: the next open one must come after it."""
        self._key_of: dict[int, Key] = {}
        self._next = 0
        self._missed: OrderedDict[tuple[str, str, int], Missed] = OrderedDict()

    def __len__(self) -> int:
        return len(self._items) + len(self._missed)

    @property
    def events(self) -> int:
        """How many items wait that are no states."""
        return len(self._events)

    def put(self, item: Entry | Missed) -> None:
        """Add an event, or that some are missing here."""
        key = state_key(item) if isinstance(item, Entry) else None
        if key is None:
            self._events.append(self._next)
            if isinstance(item, Entry) and (passed := (item.stream, item.event.venue, "")) in self._states:
                self._passed.add(passed)
        elif (place := self._states.get(key)) is not None:
            if key not in self._passed:
                self._items[place] = item
                return
            del self._items[place], self._key_of[place]
        if key is not None:
            self._passed.discard(key)
            self._states[key] = self._next
            self._key_of[self._next] = key
        self._items[self._next] = item
        self._next += 1
        if len(self._events) > self.limit:
            self._drop()

    def get(self) -> Entry | Missed | None:
        """Remove and return the next item; None: there is none."""
        if self._missed:
            return self._missed.popitem(last=False)[1]
        if not self._items:
            return None
        place, item = self._items.popitem(last=False)
        if (key := self._key_of.pop(place, None)) is not None:
            del self._states[key]
            self._passed.discard(key)
        else:
            self._events.popleft()
        return item

    def _drop(self) -> None:
        """Drop the oldest item that no newer one can replace."""
        item = self._items.pop(self._events.popleft())
        if isinstance(item, Entry):
            self.dropped += 1
            item = Missed(item.stream, item.event.venue, item.event.epoch, item.event.seq, 1)
        self._add(item)

    def _add(self, missed: Missed) -> None:
        key = (missed.stream, missed.venue, missed.epoch)
        if (before := self._missed.get(key)) is not None:
            count = None if before.count is None or missed.count is None else before.count + missed.count
            missed = Missed(before.stream, before.venue, before.epoch, before.first_missing, count)
        self._missed[key] = missed
        if len(self._missed) > RECORDS:
            (stream, _, _), _ = self._missed.popitem(last=False)
            self._missed[stream, "", 0] = Missed(stream, "", 0, 0, None)
