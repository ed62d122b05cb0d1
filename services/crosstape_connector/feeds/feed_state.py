"""The state of one feed: it outlives connections. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from crosstape_connector.feeds.clock_step import ClockStep
from crosstape_schemas import Book, Event, FeedState, Gap, GapCause, Instrument, Quote, Status

POLLED: Final = "polled over REST"
"""The reason of a feed begins with this while it is polled by REST because its stream is away."""

RARE: Final = frozenset({"liquidation"})
"""Kinds of events that may not happen for hours: a confirmed feed of them is live without data, and its silence is not judged."""


class FeedRecord:
    """Keeps the state of one feed, and makes the events that its changes lead to.

    The watchdog and the metrics read it; only the feeds write it.
    """

    __slots__ = (
        "_answer_ts",
        "answers_subscribe",
        "can_probe",
        "confirmed",
        "contradiction",
        "count",
        "fetched_ts",
        "gap_from",
        "instrument",
        "kind",
        "last",
        "opened_ts",
        "proven_ts",
        "reason",
        "received_ts",
        "refuted_ts",
        "replayed_ts",
        "sessions",
        "stalled_ts",
        "state",
        "symbol",
        "unread_ts",
        "venue",
        "venue_ts",
        "waiting_ts",
    )  # fmt: skip

    def __init__(self, instrument: Instrument, kind: str) -> None:
        self.venue = instrument.venue
        self.kind = kind
        self.instrument = instrument.name
        self.symbol = instrument.symbol
        self.state = FeedState.CONNECTING
        self.reason = ""
        self.waiting_ts = 0
        """The time since which the feed is not live; 0 = it is live, or its state has never changed."""
        self.received_ts = 0
        """`received_ts` of the newest message on the stream, even if it changed nothing that we publish; 0 = none yet."""
        self.replayed_ts = 0
        """`received_ts` of the newest snapshot, replay or late data; while they are equal, `venue_ts` may be far older than the frame."""
        self.fetched_ts = 0
        """`received_ts` of the newest data by REST, which do not show that the stream lives; 0 = none yet."""
        self.proven_ts = 0
        """When the venue last confirmed, in its own way, that nothing was missed; 0 = never."""
        self.stalled_ts = 0
        """When the feed last became stale; 0 = never."""
        self.refuted_ts = 0
        """When a check found that the stream misses changes; 0 = never, or it has brought data since."""
        self.unread_ts = 0
        """The time since which the stream's data cannot be read; 0 = they can be read."""
        self.contradiction = ""
        """How this feed and another of its instrument contradict each other; until they agree, no data make it live. Empty = they agree."""
        self.answers_subscribe = False
        """Whether the venue answers its subscription with data: then the first data after it do not show that the stream lives."""
        self._answer_ts = 0  # `stalled_ts` of the stall after which such data came
        self.can_probe = False
        """Whether REST can show that nothing has happened (see `FeedHandler.probe`)."""
        self.venue_ts: int | None = None
        self.count = 0
        """Number of messages on the stream so far: two readings of it and of `received_ts` give the usual interval."""
        self.confirmed = False
        """The venue acknowledged the subscription on the newest connection."""
        self.opened_ts = 0
        """When the newest connection subscribed the feed; 0 = never."""
        self.sessions = 0
        """Number of connections that have the feed now: two while one replaces the other."""
        self.gap_from = 0
        """The time since which data are missing because a connection was lost; 0 = none are missing."""
        self.last: Event | None = None
        """The newest published event; None of trades."""

    def set_state(self, state: FeedState, reason: str, now: int) -> list[Event]:
        """Change the state. Returns a `Status`, and the last quote or book again with the new state; nothing if nothing changes."""
        if state is self.state and reason == self.reason:
            return []
        self.state, self.reason = state, reason
        self.waiting_ts = 0 if state is FeedState.LIVE else self.waiting_ts or now
        events: list[Event] = [Status(self.venue, self.instrument, None, now, self.kind, state, reason)]
        if state is not FeedState.LIVE and isinstance(self.last, Quote | Book) and self.last.state is not state:
            self.last = msgspec.structs.replace(self.last, state=state)
            events.append(self.last)
        return events

    @property
    def silent(self) -> bool:
        """Whether the feed became stale and its stream has brought nothing since."""
        return self.stalled_ts > self.received_ts

    def set_live(self, now: int) -> list[Event]:
        """Note that the stream brings data: the feed is live, unless another feed contradicts it."""
        self.refuted_ts = 0
        return self.set_state(FeedState.STALE, self.contradiction, now) if self.contradiction else self.set_state(FeedState.LIVE, "", now)

    def refute(self, reason: str, now: int, missed_from: int = 0) -> list[Event]:
        """Note that the stream misses changes: the feed is stale until it brings data. `missed_from`: start of the gap; 0 = none."""
        self.refuted_ts = self.refuted_ts or now
        self.stalled_ts = self.stalled_ts if self.silent else now
        events = self.set_state(FeedState.STALE, reason, now)
        if missed_from:
            events.append(self.gap_event(now, None, GapCause.UNKNOWN, from_ts=missed_from))
            self.gap_from = now
        return events

    def end_polling(self, now: int, reason: str) -> list[Event]:
        """Note that the feed is no longer polled by REST: `recovering` if it has a connection, else `down` for this reason."""
        if self.state is not FeedState.RECOVERING or not self.reason.startswith(POLLED):
            return []
        if self.sessions:
            return self.set_state(FeedState.RECOVERING, "reconnected", now)
        return self.set_state(FeedState.DOWN, reason, now)

    def check_answer(self) -> bool:
        """Note that data came. Returns whether they may be only the answer to a subscription that was renewed because the feed is stale."""
        is_first = self.answers_subscribe and self.silent and self._answer_ts != self.stalled_ts
        self._answer_ts = self.stalled_ts
        return is_first

    def receive(self, event: Event) -> list[Event]:
        """Note that this event came on the stream. Returns what must be published before it."""
        events: list[Event] = []
        if self.state is not FeedState.LIVE:
            events = [*self.set_live(event.received_ts), *self.end_gap(event.received_ts)]
            self.replayed_ts = event.received_ts  # on subscribing, many venues send the newest data again
        self.received_ts = event.received_ts
        self.venue_ts = event.venue_ts
        self.count += 1
        return events

    def gap_event(self, to_ts: int, missed: int | None, cause: GapCause, *, from_ts: int | None = None, venue_ts: int | None = None) -> Gap:
        """Return a gap that ends at `to_ts`. It begins at `from_ts`, or else at the newest data, but never after its end."""
        start = min(to_ts, from_ts if from_ts is not None else self.gap_from or self.received_ts or to_ts)
        return Gap(self.venue, self.instrument, venue_ts, to_ts, self.kind, start, to_ts, missed, cause)

    def end_gap(self, now: int) -> list[Event]:
        """Return the gap that a lost connection left, if any. Called when data come again."""
        if not self.gap_from or self.contradiction:
            return []
        gap = self.gap_event(now, None, GapCause.UNKNOWN if self.unread_ts else GapCause.DISCONNECT)
        self.gap_from = self.unread_ts = 0
        return [gap]

    def mark_unreadable(self, now: int) -> list[Event]:
        """Note that data of the stream cannot be read: `recovering` until some can, which also ends the gap."""
        if not self.received_ts and not self.fetched_ts:
            return []
        self.unread_ts = self.unread_ts or now
        self.gap_from = self.gap_from or self.received_ts or self.fetched_ts
        if self.state is FeedState.LIVE or (self.state is FeedState.STALE and not self.contradiction and not self.refuted_ts):
            return self.set_state(FeedState.RECOVERING, f"a {self.kind} cannot be read", now)
        return []

    def resume_after(self, received_ts: int) -> None:
        """Note that the newest event on the tape was received at `received_ts`. If the feed has no data yet, they are missing since."""
        if not self.count and not self.fetched_ts:
            self.gap_from = received_ts

    def interrupt(self, since_ts: int) -> None:
        """Note that the connection is lost: data are missing since `since_ts`, if the feed ever had any."""
        self.confirmed = False
        self.unread_ts = 0
        self.gap_from = self.gap_from or (since_ts if self.received_ts or self.fetched_ts else 0)

    def clock_set(self, step: ClockStep) -> None:
        """Shift all our times of this feed after our clock was set, to what it would have shown."""
        for name in _our_times(type(self)):
            setattr(self, name, step.shifted(getattr(self, name)))


def _our_times(cls: type[FeedRecord]) -> tuple[str, ...]:
    """Return the attributes that are times of our clock: all that end in `_ts` but for the venue's, and the start of a gap."""
    slots = [name for one in cls.__mro__ for name in one.__dict__.get("__slots__", ())]
    return "gap_from", *(name for name in slots if name.endswith("_ts") and name != "venue_ts")
