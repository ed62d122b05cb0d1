"""A producer's streams: how their entries are numbered, what waits for each, and which of them have something waiting.

`Stream` is one stream on the tape, `Queue` holds the streams of one partition, and `Streams` finds the stream that an event belongs to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from crosstape.bus.publish.producer import Producer
from crosstape.errors import BusError
from crosstape_schemas import VENUE_WIDE, Book, Cbbo, Event, Keys, Quote, Status, Ticker, Trade
from crosstape_schemas.events import KIND_OF

CONFLATABLE: Final = (Quote, Book, Ticker, Cbbo)
"""Kinds of events that show a state: the newest replaces those before it. All other kinds are lossless: each event counts."""


class Stream:
    """One stream, with the events of one venue. Numbers are given when a batch is made of `pending`, so that none is left out."""

    __slots__ = (
        "_last_trade",
        "conflatable",
        "field",
        "instrument",
        "key",
        "kind",
        "last_key",
        "max_length",
        "newest",
        "numbered_ts",
        "pending",
        "queue",
        "registered",
        "reported",
        "seq",
        "venue",
    )

    def __init__(self, event: Event, keys: Keys, max_length: int, queue: Queue) -> None:
        cls = type(event)
        self.kind = KIND_OF[cls]
        self.venue = event.venue
        self.instrument = event.instrument
        self.field = event.venue.encode()
        venue_wide = event.instrument == VENUE_WIDE
        self.key = (keys.venue(event.venue) if venue_wide else keys.stream(self.kind, event.instrument)).encode()
        # A venue's own stream holds its gaps as well; its last value is its status.
        self.last_key = keys.last("status" if venue_wide else self.kind, event.instrument).encode()
        self.max_length = b"%d" % max_length
        self.conflatable = issubclass(cls, CONFLATABLE)
        self.queue = queue
        self.pending: list[Event] = []
        """Events that wait for a batch, in order."""
        self.seq = 0
        """The last number that was given; 0 = none."""
        self.numbered_ts = 0
        """`received_ts` of the event with number `seq`."""
        self.registered = False
        self.reported = 0
        """Losses of the server up to this number were reported."""
        self.newest: dict[bytes, Event] = {}
        """Field in the hash of last values → newest event, of a state: what to write again on a server that lost it."""
        self._last_trade: Event | None = None

    def last_pairs(self, chunk: list[Event]) -> list[bytes]:
        """Returns pairs for the hash of last values: a field, and the 1-based index of the entry in `chunk` that the field is to hold.

        The field is the venue. The statuses of several feeds of one venue and instrument share a stream and must not hide one another:
        their field is `venue:kind`. A gap on a venue's stream is not its state and has no field.
        """
        if self.kind == "status" or self.instrument == VENUE_WIDE:
            at_of: dict[bytes, int] = {}
            for at, event in enumerate(chunk, 1):
                if isinstance(event, Status):
                    field = (self.venue if event.kind == VENUE_WIDE else f"{self.venue}:{event.kind}").encode()
                    at_of[field] = at
                    self.newest[field] = event
            return [part for field, at in at_of.items() for part in (field, b"%d" % at)]
        if self.conflatable:
            self.newest[self.field] = chunk[-1]
        elif self.kind == "trade":
            return self._trade_pairs(chunk)
        return [self.field, b"%d" % len(chunk)]

    def _trade_pairs(self, chunk: list[Event]) -> list[bytes]:
        """The last value of trades is the one that was made last, because a connector continues from it: a trade fetched late is not.

        The entry that is last on the stream is then in a field of its own, `venue:late`, by which a producer finds what a server has lost.
        """
        at, last = len(chunk), chunk[-1]
        if isinstance(last, Trade) and last.backfilled:
            at, last = max(enumerate(chunk, 1), key=lambda pair: _trade_order(pair[1]))
            if self._last_trade is not None and _trade_order(last) < _trade_order(self._last_trade):
                return [self.field + b":late", b"%d" % len(chunk)]
        self._last_trade = last
        late = [self.field + b":late", b"%d" % len(chunk)] if at < len(chunk) else []
        return [*late, self.field, b"%d" % at]


def _trade_order(event: Event) -> tuple[int, int, str]:
    """A key that sorts trades by the time at which they were made, and at one time by their ids as numbers."""
    trade_id = event.trade_id if isinstance(event, Trade) else ""
    return event.received_ts if event.venue_ts is None else event.venue_ts, len(trade_id), trade_id


class Queue:
    """The streams of one partition. `dirty` are the streams with pending events, in the order in which they got them."""

    __slots__ = ("dirty", "streams", "wake")

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.dirty: list[Stream] = []
        self.wake = asyncio.Event()

    def append(self, stream: Stream, event: Event) -> None:
        """Add an event behind all that is pending of its stream. (`Publisher.publish` does this inline: it runs for each event.)"""
        if not stream.pending:
            self.dirty.append(stream)
            self.wake.set()
        stream.pending.append(event)

    def prepend_newest(self, stream: Stream) -> int:
        """Add the newest values of a state again, before all that is pending of it. Returns how many."""
        events = list(stream.newest.values())
        if events and not stream.pending:
            self.dirty.append(stream)
        stream.pending[:0] = events
        return len(events)

    def conflate(self) -> list[tuple[Stream, int]]:
        """Keep only the newest pending event of each state. Returns how many were removed from which stream."""
        freed = []
        for stream in self.dirty:
            if stream.conflatable and (extra := len(stream.pending) - 1) > 0:
                del stream.pending[:extra]
                freed.append((stream, extra))
        return freed

    def remove_lossless(self) -> list[Event]:
        """Remove and return all pending lossless events, in each stream's order."""
        removed: list[Event] = []
        for stream in self.dirty:
            if not stream.conflatable:
                removed += stream.pending
                stream.pending = []
        self.dirty = [stream for stream in self.dirty if stream.pending]
        return removed


class Streams:
    """Finds the stream of an event; makes it for the first event that belongs to it. `queues` are in the order of the partitions."""

    def __init__(self, producer: Producer, queues: Sequence[Queue]) -> None:
        self.known: dict[type[Event], dict[str, Stream]] = {cls: {} for cls in KIND_OF}
        """Type of event → instrument → stream. (`Publisher.publish` looks here inline: it runs for each event.)"""
        self.venue = ""
        """The one venue of all events; empty before the first."""
        self._producer = producer
        self._queues = queues

    def find(self, event: Event) -> Stream:
        """Returns the stream that this event belongs to. Raises `BusError` for an event of another venue."""
        try:
            return self.known[event.__class__][event.instrument]
        except KeyError:
            return self.make(event)

    def make(self, event: Event) -> Stream:
        """The same as `find`, for an event whose stream is not known yet."""
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
