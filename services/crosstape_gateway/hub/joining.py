"""Lets a client follow topics: in which order it gets the answer, past events, last values and what is new, without a gap between them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from crosstape.bus import Reader
from crosstape_gateway import messages
from crosstape_gateway.hub.channel import Channel, wanted_venues
from crosstape_gateway.hub.item import Item, has_events, parse_id
from crosstape_gateway.hub.replay import Replays, Wanted
from crosstape_gateway.hub.routing import Routing
from crosstape_gateway.hub.subscriber import Subscriber
from crosstape_gateway.topics import Topic

START_S: Final = 1.0
"""How long a client waits for its answer until its streams are read. Longer only while the bus does not answer."""
START_POLL_S: Final = 0.01


class Joining:
    """The steps by which clients begin to follow topics."""

    def __init__(self, reader: Reader, routing: Routing, replays: Replays, *, away_since_ts: Callable[[], int | None]) -> None:
        self._reader = reader
        self._routing = routing
        self._replays = replays
        self._away_since_ts = away_since_ts

    async def follow(self, subscriber: Subscriber, added: frozenset[Topic], after: str, answer: Sequence[Item]) -> None:
        """Let a client follow topics that are new to it: it gets `answer`, their last values, then all that happens after the answer.

        Call `Catalogue.next_look` before for those that are not known, so that it is known whether what is there now is old or new to the
        client.

        With `after`, the events that came since a little before that id come behind the answer: see `replay`. Returns when all these are
        sent or wait in its outbox, or the client has left.
        """
        if added and after:
            await self._resume(subscriber, added, after, answer)
            return
        subscriber.hold()
        if subscriber.group is None:
            self._tell(subscriber)
        self._routing.attach(subscriber, subscriber.topics | added)
        if added and subscriber.options.last_values:
            subscriber.put(self._routing.last_values(added, events=True))
        with contextlib.suppress(TimeoutError):  # the bus does not answer
            async with asyncio.timeout(START_S):
                await self._wait_for_start(subscriber, [self._routing.channel(*place) for place in self._routing.places(added)])
        subscriber.write(answer)
        self._release(subscriber, {})

    async def _resume(self, subscriber: Subscriber, added: frozenset[Topic], after: str, answer: Sequence[Item]) -> None:
        places = self._routing.places(added)
        channels = [self._routing.channel(*place) for place in places]
        wanted = [(channel, wanted_venues(added, *channel.place)) for channel in channels if has_events(Topic(*channel.place))]
        for channel in channels:
            channel.holds += 1
        try:
            replay = self._replays.begin(subscriber, Wanted(wanted, parse_id(after)))
            with contextlib.suppress(TimeoutError):  # the bus does not answer
                async with asyncio.timeout(START_S):
                    await self._wait_for_start(subscriber, channels)
                    await replay.find_starts()
            subscriber.write(answer)
            is_new = subscriber.group is None
            if is_new:
                self._tell(subscriber)
            await self._wait_for_start(subscriber, channels)
            await replay.find_starts()
            async with self._replays.slots:
                if is_new:
                    self._tell(subscriber)
                await replay.run(limited=True)
                subscriber.hold()
                if is_new:
                    self._tell(subscriber)
                self._routing.attach(subscriber, subscriber.topics | added)
                if subscriber.options.last_values:
                    subscriber.put(self._routing.last_values(added, events=False))
                await replay.run(limited=False)  # what came since; what comes after this read comes by the group
                await self._wait_for_reader(subscriber, replay.covered, channels)
                self._release(subscriber, replay.covered)
        finally:
            for channel in channels:
                channel.holds -= 1

    async def _wait_for_reader(self, subscriber: Subscriber, covered: Mapping[str, str], channels: Sequence[Channel]) -> None:
        """Wait until the reader has come as far as a replay: then no entry comes by both, as none that is held is sent."""
        ids = [(channel.name, parse_id(covered[channel.topic])) for channel in channels if channel.topic in covered]
        with contextlib.suppress(TimeoutError):  # then entries may come twice, which clients notice by their numbers
            async with asyncio.timeout(START_S):
                while any(parse_id(self._reader.cursors.get(name, "")) < to for name, to in ids) and not subscriber.ended.is_set():
                    await asyncio.sleep(START_POLL_S)

    def _release(self, subscriber: Subscriber, covered: Mapping[str, str]) -> None:
        """Send what was held, and the id after which the client can resume."""
        if subscriber.group is None:
            return  # it has left
        subscriber.group.flush()
        if not subscriber.release(covered) and subscriber.topics and subscriber.group.last_id:
            subscriber.say(messages.Heartbeat(time.time_ns(), subscriber.group.last_id))

    def _tell(self, subscriber: Subscriber) -> None:
        """Tell a client that is in no group yet whether the bus is away, where that is news to it. Groups hear of changes."""
        away_since_ts = self._away_since_ts()
        told, subscriber.away_since_ts = subscriber.away_since_ts, away_since_ts
        if away_since_ts is not None and away_since_ts != told:
            subscriber.say(messages.Bus("away", away_since_ts))
        elif away_since_ts is None and told is not None:
            subscriber.say(messages.Bus("back", told))

    async def _wait_for_start(self, subscriber: Subscriber, channels: Sequence[Channel]) -> None:
        """Wait until the reader has found where these streams start: all that comes from then on is handed over."""
        while not subscriber.ended.is_set():
            behind = self._routing.behind(time.monotonic())
            if not any(self._routing.is_starting(channel, behind) for channel in channels):
                return
            await asyncio.sleep(START_POLL_S)
