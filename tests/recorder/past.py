"""The past of a venue, as a fake of what a connector fetches by REST."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec

from crosstape.errors import HistoryError
from crosstape_recorder.fetching import Page, Wanted
from crosstape_schemas import Candle, Trade


class Killed(BaseException):
    """Ends a process in the middle of its work."""


class Past:
    """Implements `Fetch`: a page has at most `rows` rows, and the last of them comes again on the next page."""

    def __init__(self, *events: Trade | Candle, rows: int = 3, now_ts: int = 1_800_000_000 * 10**9) -> None:
        self.events = list(events)
        self.pages = 0
        """How many were asked for."""
        self.refuses = ""
        """Why `reach` refuses."""
        self.fails_after = 10**9
        """After so many pages the venue refuses."""
        self.dies_after = 10**9
        """After so many pages the process is killed."""
        self._rows = rows
        self._now_ts = now_ts

    def reach(self, wanted: Wanted) -> str:
        """See `Fetch`."""
        return self.refuses

    async def fetch(self, wanted: Wanted) -> AsyncIterator[Page]:
        """See `Fetch`."""
        rows = [event for event in self.events if self._is_wanted(event, wanted)]
        for start in range(0, max(1, len(rows)), self._rows):
            if self.pages >= self.fails_after:
                raise HistoryError("the venue asks to wait 2.0 hours")
            if self.pages >= self.dies_after:
                raise Killed
            self.pages += 1
            yield Page(self._page(rows[max(0, start - 1) : start + self._rows]), wanted.to_ts)

    def _is_wanted(self, event: Trade | Candle, wanted: Wanted) -> bool:
        ts = event.open_ts if isinstance(event, Candle) else event.venue_ts or 0
        timeframe = event.timeframe if isinstance(event, Candle) else None
        same = (event.venue, event.instrument, timeframe) == (wanted.venue, wanted.instrument, wanted.timeframe)
        return same and wanted.from_ts <= ts < wanted.to_ts

    def _page(self, rows: Sequence[Trade | Candle]) -> list[Trade | Candle]:
        return [msgspec.structs.replace(row, received_ts=self._now_ts, epoch=0, seq=0) for row in rows]
