"""Reads each stream that some client follows once, however many clients follow it, and hands its entries to their groups."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from crosstape.bus import Client, Entry, Foreign, Missed, Reader
from crosstape.bus.read.progress import LIMIT_S
from crosstape.settings import GatewaySettings
from crosstape_gateway import messages, metrics
from crosstape_gateway.errors import RequestError
from crosstape_gateway.hub.catalogue import Catalogue
from crosstape_gateway.hub.group import Group
from crosstape_gateway.hub.item import Item, item_of, last_value, message_item, parse_id
from crosstape_gateway.hub.joining import Joining
from crosstape_gateway.hub.replay import Replays
from crosstape_gateway.hub.resolving import Resolver
from crosstape_gateway.hub.routing import Routing
from crosstape_gateway.hub.subscriber import Subscriber
from crosstape_gateway.hub.wire import Options
from crosstape_gateway.topics import Topic
from crosstape_schemas import Keys

READ_S: Final = 1.0
BACKOFF_S: Final = 1.0
"""Longest pause of the reader between two attempts to reach the bus."""
RELIEF_S: Final = 0.025
"""How often clients are looked at for which something waits."""
TEND_S: Final = 0.25
"""How often all clients are looked at: for heartbeats, and for those that have left."""
FRESH_S: Final = 1.8
"""Ids are sent while every connection to the bus has delivered all that there was within this time. It must be shorter than
`replay.OVERLAP_S`: then a client that resumes from such an id misses nothing of a connection that hangs."""


class Hub:
    """One reader of the bus for all clients."""

    def __init__(self, client: Client, keys: Keys, settings: GatewaySettings, catalogue: Catalogue) -> None:
        self.away_since_ts: int | None = time.time_ns()
        """Since when the bus is away, ns; None: it answers."""
        self.subscribers: set[Subscriber] = set()
        self._settings = settings
        self._congested: set[Subscriber] = set()
        self._touched: set[Group] = set()
        self._newest = (-1, 0)
        self._newest_id = ""
        self._stopped = False
        self._gaps: list[Missed] = []
        self._reader = Reader(client, keys, on_gap=self._gaps.append, on_foreign=self._on_foreign, backoff_s=BACKOFF_S)
        self._routing = Routing(self._reader, keys, catalogue, self._position)
        replays = Replays(client, keys, settings.rows)
        self._joining = Joining(self._reader, self._routing, replays, away_since_ts=lambda: self.away_since_ts)
        self._catalogue = catalogue
        self._resolver = Resolver(catalogue)
        catalogue.on_answer = self._on_look

    async def run(self) -> None:
        """Read until cancelled; then end all clients. Raises `BusError` where waiting cannot help: see `Reader.read`."""
        try:
            async with self._reader, asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(), name="hub.read")
                tasks.create_task(self._relieve(), name="hub.relieve")
                tasks.create_task(self._tend(), name="hub.tend")
        finally:
            await self.stop()

    async def stop(self, _: object = None) -> None:
        """Send what is gathered, and end all clients; accept no others. A handler of `Application.on_shutdown`, too."""
        if self._stopped:
            return
        self._stopped = True
        for group in self._routing.groups.values():
            group.flush()
        for subscriber in self.subscribers:
            subscriber.end()

    @property
    def streams(self) -> Iterable[str]:
        """Names of the streams that are read."""
        return self._reader.streams

    # what the handlers of requests call

    def join(self, transport: asyncio.Transport, options: Options) -> Subscriber:
        """Add a client that follows nothing yet. `leave` must be called in the end. Raises `RequestError` while stopping."""
        self.check_running()
        subscriber = Subscriber(transport, options, self._settings, self._congested)
        self.subscribers.add(subscriber)
        metrics.CLIENTS.labels(options.transfer.name_of_metric).inc()
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Free all that was kept for a client."""
        self.subscribers.remove(subscriber)
        metrics.CLIENTS.labels(subscriber.options.transfer.name_of_metric).dec()
        subscriber.forget()
        self._routing.detach(subscriber)

    def check_running(self) -> None:
        """Raise `RequestError` while the gateway stops."""
        if self._stopped:
            raise RequestError(503, "stopping", "the gateway is stopping: connect again")

    def check_topics(self, topics: Iterable[Topic], already: Iterable[Topic] = ()) -> None:
        """Raise `RequestError` if these are too many for one client."""
        limit = self._settings.topics_per_client
        if (count := len({*topics, *already})) > limit:
            raise RequestError(400, "too_many_topics", f"{count} topics: a client may follow {limit}; KIND:* counts as one")

    async def resolve(self, topics: Collection[Topic]) -> dict[Topic, Topic]:
        """Returns for each topic the one of the tape that it means; a topic of what the tape does not have yet, as it would be spelled.

        Looks first whether the tape has what is not known. Raises `RequestError` where several instruments may be meant.
        """
        resolved = self._resolver.resolve(topics)
        if self._resolver.knows(resolved.values()):
            return resolved
        await self._catalogue.next_look()
        return self._resolver.resolve(topics)

    async def follow(self, subscriber: Subscriber, resolved: Mapping[Topic, Topic], after: str, answer: Item) -> None:
        """Let a client follow topics as well, as `resolve` has returned them: see `Joining.follow`.

        It is told behind the answer which of them the tape does not have; while the bus is away, once that can be known.
        """
        added = frozenset(resolved.values()) - subscriber.topics
        subscriber.asked.update(resolved)
        answers = [answer]
        if self._catalogue.answers:
            answers += map(message_item, self._resolver.notices({*resolved.values()}))
        else:
            subscriber.unchecked |= {*resolved.values()}
        await self._joining.follow(subscriber, added, after, answers)

    def unfollow(self, subscriber: Subscriber, topics: Iterable[Topic]) -> frozenset[Topic]:
        """Let a client follow these topics no more. Nothing of them is sent from now on but what waits already.

        A topic is named as it was asked for, or as it is followed. One that was asked for in another spelling, too, is still followed.
        Returns those that are not followed.
        """
        asked = subscriber.asked
        ended = set()
        for topic in topics:
            if topic in asked:
                ended.add(asked.pop(topic))
                continue
            ended.add(topic)
            for spelling in [spelling for spelling, followed in asked.items() if followed == topic]:
                del asked[spelling]
        ended -= set(asked.values())
        subscriber.unchecked -= ended
        self._routing.attach(subscriber, subscriber.topics - ended)
        return frozenset(ended)

    # reading

    async def _read(self) -> None:
        while True:
            entries = await self._reader.read(timeout_s=READ_S)
            if entries:
                self._on_answer(answered=True)  # clients learn it before they get the first of them
            self._hand_over(entries)
            if not entries:
                self._note_newest(self._reader.cursors.values())

    def _hand_over(self, entries: Sequence[Entry]) -> None:
        """Hand entries, and what is missing before them, to the groups that follow their streams."""
        gaps = list(self._gaps)
        self._gaps.clear()
        for gap in gaps:
            self._report(gap)
        channels, touched, followers = self._routing.channels, self._touched, self._routing.followers
        for entry in entries:
            channel = channels.get(entry.stream)
            if channel is None:
                continue  # nobody follows it any more
            item = item_of(entry.event, entry.data, channel.topic, entry.id)
            channel.memory.note(entry.event, item)
            channel.is_foreign = False
            if entry.is_last_value:
                item = last_value(item)
            for group, venues in followers(channel):
                if (venues is None or item.venue in venues) and (group.options.last_values or not entry.is_last_value):
                    group.add(item)
                    touched.add(group)
        self._note_newest(entry.id for entry in entries)
        for group in touched:
            if not group.options.gather_s:
                group.flush()
        touched.clear()

    def _note_newest(self, ids: Iterable[str]) -> None:
        newest = max(map(parse_id, ids), default=self._newest)
        if newest > self._newest:
            self._newest, self._newest_id = newest, f"{newest[0]}-{newest[1]}"

    def _on_foreign(self, foreign: Foreign) -> None:
        metrics.FOREIGN.inc()
        if not foreign.id and (channel := self._routing.channels.get(foreign.stream)) is not None:
            channel.is_foreign = True  # the whole key

    def _report(self, gap: Missed) -> None:
        """Say to all who follow a stream that entries are missing."""
        channel = self._routing.channels.get(gap.stream)
        if channel is None:
            return
        item = message_item(messages.Missed(channel.topic, gap.venue, gap.epoch, gap.first_missing, gap.count, "trimmed"))
        for group, venues in self._routing.followers(channel):
            if venues is None or not gap.venue or gap.venue in venues:
                group.add(item)
                self._touched.add(group)
                metrics.MISSED.labels("trimmed").inc((gap.count or 1) * len(group.subscribers))

    def _position(self) -> str:
        """Returns the id up to which everything on the streams was handed to groups; empty while that is not known."""
        return "" if self._routing.behind(time.monotonic() + LIMIT_S - FRESH_S) else self._newest_id

    # tending

    async def _relieve(self) -> None:
        while True:
            await asyncio.sleep(RELIEF_S)
            now_s = time.monotonic()
            for subscriber in list(self._congested):
                subscriber.check(now_s, self._settings.patience_s)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(min(TEND_S, self._settings.heartbeat_s / 4))
            now_s = time.monotonic()
            for subscriber in self.subscribers:
                if subscriber.gone:
                    subscriber.ended.set()
                elif subscriber.waiting:
                    self._congested.add(subscriber)
            for group in list(self._routing.groups.values()):
                group.beat(now_s, self._settings.heartbeat_s)
            self._routing.forget_unused(now_s)

    def _on_answer(self, *, answered: bool) -> None:
        """Note whether the bus answers, and say it to all clients when that changes."""
        metrics.AWAY.set(0 if answered else 1)
        if answered and self.away_since_ts is not None:
            message = messages.Bus("back", self.away_since_ts)
            self.away_since_ts = None
        elif not answered and self.away_since_ts is None:
            self.away_since_ts = time.time_ns()
            metrics.OUTAGES.inc()
            message = messages.Bus("away", self.away_since_ts)
        else:
            return
        for group in self._routing.groups.values():
            group.send_now(message_item(message))

    def _on_look(self, *, answered: bool) -> None:
        """Say which topics the tape does not have to clients that named them while that could not be known."""
        self._on_answer(answered=answered)
        if not answered:
            return
        for subscriber in self.subscribers:
            if subscriber.unchecked and subscriber.group is not None:  # it has its answer, or what is put waits behind it
                topics, subscriber.unchecked = subscriber.unchecked, frozenset()
                subscriber.put([message_item(notice) for notice in self._resolver.notices(topics)])
