"""Knows which group follows which stream, and reads exactly the streams that some group follows and the tape has.

A stream that the tape does not have yet is read from its beginning once the catalogue finds it. So a client that names streams that never
come costs the bus nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from crosstape.bus import Reader, Start
from crosstape_gateway import metrics
from crosstape_gateway.hub.catalogue import Catalogue
from crosstape_gateway.hub.channel import Channel, Venues, wanted_venues
from crosstape_gateway.hub.group import Group
from crosstape_gateway.hub.item import EVENT_KINDS, Item
from crosstape_gateway.hub.subscriber import Subscriber
from crosstape_gateway.hub.wire import Options
from crosstape_gateway.topics import VENUE, Topic
from crosstape_schemas import Keys

LINGER_S: Final = 30.0
"""A stream that nobody follows any more is read for this time: many clients come back."""
ADD_S: Final = 0.01
"""New streams are collected for this time: each addition interrupts the reader."""


class Routing:
    """The groups, the streams that they follow, and the patterns."""

    def __init__(self, reader: Reader, keys: Keys, catalogue: Catalogue, position: Callable[[], str]) -> None:
        """`position`: see `Group`."""
        self.channels: dict[str, Channel] = {}
        """By the name of the stream."""
        self.groups: dict[tuple[frozenset[Topic], Options], Group] = {}
        self._reader = reader
        self._keys = keys
        self._catalogue = catalogue
        self._position = position
        self._patterns: dict[str, dict[Group, Venues]] = {}
        self._to_read: dict[str, Start] = {}
        catalogue.on_new = self._read_new

    def followers(self, channel: Channel) -> Iterator[tuple[Group, Venues]]:
        """Yields the groups that follow a stream, and the venues that they want. A group may come twice."""
        yield from channel.groups.items()
        if patterns := self._patterns.get(channel.kind):
            yield from patterns.items()

    def attach(self, subscriber: Subscriber, topics: frozenset[Topic]) -> None:
        """Move a client to the group of these topics, and make the group if there is none."""
        subscriber.topics = topics
        group = self.groups.get((topics, subscriber.options))
        if group is None:
            group = self._make(topics, subscriber.options)
        self._move(subscriber, group)

    def detach(self, subscriber: Subscriber) -> None:
        """Take a client out of its group."""
        subscriber.topics = frozenset()
        self._move(subscriber, None)

    def places(self, topics: Iterable[Topic]) -> list[tuple[str, str]]:
        """Returns the streams of these topics: those in the catalogue, and those that are followed already."""
        topics = tuple(topics)
        patterns = [topic for topic in topics if topic.is_pattern]
        followed = {channel.place for channel in self.channels.values() if any(topic.includes(*channel.place) for topic in patterns)}
        return sorted(self._catalogue.matching(topics) | followed)

    def channel(self, kind: str, instrument: str) -> Channel:
        """Returns what is known of a stream, which is read from now on if the tape has it."""
        name = self._keys.venue(instrument) if kind == VENUE else self._keys.stream(kind, instrument)
        channel = self.channels.get(name)
        if channel is None:
            channel = self.channels[name] = Channel(name, Topic(kind, instrument))
            if channel.place in self._catalogue.streams:
                self._read(channel, Start.LAST_THEN_NOW)
        channel.unused_s = None
        return channel

    def is_starting(self, channel: Channel, behind: Iterable[str]) -> bool:
        """Whether it is still to be found where reading of a stream starts. `behind`: as the reader says."""
        return channel.is_read and (channel.name in self._to_read or channel.name in behind)

    def behind(self, now_s: float) -> set[str]:
        """Returns the streams that are not known to have been read up to nearly `now_s`, without keys that are no streams."""
        return {name for name in self._reader.behind(now_s) if (found := self.channels.get(name)) is None or not found.is_foreign}

    def last_values(self, topics: frozenset[Topic], *, events: bool) -> list[Item]:
        """Returns the last values of these topics; those of kinds that are always events only with `events`."""
        items: list[Item] = []
        for place in self.places(topics):
            if events or place[0] not in EVENT_KINDS:
                items += self.channel(*place).memory.values(wanted_venues(topics, *place))
        return items

    def forget_unused(self, now_s: float) -> None:
        """Stop reading streams that nobody has followed for `LINGER_S`."""
        unused = []
        for channel in self.channels.values():
            if channel.groups or channel.holds or channel.kind in self._patterns:
                channel.unused_s = None
            elif channel.unused_s is None:
                channel.unused_s = now_s
            elif now_s - channel.unused_s > LINGER_S:
                unused.append(channel.name)
        for name in unused:
            del self.channels[name]
            self._to_read.pop(name, None)
        if unused:
            self._reader.remove(unused)
            self._count()

    def _make(self, topics: frozenset[Topic], options: Options) -> Group:
        group = self.groups[topics, options] = Group(topics, options, self._position)
        for topic in topics:
            if topic.is_pattern:
                self._patterns.setdefault(topic.kind, {})[group] = wanted_venues(topics, topic.kind, topic.instrument)
                for place in self.places((topic,)):
                    self.channel(*place)
            else:
                channel = self.channel(topic.kind, topic.instrument)
                channel.groups[group] = wanted_venues(topics, topic.kind, topic.instrument)
        return group

    def _move(self, subscriber: Subscriber, group: Group | None) -> None:
        """What both groups have gathered is sent first: the client gets all that the one has, and nothing that the other has."""
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
        del self.groups[group.topics, group.options]
        for topic in group.topics:
            if topic.is_pattern:
                self._patterns.get(topic.kind, {}).pop(group, None)  # it may have several patterns of a kind, for several venues
                if not self._patterns.get(topic.kind):
                    self._patterns.pop(topic.kind, None)
            else:
                self.channel(topic.kind, topic.instrument).groups.pop(group, None)

    def _read_new(self, places: set[tuple[str, str]], *, fresh: bool) -> None:
        """Read new streams that somebody follows; one that was not there while clients followed it from its beginning."""
        start = Start.BEGINNING if fresh else Start.LAST_THEN_NOW
        for kind, instrument in places:
            name = self._keys.venue(instrument) if kind == VENUE else self._keys.stream(kind, instrument)
            channel = self.channels.get(name)
            if channel is None and kind in self._patterns:
                channel = self.channels[name] = Channel(name, Topic(kind, instrument))
            if channel is not None and not channel.is_read:
                self._read(channel, start)

    def _read(self, channel: Channel, start: Start) -> None:
        channel.is_read = True
        if not self._to_read:
            asyncio.get_running_loop().call_later(ADD_S, self._add)
        self._to_read[channel.name] = start
        self._count()

    def _add(self) -> None:
        to_read, self._to_read = self._to_read, {}
        self._reader.add(to_read)

    def _count(self) -> None:
        metrics.STREAMS.set(sum(channel.is_read for channel in self.channels.values()))
