"""Decides when to poll by REST, which feeds next, and what an answer puts on the tape. Pure: `polling` makes the requests."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from crosstape_connector.feeds.feed_state import FeedRecord
from crosstape_schemas import Event, FeedState, Quote

POLL_S: Final = 1.0
"""No feed is polled more often, whatever the limit."""

POLLED: Final = "polled over REST"


class Absence:
    """Measures for how long an endpoint has been away. Times are seconds of one steady clock."""

    def __init__(self, after_s: float) -> None:
        """`after_s`: how long it may be away."""
        self._after_s = after_s
        self._since: float | None = None

    def is_too_long(self, now: float, *, connected: bool) -> bool:
        """Note whether the endpoint is connected now; return whether it has been away for too long."""
        if connected:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self._after_s

    def due_in(self, now: float) -> float:
        """Return the seconds until the absence is too long, if it goes on; `math.inf`: it is too long already, or there is none."""
        left_s = math.inf if self._since is None else self._since + self._after_s - now
        return left_s if left_s > 0 else math.inf


class PollSchedule:
    """Decides which feeds are polled next: all in turn, as often as the limit allows, `POLL_S` after the last time at the earliest."""

    def __init__(self, *, per_minute: int, batch: int) -> None:
        """`per_minute`: requests. `batch`: feeds in one request."""
        self._per_minute = per_minute
        self._batch = batch
        self._interval_s = POLL_S
        self._polled: dict[str, float] = {}

    def interval_s(self, count: int) -> float:
        """Return how often each of `count` feeds is polled."""
        return max(POLL_S, math.ceil(count / self._batch) * 60.0 / self._per_minute)

    def next_names(self, names: Collection[str], now: float) -> Sequence[str]:
        """Return the instruments to poll next, in one request; empty: none is due. `names`: all that are to be polled."""
        self._interval_s = interval_s = self.interval_s(len(names))
        self._polled = {name: self._polled.get(name, now - interval_s) for name in names}
        due = sorted((name for name, at in self._polled.items() if now - at >= interval_s), key=self._polled.__getitem__)
        turn = due[: self._batch]
        self._polled |= dict.fromkeys(turn, now)
        return turn

    def due_in(self, now: float) -> float:
        """Return the seconds until one of the last `names` is due; `math.inf`: there were none."""
        return min((max(0.0, at + self._interval_s - now) for at in self._polled.values()), default=math.inf)


def reason(interval_s: float) -> str:
    """Return the reason in the status of a polled feed."""
    return f"{POLLED}, every {interval_s:.3g} s at best"


def apply_quote(record: FeedRecord, quote: Quote, asked_ts: int, why: str) -> list[Event]:
    """Return what a polled quote puts on the tape: it is never `live`.

    Nothing if the stream was there first (since `asked_ts`, when it was requested), or if the quote brings nothing new.
    """
    if record.state is FeedState.LIVE or record.confirmed or record.received_ts > asked_ts:
        return []
    last, now = record.last, quote.received_ts
    record.last = polled = msgspec.structs.replace(quote, state=FeedState.RECOVERING)
    record.fetched_ts = now
    events = record.set_state(FeedState.RECOVERING, why, now)
    if not isinstance(last, Quote) or last.state is not FeedState.RECOVERING or _figures(last) != _figures(polled):
        events.append(polled)
    return events


def end(record: FeedRecord, now: int, why: str) -> list[Event]:
    """Return the events for a feed that is not polled any more. If it has a connection, that decides its state."""
    if record.state is not FeedState.RECOVERING or not record.reason.startswith(POLLED):
        return []
    if record.sessions:
        return record.set_state(FeedState.RECOVERING, "reconnected", now)
    return record.set_state(FeedState.DOWN, why, now)


def _figures(quote: Quote) -> tuple[object, ...]:
    return quote.bid_price, quote.bid_size, quote.ask_price, quote.ask_size
