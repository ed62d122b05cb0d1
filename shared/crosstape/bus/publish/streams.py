"""Which stream an event belongs on: each is made for the first event of it."""

from __future__ import annotations

from collections.abc import Sequence

from crosstape.bus.publish.producer import Producer
from crosstape.bus.publish.stream import Queue, Stream
from crosstape.errors import BusError
from crosstape_schemas import Event
from crosstape_schemas.events import KIND_OF


class Streams:
    """Those of one producer, of one venue. `queues` are the partitions'."""

    def __init__(self, producer: Producer, queues: Sequence[Queue]) -> None:
        self.known: dict[type[Event], dict[str, Stream]] = {cls: {} for cls in KIND_OF}
        """By type and instrument of the event. (`Publisher.publish` looks here by itself: it is called for each event.)"""
        self.venue = ""
        """Known from the first event on."""
        self._producer = producer
        self._queues = queues

    def of(self, event: Event) -> Stream:
        """The one that this event belongs on. Raises `BusError` for one of another venue."""
        try:
            return self.known[event.__class__][event.instrument]
        except KeyError:
            return self.open(event)

    def open(self, event: Event) -> Stream:
        """The same for an event of which none is known."""
        if self.venue and event.venue != self.venue:
            raise BusError(f"{self._producer.name} publishes {self.venue}, not {event.venue}")
        self.venue = event.venue
        keys = self._producer.keys
        queue = self._queues[keys.partition(event.instrument)]
        stream = Stream(event, keys, getattr(self._producer.settings.max_len, KIND_OF[type(event)]), queue)
        for other in self.known.values():  # a venue's own stream takes both its statuses and its gaps, under one numbering
            if (found := other.get(event.instrument)) is not None and found.key == stream.key:
                stream = found
                break
        else:
            queue.streams.append(stream)
        self.known[type(event)][event.instrument] = stream
        return stream
