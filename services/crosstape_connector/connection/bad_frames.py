"""Reports what one connection cannot use: complete frames, values left out of frames, refusals that name no subscription."""

from __future__ import annotations

from typing import Final

from structlog.typing import FilteringBoundLogger

from crosstape_connector.capture.writer import Capture
from crosstape_connector.connection.address import Address
from crosstape_connector.errors import FRAME_ERRORS, frame_error_kind
from crosstape_connector.metrics.counters import Counters
from crosstape_connector.venues.messages import Odd

HEAD: Final = 200
"""Bytes of a bad frame in the log."""

COMPLAINTS: Final = 20
"""One connection logs at most this many different reasons of refusals that name no subscription."""

INTERNAL: Final = "internal"
"""The kind of a frame that our own code failed to handle (a bug)."""


class BadFrames:
    """Counts bad frames and values, and logs the first of each kind per connection. Frames are public data, with nothing secret."""

    def __init__(self, counters: Counters, capture: Capture | None, number: int, log: FilteringBoundLogger) -> None:
        """`number` names the connection in the capture."""
        self._counters = counters
        self._capture = capture
        self._number = number
        self._log = log
        self._frame_kinds: set[str] = set()
        self._odd_kinds: set[str] = set()
        self._complaints: set[str] = set()
        self.address: Address | None = None
        """Where the connection is to: what is secret in it is left out."""

    def report(self, data: bytes, received_ts: int, exc: Exception, *, binary: bool = False) -> str:
        """Count, capture and log a frame that cannot be used. Returns its kind."""
        kind = frame_error_kind(exc) if isinstance(exc, FRAME_ERRORS) else INTERNAL
        error = str(exc)
        if self.address is not None:
            data, error = self.address.hide_in(data), self.address.hide(error)
        self._counters.bad_frames[kind] += 1
        if self._capture is not None:
            self._capture.frame_bad(received_ts, self._number, data, kind, binary=binary)
        if kind not in self._frame_kinds:
            self._frame_kinds.add(kind)
            trace = exc if kind == INTERNAL else None
            self._log.warning("frame.bad", kind=kind, error=error, size=len(data), head=repr(data[:HEAD]), exc_info=trace)
        return kind

    def report_unpublished(self, exc: Exception) -> None:
        """Count and log that an event could not be published: a bug, and nothing shows of which frame."""
        self._counters.bad_frames[INTERNAL] += 1
        if INTERNAL not in self._frame_kinds:
            self._frame_kinds.add(INTERNAL)
            self._log.error("event.unpublished", error=str(exc), exc_info=exc)

    def report_odd(self, odd: Odd) -> None:
        """Count and log a value that was left out of a frame."""
        self._counters.odd[odd.kind] += 1
        if odd.kind not in self._odd_kinds:
            self._odd_kinds.add(odd.kind)
            self._log.warning("value.odd", kind=odd.kind, reason=odd.reason[:HEAD])

    def report_complaint(self, reason: str) -> None:
        """Log a refusal that names no subscription of ours."""
        if reason not in self._complaints and len(self._complaints) < COMPLAINTS:
            self._complaints.add(reason)
            self._log.warning("session.complaint", reason=reason)
