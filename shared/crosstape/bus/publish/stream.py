"""A producer's streams: how their entries are numbered, what waits for each, and which of them have something waiting.

`Stream` is one stream on the tape, and `Queue` holds the streams of one partition. `streams` finds the stream that an event belongs to.
"""

from __future__ import annotations

import asyncio
from typing import Final

from crosstape_schemas import (
    VENUE_WIDE,
    Book,
    Cbbo,
    Depth,
    Event,
    Funding,
    Keys,
    Mark,
    OpenInterest,
    Quote,
    Status,
    Ticker,
    Trade,
    feed_kind,
)

CONFLATABLE: Final = (Quote, Book, Ticker, Mark, Funding, OpenInterest, Cbbo, Depth)
"""Kinds of events that show a state: the newest replaces those before it. A candle or bar is a state until it is closed (`candle_stream`).
All other kinds are lossless: each event counts."""


class Stream:
    """One stream, with the events of one venue. Numbers are given when a batch is made of `pending`, so that none is left out."""

    __slots__ = (
        "_last_trade",
        "bell",
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
        self.kind = feed_kind(event)
        """Kind of a feed: `trade`, `candle:1m`."""
        self.venue = event.venue
        self.instrument = event.instrument
        self.field = event.venue.encode()
        venue_wide = event.instrument == VENUE_WIDE
        self.key = (keys.venue(event.venue) if venue_wide else keys.stream(self.kind, event.instrument)).encode()
        # A venue's own stream holds its gaps as well; its last value is its status.
        self.last_key = keys.last("status" if venue_wide else self.kind, event.instrument).encode()
        kind = "venue" if venue_wide else self.kind
        self.bell = keys.bell(kind, keys.partition(event.instrument)).encode()
        self.max_length = b"%d" % max_length
        self.conflatable = isinstance(event, CONFLATABLE)
        """Whether all its events are states. (A stream of candles or bars has both: `is_state`.)"""
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

    def is_state(self, event: Event) -> bool:
        """Whether newer events of this stream replace this one."""
        return self.conflatable

    def lossless(self, entries: list[bytes]) -> list[bytes]:
        """Returns the lossless ones of these encoded events."""
        return [] if self.conflatable else entries

    def replace_newest(self, event: Event) -> bool:
        """Put an event in the place of the state that is pending last. Returns False, with nothing done, if it does not replace one."""
        if not self.conflatable or not self.pending:
            return False
        self.pending[-1] = event
        return True

    def conflate(self) -> int:
        """Keep only the newest pending state. Returns how many were removed."""
        if not self.conflatable or not self.pending:
            return 0
        extra = len(self.pending) - 1
        del self.pending[:extra]
        return extra

    def remove_lossless(self) -> list[Event]:
        """Remove and return the pending lossless events."""
        if self.conflatable:
            return []
        removed, self.pending = self.pending, []
        return removed

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
        """Add an event behind all that is pending of its stream. (`Publisher.publish_all` does this inline.)"""
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
        return [(stream, extra) for stream in self.dirty if (extra := stream.conflate())]

    def remove_lossless(self) -> list[Event]:
        """Remove and return all pending lossless events, in each stream's order."""
        removed = [event for stream in self.dirty for event in stream.remove_lossless()]
        self.dirty = [stream for stream in self.dirty if stream.pending]
        return removed
