"""A bare WebSocket on a bare socket, and what to ask each venue for: frames as they are on the wire, broken ones too."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from crosstape_simulator.faults import parse
from crosstape_simulator.faults.active import ActiveFault
from crosstape_simulator.server.connection import encode_frame
from crosstape_simulator.service import Simulator, simulator
from tests.simulator.client import still, ws
from tests.waiting import wait_until

READ_S = 20.0
TEXT, CLOSE, PING = 0x81, 0x88, 0x89
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="


class Feed(NamedTuple):
    """One endpoint, and requests that subscribe books of BTC and ETH and trades of BTC."""

    venue: str
    endpoint: str
    requests: tuple[Any, ...]
    acks: int
    """Answers to the requests."""
    book: str
    """A book frame has this in it, …"""
    btc: str
    eth: str
    """… and one of these."""


BINANCE = Feed(
    "binance",
    "",
    ({"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms", "ethusdt@depth@100ms", "btcusdt@trade", "btcusdt@bookTicker"], "id": 1},),
    1,
    '"depthUpdate"',
    "btcusdt@",
    "ethusdt@",
)
ADVANCED = Feed(
    "coinbase",
    "advanced",
    (
        {"type": "subscribe", "channel": "level2", "product_ids": ["BTC-USDT", "ETH-USDT"]},
        {"type": "subscribe", "channel": "market_trades", "product_ids": ["BTC-USDT"]},
    ),
    2,
    '"l2_data"',
    '"BTC-USDT"',
    '"ETH-USDT"',
)
EXCHANGE = Feed(
    "coinbase",
    "exchange",
    (
        {
            "type": "subscribe",
            "product_ids": ["BTC-USDT"],
            "channels": ["matches", {"name": "level2_batch", "product_ids": ["BTC-USDT", "ETH-USDT"]}],
        },
    ),
    1,
    '"l2update"',
    '"BTC-USDT"',
    '"ETH-USDT"',
)
KRAKEN = Feed(
    "kraken",
    "",
    (
        {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USDT", "ETH/USDT"], "depth": 10}},
        {"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USDT"]}},
    ),
    3,
    '"channel":"book"',
    '"BTC/USDT"',
    '"ETH/USDT"',
)
BITSTAMP = Feed(
    "bitstamp",
    "",
    tuple(
        {"event": "bts:subscribe", "data": {"channel": channel}}
        for channel in ("diff_order_book_btcusdt", "diff_order_book_ethusdt", "live_trades_btcusdt")
    ),
    3,
    '"diff_order_book_',
    '_btcusdt"',
    '_ethusdt"',
)
FEEDS = (BINANCE, ADVANCED, EXCHANGE, KRAKEN, BITSTAMP)
IDS = ("binance", "coinbase advanced", "coinbase exchange", "kraken", "bitstamp")


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.count = 0
        """Messages read."""
        self.begun = b""
        """Bytes read already that are yet to be taken as frames."""

    def send(self, payload: bytes | object, opcode: int = TEXT) -> None:
        """One message, masked with zeros; what is not bytes as JSON."""
        frame = bytearray(encode_frame(payload if isinstance(payload, bytes) else json.dumps(payload).encode(), opcode))
        start = {126: 4, 127: 10}.get(frame[1], 2)
        frame[1] |= 0x80
        self.writer.write(bytes(frame[:start]) + bytes(4) + bytes(frame[start:]))

    async def frame(self) -> tuple[int, bytes]:
        """(first byte, payload) of the next frame, whatever it is. Raises `EOFError` or `OSError` at the end of the connection."""
        async with asyncio.timeout(READ_S):
            first, size = await self._bytes(2)
            if size == 126:
                (size,) = struct.unpack(">H", await self._bytes(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", await self._bytes(8))
            return first, await self._bytes(size)

    async def _bytes(self, count: int) -> bytes:
        taken, self.begun = self.begun[:count], self.begun[count:]
        return taken + await self.reader.readexactly(count - len(taken))

    async def message(self) -> bytes:
        """The next frame that is no ping."""
        while True:
            first, payload = await self.frame()
            if first != PING:
                self.count += 1
                return payload

    async def text(self) -> str:
        """The same as text."""
        return (await self.message()).decode()

    async def ended(self) -> bytes | None:
        """Read to the end: the payload of a close frame, None if there was none."""
        try:
            while True:
                first, payload = await self.frame()
                if first == CLOSE:
                    return payload
        except (EOFError, OSError):
            return None


@asynccontextmanager
async def wired(url: str, query: str = "") -> AsyncIterator[Wire]:
    """A connection past its handshake."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 26)
    try:
        headers = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        writer.write(f"GET {parts.path}{query} HTTP/1.1\r\n{headers}Sec-WebSocket-Key: {KEY}\r\n\r\n".encode())
        async with asyncio.timeout(READ_S):
            answer = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in answer, answer
        yield Wire(reader, writer)
    finally:
        await hung_up(writer)


async def hung_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection, and wait for that."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


class Rig:
    """A still simulator of one venue, and one client that has subscribed."""

    def __init__(self, made: Simulator, feed: Feed, wire: Wire) -> None:
        self.made = made
        self.feed = feed
        self.wire = wire

    def set(self, text: str) -> ActiveFault:
        """Set a fault on this venue."""
        return self.made.faults.add(parse.from_text(f"{text} venue={self.feed.venue}"))

    async def subscribe(self) -> list[str]:
        """Ask for everything; all that comes of it: acknowledgements, snapshots."""
        for request in self.feed.requests:
            self.wire.send(request)
        counters = self.made.counters(self.feed.venue)
        await wait_until(lambda: counters.messages == len(self.feed.requests), what="the requests have arrived")
        return await self.sent()

    async def sent(self) -> list[str]:
        """All messages that the server has sent until now and that were not read yet, without heartbeats."""
        counters = self.made.counters(self.feed.venue)
        found: list[str] = []
        while self.wire.count < counters.frames:
            found.append(await self.wire.text())
        return [text for text in found if not is_heartbeat(text)]

    async def flow(self, seconds: float = 3.0, steps: int = 3) -> list[str]:
        """What comes while the market moves on, step by step."""
        for _ in range(steps):
            self.made.advance(seconds / steps)
        return await self.sent()


@asynccontextmanager
async def rig(feed: Feed, **changes: Any) -> AsyncIterator[Rig]:
    """Connected, not subscribed."""
    async with simulator(still(venues=(feed.venue,), **changes)) as made, wired(ws(made, feed.venue, feed.endpoint)) as wire:
        await wait_until(lambda: made.counters(feed.venue).clients == 1, what="the client is known")
        yield Rig(made, feed, wire)


async def clean(feed: Feed) -> list[str]:
    """What a client that has subscribed sees in `flow`, without any fault: with the same seed it is always the same."""
    async with rig(feed) as one:
        await one.subscribe()
        return await one.flow()


def books(texts: Sequence[str], feed: Feed, instrument: str = "") -> list[int]:
    """Which are book updates (of one instrument)."""
    return [index for index, text in enumerate(texts) if feed.book in text and instrument in text and '"snapshot"' not in text]


def is_heartbeat(text: str) -> bool:
    """Whether it is one, in any dialect."""
    return '"heartbeat' in text[:25]
