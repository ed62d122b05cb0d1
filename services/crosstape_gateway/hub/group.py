"""Clients that follow the same topics with the same options: what they are sent is encoded once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from crosstape_gateway import metrics
from crosstape_gateway.hub.item import Item, message_item
from crosstape_gateway.hub.subscriber import Subscriber
from crosstape_gateway.hub.wire import Options, Transfer, chunk_of
from crosstape_gateway.messages import Heartbeat
from crosstape_gateway.topics import Topic

GATHERED: Final = 2_000
"""Items gathered at most: then they are sent at once."""


class Group:
    """The clients, and what is gathered for them. Full: it is sent. Ordered as on the streams."""

    __slots__ = ("_added", "_beat_s", "_gathered", "_loop", "_position", "_timer", "last_id", "options", "sent_s", "subscribers", "topics")

    def __init__(self, topics: frozenset[Topic], options: Options, position: Callable[[], str]) -> None:
        """`position` returns the id up to which everything was handed over; empty: not known now."""
        self.topics = topics
        self.options = options
        self.subscribers: dict[Subscriber, None] = {}
        self.last_id = ""
        """The id up to which everything was sent, or waits in outboxes; empty: not known yet."""
        self.sent_s = -1.0
        """When something was sent last, monotonic."""
        self._beat_s = asyncio.get_running_loop().time()
        self._position = position
        self._added: Item | None = None
        self._gathered: list[Item] = []
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def add(self, item: Item) -> None:
        """Gather an item. With `gather_s` 0, `flush` is to be called soon."""
        if self._added is item:
            return  # it matches several topics
        self._added = item
        gathered = self._gathered
        gathered.append(item)
        if len(gathered) >= GATHERED:
            self.flush()
        elif self._timer is None and self.options.gather_s:
            self._timer = self._loop.call_later(self.options.gather_s, self.flush)

    def flush(self) -> None:
        """Send what is gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        position = self._position()
        self.last_id = position or self.last_id
        items, self._gathered = self._gathered, []
        if not items or not self.subscribers:
            return
        chunk = chunk_of(items, self.options, position)
        written = 0
        for subscriber in self.subscribers:
            written += subscriber.send(items, chunk)
        self.sent_s = self._loop.time()
        name = self.options.transfer.name_of_metric
        metrics.DELIVERIES.labels(name).inc(written * len(items))
        metrics.BYTES.labels(name).inc(written * len(chunk))
        if received_ts := items[0].received_ts:
            metrics.LAG.observe((time.time_ns() - received_ts) / 1e9)

    def beat(self, now_s: float, every_s: float) -> None:
        """Send a heartbeat if it is time for it: over WebSocket always after `every_s`, else if nothing else was sent meanwhile."""
        last_s = self._beat_s if self.options.transfer is Transfer.WEBSOCKET else max(self._beat_s, self.sent_s)
        first_id = self.topics and not self.last_id and self._position()  # the sooner clients have one, the better
        if now_s - last_s < every_s and not first_id:
            return
        self._beat_s = now_s
        self.flush()
        self.send_now(message_item(Heartbeat(time.time_ns(), self.last_id)))

    def send_now(self, item: Item) -> None:
        """Send a message of the gateway, behind what is gathered."""
        self._gathered.append(item)
        self.flush()
