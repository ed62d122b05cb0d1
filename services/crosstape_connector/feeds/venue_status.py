"""The states that a venue reports for itself and for its instruments, on its stream and by REST. Pure: no I/O, no clock, no log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from crosstape_schemas import VENUE_WIDE, Event, FeedState, Status

LIVE: Final = FeedState.LIVE


class VenueStatus:
    """Keeps the newest state that the venue reports, and publishes a `Status` when it changes."""

    def __init__(self, venue: str) -> None:
        """`venue`: its id."""
        self.state = FeedState.LIVE
        """State of the venue itself; `live` until it reports another. The connector's venue-wide `Status` must not be better."""
        self.reason = ""
        self.halts: dict[str, str] = {}
        """Instrument → why it does not trade, by REST."""
        self._venue = venue
        self._reported: dict[tuple[str, str], tuple[FeedState, str]] = {}  # by the stream; key: kind and instrument

    def apply(self, status: Status) -> Sequence[Event]:
        """Publish a status of the stream if it is new. An instrument is presumed to trade until its venue reports another state."""
        key = status.kind, status.instrument
        before = self._reported.get(key, None if status.instrument == VENUE_WIDE else (LIVE, ""))
        if before == (status.state, status.reason):
            return ()
        self._reported[key] = status.state, status.reason
        if status.kind == VENUE_WIDE and status.state is LIVE:
            self.halts.pop(status.instrument, None)
        if key == (VENUE_WIDE, VENUE_WIDE):
            self.state, self.reason = status.state, status.reason
        return (status,)

    def set_halt(self, instrument: str, reason: str, now: int) -> Sequence[Event]:
        """Note that an instrument does not trade for this reason, or (empty) that it does, by REST. It overrules what the stream said."""
        if self.halts.get(instrument, "") == reason:
            return ()
        if reason:
            self.halts[instrument] = reason
        else:
            del self.halts[instrument]
        return (self._trading(instrument, now),)

    def is_halted(self, instrument: str) -> bool:
        """Whether an instrument does not trade, by the venue's stream or by REST."""
        reported = self._reported.get((VENUE_WIDE, instrument))
        return instrument in self.halts or (reported is not None and reported[0] is not LIVE)

    def remove_instrument(self, instrument: str) -> None:
        """Forget the halt of an instrument that REST reported."""
        self.halts.pop(instrument, None)

    def restate(self, now: int) -> Iterator[Status]:
        """Yield each state that was reported, as of now."""
        for (kind, instrument), (state, reason) in self._reported.items():
            yield Status(self._venue, instrument, None, now, kind, state, reason)
        for instrument in self.halts:
            yield self._trading(instrument, now)

    def _trading(self, instrument: str, now: int) -> Status:
        state, reason = self._reported.get((VENUE_WIDE, instrument), (LIVE, ""))
        if instrument in self.halts:
            state, reason = FeedState.DOWN, f"does not trade: {self.halts[instrument]}"
        return Status(self._venue, instrument, None, now, VENUE_WIDE, state, reason)
