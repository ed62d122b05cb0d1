"""Sends again what happened since a client was there last, read from the streams themselves.

Order and completeness, of each stream: all events from `OVERLAP_S` before the client's id are sent in the stream's order. Entries are read
until there are no more. Then the client joins its group, which is held back; what came meanwhile is read once more, and then the group's
items follow, without those that were read. A client that names an id it was given has got everything before that id; the overlap covers
connections that were a little behind at that time. So it may get events again: it knows them by topic, venue, epoch and seq.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from crosstape.bus import Client
from crosstape.bus.client.call import UNAVAILABLE, execute_raw
from crosstape.bus.read.followed import FollowedStream
from crosstape.bus.read.followed import parse_id as parse_raw_id
from crosstape.bus.read.script import look
from crosstape_gateway import metrics
from crosstape_gateway.hub.channel import Channel, Venues
from crosstape_gateway.hub.item import Item, item_of
from crosstape_gateway.hub.subscriber import Subscriber
from crosstape_gateway.messages import Missed
from crosstape_schemas import Keys, decode

OVERLAP_S: Final = 2.0
PAGE: Final = 500
"""Entries in one read."""
AT_ONCE: Final = 16
"""Clients that are sent past events at the same time; others wait for their turn."""
PAUSE_S: Final = 0.2
"""Pause between attempts while the bus is away."""
DRAIN_S: Final = 0.01


class Wanted(msgspec.Struct, frozen=True):
    """What a client wants sent again."""

    channels: Sequence[tuple[Channel, Venues]]
    after: tuple[int, int]
    """The id that it names, parsed."""


class Replays:
    """Makes replays. Hold `slots` while one runs."""

    def __init__(self, client: Client, keys: Keys, rows: int) -> None:
        """`rows`: entries that one client is sent at most."""
        self.slots = asyncio.Semaphore(AT_ONCE)
        self._client = client
        self._keys = keys
        self._rows = rows

    def begin(self, subscriber: Subscriber, wanted: Wanted) -> Replay:
        """Returns the replay of these streams for one client."""
        return Replay(self._client, self._keys, self._rows, subscriber, wanted)


class Replay:
    """Past events for one client. `run` may be called again: it goes on where it ended."""

    def __init__(self, client: Client, keys: Keys, rows: int, subscriber: Subscriber, wanted: Wanted) -> None:
        self.covered: dict[str, str] = {}
        """Topic → id up to which its entries were sent."""
        self._client = client
        self._keys = keys
        self._left = rows
        self._subscriber = subscriber
        self._wanted = wanted.channels
        self._after = wanted.after
        self._found = False
        self._missed: list[Missed] = []
        self._ends: dict[str, tuple[int, int]] = {}  # topic → the stream's last id when the replay began

    async def run(self, *, limited: bool) -> None:
        """Send what is there, if `limited` at most `gateway.rows` entries. Returns early when the client has left."""
        for missed in self._missed:
            metrics.MISSED.labels("trimmed").inc()
            self._subscriber.say(missed)
        self._missed.clear()
        for index, (channel, venues) in enumerate(self._wanted):
            budget = self._left // (len(self._wanted) - index) if limited else sys.maxsize
            await self._replay(channel, venues, budget)

    async def _replay(self, channel: Channel, venues: Venues, budget: int) -> None:
        at = self.covered.get(channel.topic) or self._start(channel)
        key = channel.name.encode()
        while not self._subscriber.ended.is_set():
            raw = await self._answer("XRANGE", channel.name, f"({at}", "+", "COUNT", PAGE, key=key)
            items: list[Item] = []
            for entry_id, fields in raw:
                at = entry_id.decode()
                item = _item(channel.topic, at, fields)
                if item is not None and item.is_event and (venues is None or item.venue in venues):
                    items.append(item)
            if raw:
                self.covered[channel.topic] = at
            sent = items[:budget]
            budget -= len(sent)
            self._left -= len(sent)
            if sent:
                await self._send(sent)
            if len(items) > len(sent):
                await self._skip(channel, items[len(sent)])
                return
            if len(raw) < PAGE:
                return

    def _start(self, channel: Channel) -> str:
        """Returns the id behind which the replay of a stream begins. An id that the tape has not reached is of another tape: its end."""
        from_id = max(0, self._after[0] - int(OVERLAP_S * 1000)), 0
        ms, number = min(from_id, self._ends.get(channel.topic, (0, 0)))
        return f"{ms}-{number}"

    async def _skip(self, channel: Channel, first: Item) -> None:
        """Say that more has happened than is sent, and go on at the stream's end."""
        raw = await self._answer("XREVRANGE", channel.name, "+", "-", "COUNT", 1, key=channel.name.encode())
        if raw:
            self.covered[channel.topic] = raw[0][0].decode()
        metrics.MISSED.labels("resume").inc()
        self._subscriber.say(Missed(channel.topic, first.venue, first.epoch, first.seq, None, "resume"))

    async def find_starts(self) -> None:
        """Find where each stream ends, and of which entries behind the client's id may have been removed. Call it before `run`.

        Returns when the bus has answered, or the client has left.
        """
        streams = [FollowedStream(channel.name, "0", self._keys) for channel, _ in self._wanted]
        while streams and not self._found and not self._subscriber.ended.is_set():
            try:
                infos = await look(self._client, streams, values=False)
            except UNAVAILABLE:
                await asyncio.sleep(PAUSE_S)
                continue
            self._found = True
            for (channel, _), info in zip(self._wanted, infos, strict=True):
                if info is None or not info.id:
                    continue
                self._ends[channel.topic] = parse_raw_id(info.id)
                oldest = parse_raw_id(info.first or info.id)
                if self._after < oldest and info.removed != 0:
                    self._missed.append(Missed(channel.topic, "", 0, 0, None, "trimmed"))

    async def _send(self, items: list[Item]) -> None:
        """Write items, and wait until the client has read most of what was sent."""
        self._subscriber.write(items)
        while self._subscriber.busy and not self._subscriber.ended.is_set():
            await asyncio.sleep(DRAIN_S)

    async def _answer(self, command: str, *args: Any, key: bytes) -> Any:
        """Returns the answer; an empty one when the client has left."""
        while not self._subscriber.ended.is_set():
            try:
                return await execute_raw(self._client, command, *args, key=key) or ()
            except UNAVAILABLE as exc:
                if str(exc).startswith("WRONGTYPE"):
                    return ()  # the key is no stream, and waiting would not make it one
                await asyncio.sleep(PAUSE_S)
        return ()


def _item(topic: str, entry_id: str, fields: Sequence[bytes]) -> Item | None:
    """Returns the item of a raw entry; None for one that is no event of ours."""
    try:
        field, data = fields
        return item_of(decode(data), data, topic, entry_id) if field == b"d" else None
    except (ValueError, msgspec.MsgspecError):
        return None
