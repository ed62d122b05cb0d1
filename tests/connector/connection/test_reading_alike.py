"""Whatever arrives: read in bunches it comes to the same as read frame by frame."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import structlog
from aiohttp import WSMsgType
from aiohttp.http import WSMessage

from crosstape_connector.connection.bad_frames import BadFrames
from crosstape_connector.connection.reading import STEP_NS, FrameReader
from crosstape_connector.connection.subscribed_feeds import SubscribedFeeds
from crosstape_connector.errors import ConnectionLost
from crosstape_connector.feeds.handover import Handover
from crosstape_schemas import Gap, Status
from tests.connector.fake_venue import endpoint, fake, quote, trade
from tests.connector.rig import QUICK, Rig

SYMBOLS = ("AAAUSD", "BBBUSD")
KINDS = msgspec.structs.replace(QUICK, kinds=("trade", "quote", "book"))
OTHER: list[bytes] = [
    b'{"hb":1}',
    b'{"ping":7}',
    b'{"bye":"soon"}',
    b"{nonsense",
    b'{"ch":"quotes","s":"AAAUSD","b":[',
    b'{"ch":"quotes","s":"AAAUSD"}',
    b'{"ch":"trades","s":"ZZZUSD","i":1}',
    b"x" * 5_000,
]
"""Frames that are no data: messages about the connection, and what cannot be used."""


def text(payload: bytes) -> WSMessage:
    """Return a text message, as the reader gets it."""
    return WSMessage(WSMsgType.TEXT, payload, "")


def frame(chance: random.Random, trades: dict[str, int], updates: dict[str, int]) -> WSMessage:
    """Return a message: mostly data, of which some are missing, doubled or late."""
    symbol, kind = chance.choice(SYMBOLS), chance.random()
    if kind < 0.45:
        trades[symbol] += chance.choice([1, 1, 1, 1, 2, 0, -1])
        return text(trade(symbol, trades[symbol]))
    if kind < 0.65:
        return text(quote(symbol, str(chance.randint(1, 9))))
    if kind < 0.8:
        updates[symbol] += chance.choice([1, 1, 1, 2])
        book = {"ch": "book", "s": symbol, "i": updates[symbol], "b": [["1", "1"]], "a": [[str(chance.choice([1, 2, 2])), "1"]]}
        return text(msgspec.json.encode(book | {"snap": chance.random() < 0.3}))
    if kind < 0.96:
        return text(chance.choice(OTHER))
    return WSMessage(WSMsgType.PING if kind < 0.98 else WSMsgType.BINARY, b"{}", "")


class Arrived:
    """A socket on which all messages have arrived. `seen`: the reader may look at those that wait. A message takes `STEP_NS`."""

    def __init__(self, messages: list[WSMessage], *, seen: bool) -> None:
        self.now = 1_700_000_000_000_000_000
        self._buffer = deque((message, 0) for message in messages)
        if seen:
            self._reader = self

    async def read(self) -> WSMessage:
        """Return the next message."""
        self.now += STEP_NS
        return self._buffer.popleft()[0]

    async def receive(self) -> WSMessage:
        """Return the next message, at last that the connection is gone."""
        return await self.read() if self._buffer else WSMessage(WSMsgType.CLOSED, None, None)


async def outcome(arrived: Arrived, *, takes_over_at: int, fails_every: int) -> dict[str, Any]:
    """Read the messages to the end. Returns what was published and handled, in order, and what was counted.

    `takes_over_at`: the message about the connection at which a standby takes over; 0: it is none. `fails_every`: when a listener fails.
    """
    venue = fake(endpoint(max_frame_bytes=4_096))
    server: Any = SimpleNamespace(url="http://localhost:1")
    http: Any = None
    rig = Rig(http=http, server=server, venue=venue, settings=KINDS, symbols=SYMBOLS, capture=None)
    done: list[Any] = []
    heard = handled = 0
    rig.sink.pass_to(done.extend)

    def listener(_: Status | Gap) -> None:
        nonlocal heard
        heard += 1
        if fails_every and heard % fails_every == 0 and reader.handover is None:
            raise RuntimeError("a bug")

    async def control(*args: Any) -> None:
        nonlocal handled
        handled += 1
        done.append(args[1])
        await asyncio.sleep(0)
        if handled == takes_over_at:
            assert reader.handover is not None
            for effect in reader.handover.hand_over((), 1):
                rig.sink.publish((effect,))
            reader.handover = None

    bad = BadFrames(rig.counters, None, 1, structlog.get_logger())
    feeds = SubscribedFeeds(rig.feeds, rig.connections[0].topics)
    reader = FrameReader(rig.context, venue.endpoints[0], feeds, bad, 1, control=control)
    if takes_over_at:
        reader.handover = Handover(rig.feeds)
    rig.sink.listen(listener)
    socket: Any = arrived
    sender: Any = SimpleNamespace(pong=lambda _: asyncio.sleep(0))
    address: Any = SimpleNamespace()
    with pytest.raises(ConnectionLost):
        await reader.run(socket, sender, address)
    counters = rig.counters
    return {
        "done": done,
        "read": (counters.endpoints["main"].frames, counters.endpoints["main"].bytes),
        "bad": {kind: count for kind, count in counters.bad_frames.items() if kind != "internal" or not fails_every},
        "events": counters.events,
        "others": (counters.odd, rig.feeds.counts, rig.feeds.trades.next_ids()),
    }


@pytest.mark.parametrize("seed", range(60))
async def test_bunches_come_to_the_same_as_single_frames(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same events and messages about the connection, in the same order, and the same counts; on a standby, and with a bug, too."""
    chance = random.Random(seed)
    trades, updates = dict.fromkeys(SYMBOLS, 1), dict.fromkeys(SYMBOLS, 1)
    messages = [frame(chance, trades, updates) for _ in range(chance.randint(1, 200))]
    options = {"takes_over_at": chance.choice([0, 0, 1, 3]), "fails_every": chance.choice([0, 0, 2, 5])}
    found = []
    for seen in (True, False):
        arrived = Arrived(messages, seen=seen)
        monkeypatch.setattr(time, "time_ns", lambda arrived=arrived: arrived.now)
        found.append(await outcome(arrived, **options))

    assert found[0] == found[1]
