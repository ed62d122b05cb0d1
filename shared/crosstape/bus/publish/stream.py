"""A producer's side of the streams: what waits for each, its numbering, and in which order they have something waiting."""

from __future__ import annotations

import asyncio
from typing import Final

from crosstape_schemas import VENUE_WIDE, Book, Cbbo, Event, Keys, Quote, Status, Ticker, Trade
from crosstape_schemas.events import KIND_OF

CONFLATED: Final = (Quote, Book, Ticker, Cbbo)
"""States of something: the newest stands for those before it. The rest are happenings: each counts."""


class Stream:
    """Events of one venue on one stream. `pending` is in order; numbers are given when a batch is made of it, so that none is left out."""

    __slots__ = (
        "_last",
        "conflates",
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
        # A venue's stream holds its gaps, too; its last value is its status.
        self.last_key = keys.last("status" if venue_wide else self.kind, event.instrument).encode()
        self.max_length = b"%d" % max_length
        self.conflates = issubclass(cls, CONFLATED)
        self.queue = queue
        self.pending: list[Event] = []
        self.seq = 0
        self.numbered_ts = 0
        """When what has the number `seq` was received."""
        self.registered = False
        self.reported = 0
        """Up to this number, what the server lost was reported."""
        self.newest: dict[bytes, Event] = {}
        """The last of a state, by its field in the hash of last values: what to write again on a server that lost it."""
        self._last: Event | None = None  # of trades: the last value

    def last_pairs(self, chunk: list[Event]) -> list[bytes]:
        """Fields of the hash of last values and, 1-based, the entry that each is to hold.

        The field is the venue. Statuses of a venue's several feeds of one instrument share a stream and must not hide one another: theirs
        is `venue:kind`. Gaps on a venue's stream are not its state.
        """
        if self.kind == "status" or self.instrument == VENUE_WIDE:
            at_of: dict[bytes, int] = {}
            for at, event in enumerate(chunk, 1):
                if isinstance(event, Status):
                    field = (self.venue if event.kind == VENUE_WIDE else f"{self.venue}:{event.kind}").encode()
                    at_of[field] = at
                    self.newest[field] = event
            return [part for field, at in at_of.items() for part in (field, b"%d" % at)]
        if self.conflates:
            self.newest[self.field] = chunk[-1]
        elif self.kind == "trade":
            return self._trade_pairs(chunk)
        return [self.field, b"%d" % len(chunk)]

    def _trade_pairs(self, chunk: list[Event]) -> list[bytes]:
        """A trade that was fetched late is not the newest: the last value stays the one that was made last, which a connector goes on from.

        What is last on the stream is then in a field of its own, `venue:late`: by it a producer finds out what a server has lost.
        """
        at, last = len(chunk), chunk[-1]
        if isinstance(last, Trade) and last.backfilled:
            at, last = max(enumerate(chunk, 1), key=lambda pair: _made(pair[1]))
            if self._last is not None and _made(last) < _made(self._last):
                return [self.field + b":late", b"%d" % len(chunk)]
        self._last = last
        late = [self.field + b":late", b"%d" % len(chunk)] if at < len(chunk) else []
        return [*late, self.field, b"%d" % at]


def _made(event: Event) -> tuple[int, int, str]:
    """Orders trades by when they were made; at one moment by their ids, as numbers."""
    trade_id = event.trade_id if isinstance(event, Trade) else ""
    return event.received_ts if event.venue_ts is None else event.venue_ts, len(trade_id), trade_id


class Queue:
    """The streams of one partition. `dirty` are those with something pending, in the order in which they got it; a lane takes from them."""

    __slots__ = ("dirty", "streams", "wake")

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.dirty: list[Stream] = []
        self.wake = asyncio.Event()

    def put(self, stream: Stream, event: Event) -> None:
        """Behind all that is pending of its stream. (`Publisher.publish` does this by itself: it is called for each event.)"""
        if not stream.pending:
            self.dirty.append(stream)
            self.wake.set()
        stream.pending.append(event)

    def put_newest(self, stream: Stream) -> int:
        """The newest of a state once more, before all that is pending of it: how many that are."""
        events = list(stream.newest.values())
        if events and not stream.pending:
            self.dirty.append(stream)
        stream.pending[:0] = events
        return len(events)

    def conflate(self) -> list[tuple[Stream, int]]:
        """Leave of each state only the newest: how many were taken from which."""
        freed = []
        for stream in self.dirty:
            if stream.conflates and (extra := len(stream.pending) - 1) > 0:
                del stream.pending[:extra]
                freed.append((stream, extra))
        return freed

    def take_happenings(self) -> list[Event]:
        """All that is pending and no state, in each stream's order."""
        taken: list[Event] = []
        for stream in self.dirty:
            if not stream.conflates:
                taken += stream.pending
                stream.pending = []
        self.dirty = [stream for stream in self.dirty if stream.pending]
        return taken
