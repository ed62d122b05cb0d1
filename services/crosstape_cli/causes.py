"""Explains, from the statuses on a tape, why it has no consolidated quotes: from statuses to text. Pure: no clock, no I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from crosstape.liveness import SignsOfLife
from crosstape_cli.view import spell
from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, Event, FeedState, Status

SECOND_NS: Final = 1_000_000_000
STOPPED: Final = "stopped"
"""`reason` of the last status of a connector that was stopped on purpose."""

SHOWN: Final = 3
"""Count of refused instruments that are named."""


class Causes:
    """Finds out from statuses what is missing: connectors, aggregators, instruments that a venue refuses."""

    def __init__(self) -> None:
        self.signs = SignsOfLife()
        self._venues: dict[str, Status] = {}  # venue → its newest venue-wide status
        self._heard_ts: dict[int, int] = {}  # epoch of an aggregator → received_ts of its newest sign of life
        self._refused: dict[tuple[str, str], str] = {}  # (instrument, venue) → reason

    def apply(self, status: Status, now_s: float, now_ts: int) -> None:
        """Apply a status that arrived now; `now_s` is of the monotonic clock."""
        if status.kind != VENUE_WIDE and status.venue != CONSOLIDATED:
            return  # the status of one feed
        if status.instrument != VENUE_WIDE:
            key = status.instrument, status.venue
            self._refused.pop(key, None)
            if status.state is FeedState.DOWN:
                self._refused[key] = status.reason
            return
        self.signs.apply(status, now_s, now_ts)
        if status.venue == CONSOLIDATED:
            self._heard_ts[status.epoch] = max(status.received_ts, self._heard_ts.get(status.epoch, 0))
            if len(self._heard_ts) > 1_000:
                del self._heard_ts[min(self._heard_ts)]
        else:
            self._venues[status.venue] = status

    def silent_s(self, event: Event, now_s: float, now_ts: int) -> float | None:
        """Seconds for which the aggregator that published this has given no sign of life; None: it is alive."""
        if self.signs.is_current(event, now_s):
            return None
        return max(0.0, (now_ts - self._heard_ts.get(event.epoch, event.received_ts)) / SECOND_NS)

    def why_nothing(self, now_s: float, now_ts: int) -> list[str]:
        """The causes why there may be no consolidated quote, a phrase each; empty if none is known."""
        return [*self._connectors(now_s, now_ts), *self._aggregators(now_s, now_ts), *self._refusals()]

    def why_not(self, instrument: str) -> str:
        """Returns the venues that refuse an instrument, with their reasons: `VENUE: REASON; …`; empty if no refusal is known."""
        found = [f"{venue}: {reason}" if reason else venue for (name, venue), reason in self._refused.items() if name == instrument]
        return "; ".join(sorted(found))

    def _connectors(self, now_s: float, now_ts: int) -> Iterator[str]:
        if not self._venues:
            yield "no connector has run on this tape"
        elif not any(self.signs.is_heard(venue, now_s) and status.reason != STOPPED for venue, status in self._venues.items()):
            yield "no connector is alive"
        for venue, status in sorted(self._venues.items()):
            is_down = status.state is FeedState.DOWN
            down = "down" + (f": {status.reason}" if status.reason else "")
            if is_down and (status.reason == STOPPED or self.signs.is_heard(venue, now_s)):
                yield f"{venue} is {down}"
            elif not self.signs.is_alive(venue, now_s):
                silent = f"{venue} has given no sign of life for {spell((now_ts - status.received_ts) / SECOND_NS)}"
                yield f"{silent}; it was {down}" if is_down else silent
            elif status.state is not FeedState.LIVE:
                yield f"{venue} is {status.state.value}" + (f": {status.reason}" if status.reason else "")

    def _aggregators(self, now_s: float, now_ts: int) -> Iterator[str]:
        if not self._heard_ts:
            yield "no aggregator has run on this tape"
        elif not self.signs.is_alive(CONSOLIDATED, now_s):
            yield f"no aggregator for {spell((now_ts - max(self._heard_ts.values())) / SECOND_NS)}"

    def _refusals(self) -> Iterator[str]:
        names = sorted({name for name, _ in self._refused})
        for name in names[:SHOWN]:
            yield f"{name} is refused ({self.why_not(name)})"
        if len(names) > SHOWN:
            yield f"{len(names) - SHOWN} more instruments are refused"
