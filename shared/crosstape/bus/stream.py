"""A producer's side of one stream: what waits for it, its numbering, and what it lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from crosstape_schemas import VENUE_WIDE, Book, Cbbo, Event, Gap, GapCause, Keys, Quote, Status, Ticker
from crosstape_schemas.events import KIND_OF

if TYPE_CHECKING:
    from crosstape.bus.lane import Lane

CONFLATED: Final = (Quote, Book, Ticker, Cbbo)
"""States of something: the newest stands for those before it. The rest are happenings: each counts."""


class Loss:
    """What a stream lacks, from the first to the last of it, until a `Gap` can say so."""

    __slots__ = ("cause", "from_ts", "missed", "to_ts")

    def __init__(self, cause: GapCause, from_ts: int, to_ts: int, missed: int) -> None:
        self.cause = cause
        self.from_ts = from_ts
        self.to_ts = to_ts
        self.missed = missed


class Stream:
    """Events of one venue on one stream. `pending` is in order; numbers are given when a batch is made of it, so that none is left out."""

    __slots__ = (
        "conflates",
        "field",
        "instrument",
        "key",
        "kind",
        "lane",
        "last_key",
        "losses",
        "max_length",
        "newest",
        "pending",
        "registered",
        "reported",
        "seq",
        "venue",
    )

    def __init__(self, event: Event, keys: Keys, max_length: int, lane: Lane) -> None:
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
        self.lane = lane
        self.pending: list[Event] = []
        self.seq = 0
        self.registered = False
        self.reported = 0
        """Up to this number, what the server lost was reported."""
        self.losses: dict[GapCause, Loss] = {}
        self.newest: dict[bytes, Event] = {}
        """The last of a state, by its field in the hash of last values: what to write again on a server that lost it."""

    def lose(self, cause: GapCause, from_ts: int, to_ts: int, missed: int) -> None:
        """Take note of a loss, joining it to one of the same cause that was not reported yet."""
        loss = self.losses.get(cause)
        if loss is None:
            self.losses[cause] = Loss(cause, from_ts, to_ts, missed)
        else:
            loss.from_ts = min(loss.from_ts, from_ts)
            loss.to_ts = max(loss.to_ts, to_ts)
            loss.missed += missed

    def gaps(self, now_ts: int) -> list[Gap]:
        """The events that report the losses, which are thereby forgotten."""
        losses, self.losses = self.losses, {}
        return [
            Gap(self.venue, self.instrument, None, now_ts, self.kind, loss.from_ts, loss.to_ts, loss.missed, loss.cause)
            for loss in losses.values()
        ]

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
        return [self.field, b"%d" % len(chunk)]
