"""Defines a gap of the recorded history, and the feed that it is of."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from crosstape_schemas import VENUE_WIDE, GapCause

RECORDER_AWAY: Final = "recorder_away"
"""The cause that is shown for a gap that the recorder wrote: entries left the tape before it had read them."""
UNRECORDED: Final = "unrecorded"
"""The cause of a gap of a time in which nobody recorded."""
FETCHED: Final = frozenset({"trade", "candle"})
"""Kinds that venues have the past of. Quotes and books are states that nobody keeps; bars and consolidated quotes are computed."""


class Feed(NamedTuple):
    """One kind of events of one instrument and venue."""

    venue: str
    instrument: str
    kind: str
    """A tag of `crosstape_schemas.KINDS`, or `VENUE_WIDE` for all kinds."""
    timeframe: str = ""
    """Of candles and bars."""

    @staticmethod
    def of(venue: str, instrument: str, feed_kind: str) -> Feed:
        """Returns the feed that a gap names, whose kind has the timeframe in it: `candle:1m`."""
        kind, _, timeframe = feed_kind.partition(":")
        return Feed(venue, instrument, kind, timeframe)

    @property
    def feed_kind(self) -> str:
        """The kind as events name it: `candle:1m`."""
        return f"{self.kind}:{self.timeframe}" if self.timeframe else self.kind

    def covers(self, other: Feed) -> bool:
        """Whether what is said of this feed is said of the other: it may be all instruments or kinds, or all venues of a stream."""
        return (
            self.venue in (VENUE_WIDE, other.venue)
            and self.instrument in (VENUE_WIDE, other.instrument)
            and (self.kind == VENUE_WIDE or (self.kind == other.kind and self.timeframe in ("", other.timeframe)))
        )


class Seen(StrEnum):
    """Where a gap was seen."""

    EVENT = "gap event"
    RECORDER = "the recorder was away or behind"
    SEQ = "seq"
    TRADE_IDS = "trade ids"
    CANDLES = "candles"
    SILENCE = "no sign of life"


class Part(msgspec.Struct, frozen=True):
    """What one observation says is missing of a feed."""

    feed: Feed
    from_ts: int
    to_ts: int
    """ns. Events at both moments may be there: they are those on its sides."""
    missing: int | None
    """How many events; None: not known."""
    cause: str
    """A `GapCause`, or `UNRECORDED`."""
    seen: Seen

    @property
    def gap_cause(self) -> GapCause:
        """The cause as an event has it."""
        return GapCause(self.cause)


class HistoryGap(msgspec.Struct, frozen=True):
    """A time in which events of one feed are missing from the history, as far as is known."""

    feed: Feed
    from_ts: int
    to_ts: int
    missing: int | None
    """How many events; None: not known, perhaps none."""
    parts: tuple[Part, ...]
    """What was observed, in order of time: one at least."""
    why_not: str = ""
    """Why it cannot be repaired, as a sentence; empty: it can be tried."""

    @property
    def causes(self) -> tuple[str, ...]:
        """Each cause once, in order of time."""
        return tuple(dict.fromkeys(RECORDER_AWAY if part.seen is Seen.RECORDER else part.cause for part in self.parts))

    @property
    def seen(self) -> tuple[str, ...]:
        """Where it was seen, each place once."""
        return tuple(dict.fromkeys(part.seen.value for part in self.parts))
