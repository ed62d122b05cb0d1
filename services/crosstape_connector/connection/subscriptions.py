"""What one connection has asked for and what became of it. Pure: times come in as values, nothing is sent here."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

from crosstape_connector.connection import plan
from crosstape_connector.feeds.keys import Topic
from crosstape_connector.venues.messages import Ack, Rejected
from crosstape_connector.venues.spec import Endpoint, Request

ATTEMPTS: Final = 3
"""How often a subscription is sent before a venue that does not answer is given up."""


class TopicState(StrEnum):
    """What the venue said of a topic."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"


class Ask:
    """One request on its way: queued, then sent, then gone once each of its topics has been answered."""

    __slots__ = ("request", "sent_at", "sent_ts", "topics", "unsubscribe")

    def __init__(self, request: Request, topics: Iterable[Topic], *, unsubscribe: bool = False) -> None:
        self.request = request
        self.topics = dict.fromkeys(topics)
        """Those still without an answer, in the request's order."""
        self.unsubscribe = unsubscribe
        self.sent_at = 0.0
        """On the steady clock, seconds."""
        self.sent_ts = 0
        """ns since the epoch."""


class Subscriptions:
    """The topics of one connection: pending, confirmed or rejected each.

    A refusal that names its topic concerns that topic only. One that names none means its request, or the oldest that waits; a request for
    several topics is then asked again in two halves, until the one at fault stands alone: the others go on. A refusal of what is confirmed
    is no news, an acknowledgement or data of what was refused is.
    """

    def __init__(self, endpoint: Endpoint, topics: Sequence[Topic], *, depth: int, ack_timeout_s: float) -> None:
        self.states: dict[Topic, TopicState] = dict.fromkeys(topics, TopicState.PENDING)
        self.reasons: dict[Topic, str] = {}
        """Why, of those rejected."""
        self._endpoint = endpoint
        self._depth = depth
        self._ack_timeout_s = ack_timeout_s
        self._ids = 0
        self._queue: deque[Ask] = deque()
        self._waiting: dict[int, Ask] = {}  # by request id, oldest first
        self._unanswered: Counter[Topic] = Counter()
        self._ask(topics)

    @property
    def settled(self) -> bool:
        """Nothing is pending."""
        return TopicState.PENDING not in self.states.values()

    @property
    def answered(self) -> bool:
        """Whether the venue has confirmed or rejected at least one topic."""
        return any(state is not TopicState.PENDING for state in self.states.values())

    def counts(self) -> Mapping[TopicState, int]:
        """Topics by state."""
        return Counter(self.states.values())

    def next_id(self) -> int:
        """An id that no request of this connection has: for pings."""
        self._ids += 1
        return self._ids

    def take(self) -> Ask | None:
        """The next to send, or None. Those whose topics were all answered meanwhile are left out."""
        while self._queue:
            ask = self._queue.popleft()
            if ask.topics:
                return ask
        return None

    def sent(self, ask: Ask, at: float, ts: int) -> None:
        """It is being sent: from now its answer is awaited."""
        ask.sent_at, ask.sent_ts = at, ts
        self._waiting[ask.request.request_id] = ask

    def resubscribe(self, topic: Topic) -> bool:
        """Queue an unsubscribe and a subscribe of this topic alone; False if it is not ours, refused, or already being asked for."""
        if self.states.get(topic) is not TopicState.CONFIRMED:
            return False
        self.states[topic] = TopicState.PENDING
        self._unanswered.pop(topic, None)
        self._ask([topic], unsubscribe=True)
        self._ask([topic])
        return True

    def add(self, topics: Iterable[Topic]) -> None:
        """Queue subscribes of those that are not here yet."""
        fresh = [topic for topic in topics if topic not in self.states]
        self.states.update(dict.fromkeys(fresh, TopicState.PENDING))
        self._ask(fresh)

    def remove(self, topics: Iterable[Topic]) -> None:
        """Forget these, and queue unsubscribes of those that the venue was asked for and has not refused."""
        gone = [topic for topic in topics if topic in self.states]
        asked = {topic for ask in self._waiting.values() for topic in ask.topics}
        leave = [topic for topic in gone if self.states[topic] is TopicState.CONFIRMED or topic in asked]
        for topic in gone:
            del self.states[topic]
            self.reasons.pop(topic, None)
            self._unanswered.pop(topic, None)
        self._answered(gone)
        self._ask(leave, unsubscribe=True)

    def acked(self, ack: Ack) -> list[Topic]:
        """Topics that this confirms and that were not confirmed before."""
        ask = self._waiting.get(ack.request_id) if ack.request_id is not None else None
        if ask is not None and ask.unsubscribe:
            del self._waiting[ask.request.request_id]
            return []
        if ack.unsubscribed:
            return []
        if ack.symbols or (ack.channel is not None and ask is None):
            named = self._named(ack, ask)
            if ask is None:
                # A list of all that is subscribed (Coinbase) may name what is about to be subscribed anew: that is not its answer.
                unsent = {topic for queued in self._queue for topic in queued.topics}
                named = [topic for topic in named if topic not in unsent]
            return self._confirm(named)
        return self._confirm(list(ask.topics) if ask is not None else [])

    def rejected(self, word: Rejected) -> list[Topic]:
        """Topics that this refuses for good."""
        if word.request_id is not None:
            ask = self._waiting.get(word.request_id)
        elif word.symbols:
            ask = None
        else:
            ask = next((ask for ask in self._waiting.values() if word.channel in (None, ask.request.channel)), None)
        if ask is not None and ask.unsubscribe:
            del self._waiting[ask.request.request_id]
            return []
        if word.symbols:
            return self._refuse(self._named(word, ask), word.reason)
        if ask is None or len(ask.topics) == 1:
            return self._refuse(list(ask.topics) if ask is not None else [], word.reason)
        del self._waiting[ask.request.request_id]
        topics = list(ask.topics)
        half = (len(topics) + 1) // 2
        self._ask(topics[:half])
        self._ask(topics[half:])
        return []

    def overdue(self, now: float, spoke: Callable[[Topic, int], bool]) -> tuple[list[Topic], list[Topic], list[Topic]]:
        """(confirmed by their data, asked again, given up): what became of the requests that waited too long.

        `spoke(topic, since_ts)`: whether data of it came since then; a topic that speaks lives, acknowledged or not.
        """
        late = [ask for ask in self._waiting.values() if now - ask.sent_at > self._ack_timeout_s]
        confirmed: list[Topic] = []
        again: list[Topic] = []
        lost: list[Topic] = []
        for ask in late:
            del self._waiting[ask.request.request_id]
            if ask.unsubscribe:
                continue  # its subscribe follows it anyway
            confirmed += self._confirm([topic for topic in ask.topics if spoke(topic, ask.sent_ts)])
            silent = [topic for topic in ask.topics if self.states[topic] is TopicState.PENDING]
            self._unanswered.update(silent)
            lost += [topic for topic in silent if self._unanswered[topic] >= ATTEMPTS]
            retry = [topic for topic in silent if self._unanswered[topic] < ATTEMPTS]
            self._ask(retry)
            again += retry
        return confirmed, again, lost

    def _ask(self, topics: Sequence[Topic], *, unsubscribe: bool = False) -> None:
        for request in plan.requests(self._endpoint, topics, self._depth, self._ids + 1):
            self._ids = request.request_id
            of_it = [Topic(self._endpoint.name, request.channel, symbol) for symbol in request.symbols]
            self._queue.append(Ask(request, of_it, unsubscribe=unsubscribe))

    def _named(self, word: Ack | Rejected, ask: Ask | None) -> list[Topic]:
        """The topics of ours that an answer names by symbols, channel or both."""
        channel = ask.request.channel if word.channel is None and ask is not None else word.channel
        if channel is not None and word.symbols:
            return [topic for symbol in word.symbols if (topic := Topic(self._endpoint.name, channel, symbol)) in self.states]
        return [
            topic
            for topic in self.states
            if (channel is None or topic.channel == channel) and (not word.symbols or topic.symbol in word.symbols)
        ]

    def _confirm(self, topics: Iterable[Topic]) -> list[Topic]:
        fresh = [topic for topic in topics if self.states[topic] is not TopicState.CONFIRMED]
        for topic in fresh:
            self.states[topic] = TopicState.CONFIRMED
            self.reasons.pop(topic, None)
            self._unanswered.pop(topic, None)
        self._answered(fresh)
        return fresh

    def _refuse(self, topics: Iterable[Topic], reason: str) -> list[Topic]:
        refused = [topic for topic in topics if self.states[topic] is TopicState.PENDING]
        for topic in refused:
            self.states[topic] = TopicState.REJECTED
            self.reasons[topic] = reason
        self._answered(refused)
        return refused

    def _answered(self, topics: Iterable[Topic]) -> None:
        gone = set(topics)
        if not gone:
            return
        for ask in [*self._queue, *self._waiting.values()]:
            if not ask.unsubscribe:
                for topic in gone.intersection(ask.topics):
                    del ask.topics[topic]
        for request_id in [i for i, ask in self._waiting.items() if not ask.topics]:
            del self._waiting[request_id]
