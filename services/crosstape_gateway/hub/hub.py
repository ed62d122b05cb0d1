"""Reads each stream that some client follows once, however many clients follow it, and hands its entries to their groups."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Final

from crosstape.bus import Client, Entry, Missed, Reader, Start
from crosstape.bus.read.progress import LIMIT_S
from crosstape.settings import GatewaySettings
from crosstape_gateway import messages, metrics
from crosstape_gateway.errors import RequestError
from crosstape_gateway.hub.catalogue import Catalogue
from crosstape_gateway.hub.channel import Channel, Venues, wanted_venues
from crosstape_gateway.hub.group import Group
from crosstape_gateway.hub.item import Item, has_events, item_of, last_value, message_item, parse_id
from crosstape_gateway.hub.replay import Replays, Wanted
from crosstape_gateway.hub.subscriber import Subscriber
from crosstape_gateway.hub.wire import Options
from crosstape_gateway.topics import VENUE, Topic
from crosstape_schemas import Keys

READ_S: Final = 1.0
BACKOFF_S: Final = 1.0
"""Longest pause of the reader between two attempts to reach the bus."""
RELIEF_S: Final = 0.025
"""How often clients are looked at for which something waits."""
TEND_S: Final = 0.25
"""How often all clients are looked at: for heartbeats, and for those that have left."""
LINGER_S: Final = 30.0
"""A stream that nobody follows any more is read for this time: many clients come back."""
FRESH_S: Final = 1.8
"""Ids are sent while every connection to the bus has delivered all that there was within this time. It must be shorter than
`replay.OVERLAP_S`: then a client that resumes from such an id misses nothing of a connection that hangs."""


class Hub:
    """One reader of the bus for all clients."""

    def __init__(self, client: Client, keys: Keys, settings: GatewaySettings, catalogue: Catalogue) -> None:
        self.away_since_ts: int | None = time.time_ns()
        """Since when the bus is away, ns; None: it answers."""
        self.congested: set[Subscriber] = set()
        """Clients for which something waits."""
        self.subscribers: set[Subscriber] = set()
        self._settings = settings
        self._keys = keys
        self._catalogue = catalogue
        self._channels: dict[str, Channel] = {}
        self._groups: dict[tuple[frozenset[Topic], Options], Group] = {}
        self._patterns: dict[str, dict[Group, Venues]] = {}
        self._touched: set[Group] = set()
        self._position = ""
        self._position_key = (-1, 0)
        self._stopped = False
        self._gaps: list[Missed] = []
        self._reader = Reader(client, keys, on_gap=self._gaps.append, backoff_s=BACKOFF_S)
        self._replays = Replays(client, keys, settings.rows)
        catalogue.on_new = self._on_new
        catalogue.on_answer = self._on_answer

    async def run(self) -> None:
        """Read until cancelled; then end all clients. Raises `BusError` where waiting cannot help: see `Reader.read`."""
        try:
            async with self._reader, asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(), name="hub.read")
                tasks.create_task(self._relieve(), name="hub.relieve")
                tasks.create_task(self._tend(), name="hub.tend")
        finally:
            self._stopped = True
            for subscriber in self.subscribers:
                subscriber.end()

    # Clients

    def join(self, transport: asyncio.Transport, options: Options) -> Subscriber:
        """Add a client that follows nothing yet. `leave` must be called in the end. Raises `RequestError` while stopping."""
        if self._stopped:
            raise RequestError(503, "stopping", "the gateway is stopping: connect again")
        subscriber = Subscriber(transport, options, self._settings, self.congested)
        self.subscribers.add(subscriber)
        metrics.CLIENTS.labels(options.transfer.name_of_metric).inc()
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Free all that was kept for a client."""
        if subscriber in self.subscribers:
            self.subscribers.remove(subscriber)
            metrics.CLIENTS.labels(subscriber.options.transfer.name_of_metric).dec()
        self._move(subscriber, None)
        subscriber.topics = frozenset()
        subscriber.forget()

    def check(self, topics: Iterable[Topic], already: Iterable[Topic] = ()) -> None:
        """Raise `RequestError` if these are too many for one client."""
        limit = self._settings.topics_per_client
        if (count := len({*topics, *already})) > limit:
            raise RequestError(400, "too_many_topics", f"{count} topics: a client may follow {limit}; KIND:* counts as one")

    async def follow(self, subscriber: Subscriber, topics: Iterable[Topic], after: str = "") -> None:
        """Let a client follow these topics as well: it gets their last values, then what is new.

        With `after`, it first gets the events that came since a little before that id. Returns when all these are sent or wait in its
        outbox, or the client has left.
        """
        added = frozenset(topics) - subscriber.topics
        if self.away_since_ts is not None and added:
            subscriber.say(messages.Bus("away", self.away_since_ts))
        if not added:
            self._attach(subscriber, subscriber.topics)
        elif not after:
            self._attach(subscriber, subscriber.topics | added)
            if subscriber.options.last_values:
                subscriber.put(self._last_values(added, events=True))
        else:
            await self._resume(subscriber, added, after)

    def unfollow(self, subscriber: Subscriber, topics: Iterable[Topic]) -> None:
        """Let a client follow these topics no more. Nothing of them is sent from now on but what waits already."""
        self._attach(subscriber, subscriber.topics - frozenset(topics))

    @property
    def position(self) -> str:
        """The id up to which everything that is on the streams was handed to groups; empty while that is not known."""
        return "" if self._reader.behind(time.monotonic() + LIMIT_S - FRESH_S) else self._position

    # Following streams

    async def _resume(self, subscriber: Subscriber, added: frozenset[Topic], after: str) -> None:
        places = self._places(added)
        channels = [self._channel(kind, instrument) for kind, instrument in places]
        for channel in channels:
            channel.holds += 1
        try:
            await self._started(subscriber, {channel.name for channel in channels})
            wanted = [
                (channel, wanted_venues(added, *place))
                for channel, place in zip(channels, places, strict=True)
                if has_events(Topic(*place))
            ]
            async with self._replays.slots:
                replay = self._replays.begin(subscriber, Wanted(wanted, parse_id(after)))
                await replay.run()
                subscriber.hold()
                self._attach(subscriber, subscriber.topics | added)
                if subscriber.options.last_values:
                    subscriber.hold_last(self._last_values(added, events=False))
                await replay.run()  # entries that came since; those after this read come by the group
                subscriber.release(replay.covered)
        finally:
            for channel in channels:
                channel.holds -= 1

    async def _started(self, subscriber: Subscriber, names: set[str]) -> None:
        """Wait until the reader has found where these streams start: what comes from then on is handed over."""
        while not subscriber.ended.is_set() and not names.isdisjoint(self._reader.behind(time.monotonic())):
            await asyncio.sleep(RELIEF_S)

    def _attach(self, subscriber: Subscriber, topics: frozenset[Topic]) -> None:
        subscriber.topics = topics
        key = (topics, subscriber.options)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(topics, subscriber.options, lambda: self.position)
            for topic in topics:
                if topic.is_pattern:
                    self._patterns.setdefault(topic.kind, {})[group] = wanted_venues(topics, topic.kind, "*")
                    for place in self._places((topic,)):
                        self._channel(*place)
                else:
                    channel = self._channel(topic.kind, topic.instrument)
                    channel.groups[group] = wanted_venues(topics, topic.kind, topic.instrument)
        self._move(subscriber, group)

    def _move(self, subscriber: Subscriber, group: Group | None) -> None:
        """Move a client to a group. What both have gathered is sent first: the client gets all of the one and nothing of the other."""
        before = subscriber.group
        if before is group:
            return
        for one in (before, group):
            if one is not None:
                one.flush()
        if before is not None:
            del before.subscribers[subscriber]
            if not before.subscribers:
                self._drop(before)
        subscriber.group = group
        if group is not None:
            group.subscribers[subscriber] = None

    def _drop(self, group: Group) -> None:
        del self._groups[group.topics, group.options]
        self._touched.discard(group)
        for topic in group.topics:
            if topic.is_pattern:
                self._patterns[topic.kind].pop(group, None)
                if not self._patterns[topic.kind]:
                    del self._patterns[topic.kind]
            elif (channel := self._channels.get(self._name(topic.kind, topic.instrument))) is not None:
                channel.groups.pop(group, None)

    def _places(self, topics: Iterable[Topic]) -> list[tuple[str, str]]:
        """Returns the streams of these topics: those in the catalogue, and those that are read already."""
        topics = tuple(topics)
        followed = {channel.place for channel in self._channels.values() if any(topic.includes(*channel.place) for topic in topics)}
        return sorted(self._catalogue.matching(topics) | followed)

    def _name(self, kind: str, instrument: str) -> str:
        return self._keys.venue(instrument) if kind == VENUE else self._keys.stream(kind, instrument)

    def _channel(self, kind: str, instrument: str, start: Start = Start.LAST_THEN_NOW) -> Channel:
        name = self._name(kind, instrument)
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = Channel(name, Topic(kind, instrument))
            self._reader.add((name,), start)
            metrics.STREAMS.set(len(self._channels))
        channel.unused_s = None
        return channel

    def _last_values(self, topics: frozenset[Topic], *, events: bool) -> list[Item]:
        """Returns the last values of these topics; those of kinds that are always events only with `events`."""
        items: list[Item] = []
        for kind, instrument in self._places(topics):
            channel = self._channels.get(self._name(kind, instrument))
            if channel is not None and (events or kind not in ("trade", "delta", "gap", "liquidation", "edge")):
                items += channel.memory.values(wanted_venues(topics, kind, instrument))
        return items

    def _on_new(self, places: set[tuple[str, str]], *, fresh: bool) -> None:
        """Follow new streams that some pattern names; a stream that was made just now from its beginning."""
        for kind, instrument in places:
            if kind in self._patterns:
                self._channel(kind, instrument, Start.BEGINNING if fresh else Start.LAST_THEN_NOW)

    # Reading

    async def _read(self) -> None:
        while True:
            entries = await self._reader.read(timeout_s=READ_S)
            self._hand_over(entries)

    def _hand_over(self, entries: Sequence[Entry]) -> None:
        gaps, self._gaps[:] = list(self._gaps), []
        for gap in gaps:
            self._report(gap)
        channels, patterns, touched = self._channels, self._patterns, self._touched
        for entry in entries:
            channel = channels.get(entry.stream)
            if channel is None:
                continue  # removed meanwhile
            event = entry.event
            item = item_of(event, entry.data, channel.topic, entry.id)
            channel.memory.note(event, item)
            if entry.is_last_value:
                item = last_value(item)
            for groups in (channel.groups, patterns.get(channel.kind)):
                for group, venues in groups.items() if groups else ():
                    if (venues is None or item.venue in venues) and (group.options.last_values or not entry.is_last_value):
                        group.add(item)
                        touched.add(group)
        if entries:
            newest = max(parse_id(entry.id) for entry in entries)
            if newest > self._position_key:
                self._position_key, self._position = newest, f"{newest[0]}-{newest[1]}"
        for group in touched:
            if not group.options.gather_s:
                group.flush()
        touched.clear()

    def _report(self, gap: Missed) -> None:
        """Say to all who follow a stream that entries of it are missing."""
        channel = self._channels.get(gap.stream)
        if channel is None:
            return
        missed = messages.Missed(channel.topic, gap.venue, gap.epoch, gap.first_missing, gap.count, "trimmed")
        item = message_item(missed)
        for groups in (channel.groups, self._patterns.get(channel.kind)):
            for group, venues in groups.items() if groups else ():
                if venues is None or not gap.venue or gap.venue in venues:
                    group.add(item)
                    self._touched.add(group)
                    metrics.MISSED.labels("trimmed").inc((gap.count or 1) * len(group.subscribers))

    # Tending

    async def _relieve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(RELIEF_S)
            now_s = loop.time()
            for subscriber in list(self.congested):
                subscriber.check(now_s, self._settings.patience_s)

    async def _tend(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(TEND_S, self._settings.heartbeat_s / 4))
            for subscriber in self.subscribers:
                if subscriber.gone:
                    subscriber.end()
                elif subscriber.waiting:
                    self.congested.add(subscriber)
            self._forget_unused(loop.time())
            for group in list(self._groups.values()):
                group.beat(loop.time(), self._settings.heartbeat_s)

    def _forget_unused(self, now_s: float) -> None:
        unused = []
        for channel in self._channels.values():
            if channel.groups or channel.holds or channel.kind in self._patterns:
                channel.unused_s = None
            elif channel.unused_s is None:
                channel.unused_s = now_s
            elif now_s - channel.unused_s > LINGER_S:
                unused.append(channel.name)
        if unused:
            for name in unused:
                del self._channels[name]
            self._reader.remove(unused)
            metrics.STREAMS.set(len(self._channels))

    def _on_answer(self, *, answered: bool) -> None:
        """Note whether the bus answers, and say it to all clients when that changes."""
        if answered and self.away_since_ts is not None:
            message = messages.Bus("back", self.away_since_ts)
            self.away_since_ts = None
        elif not answered and self.away_since_ts is None:
            self.away_since_ts = time.time_ns()
            metrics.OUTAGES.inc()
            message = messages.Bus("away", self.away_since_ts)
        else:
            return
        metrics.AWAY.set(0 if answered else 1)
        for group in self._groups.values():
            group.send_now(message_item(message))
