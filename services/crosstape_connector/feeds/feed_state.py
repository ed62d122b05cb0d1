"""What is known of one feed, across connections."""

from __future__ import annotations

from typing import Final

import msgspec

from crosstape_connector.feeds.clock_step import ClockStep
from crosstape_schemas import Book, Event, FeedState, Gap, GapCause, Instrument, Quote, Status, Ticker

POLLED: Final = "polled over REST"
"""How the reason of a feed begins that is polled by REST for want of a stream."""


class FeedRecord:
    """One feed's state. Read by the watchdog and the metrics, written by `Feeds` only."""

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
        """Since when it has not been live; 0: it is, or it has never changed."""
        self.received_ts = 0
        """Of the newest data of the stream, published or not (a book's level may be out of sight); 0: never."""
        self.replayed_ts = 0
        """`received_ts` of the newest snapshot, replay or late data: while they are equal, `venue_ts` may be far older than the frame."""
        self.fetched_ts = 0
        """Of the newest data that we asked for beside the stream: they prove nothing of it; 0: never."""
        self.proven_ts = 0
        """When the venue last said, in its own way, that nothing was missing; 0: never."""
        self.stalled_ts = 0
        """When it was last called stale; 0: never."""
        self.refuted_ts = 0
        """When it was found that the stream does not bring what happens at the venue; 0: never, or it has spoken since."""
        self.unread_ts = 0
        """When data came that cannot be read, and none since that can; 0: they did not."""
        self.contradiction = ""
        """Why it is not live whatever comes: it and another feed of its instrument contradict each other. Empty: they do not."""
        self.answers_subscribe = False
        """The venue answers a subscription of this feed with data, so that the first data after it do not show that the stream lives."""
        self._answer_ts = 0  # the stall after which such data came
        self.can_probe = False
        """The venue can be asked whether anything has happened (`Feeds.doubted`)."""
        self.venue_ts: int | None = None
        self.count = 0
        """Data of the stream so far: two readings of it and of `received_ts` give the usual interval."""
        self.confirmed = False
        """The venue acknowledged the subscription on the newest connection."""
        self.opened_ts = 0
        """When its newest connection subscribed it; 0: never."""
        self.sessions = 0
        """Connections that have it now: two while one replaces the other."""
        self.gap_from = 0
        """Since when data are missing because a connection was lost; 0: none are."""
        self.last: Quote | Book | Ticker | None = None
        """What was published last, where only the newest matters."""

    def set_state(self, state: FeedState, reason: str, now: int) -> list[Event]:
        """Change the state: a `Status`, and the last quote or book anew with that state; nothing if it is so already."""
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
        """It was called stale, and its stream has said nothing since."""
        return self.stalled_ts > self.received_ts

    def set_live(self, now: int) -> list[Event]:
        """The stream brings data: live, unless it is held."""
        self.refuted_ts = 0
        return self.set_state(FeedState.STALE, self.contradiction, now) if self.contradiction else self.set_state(FeedState.LIVE, "", now)

    def refute(self, reason: str, now: int, missed_from: int = 0) -> list[Event]:
        """The stream does not bring what happens: stale, until it speaks. `missed_from`: since when data are missing; 0: none are."""
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
        """Whether data that come now may be no more than the answer to a subscription that was made because the feed is stale."""
        is_first = self.answers_subscribe and self.silent and self._answer_ts != self.stalled_ts
        self._answer_ts = self.stalled_ts
        return is_first

    def receive(self, event: Event) -> list[Event]:
        """Data are here: what must be said before them."""
        events: list[Event] = []
        if self.state is not FeedState.LIVE:
            events = [*self.set_live(event.received_ts), *self.end_gap(event.received_ts)]
            self.replayed_ts = event.received_ts  # on subscribing, many venues send what was last
        self.received_ts = event.received_ts
        self.venue_ts = event.venue_ts
        self.count += 1
        return events

    def gap_event(self, to_ts: int, missed: int | None, cause: GapCause, *, from_ts: int | None = None, venue_ts: int | None = None) -> Gap:
        """Something is missing, since the newest data if not told otherwise; since `to_ts` at most, if a clock was ahead before."""
        start = min(to_ts, from_ts if from_ts is not None else self.gap_from or self.received_ts or to_ts)
        return Gap(self.venue, self.instrument, venue_ts, to_ts, self.kind, start, to_ts, missed, cause)

    def end_gap(self, now: int) -> list[Event]:
        """The gap that a lost connection left, now that data are here again, if it did."""
        if not self.gap_from or self.contradiction:
            return []
        gap = self.gap_event(now, None, GapCause.UNKNOWN if self.unread_ts else GapCause.DISCONNECT)
        self.gap_from = self.unread_ts = 0
        return [gap]

    def mark_unreadable(self, now: int) -> list[Event]:
        """Data of the stream cannot be read: `recovering` until the next that can be, which also ends the gap."""
        if not self.received_ts and not self.fetched_ts:
            return []
        self.unread_ts = self.unread_ts or now
        self.gap_from = self.gap_from or self.received_ts or self.fetched_ts
        if self.state is FeedState.LIVE or (self.state is FeedState.STALE and not self.contradiction and not self.refuted_ts):
            return self.set_state(FeedState.RECOVERING, f"a {self.kind} cannot be read", now)
        return []

    def resume_after(self, received_ts: int) -> None:
        """The newest event on the tape was received then: if the feed has brought nothing yet, data are missing since."""
        if not self.count and not self.fetched_ts:
            self.gap_from = received_ts

    def interrupt(self, since_ts: int) -> None:
        """A connection is gone: data are missing since then, if there ever were any."""
        self.confirmed = False
        self.unread_ts = 0
        self.gap_from = self.gap_from or (since_ts if self.received_ts or self.fetched_ts else 0)

    def clock_set(self, step: ClockStep) -> None:
        """Our clock was set: our times of this feed, as the clock shows them now."""
        for name in _our_times(type(self)):
            setattr(self, name, step.shifted(getattr(self, name)))


def _our_times(cls: type[FeedRecord]) -> tuple[str, ...]:
    """The attributes that are times of our clock: all that end in `_ts`, but for the venue's, and the beginning of a gap."""
    slots = [name for one in cls.__mro__ for name in one.__dict__.get("__slots__", ())]
    return "gap_from", *(name for name in slots if name.endswith("_ts") and name != "venue_ts")
