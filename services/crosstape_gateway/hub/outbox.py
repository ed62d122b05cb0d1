"""Keeps what one client has not been sent yet: the newest of each state, events up to a number, and how many were dropped. Pure.

Ordered: by when each was added; a state that is replaced moves to the end. Full: the oldest event is dropped, and `Missed` says so before
anything that follows it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator

import msgspec

from crosstape_gateway.hub.item import Item, StateKey, message_item
from crosstape_gateway.messages import Missed


class Outbox:
    """The items that wait for one client. The number of states is bounded by that of the topics and venues."""

    __slots__ = ("_answers", "_dropped", "_events", "_items", "_limit", "_number", "conflated", "dropped")

    def __init__(self, limit: int) -> None:
        """`limit`: events that are kept at most."""
        self._limit = limit
        self._items: OrderedDict[StateKey | int, Item] = OrderedDict()
        self._events: deque[int] = deque()  # keys of the events in `_items`, oldest first
        self._number = 0
        self._answers = 0
        self._dropped: dict[tuple[str, str, int, str], Missed] = {}
        self.conflated = 0
        """States that a newer one replaced."""
        self.dropped = 0
        """Events that were dropped."""

    def __len__(self) -> int:
        return len(self._items) + len(self._dropped)

    @property
    def events(self) -> int:
        """Events that are kept now."""
        return len(self._events)

    @property
    def answers(self) -> int:
        """Messages of the gateway that are kept now, without those that replace one another."""
        return self._answers

    def extend(self, items: Iterable[Item]) -> None:
        """Add these items in their order."""
        for item in items:
            self.add(item)

    def add(self, item: Item) -> None:
        """Add one item. A state replaces the one before; a closed candle or bar also the open one of the same interval."""
        if item.missed is not None:
            self._miss(item.missed)
            return
        if item.key is not None and self._items.pop(item.key, None) is not None:
            self.conflated += 1
        if item.key is not None and not item.is_event:
            self._items[item.key] = item
            return
        self._number += 1
        self._items[self._number] = item
        if item.is_event:
            self._events.append(self._number)
            if len(self._events) > self._limit:
                self._drop(self._items.pop(self._events.popleft()))
        else:
            self._answers += 1

    def take(self, size: int) -> list[Item]:
        """Remove and return the oldest items, of at least `size` bytes if there are so many. What was dropped comes first."""
        taken = [message_item(missed) for missed in self._dropped.values()]
        self._dropped.clear()
        left = size - sum(len(item.data) for item in taken)
        while left > 0 and self._items:
            _, item = self._items.popitem(last=False)
            if item.is_event:
                self._events.popleft()
            elif item.key is None:
                self._answers -= 1
            taken.append(item)
            left -= len(item.data)
        return taken

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def _drop(self, item: Item) -> None:
        self.dropped += 1
        self._miss(Missed(item.topic, item.venue, item.epoch, item.seq, 1, "slow"))

    def _miss(self, missed: Missed) -> None:
        """Add what is missing to what is already known to be missing of the same numbering, for the same reason."""
        key = (missed.topic, missed.venue, missed.epoch, missed.reason)
        if (before := self._dropped.get(key)) is not None:
            first = min(before.first_missing, missed.first_missing)
            count = None if before.count is None or missed.count is None else before.count + missed.count
            missed = msgspec.structs.replace(missed, first_missing=first, count=count)
        self._dropped[key] = missed
