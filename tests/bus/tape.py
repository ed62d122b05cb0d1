"""Small events, a publisher that runs, and what is on the tape: for the tests of the bus."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from crosstape.bus import Client, Missed, Publisher, PublisherMetrics, Reader, connect
from crosstape.settings import BusSettings
from crosstape_schemas import AnyEvent, Candle, Event, FeedState, Keys, Quote, Side, Status, Trade, decode, stamp

KEYS = Keys()
BTC = "BTC-USDT"
ETH = "ETH-USDT"
TRADES = KEYS.stream("trade", BTC)
QUOTES = KEYS.stream("quote", BTC)
GAPS = KEYS.stream("gap", BTC)
CANDLES = KEYS.stream("candle:1m", BTC)
MINUTE_NS = 60_000_000_000


def trade(number: int, instrument: str = BTC, venue: str = "binance") -> Trade:
    """Received at 1000 + number."""
    return Trade(venue, instrument, None, 1_000 + number, Decimal("57000.10"), Decimal(number), Side.BUY, str(number))


def quote(number: int, instrument: str = BTC, venue: str = "binance") -> Quote:
    """Received at 1000 + number."""
    return Quote(venue, instrument, None, 1_000 + number, Decimal(number), Decimal(1), Decimal(number + 1), Decimal(1))


def status(kind: str, state: FeedState = FeedState.LIVE, instrument: str = BTC, venue: str = "binance") -> Status:
    """Returns a status of one feed."""
    return Status(venue, instrument, None, 1, kind, state)


def candle(minute: int, close: int = 1, *, closed: bool = False, revision: int = 0, timeframe: str = "1m") -> Candle:
    """A candle that opened at `minute`. Received at 1000 + `close`."""
    opened, price = minute * MINUTE_NS, Decimal(close)
    return Candle(
        "binance", BTC, None, 1_000 + close, timeframe, opened, opened + MINUTE_NS, price, price, price, price, Decimal(1),
        closed=closed, revision=revision,
    )  # fmt: skip


class Counts(PublisherMetrics):
    """Metrics that a test can read."""

    def __init__(self) -> None:
        self.of: Counter[str] = Counter()
        self.batches: list[int] = []

    def written(self, entries: int, seconds: float) -> None:
        """Counted."""
        self.batches.append(entries)

    def conflated(self, kind: str, entries: int) -> None:
        """Counted."""
        self.of[f"conflated {kind}"] += entries

    def dropped(self, kind: str, entries: int, cause: str) -> None:
        """Counted."""
        self.of[f"dropped {kind} {cause}"] += entries

    def retransmitted(self, entries: int) -> None:
        """Counted."""
        self.of["retransmitted"] += entries

    def spooled(self, entries: int) -> None:
        """Counted."""
        self.of["spooled"] += entries

    def spool(self, size: int, entries: int) -> None:
        """Note the size of the spool."""
        self.of["spool bytes"], self.of["spool entries"] = size, entries

    def spool_error(self) -> None:
        """Counted."""
        self.of["spool errors"] += 1

    def spool_kept_aside(self) -> None:
        """Counted."""
        self.of["spools kept aside"] += 1

    def reconnected(self, seconds: float) -> None:
        """Counted."""
        self.of["reconnected"] += 1


def fast(url: str, **changes: Any) -> BusSettings:
    """Settings under which a test waits little."""
    return BusSettings(**{"url": url, "timeout_s": 1.0, "backoff_s": 0.05, **changes})


@contextlib.asynccontextmanager
async def publishing(
    settings: BusSettings,
    *,
    producer: str = "connector.binance",
    metrics: PublisherMetrics | None = None,
    keys: Keys = KEYS,
    spool: Path | None = None,
) -> AsyncIterator[Publisher]:
    """A publisher that runs for the length of the block."""
    async with connect(settings) as client, asyncio.TaskGroup() as group:
        publisher = Publisher(client, keys, settings, producer=producer, metrics=metrics, spool=spool)
        task = group.create_task(publisher.run())
        try:
            yield publisher
        finally:
            publisher.close()
            task.cancel()


async def on_tape(client: Client, stream: str = TRADES) -> list[AnyEvent]:
    """All events of a stream, oldest first."""
    assert isinstance(client, Redis)
    entries: Any = await client.xrange(stream)
    return [decode(fields[b"d"]) for _, fields in entries]


async def ids(client: Redis, stream: str = TRADES) -> list[str]:
    """Returns the ids of all entries of a stream, oldest first."""
    entries: Any = await client.xrange(stream)
    return [entry_id.decode() for entry_id, _ in entries]


async def command(client: Redis, *words: str | int) -> Any:
    """The answer to a command that redis-py has no method for."""
    execute: Any = client.execute_command
    return await execute(*words)


def stamped(event: Event, epoch: int, seq: int) -> bytes:
    """Returns an event's bytes as a publisher would write them."""
    return stamp(event, epoch, seq)


def numbers(events: list[AnyEvent]) -> list[int]:
    """Their `seq`."""
    return [event.seq for event in events]


def whole(count: int) -> list[int]:
    """1 … count: the numbers of a stream that lacks nothing and repeats nothing."""
    return list(range(1, count + 1))


async def read_until(reader: Reader, count: int, timeout_s: float = 20.0) -> list[Event]:
    """The next `count` events of a reader (or more, if more come at once)."""
    events: list[Event] = []
    async with asyncio.timeout(timeout_s):
        while len(events) < count:
            events += [entry.event for entry in await reader.read(timeout_s=1)]
    return events


class Gaps:
    """A callback that remembers."""

    def __init__(self) -> None:
        self.missed: list[Missed] = []

    def __call__(self, missed: Missed) -> None:
        """Counted."""
        self.missed.append(missed)
