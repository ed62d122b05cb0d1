"""Looks after one connection by the clock: silence, unanswered subscriptions, stopped feeds, our pings. The session reads meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from structlog.typing import FilteringBoundLogger

from crosstape_connector.connection.context import ConnectionContext
from crosstape_connector.connection.subscribed_feeds import SubscribedFeeds
from crosstape_connector.connection.subscriptions import SEND_ATTEMPTS, Subscriptions
from crosstape_connector.errors import ConnectionLost
from crosstape_connector.feeds.keys import FeedKey, Topic
from crosstape_connector.venues.spec import Endpoint

POLL_S: Final = 0.25
"""Interval of the checks of a connection; shorter if a limit is very short."""


class Silence:
    """Measures for how long no frame came, at steps of about `poll_s`.

    It counts its own steps, not only the clock: after a stop of this process, frames wait in the socket and must be read first.
    """

    def __init__(self, poll_s: float, now: float, heard_ts: int) -> None:
        self._poll_s = poll_s
        self._before = now
        self._heard_ts = heard_ts
        self._silent_s = 0.0

    def measure(self, now: float, heard_ts: int, *, reading: bool) -> float:
        """Return the seconds without a frame. `heard_ts`: time of the newest frame; `reading`: we do read, so silence is the venue's."""
        is_silent = heard_ts == self._heard_ts and reading
        self._silent_s = self._silent_s + min(now - self._before, 2 * self._poll_s) if is_silent else 0.0
        self._before, self._heard_ts = now, heard_ts
        return self._silent_s


class Upkeep:
    """The checks of one connection, each called once per `poll_s`. Times are seconds of the monotonic clock unless they end in `_ts`."""

    def __init__(
        self,
        context: ConnectionContext,
        endpoint: Endpoint,
        subscriptions: Subscriptions,
        feeds: SubscribedFeeds,
        log: FilteringBoundLogger,
        *,
        now: float,
        heard_ts: int,
    ) -> None:
        settings = context.settings
        self._context = context
        self._endpoint = endpoint
        self._subscriptions = subscriptions
        self._feeds = feeds
        self._log = log
        self._silence_s = settings.silence_s or endpoint.silence_s
        self.poll_s = min(POLL_S, self._silence_s / 4, settings.ack_timeout_s / 4, settings.stale_min_s / 4)
        self._feeds_every_s = min(1.0, settings.stale_min_s / 4)
        self._silence = Silence(self.poll_s, now, heard_ts)
        self._feeds_checked_at = self._pinged_at = self._frame_pinged_at = now
        self._long_stops = context.feeds.long_stops

    def check_connection(self, now: float, heard_ts: int, *, reading: bool) -> None:
        """Raise `ConnectionLost` when this process was stopped for too long, or no frame came for too long."""
        self._context.check_clock()
        if self._context.feeds.long_stops != self._long_stops:
            raise ConnectionLost("this process was stopped for too long")
        if self._silence.measure(now, heard_ts, reading=reading) > self._silence_s:
            raise ConnectionLost(f"no frame for {self._silence_s:g} s")

    def check_answers(self, now: float, has_received: Callable[[Topic, int], bool]) -> tuple[list[Topic], bool]:
        """Queue again the requests that the venue did not answer in time.

        `has_received(topic, since_ts)` returns whether data of the topic came since then: data confirm a topic, too. Returns the topics
        that data confirm, and whether requests are queued again. Raises `ConnectionLost` when a topic was requested `SEND_ATTEMPTS` times.
        """
        confirmed, again, given_up = self._subscriptions.retry_overdue(now, has_received)
        if given_up:
            topic = given_up[0]
            others = f" and {len(given_up) - 1} more" if len(given_up) > 1 else ""
            raise ConnectionLost(f"no acknowledgement of {topic.channel} {topic.symbol}{others}, asked {SEND_ATTEMPTS} times")
        if again:
            self._log.warning("subscription.unanswered", topics=len(again), first=" ".join(again[0][1:]))
        return confirmed, bool(again)

    def check_streams(self) -> None:
        """Publish what the checks by the clock find about streams that miss changes; see `CrossChecks`."""
        self._context.sink.publish(self._context.feeds.check_streams(self._feeds.instruments, time.time_ns()))

    def feeds_due(self, now: float) -> bool:
        """Return whether `check_feeds` is due now, and start the next interval if it is."""
        if now - self._feeds_checked_at < self._feeds_every_s:
            return False
        self._feeds_checked_at = now
        return True

    def check_feeds(self, heard_ts: int, resubscribe: Callable[[Topic], bool]) -> None:
        """Mark stopped feeds stale and subscribe them again. Raises `ConnectionLost` if that has not helped and no other feed is live."""
        context, now = self._context, time.time_ns()
        topics = {FeedKey(record.kind, record.instrument): topic for topic, records in self._feeds.by_topic.items() for record in records}
        records = self._feeds.trading()
        for stall in context.watchdog.find_stalls(records, heard_ts, now):
            context.sink.publish(context.feeds.probe(stall.feed))
            context.probe(stall.feed.instrument)
            if not stall.attempt:
                continue
            kind, instrument = stall.feed
            context.counters.stalls[kind] += 1
            self._log.warning("feed.stale", kind=kind, instrument=instrument, reason=stall.reason, attempt=stall.attempt)
            context.sink.publish(context.feeds.mark_stale(stall.feed, now, stall.reason))
            resubscribe(topics[stall.feed])
        if context.watchdog.is_hopeless(records):
            raise ConnectionLost("acknowledged, but none of its feeds speaks")

    def wants_replacement(self) -> bool:
        """Whether to replace this connection: some feeds are live on it, but for others subscribing again did not help."""
        feeds = self._context.watchdog.find_futile(self._feeds.trading())
        if feeds:
            self._log.warning("session.futile", kind=feeds[0].kind, instrument=feeds[0].instrument, feeds=len(feeds))
        return bool(feeds)

    def due_ping(self, now: float, ping_s: float | None) -> bytes | None:
        """Return the ping to send now, if one is due. `ping_s`: how often the venue wants one; None: as its table says."""
        if self._endpoint.ping is None or now - self._pinged_at < (ping_s or self._endpoint.ping_s):
            return None
        self._pinged_at = now
        return self._endpoint.ping(self._subscriptions.next_id())

    def frame_ping_due(self, now: float) -> bool:
        """Return whether to send a WebSocket ping now."""
        if not self._endpoint.frame_ping_s or now - self._frame_pinged_at < self._endpoint.frame_ping_s:
            return False
        self._frame_pinged_at = now
        return True
