"""Keeps the subscriptions of one connection: sends requests, applies the venue's answers, and publishes the new states of the feeds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from structlog.typing import FilteringBoundLogger

from crosstape_connector.connection.bad_frames import BadFrames
from crosstape_connector.connection.context import ConnectionContext
from crosstape_connector.connection.hourly_budget import HourlyBudget
from crosstape_connector.connection.plan import ConnectionPlan
from crosstape_connector.connection.quarantine import Quarantine
from crosstape_connector.connection.subscribed_feeds import SubscribedFeeds
from crosstape_connector.connection.subscriptions import Subscriptions, TopicState
from crosstape_connector.connection.websocket import Sender
from crosstape_connector.errors import ConnectionLost
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.messages import Ack, Rejected
from crosstape_connector.venues.spec import subscribed_depth


class Subscriber:
    """Joins the subscriptions of one connection to its socket and to the tape. Before `enter`, nothing is published."""

    def __init__(
        self,
        context: ConnectionContext,
        connection: ConnectionPlan,
        feeds: SubscribedFeeds,
        bad: BadFrames,
        log: FilteringBoundLogger,
        *,
        quarantine: Quarantine | None = None,
    ) -> None:
        self.subscriptions = Subscriptions(
            connection.endpoint,
            connection.topics,
            depth=subscribed_depth(context.venue, context.settings.book_depth),
            ack_timeout_s=context.settings.ack_timeout_s,
            quarantine=quarantine,
        )
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the venue has answered every topic."""
        self.on_full: Callable[[Sequence[Topic], int, str], None] | None = None
        """Called with topics that the connection has no room for, the room that it has, and the venue's reason: finds another connection.
        None: such topics are rejected."""
        self.entered = False
        """Whether the topics count as connected: `FeedHandler.open_topics` was called, so `close_topics` must be."""
        self._context = context
        self._endpoint = connection.endpoint
        self._feeds = feeds
        self._bad = bad
        self._log = log
        self._budget = HourlyBudget(connection.endpoint.requests_per_hour)
        self._wake = asyncio.Event()
        self._welcomed = asyncio.Event()
        self._welcome_s = context.settings.connect_timeout_s
        if not self._endpoint.greets:
            self._welcomed.set()

    @property
    def welcomed(self) -> bool:
        """Whether the venue is ready for messages."""
        return self._welcomed.is_set()

    @property
    def is_spent(self) -> bool:
        """Whether it has used most of the requests that the venue allows in an hour: another connection has its own."""
        return self._budget.is_low

    def welcome(self) -> None:
        """Note that the venue is ready for messages."""
        self._welcomed.set()

    async def run(self, sender: Sender) -> None:
        """Send the greeting, then requests as they are due, all within the endpoint's rate limit. Ends with the connection.

        First wait for the venue's welcome, if it sends one. Raises `ConnectionLost` if it does not come.
        """
        try:
            async with asyncio.timeout(self._welcome_s):
                await self._welcomed.wait()
        except TimeoutError:
            raise ConnectionLost(f"no welcome within {self._welcome_s:g} s") from None
        for data in self._endpoint.greeting:
            await sender.wait_turn()
            await sender.send(data)
        while True:
            pending = self.subscriptions.next_request()
            if pending is None:
                self._wake.clear()
                await self._wake.wait()  # until something is to be sent; the connection's end cancels this
                continue
            await sender.wait_turn()
            count = len(pending.request.symbols) if self._endpoint.counts_symbols else 1
            if not self._budget.spend(count, time.monotonic()):
                raise ConnectionLost("it has sent as many requests as the venue allows in an hour")
            self.subscriptions.mark_sent(pending, time.monotonic(), time.time_ns())  # first, because the answer may come during `send`
            form = self._endpoint.unsubscribe if pending.unsubscribe else self._endpoint.subscribe
            await sender.send(form(pending.request))

    def enter(self, opened_ts: int) -> None:
        """Count the topics as connected since `opened_ts` (ns since the epoch), and publish the answers that have come so far."""
        now = time.time_ns()
        feeds, states, sink = self._context.feeds, self.subscriptions.states, self._context.sink
        self.entered = True
        sink.publish(feeds.open_topics(states, now, opened_ts))
        sink.publish(feeds.confirm_topics([topic for topic in states if states[topic] is TopicState.CONFIRMED], now))
        for topic, reason in self.subscriptions.reasons.items():
            sink.publish(feeds.reject_topic(topic, reason, now))

    def leave(self, reason: str) -> None:
        """Publish that the connection is closed, if its topics counted as connected."""
        if self.entered:
            self._context.check_clock()
            self._context.sink.publish(self._context.feeds.close_topics(self.subscriptions.states, time.time_ns(), reason))

    def subscribe(self, topics: Sequence[Topic]) -> None:
        """Subscribe these topics too. Their feeds must exist in `FeedHandler`."""
        self._feeds.add(topics)
        confirmed = self.subscriptions.subscribe(topics)
        if self.entered:
            self._context.sink.publish(self._context.feeds.open_topics(topics, time.time_ns()))
        self.confirm(confirmed)
        self._wake.set()

    def unsubscribe(self, topics: Sequence[Topic]) -> None:
        """Unsubscribe these topics. Data that still come for them are counted as unwanted."""
        self.subscriptions.unsubscribe(topics)
        self._feeds.remove(topics)
        self._wake.set()
        self._check_settled()

    def resubscribe(self, topic: Topic) -> bool:
        """Unsubscribe and subscribe this topic alone. False: it is not on this connection, was rejected, or is being subscribed already."""
        if not self.subscriptions.resubscribe(topic):
            return False
        self._wake.set()
        return True

    def acknowledge(self, ack: Ack) -> None:
        """Apply an acknowledgement."""
        self.confirm(self.subscriptions.acknowledge(ack))
        self._wake.set()  # a topic that was removed meanwhile may be unsubscribed now

    def confirm(self, topics: Sequence[Topic]) -> None:
        """Publish that the venue has confirmed these topics."""
        self._wake.set()  # a request that waits for the answer to another may be sent now
        if topics and self.entered:
            self._context.sink.publish(self._context.feeds.confirm_topics(topics, time.time_ns()))
        self._check_settled()

    def reject(self, refusal: Rejected) -> None:
        """Apply a refusal, and publish and log which topics it rejects for good. Raises `ConnectionLost` if a standby has no room."""
        if refusal.full and not self.entered:
            raise ConnectionLost(f"no room for as many subscriptions as on the connection before: {refusal.reason}")
        if refusal.full and self.on_full is not None:
            topics, room = self.subscriptions.make_room(refusal)
            if room:
                self._move(topics, room, refusal.reason)
                return
        else:
            topics = self.subscriptions.reject(refusal)
        self._wake.set()  # part of what was refused may be asked for again
        if not topics:
            self._bad.report_complaint(refusal.reason)
        for topic in topics:
            self._log.error("subscription.refused", channel=topic.channel, symbol=topic.symbol, reason=refusal.reason)
            if self.entered:
                self._context.sink.publish(self._context.feeds.reject_topic(topic, refusal.reason, time.time_ns()))
        self._check_settled()

    def _move(self, topics: Sequence[Topic], room: int, reason: str) -> None:
        """Leave topics to another connection: first it gets them, so that one that is open has them before they leave this one."""
        self._wake.set()
        if topics and self.on_full is not None:
            self.on_full(topics, room, reason)
            why = f"moved to another connection: {reason}"
            self._context.sink.publish(self._context.feeds.close_topics(topics, time.time_ns(), why))
            self._feeds.remove(topics)
        self._check_settled()

    def send_again(self) -> None:
        """Send the requests that were queued again."""
        self._wake.set()

    def _check_settled(self) -> None:
        if not self.settled.done() and self.subscriptions.settled:
            self.settled.set_result(None)
            self._log.info("session.subscribed", **{state.value: count for state, count in self.subscriptions.counts().items()})
