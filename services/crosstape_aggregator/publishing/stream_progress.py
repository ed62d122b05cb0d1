"""Finds the instruments whose streams have been read up to nearly now: only their windows can be complete."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Final

from crosstape.bus import Reader
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_aggregator.recovery.catch_up import KINDS, PastReader
from crosstape_schemas import Keys

LOOK_S: Final = 1.0
"""Longest time between two looks (calls of `look`)."""
LATE_S: Final = 2.0
"""Before quotes are published, look again if the last look is older: after a stop of the process it is out of date."""
UNKNOWN_S: Final = 3.0
"""If the list of streams on the server could not be read for this time, there may be new streams, with gaps of any instrument."""


class StreamProgress:
    """Tracks how far the streams of one shard have been read. Seconds are by the monotonic clock."""

    def __init__(self, engine: Engine, keys: Keys, live: Reader, past: PastReader) -> None:
        self.answered_at = float("-inf")
        """When the server last returned the list of streams."""
        self._engine = engine
        self._keys = keys
        self._live = live
        self._past = past
        self._turns = -1  # of the reader, at the last look
        self._looked_at = float("-inf")

    def look(self, now: int) -> None:
        """Pass to the engine the instruments whose streams have not been read up to nearly now. `now`: ns since the epoch."""
        self._turns, self._looked_at = self._live.turns, time.monotonic()
        self._engine.look(self._unread(self._looked_at), now, time.monotonic_ns())

    def look_before_publishing(self, now: int) -> None:
        """Look again if anything has been read since the last look, or if that is too long ago."""
        if self._live.turns != self._turns or time.monotonic() - self._looked_at > LATE_S:
            self.look(now)

    def is_due(self) -> bool:
        """Whether the last look was `LOOK_S` ago or longer."""
        return time.monotonic() - self._looked_at >= LOOK_S

    def _unread(self, now_s: float) -> Collection[str] | None:
        """Return the instruments whose trades or gaps have not been read up to nearly now; None: all instruments."""
        past = self._past.unread()
        if past is None or now_s - self.answered_at > UNKNOWN_S:
            return None
        behind = self._live.behind(now_s)
        if not behind:
            return past
        names = {name for name in self._engine.instruments if name in past}
        for stream in behind:
            kind, name = self._keys.parse(stream) or ("", "")
            if kind == "venue":
                return None
            if kind in KINDS:
                names.add(name)
        return names
