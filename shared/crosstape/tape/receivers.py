"""Who gets the updates of one feed: callbacks, and the queue that is polled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from crosstape.bus import Entry
from crosstape.tape.feed_reader import Feed
from crosstape.tape.symbols import common
from crosstape_schemas import feed_kind

C = TypeVar("C", bound=Callable[..., object])


def feed_of_entry(entry: Entry) -> Feed:
    """Returns the feed that an entry belongs to."""
    event = entry.event
    return Feed(feed_kind(event), common(event.instrument), event.venue)


class Receiver(Generic[C]):
    """One that gets updates. It remembers the last one: a feed begins again, with its last value, for each receiver that is added."""

    def __init__(self, callback: C | None = None) -> None:
        self.callback = callback
        self._last = (0, 0)

    def accept(self, entry: Entry) -> bool:
        """Whether this is another update than the last one."""
        number = (entry.event.epoch, entry.event.seq)
        known = number == self._last and number != (0, 0)  # 0: its producer does not number
        self._last = number
        return not known


class Receivers(Generic[C]):
    """All that get the updates of one feed."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        """As it was written first."""
        self.polled: Receiver[C] | None = None
        self.callbacks: list[Receiver[C]] = []

    def add(self, callback: C | None) -> None:
        """Add a callback, once; or with None the queue."""
        if callback is None:
            self.polled = self.polled or Receiver()
        elif all(one.callback != callback for one in self.callbacks):
            self.callbacks.append(Receiver(callback))

    def remove(self, callback: C | None) -> bool:
        """Remove a callback, or all receivers with None. Returns whether none is left."""
        if callback is None:
            self.polled = None
        self.callbacks = [] if callback is None else [one for one in self.callbacks if one.callback != callback]
        return self.polled is None and not self.callbacks

    def due(self, entry: Entry) -> list[C]:
        """Returns the callbacks for which this is a new update."""
        return [one.callback for one in self.callbacks if one.callback is not None and one.accept(entry)]
