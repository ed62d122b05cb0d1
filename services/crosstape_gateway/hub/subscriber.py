"""One streaming client: writes to its connection while it reads, and keeps what is to be sent in an outbox while it does not.

Nothing here waits. Bytes go to the transport directly, because a coroutine that waits until a client reads would hold up all others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from crosstape.settings import GatewaySettings
from crosstape_gateway import metrics
from crosstape_gateway.hub.item import Item, message_item, parse_id
from crosstape_gateway.hub.outbox import Outbox
from crosstape_gateway.hub.wire import GOING_AWAY, Options, Transfer, chunk_of
from crosstape_gateway.messages import Message
from crosstape_gateway.topics import Topic

if TYPE_CHECKING:
    from crosstape_gateway.hub.group import Group

HIGH_WATER: Final = 64 * 1024
"""Bytes in the transport's buffer above which nothing more is written to it."""


class Subscriber:
    """A client. It is in one group at a time: with all who follow the same topics with the same options."""

    __slots__ = (
        "_held", "_keeping", "_limit", "_outbox", "_progress_s", "_read", "_rows", "_transport", "_written",
        "asked", "away_since_ts", "congested", "ended", "group", "options", "topics", "unchecked",
    )  # fmt: skip

    def __init__(self, transport: asyncio.Transport, options: Options, settings: GatewaySettings, congested: set[Subscriber]) -> None:
        """`congested`: the subscriber adds itself here while something waits for it to read."""
        self.options = options
        self.topics: frozenset[Topic] = frozenset()
        self.asked: dict[Topic, Topic] = {}
        """Topics as the client spelled them → those that it follows in their place."""
        self.unchecked: frozenset[Topic] = frozenset()
        """Topics of which it could not be known, since the bus is away, whether the tape has them."""
        self.group: Group | None = None
        self.ended = asyncio.Event()
        """Set when the connection is lost, or is to end."""
        self.away_since_ts: int | None = None
        """Since when the bus is away, as it was told before it was in a group."""
        self.congested = congested
        self._transport = transport
        self._limit = settings.events_per_client
        self._rows = max(settings.rows, settings.events_per_client)
        self._outbox = Outbox(self._limit)
        self._held: Outbox | None = None
        self._keeping = False  # whether something is in the outbox, or is to go there
        self._written = 0
        self._read = 0  # bytes that had left the transport's buffer when there was progress last
        self._progress_s = 0.0

    @property
    def waiting(self) -> bool:
        """Whether something waits for the client to read."""
        return bool(self._outbox) or (not self.gone and self._transport.get_write_buffer_size() > 0)

    @property
    def kept(self) -> int:
        """How many items wait for the client to read."""
        return len(self._outbox) + (len(self._held) if self._held is not None else 0)

    @property
    def answers(self) -> int:
        """How many answers to its own requests wait for the client to read."""
        return self._outbox.answers

    @property
    def gone(self) -> bool:
        """Whether the connection is closed, or closing."""
        return self._transport.is_closing()

    def send(self, items: Sequence[Item], chunk: bytes) -> bool:
        """Write `chunk`, which is `items` as bytes, or keep the items for later. Returns whether it was written."""
        transport = self._transport
        if self._keeping or transport.get_write_buffer_size() > HIGH_WATER:
            self._keep(items)
            return False
        if transport.is_closing():
            return False
        transport.write(chunk)
        self._written += len(chunk)
        return True

    def say(self, message: Message) -> None:
        """Send one message of the gateway, behind what waits already."""
        self.put((message_item(message),))

    def put(self, items: Sequence[Item]) -> None:
        """Send items to this client alone."""
        self._keep(items)
        self.relieve()

    def write(self, items: Sequence[Item]) -> None:
        """Write past events, ahead of what is held. The caller waits while `busy`."""
        if not self.gone:
            chunk = chunk_of(items, self.options)
            self._transport.write(chunk)
            self._written += len(chunk)
            self._count(items, len(chunk))

    @property
    def busy(self) -> bool:
        """Whether the client has not read most of what was written."""
        return not self.gone and self._transport.get_write_buffer_size() > HIGH_WATER

    def hold(self) -> None:
        """Keep what comes from now on, until `release`: entries before it are still being read. At most `gateway.rows` events."""
        self._held = Outbox(self._rows)
        self._keeping = True

    def release(self, covered: Mapping[str, str]) -> bool:
        """Send what was held, but no events that the client has got already: of topics up to an id. Returns whether there was something."""
        held, self._held = self._held, None
        if held is None:
            return False
        ids = {topic: parse_id(entry_id) for topic, entry_id in covered.items()}
        items = held.take(1 << 62)
        items = [item for item in items if not (item.is_event and item.topic in ids and parse_id(item.id) <= ids[item.topic])]
        self.put(items)
        return bool(items)

    def relieve(self) -> None:
        """Write what waits, as far as the client reads."""
        while self._outbox and not self.gone and self._transport.get_write_buffer_size() <= HIGH_WATER:
            items = self._outbox.take(HIGH_WATER)
            last_id = self.group.last_id if self.group is not None and not self._outbox and self._held is None else ""
            chunk = chunk_of(items, self.options, last_id)
            self._transport.write(chunk)
            self._written += len(chunk)
            self._count(items, len(chunk))
        self._keeping = bool(self._outbox) or self._held is not None
        if self.waiting:
            self.congested.add(self)
        else:
            self.congested.discard(self)
            self._progress_s = 0.0

    def check(self, now_s: float, patience_s: float) -> None:
        """Relieve it, and cut the connection if the client has read nothing for `patience_s`. Call this often while it is congested."""
        self.relieve()
        unread = 0 if self.gone else self._transport.get_write_buffer_size()
        sent = self._written - unread
        if not unread or sent > self._read or not self._progress_s:
            self._read, self._progress_s = sent, now_s
        elif now_s - self._progress_s > patience_s:
            metrics.CUT.inc()
            self.cut()

    def cut(self) -> None:
        """End the connection at once. `close` would wait until the buffer is empty, for ever if the client does not read."""
        self._transport.abort()
        self.ended.set()

    def end(self) -> None:
        """End the connection in order: Server-Sent Events by their handler; WebSocket by a message, which the client answers."""
        if self.busy:
            self.cut()
        elif not self.gone and self.options.transfer is Transfer.WEBSOCKET:
            self._transport.write(GOING_AWAY)
        self.ended.set()

    def forget(self) -> None:
        """Free what waits: the client has left."""
        self.congested.discard(self)
        self._outbox = Outbox(self._limit)
        self._held = None
        self._keeping = False

    def _keep(self, items: Sequence[Item]) -> None:
        outbox = self._outbox if self._held is None else self._held
        conflated, dropped = outbox.conflated, outbox.dropped
        outbox.extend(items)
        metrics.CONFLATED.inc(outbox.conflated - conflated)
        if outbox.dropped > dropped:
            metrics.MISSED.labels("slow").inc(outbox.dropped - dropped)
        self._keeping = True
        self.congested.add(self)

    def _count(self, items: Sequence[Item], size: int) -> None:
        name = self.options.transfer.name_of_metric
        metrics.DELIVERIES.labels(name).inc(len(items))
        metrics.BYTES.labels(name).inc(size)
