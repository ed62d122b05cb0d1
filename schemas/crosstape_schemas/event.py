"""Defines what all events have in common: their fields, the states of feeds, the causes of gaps."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

VENUE_WIDE: Final = "*"
"""The instrument of a `Status` or `Gap` of a whole venue, and the kind of one that is about every feed."""

CONSOLIDATED: Final = "consolidated"
"""The venue of events computed across venues."""


class Side(StrEnum):
    """The taker's side of a trade: who crossed the spread."""

    BUY = "buy"
    SELL = "sell"


class FeedState(StrEnum):
    """How far a consumer may rely on a feed's data now."""

    CONNECTING = "connecting"  # no data yet, or none since the start
    LIVE = "live"
    RECOVERING = "recovering"  # a break was seen; a new snapshot is being fetched
    STALE = "stale"  # the connection is open, but this feed has stopped
    DOWN = "down"  # no connection


class GapCause(StrEnum):
    """Why something is missing from the tape."""

    DISCONNECT = "disconnect"  # the venue's connection was lost
    SEQUENCE = "sequence"  # the venue's numbering skipped
    CHECKSUM = "checksum"  # the book does not match the venue's checksum
    OVERFLOW = "overflow"  # a limit of crosstape was reached
    BUS = "bus"  # the bus's server lost entries that it had acknowledged
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> GapCause:
        """Read a cause that only a newer producer knows as `UNKNOWN`: a reader must not lose the gap because of it."""
        return cls.UNKNOWN


type_tag = "type"
Level = tuple[Decimal, Decimal]
"""Price, and the size resting there in base units. In a `Delta` a size of zero removes the level."""


class _Stamp(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The fields that the publisher sets (see `stamp`), never a parser. Keyword-only, so that both are last."""

    epoch: int = 0
    """Number of the start of the publishing process: its time in ns, or more where the clock at an earlier start was ahead. Compare epochs
    of one producer; do not use an epoch as a time."""
    seq: int = 0
    """1, 2, 3 … without a gap per (stream, venue, epoch)."""


class Event(_Stamp, frozen=True, gc=False):
    """The fields of all events. Times are ns since the epoch UTC."""

    venue: str
    instrument: str
    venue_ts: int | None
    """The venue's own time; null if it gives none."""
    received_ts: int
    """When the frame (or the newest input) was read from the socket, by our clock."""
