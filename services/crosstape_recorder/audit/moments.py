"""Finds which recorded entries an aggregator must have read, and may have read, when it computed an event."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from crosstape_recorder.audit.price_stream import Input
from crosstape_recorder.audit.rules import MS

FRESH_NS = 10_000_000_000
"""An aggregator that has just started reads the last values of all streams one after the other …"""
FRESH_LAG = 3
"""… so that for this time it may be this many times as far behind."""


class Moment(NamedTuple):
    """When an event was computed. An aggregator reads streams one after the other: at any moment it has read some further than others."""

    ts: int
    """By its own clock, ns."""
    sure_ms: int
    """All entries before this id had been read."""
    most_ms: int
    """No entry after this id can have been read: it is that of the event itself."""


def moment(ts: int, ms: int, unread: Iterable[Input | None], *, lag_ns: int, before_ts: int | None, started_ts: int) -> Moment:
    """Return when an event was computed.

    `ms`: of its id; `unread`: of each stream whose position is known, the first entry that was not read; `before_ts`: `ts` of the event
    before, if it is of the same aggregator, which may have been stopped since; `started_ts`: that of its first event.
    """
    lag_ms = lag_ns // MS
    if ts - started_ts < FRESH_NS:
        lag_ms *= FRESH_LAG
    sure_ms = min(ts // MS, *(one.ms for one in unread if one is not None), ms) - lag_ms
    if before_ts is None:
        return Moment(ts, sure_ms - lag_ms, ms)
    if ts - before_ts > lag_ns:
        sure_ms = min(sure_ms, before_ts // MS - lag_ms)
    return Moment(ts, sure_ms, ms)
