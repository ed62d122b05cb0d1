"""The subscriptions of one connection: which were requested, confirmed or rejected. Pure: times come in as values, nothing is sent here."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

from crosstape_connector.connection import plan
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.messages import Ack, Rejected
from crosstape_connector.venues.spec import Endpoint, Request

SEND_ATTEMPTS: Final = 3
"""How often a subscription is sent to a venue that does not answer before the connection is closed."""


class TopicState(StrEnum):
    """The venue's answer to a subscription."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"


class PendingRequest:
    """One request: first queued, then sent, and forgotten when each of its topics has an answer."""

    __slots__ = ("request", "sent_at", "sent_ts", "topics", "unsubscribe")

    def __init__(self, request: Request, topics: Iterable[Topic], *, unsubscribe: bool = False) -> None:
        self.request = request
        self.topics = dict.fromkeys(topics)
        """Topics without an answer so far, in the request's order."""
        self.unsubscribe = unsubscribe
        self.sent_at = 0.0
        """Seconds of the monotonic clock."""
        self.sent_ts = 0
        """ns since the epoch."""


class Subscriptions:
    """The topics of one connection, each pending, confirmed or rejected.

    A refusal that names its topic concerns that topic only. A refusal without a topic concerns its request, or else the oldest pending
    request. A request for several topics is then sent again in two halves, until the topic at fault is alone and all others are confirmed.
    A refusal of a confirmed topic changes nothing. An acknowledgement or data of a rejected topic confirm it.
    """

    def __init__(self, endpoint: Endpoint, topics: Sequence[Topic], *, depth: int, ack_timeout_s: float) -> None:
        self.states: dict[Topic, TopicState] = dict.fromkeys(topics, TopicState.PENDING)
        self.reasons: dict[Topic, str] = {}
        """Rejected topic → the venue's reason."""
        self._endpoint = endpoint
        self._depth = depth
        self._ack_timeout_s = ack_timeout_s
        self._ids = 0
        self._queue: deque[PendingRequest] = deque()
        self._waiting: dict[int, PendingRequest] = {}  # by request id, oldest first
        self._unanswered: Counter[Topic] = Counter()
        self._queue_requests(topics)

    @property
    def settled(self) -> bool:
        """Whether no topic is pending."""
        return TopicState.PENDING not in self.states.values()

    @property
    def answered(self) -> bool:
        """Whether the venue has confirmed or rejected at least one topic."""
        return any(state is not TopicState.PENDING for state in self.states.values())

    def counts(self) -> Mapping[TopicState, int]:
        """Count the topics by state."""
        return Counter(self.states.values())

    def next_id(self) -> int:
        """Return an id that no request of this connection has: for pings."""
        self._ids += 1
        return self._ids

    def next_request(self) -> PendingRequest | None:
        """Remove and return the next request to send, or None. Requests whose topics were all answered meanwhile are skipped."""
        while self._queue:
            pending = self._queue.popleft()
            if pending.topics:
                return pending
        return None

    def mark_sent(self, pending: PendingRequest, at: float, ts: int) -> None:
        """Wait for the answer to this request from now on. `at`: seconds of the monotonic clock; `ts`: ns since the epoch."""
        pending.sent_at, pending.sent_ts = at, ts
        self._waiting[pending.request.request_id] = pending

    def resubscribe(self, topic: Topic) -> bool:
        """Queue an unsubscribe and a subscribe of this topic alone. False: the topic is unknown here, rejected, or pending."""
        if self.states.get(topic) is not TopicState.CONFIRMED:
            return False
        self.states[topic] = TopicState.PENDING
        self._unanswered.pop(topic, None)
        self._queue_requests([topic], unsubscribe=True)
        self._queue_requests([topic])
        return True

    def subscribe(self, topics: Iterable[Topic]) -> None:
        """Queue subscribes of the topics that this connection does not have yet."""
        fresh = [topic for topic in topics if topic not in self.states]
        self.states.update(dict.fromkeys(fresh, TopicState.PENDING))
        self._queue_requests(fresh)

    def unsubscribe(self, topics: Iterable[Topic]) -> None:
        """Forget these topics, and queue unsubscribes of those that the venue may have subscribed."""
        gone = [topic for topic in topics if topic in self.states]
        asked = {topic for pending in self._waiting.values() for topic in pending.topics}
        leave = [topic for topic in gone if self.states[topic] is TopicState.CONFIRMED or topic in asked]
        for topic in gone:
            del self.states[topic]
            self.reasons.pop(topic, None)
            self._unanswered.pop(topic, None)
        self._settle(gone)
        self._queue_requests(leave, unsubscribe=True)

    def acknowledge(self, ack: Ack) -> list[Topic]:
        """Apply an acknowledgement. Returns the topics that it newly confirms."""
        pending = self._waiting.get(ack.request_id) if ack.request_id is not None else None
        if pending is not None and pending.unsubscribe:
            del self._waiting[pending.request.request_id]
            return []
        if ack.unsubscribed:
            return []
        if ack.symbols or (ack.channel is not None and pending is None):
            named = self._named(ack, pending)
            if pending is None:
                # A list of all subscriptions (Coinbase) may still name a topic that we are about to subscribe again: that is no answer.
                unsent = {topic for queued in self._queue for topic in queued.topics}
                named = [topic for topic in named if topic not in unsent]
            return self._confirm(named)
        return self._confirm(list(pending.topics) if pending is not None else [])

    def reject(self, refusal: Rejected) -> list[Topic]:
        """Apply a refusal. Returns the topics that it rejects for good."""
        if refusal.request_id is not None:
            pending = self._waiting.get(refusal.request_id)
        elif refusal.symbols:
            pending = None
        else:
            pending = next((pending for pending in self._waiting.values() if refusal.channel in (None, pending.request.channel)), None)
        if pending is not None and pending.unsubscribe:
            del self._waiting[pending.request.request_id]
            return []
        if refusal.symbols:
            return self._refuse(self._named(refusal, pending), refusal.reason)
        if pending is None or len(pending.topics) == 1:
            return self._refuse(list(pending.topics) if pending is not None else [], refusal.reason)
        del self._waiting[pending.request.request_id]
        topics = list(pending.topics)
        half = (len(topics) + 1) // 2
        self._queue_requests(topics[:half])
        self._queue_requests(topics[half:])
        return []

    def retry_overdue(self, now: float, has_received: Callable[[Topic, int], bool]) -> tuple[list[Topic], list[Topic], list[Topic]]:
        """Settle the requests that have waited too long. Returns the topics (confirmed by their data, queued again, given up).

        `has_received(topic, since_ts)`: whether data of the topic came since then. Data prove a subscription, acknowledged or not.
        """
        late = [pending for pending in self._waiting.values() if now - pending.sent_at > self._ack_timeout_s]
        confirmed: list[Topic] = []
        again: list[Topic] = []
        lost: list[Topic] = []
        for pending in late:
            del self._waiting[pending.request.request_id]
            if pending.unsubscribe:
                continue  # its subscribe follows it anyway
            confirmed += self._confirm([topic for topic in pending.topics if has_received(topic, pending.sent_ts)])
            silent = [topic for topic in pending.topics if self.states[topic] is TopicState.PENDING]
            self._unanswered.update(silent)
            lost += [topic for topic in silent if self._unanswered[topic] >= SEND_ATTEMPTS]
            retry = [topic for topic in silent if self._unanswered[topic] < SEND_ATTEMPTS]
            self._queue_requests(retry)
            again += retry
        return confirmed, again, lost

    def _queue_requests(self, topics: Sequence[Topic], *, unsubscribe: bool = False) -> None:
        for request in plan.requests(self._endpoint, topics, self._depth, self._ids + 1):
            self._ids = request.request_id
            topics_of_request = [Topic(self._endpoint.name, request.channel, symbol) for symbol in request.symbols]
            self._queue.append(PendingRequest(request, topics_of_request, unsubscribe=unsubscribe))

    def _named(self, answer: Ack | Rejected, pending: PendingRequest | None) -> list[Topic]:
        """Return our topics that an answer names by symbols, channel or both."""
        channel = pending.request.channel if answer.channel is None and pending is not None else answer.channel
        if channel is not None and answer.symbols:
            return [topic for symbol in answer.symbols if (topic := Topic(self._endpoint.name, channel, symbol)) in self.states]
        return [
            topic
            for topic in self.states
            if (channel is None or topic.channel == channel) and (not answer.symbols or topic.symbol in answer.symbols)
        ]

    def _confirm(self, topics: Iterable[Topic]) -> list[Topic]:
        fresh = [topic for topic in topics if self.states[topic] is not TopicState.CONFIRMED]
        for topic in fresh:
            self.states[topic] = TopicState.CONFIRMED
            self.reasons.pop(topic, None)
            self._unanswered.pop(topic, None)
        self._settle(fresh)
        return fresh

    def _refuse(self, topics: Iterable[Topic], reason: str) -> list[Topic]:
        refused = [topic for topic in topics if self.states[topic] is TopicState.PENDING]
        for topic in refused:
            self.states[topic] = TopicState.REJECTED
            self.reasons[topic] = reason
        self._settle(refused)
        return refused

    def _settle(self, topics: Iterable[Topic]) -> None:
        gone = set(topics)
        if not gone:
            return
        for pending in [*self._queue, *self._waiting.values()]:
            if not pending.unsubscribe:
                for topic in gone.intersection(pending.topics):
                    del pending.topics[topic]
        for request_id in [i for i, pending in self._waiting.items() if not pending.topics]:
            del self._waiting[request_id]
