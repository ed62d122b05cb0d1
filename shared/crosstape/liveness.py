"""Tells which producers are alive, so that the last value of a dead one is not taken for a quiet market. Pure: no clock, no I/O.

Connectors and aggregators repeat a venue-wide status about every second. A producer counts as alive for `ALIVE_S` after its newest status;
a status that says `down` ends that at once.

**Clocks.** The clocks of hosts differ, so a status counts from when it arrives here. But statuses that an outage or a slow reader held back
arrive together, late. So each status is dated back by how much longer it was in transit than those that arrived at their normal pace. The
first status of a producer has nothing to compare with: it is dated by its own `received_ts`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

from crosstape_schemas import (
    CONSOLIDATED,
    VENUE_WIDE,
    Bar,
    Book,
    Candle,
    Cbbo,
    Event,
    FeedState,
    Funding,
    Mark,
    OpenInterest,
    Quote,
    Status,
    Ticker,
)

ALIVE_S: Final = 3.0
"""How long a producer counts as alive after a status: three times the usual `connector.status_interval_s`."""

PRODUCERS: Final = 4_096
"""Most producers that are remembered; beyond that, the one that has been silent for longest is forgotten."""

_STATES: Final = (Quote, Book, Ticker, Mark, Funding, OpenInterest, Cbbo)
"""Kinds of events that show a state; an open candle shows one, too."""


class Life(NamedTuple):
    """A change: a producer has started or stopped giving signs of life."""

    venue: str
    """The producer's venue; `consolidated`: an aggregator."""
    kind: str
    """`*`: the whole venue. For an aggregator that holds one of several shares, the share: `share.3`."""
    epoch: int
    alive: bool


class SignsOfLife:
    """Follows venue-wide statuses, and says whether the producer of an event is alive.

    `now_s` is the monotonic clock in seconds, `now_ts` the wall clock in ns; both are the caller's, so that tests need no waiting.
    """

    def __init__(self, alive_s: float = ALIVE_S) -> None:
        self._alive_s = alive_s
        self._signs: dict[tuple[str, str], _Sign] = {}
        self._reported: dict[tuple[str, str], int] = {}
        """Producers that were last reported alive, with their epoch at that time."""

    def apply(self, status: Status, now_s: float, now_ts: int) -> None:
        """Apply a status that arrived now. It changes nothing if it is not venue-wide, or is of an older start of a living producer."""
        if status.instrument != VENUE_WIDE or (status.kind != VENUE_WIDE and status.venue != CONSOLIDATED):
            return
        key = (status.venue, status.kind)
        before = self._signs.get(key)
        if before is not None and status.epoch < before.epoch and self._lives(before, now_s):
            return
        same = before if before is not None and before.epoch == status.epoch else None
        self._signs[key] = _next(same, status, now_s, now_ts)
        if len(self._signs) > PRODUCERS:
            oldest = min(self._signs, key=lambda one: self._signs[one].given_s)
            del self._signs[oldest]

    def is_current(self, event: Event, now_s: float) -> bool:
        """Whether the producer of `event` is alive. The state of a single feed is not considered: its own statuses show that.

        What an aggregator publishes (a consolidated quote, a bar of any venue) needs a sign of life of that aggregator, known by its
        `epoch`. A state (quote, book, open
        candle, …) needs one of its connector with the same epoch: after a restart, nothing confirms the values of the start before. Any
        other event needs one of its connector with that epoch or a later one.
        """
        if event.venue == CONSOLIDATED or isinstance(event, Bar):
            return any(sign.epoch == event.epoch and self._lives(sign, now_s) for sign in self._of(CONSOLIDATED))
        sign = self._signs.get((event.venue, VENUE_WIDE))
        if sign is None or not self._lives(sign, now_s):
            return False
        is_state = isinstance(event, _STATES) or (isinstance(event, Candle) and not event.closed)
        return sign.epoch == event.epoch if is_state else sign.epoch >= event.epoch

    def given_s(self, event: Event) -> float:
        """When the aggregator that published this consolidated event gave its newest sign of life (or said that it stops), by the monotonic
        clock in seconds; minus infinity: none is known. Until then the event was current, if none came after it.
        """
        return max((sign.given_s for sign in self._of(CONSOLIDATED) if sign.epoch == event.epoch), default=-math.inf)

    def is_alive(self, venue: str, now_s: float) -> bool:
        """Whether this venue's connector is alive; for `consolidated`, whether any aggregator is."""
        return any(self._lives(sign, now_s) for sign in self._of(venue))

    def is_heard(self, venue: str, now_s: float) -> bool:
        """Whether a producer of this venue has sent a status lately, also `down`: it runs, or has just ended."""
        return any(now_s < sign.given_s + self._alive_s for sign in self._of(venue))

    def turned(self, now_s: float) -> list[Life]:
        """Returns the producers that have started or stopped giving signs of life since the last call, also those that were restarted."""
        found = []
        for key, sign in self._signs.items():
            if self._lives(sign, now_s):
                if self._reported.get(key) != sign.epoch:
                    self._reported[key] = sign.epoch
                    found.append(Life(*key, sign.epoch, alive=True))
            elif key in self._reported:
                found.append(Life(*key, self._reported.pop(key), alive=False))
        forgotten = [key for key in self._reported if key not in self._signs]
        return found + [Life(*key, self._reported.pop(key), alive=False) for key in forgotten]

    def next_silence_s(self, now_s: float) -> float:
        """Returns the seconds until the next producer counts as dead if nothing more arrives; infinite while none is alive."""
        lasts = (sign.given_s + self._alive_s - now_s for sign in self._signs.values() if self._lives(sign, now_s))
        return min(lasts, default=math.inf)

    def _lives(self, sign: _Sign, now_s: float) -> bool:
        return not sign.down and now_s < sign.given_s + self._alive_s

    def _of(self, venue: str) -> Iterator[_Sign]:
        return (sign for (one, _), sign in self._signs.items() if one == venue)


class _Sign(NamedTuple):
    """The newest sign of life of one producer."""

    epoch: int
    down: bool
    given_s: float
    """When it was given, by our monotonic clock."""
    arrived_s: float
    seq: int
    received_ts: int
    delay_ns: int
    """Wall clock at arrival minus `received_ts`, of the last status that arrived at the normal pace; 0: there was none."""


def _next(before: _Sign | None, status: Status, now_s: float, now_ts: int) -> _Sign:
    """Returns the sign of life that a status gives, after the sign before it of the same start."""
    delay_ns = now_ts - status.received_ts
    usual_ns, paced = 0, False
    if before is not None:
        if (status.seq, status.received_ts) == (before.seq, before.received_ts) or status.seq < before.seq:
            return before  # the same one again, or an older one: a second look finds such
        usual_ns = before.delay_ns
        given_ns = status.received_ts - before.received_ts
        paced = abs((now_s - before.arrived_s) * 1e9 - given_ns) <= given_ns / 2
    if paced:
        usual_ns = delay_ns
    late_s = max(0, delay_ns - usual_ns) / 1e9
    return _Sign(status.epoch, status.state is FeedState.DOWN, now_s - late_s, now_s, status.seq, status.received_ts, usual_ns)
