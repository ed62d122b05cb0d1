"""All feeds of one venue in one process: what parsers found → what goes on the tape. Pure: no I/O, no clock, no log.

Outlives connections: here lives what must be known across them, the last trade of each instrument, the state of each feed, the books.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from crosstape_connector.plan import Feed, Topic
from crosstape_connector.venue import Output, Venue
from crosstape_schemas import Event, FeedState, Instrument, Trade


class Resync(msgspec.Struct, frozen=True):
    """What the shell must do for one book: fetch its snapshot by REST and `take` it, or unsubscribe and subscribe its topic."""

    instrument: str
    symbol: str
    how: Literal["rest", "resubscribe"]
    cause: str
    attempt: int = 1
    """1, 2 … since the book was last true: what to take the pause between attempts from."""
    topic: Topic | None = None
    """What was last `opened` for this book; None if nothing was."""


class FeedRecord:
    """What is known of one feed. Read by the watchdog and the metrics, written by `Feeds` only."""

    __slots__ = (
        "confirmed",
        "count",
        "instrument",
        "kind",
        "opened_ts",
        "reason",
        "received_ts",
        "sessions",
        "state",
        "symbol",
        "venue_ts",
    )

    kind: str
    instrument: str
    symbol: str
    state: FeedState
    reason: str
    received_ts: int
    """Of the newest data; 0: never. Of every frame that concerns the feed, also where none of it was published (a book's level out of sight)."""
    venue_ts: int | None
    count: int
    """Data so far: two readings of it and of `received_ts` give the usual interval."""
    confirmed: bool
    """The venue acknowledged the subscription on the newest connection."""
    opened_ts: int
    """When its newest connection subscribed it; 0: never."""
    sessions: int
    """Connections that have it now: two while one replaces the other."""


class Feeds:
    """All feeds of one venue in one process: what parsers found → what goes on the tape. Outlives connections."""

    requests: deque[Resync]
    """What the shell must do; it empties this after `take`, `confirmed` and `tick`. At most a few per book."""
    feeds: Mapping[Feed, FeedRecord]
    venue_state: FeedState
    """What the venue says of itself (`live` where it says nothing): what the shell's venue-wide `Status` must not be better than."""
    venue_reason: str
    counts: Counter[str]
    """`duplicate`: trades dropped; `unwanted`: outputs of an instrument or kind that is not taken."""

    def __init__(
        self, venue: Venue, instruments: Mapping[str, Instrument], kinds: Collection[str], *, book_depth: int, book_interval_ns: int
    ) -> None:
        """`instruments` by our name."""
        raise NotImplementedError

    def take(self, output: Output) -> Sequence[Event]:
        """What one output puts on the tape, in order. Never raises; what belongs to the session (`Ack`, `Reply` …) gives nothing."""
        raise NotImplementedError

    def tick(self, now: int) -> Sequence[Event]:
        """Conflated books that are due; call about every book interval."""
        raise NotImplementedError

    def seed(self, trades: Iterable[Trade]) -> None:
        """Newest trades already on the tape, one an instrument: older ones are dropped, a hole since then is a `Gap(disconnect)`."""
        raise NotImplementedError

    def opened(self, topics: Iterable[Topic], now: int) -> Sequence[Event]:
        """A connection subscribes these: `connecting`, or `recovering` if it was live before. Once per connection; `lost` is its other half.

        A feed that another connection still has keeps its state, and does not notice when the older one is lost.
        """
        raise NotImplementedError

    def confirmed(self, topics: Iterable[Topic], now: int) -> Sequence[Event]:
        """The venue acknowledged these: a book that needs a REST snapshot asks for it now, if no update did so before."""
        raise NotImplementedError

    def rejected(self, topic: Topic, reason: str, now: int) -> Sequence[Event]:
        """The venue refused: `down`, with its reason."""
        raise NotImplementedError

    def lost(self, topics: Iterable[Topic], now: int, reason: str) -> Sequence[Event]:
        """A connection is gone: `down`, books forgotten; a `Gap(disconnect)` follows when data resume, if anything can have been missed."""
        raise NotImplementedError

    def stalled(self, feed: Feed, now: int, reason: str) -> Sequence[Event]:
        """The watchdog's word: `stale`; live again with the next data."""
        raise NotImplementedError

    def add(self, instrument: Instrument) -> None:
        """One more instrument, while running."""
        raise NotImplementedError

    def remove(self, instrument: str, now: int) -> Sequence[Event]:
        """One less: its feeds go `down`."""
        raise NotImplementedError
