"""Defines which part of the history is examined or repaired. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from crosstape_recorder.gaps.gap import Feed
from crosstape_schemas import VENUE_WIDE


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of the history is examined."""

    kinds: Sequence[str]
    """Tags of KINDS: those that are recorded, or some of them."""
    instrument: str | None = None
    venue: str | None = None
    timeframe: str | None = None
    from_ts: int | None = None
    """None: from the first row on."""
    to_ts: int

    def wants(self, feed: Feed) -> bool:
        """Whether the gaps of a feed are wanted. One of all instruments or kinds is, if no other is named."""
        return (
            (feed.kind in self.kinds or feed.kind == VENUE_WIDE)
            and self.instrument in (None, feed.instrument)
            and self.venue in (None, feed.venue)
            and (self.timeframe is None or feed.timeframe == self.timeframe)
        )
