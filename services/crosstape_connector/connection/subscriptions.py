"""The subscriptions of one connection: which were requested, confirmed or rejected. Pure: times come in as values, nothing is sent here."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from crosstape_connector.connection import plan
from crosstape_connector.connection.handles import Handles
from crosstape_connector.connection.pending_request import PendingRequest
from crosstape_connector.connection.quarantine import REASON, Quarantine
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.messages import Ack, Rejected
from crosstape_connector.venues.spec import Endpoint

SEND_ATTEMPTS: Final = 3
"""How often a subscription is sent to a venue that does not answer before the connection is closed."""


class TopicState(StrEnum):
    """The venue's answer to a subscription."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"


class Subscriptions:
    """The topics of one connection, each pending, confirmed or rejected.

    A refusal that names its topic concerns that topic only. A refusal without a topic concerns its request, or else the oldest pending
    request. A request for several topics is then sent again in two halves, until the topic at fault is alone and all others are confirmed.
    A refusal of a confirmed topic changes nothing. An acknowledgement or data of a rejected topic confirm it.

    All topics of a shared channel have one subscription. It is requested with the first of them, and unsubscribed after the last.
    """

    def __init__(
        self, endpoint: Endpoint, topics: Sequence[Topic], *, depth: int, ack_timeout_s: float, quarantine: Quarantine | None = None
    ) -> None:
        """`quarantine`: says which topics are rejected from the start, and which are requested last and one at a time."""
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
        self._handles = Handles(required=endpoint.handles)
        self._quarantine = quarantine or Quarantine(0.0)
        wanted, suspect, rejected = self._quarantine.divided(topics)
        self._queue_requests(wanted)
        self._queue_requests(suspect)
        self._refuse(rejected, REASON)

    @property
    def settled(self) -> bool:
        """Whether no topic is pending."""
        return TopicState.PENDING not in self.states.values()

    @property
    def answered(self) -> bool:
        """Whether the venue has confirmed or rejected at least one topic."""
        return any(state is not TopicState.PENDING for state in self.states.values())

    @property
    def served(self) -> bool:
        """Whether the venue has confirmed at least one topic."""
        return TopicState.CONFIRMED in self.states.values()

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
            if self._must_wait(self._queue[0]):
                return None
            pending = self._queue.popleft()
            if pending.topics:
                return pending
        return None

    def _must_wait(self, pending: PendingRequest) -> bool:
        """Whether the answer to another request must come first."""
        if self._quarantine.must_be_alone(pending.topics) and self.unanswered():
            return True
        if pending.unsubscribe or not self._endpoint.awaits_unsubscribe:
            return False
        leaving = [one.request for one in self._waiting.values() if one.unsubscribe]
        return any(one.channel == pending.request.channel and {*one.symbols} & {*pending.request.symbols} for one in leaving)

    def unanswered(self) -> list[tuple[float, Topic]]:
        """Return (when it was sent, in seconds of the monotonic clock; topic) of each subscription without an answer, oldest first."""
        return [(one.sent_at, topic) for one in self._waiting.values() if not one.unsubscribe for topic in one.topics]

    def mark_sent(self, pending: PendingRequest, at: float, ts: int) -> None:
        """Wait for the answer to this request from now on. `at`: seconds of the monotonic clock; `ts`: ns since the epoch."""
        pending.sent_at, pending.sent_ts = at, ts
        self._waiting[pending.request.request_id] = pending

    def resubscribe(self, topic: Topic) -> bool:
        """Queue an unsubscribe and a subscribe of this topic alone. False: the topic is unknown here, rejected, or pending."""
        if self.states.get(topic) is not TopicState.CONFIRMED:
            return False
        again = [one for one in self._with_partners([topic]) if self.states[one] is TopicState.CONFIRMED]
        for one in again:
            self.states[one] = TopicState.PENDING
            self._unanswered.pop(one, None)
        self._queue_unsubscribes(again)
        self._queue_requests(again)
        return True

    def subscribe(self, topics: Iterable[Topic]) -> list[Topic]:
        """Queue subscribes of the topics that this connection does not have yet.

        Returns those that need none, because their shared channel is subscribed: they are confirmed.
        """
        served: list[Topic] = []
        wanted: list[Topic] = []
        for topic in (topic for topic in topics if topic not in self.states):
            self._handles.stay(topic)
            partners = self._partners(topic)
            self.states[topic] = TopicState.PENDING
            asked = next(
                (one for one in (*self._queue, *self._waiting.values()) if not one.unsubscribe and partners & one.topics.keys()), None
            )
            if asked is not None:
                asked.topics[topic] = None
            elif any(self.states[one] is TopicState.CONFIRMED for one in partners):
                self._handles.note([topic], max(self._handles.of(partners), default=""))
                served.append(topic)
            else:
                wanted.append(topic)
        self._queue_requests(wanted)
        return self._confirm(served)

    def unsubscribe(self, topics: Iterable[Topic]) -> None:
        """Forget these topics, and queue unsubscribes of those that the venue may have subscribed."""
        gone = [topic for topic in topics if topic in self.states]
        asked = {topic: number for number, pending in self._waiting.items() for topic in pending.topics if not pending.unsubscribe}
        leave = [topic for topic in gone if self.states[topic] is TopicState.CONFIRMED or topic in asked]
        self._forget(gone)
        leave = [topic for topic in leave if not self._partners(topic)]
        self._handles.leave_later({topic: asked[topic] for topic in leave if topic in asked})
        self._queue_unsubscribes(leave)
        self._handles.forget(gone)

    def acknowledge(self, ack: Ack) -> list[Topic]:
        """Apply an acknowledgement. Returns the topics that it newly confirms."""
        pending = self._waiting.get(ack.request_id) if ack.request_id is not None else None
        if ack.unsubscribed or (pending is not None and pending.unsubscribe):
            self._end_unsubscribe(ack, pending)
            return []
        if ack.symbols or (ack.channel is not None and pending is None):
            named = self._named(ack, pending)
            if pending is None:
                # A list of all subscriptions (Coinbase) may still name a topic that we are about to subscribe again: that is no answer.
                unsent = {topic for queued in self._queue for topic in queued.topics}
                named = [topic for topic in named if topic not in unsent]
        elif pending is not None:
            named = self._with_partners(pending.topics)
        else:
            named = self._handles.topics(ack.handle)
        self._handles.note(named, ack.handle)
        self._queue_unsubscribes(self._handles.leaving(ack))
        return self._confirm(named)

    def reject(self, refusal: Rejected) -> list[Topic]:
        """Apply a refusal. Returns the topics that it rejects for good."""
        return self._refuse(self._concerned(refusal), refusal.reason)

    def make_room(self, refusal: Rejected) -> tuple[list[Topic], int]:
        """Apply a refusal for want of room. Returns the topics to subscribe on another connection, and the room of this one.

        They are forgotten here. The room is the number of subscriptions that the venue has confirmed or was asked for before these. If
        there are none, another connection has no more room: the topics are rejected for good.
        """
        waiting = [*self._waiting.values()]
        topics = self._concerned(refusal)
        first = next((index for index, one in enumerate(waiting) if one.topics.keys() & set(topics)), len(waiting))
        before = {topic for one in waiting[:first] for topic in one.topics}
        kept = [one for one, state in self.states.items() if (state is TopicState.CONFIRMED or one in before) and one not in topics]
        room = plan.size(self._endpoint, kept)
        if room:
            self._forget(topics)
        else:
            self._refuse(topics, refusal.reason)
        return topics, room

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
            confirmed += self._confirm(self._with_partners([topic for topic in pending.topics if has_received(topic, pending.sent_ts)]))
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
            of_request = [Topic(self._endpoint.name, request.channel, symbol) for symbol in request.symbols]
            wanted = msgspec.structs.replace(request, handles=self._handles.of(of_request)) if unsubscribe else request
            if request.channel in self._endpoint.shared_channels:
                of_request = [topic for topic in topics if topic.channel == request.channel]
            self._queue.append(PendingRequest(wanted, of_request, unsubscribe=unsubscribe))

    def _queue_unsubscribes(self, topics: Iterable[Topic]) -> None:
        """Queue unsubscribes of these topics, and forget their handles. Those that need a handle and have none are left out."""
        known = [topic for topic in topics if self._handles.may_leave(topic)]
        self._queue_requests(known, unsubscribe=True)
        self._handles.forget(known)

    def _end_unsubscribe(self, ack: Ack, pending: PendingRequest | None) -> None:
        """Forget an unsubscribe that is answered, by its id or by its last handle."""
        if pending is None and ack.handle:
            pending = next((one for one in self._waiting.values() if one.unsubscribe and ack.handle in one.handles), None)
        if pending is not None and pending.unsubscribe and pending.is_over(ack.handle):
            del self._waiting[pending.request.request_id]

    def _partners(self, topic: Topic) -> set[Topic]:
        """Return our topics that have the same subscription as this one: those of its shared channel."""
        is_shared = topic.channel in self._endpoint.shared_channels
        return {one for one in self.states if one.channel == topic.channel} if is_shared else {topic} & self.states.keys()

    def _with_partners(self, topics: Iterable[Topic]) -> list[Topic]:
        """Return these topics and their partners, in our order."""
        if not self._endpoint.shared_channels:
            return [topic for topic in topics if topic in self.states]
        found = {one for topic in topics for one in self._partners(topic)}
        return [topic for topic in self.states if topic in found]

    def _concerned(self, refusal: Rejected) -> list[Topic]:
        """Return the pending topics that a refusal is about. A request for several of them is sent again in two halves instead."""
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
            named = self._named(refusal, pending)
        elif pending is None:
            return []
        else:
            named = list(pending.topics)
            if len(named) > 1 and pending.request.channel not in self._endpoint.shared_channels:
                del self._waiting[pending.request.request_id]
                half = (len(named) + 1) // 2
                self._queue_requests(named[:half])
                self._queue_requests(named[half:])
                return []
        return [topic for topic in named if self.states[topic] is TopicState.PENDING]

    def _named(self, answer: Ack | Rejected, pending: PendingRequest | None) -> list[Topic]:
        """Return our topics that an answer names by symbols, channel or both."""
        channel = pending.request.channel if answer.channel is None and pending is not None else answer.channel
        if channel is not None and answer.symbols and channel not in self._endpoint.shared_channels:
            return [topic for symbol in answer.symbols if (topic := Topic(self._endpoint.name, channel, symbol)) in self.states]
        return self._with_partners(
            topic
            for topic in self.states
            if (channel is None or topic.channel == channel) and (not answer.symbols or topic.symbol in answer.symbols)
        )

    def _confirm(self, topics: Iterable[Topic]) -> list[Topic]:
        fresh = [topic for topic in topics if self.states[topic] is not TopicState.CONFIRMED]
        self._quarantine.release(topic.symbol for topic in fresh)
        for topic in fresh:
            self.states[topic] = TopicState.CONFIRMED
            self.reasons.pop(topic, None)
            self._unanswered.pop(topic, None)
        self._settle(fresh)
        return fresh

    def _refuse(self, topics: list[Topic], reason: str) -> list[Topic]:
        for topic in topics:
            self.states[topic] = TopicState.REJECTED
            self.reasons[topic] = reason
        self._settle(topics)
        return topics

    def _forget(self, topics: Iterable[Topic]) -> None:
        for topic in topics:
            del self.states[topic]
            self.reasons.pop(topic, None)
            self._unanswered.pop(topic, None)
        self._settle(topics)

    def _settle(self, topics: Iterable[Topic]) -> None:
        """Remove these topics from the requests that would be sent, or that wait for an answer about them."""
        gone = set(topics)
        for pending in [*self._queue, *self._waiting.values()]:
            if not pending.unsubscribe:
                for topic in gone.intersection(pending.topics):
                    del pending.topics[topic]
        for request_id in [i for i, pending in self._waiting.items() if not pending.topics]:
            del self._waiting[request_id]
