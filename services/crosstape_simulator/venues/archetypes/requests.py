"""Feeds whose requests are JSON objects that name topics, each request answered with acknowledgements and refusals."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed, Source, decode_object
from crosstape_simulator.venues.spec import Request


class RequestFeed(Feed):
    """Subscribes what exists and refuses the rest. A topic is (channel, symbol, …)."""

    def __init__(
        self,
        source: Source,
        channels: Collection[str],
        *,
        asked: Callable[[dict[str, Any]], Request | None],
        acknowledge: Callable[[Request], list[bytes]],
        refuse: Callable[[Request, Collection[Topic]], tuple[list[bytes], Request | None]],
        other: Callable[[dict[str, Any] | None], bytes],
        announcement: bytes | None = None,
        symbol: Callable[[Topic], str] = lambda topic: topic[1],
    ) -> None:
        """`asked` and `refuse` are the dialect's. `other`: the reply to a message that is no such request (a ping; None: no JSON object).
        `announcement`: the frame that announces maintenance or a restart; None: the venue does not. `symbol`: of a topic, which must be
        listed; empty: the topic is about all.
        """
        super().__init__(source)
        self._channels = frozenset(channels)
        self._asked = asked
        self._acknowledge = acknowledge
        self._refuse = refuse
        self._other = other
        self._announcement = announcement
        self._symbol = symbol

    def receive(self, connection: Connection, text: str) -> None:
        """Answer a request: refusals first, then acknowledgements, then the first data of what was subscribed."""
        request = decode_object(text)
        asked = None if request is None else self._asked(request)
        if asked is None:
            connection.send(self._other(request))
            return
        bad = [topic for topic in asked.topics if topic[0] not in self._channels or not self._lists(self._symbol(topic))]
        left: Request | None = asked
        if bad or not asked.topics:
            refusals, left = self._refuse(asked, bad)
            self._send(connection, refusals)
        if left is None:
            return
        for topic in left.topics:
            (self.join if left.subscribe else self.leave)(connection, topic)
        self._send(connection, self._acknowledge(left))
        for topic in left.topics if left.subscribe else ():
            self.source.subscribed(connection, topic)

    def announce(self, system: str, now: int) -> int:
        """Send the announcement of maintenance; nothing says that it is over."""
        if self._announcement is None or system == "online":
            return 0
        for connection in self.connections:
            connection.send(self._announcement)
        return len(self.connections)

    def _lists(self, symbol: str) -> bool:
        return not symbol or self.source.lists(symbol)

    @staticmethod
    def _send(connection: Connection, replies: list[bytes]) -> None:
        for reply in replies:
            connection.send(reply)


def split(channel: object) -> tuple[str, str]:
    """(channel, symbol) of `channel_symbol`: the symbol is what follows the last underscore."""
    name, _, symbol = str(channel).rpartition("_")
    return name, symbol


def encoded(reply: object) -> bytes:
    """A reply as JSON."""
    return msgspec.json.encode(reply)
