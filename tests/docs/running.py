"""Runs examples as processes, and shows them events as the bus writes them: stream, channel, last value."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, Cbbo, Event, FeedState, Keys, Leg, Market, Status, Vwap, encode, feed_kind

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
LIFE_S: Final = 0.25
"""How often an aggregator gives a sign of life here."""


def leg(venue: str, bid: str, ask: str) -> Leg:
    """A live leg that counts."""
    return Leg(venue, Decimal(bid), Decimal(1), Decimal(ask), Decimal(1), 1, FeedState.LIVE, None, 1, 1)


QUOTE: Final = Cbbo(
    venue=CONSOLIDATED, instrument="BTC-USDT", venue_ts=None, received_ts=1, ts=1, bid_price=Decimal("101.5"), bid_size=Decimal(1),
    bid_venues=("kraken",), ask_price=Decimal(101), ask_size=Decimal(1), ask_venues=("binance",), mid=Decimal("101.25"),
    spread=Decimal("-0.5"), spread_bps=Decimal("-49.38"), market=Market.CROSSED, venues=2, vwap={"1m": Vwap(Decimal(100), Decimal(5), 3)},
    legs=(leg("binance", "100", "101"), leg("kraken", "101.5", "102")), epoch=1, seq=1,
)  # fmt: skip


def quote(bid: str, ask: str, instrument: str = "BTC-USDT", **changes: Any) -> Cbbo:
    """A normal quote of two venues."""
    low, high = Decimal(bid), Decimal(ask)
    mid = (low + high) / 2
    made = msgspec.structs.replace(
        QUOTE, instrument=instrument, bid_price=low, ask_price=high, mid=mid, spread=high - low, market=Market.NORMAL,
        spread_bps=10_000 * (high - low) / mid, legs=(leg("binance", str(low - 1), ask), leg("kraken", bid, str(high + 1))),
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


@asynccontextmanager
async def repeated(act: Callable[[], Awaitable[None]], every_s: float) -> AsyncIterator[None]:
    """Does something again and again for the length of the block. It is never cut off in between: a request to the server ends."""
    over = asyncio.Event()

    async def repeat() -> None:
        while not over.is_set():
            await act()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), every_s)

    task = asyncio.create_task(repeat(), name="repeat")
    try:
        yield
    finally:
        over.set()
        await task


class Producers:
    """Numbers events as their producers do, and writes them."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._keys = Keys()
        self._seq: Counter[tuple[str, str, int]] = Counter()

    async def publish(self, *events: Event, entry_id: str = "*") -> None:
        """Write events on their streams and channels, and as last values."""
        for event in events:
            venue_wide = event.instrument == VENUE_WIDE
            stream = self._keys.venue(event.venue) if venue_wide else self._keys.stream(feed_kind(event), event.instrument)
            number = (stream, event.venue, event.epoch)
            self._seq[number] += 1
            data = encode(msgspec.structs.replace(event, seq=self._seq[number]))
            await self._client.xadd(stream, {"d": data}, id=entry_id)
            await self._client.sadd(self._keys.registry(), stream)
            await self._client.hset(self._keys.last(feed_kind(event), event.instrument), event.venue, data)
            await self._client.publish(stream, data)

    async def publish_life(self, epoch: int = 1, state: FeedState = FeedState.LIVE) -> None:
        """An aggregator's sign of life, or that it stops."""
        await self.publish(Status(CONSOLIDATED, VENUE_WIDE, None, time.time_ns(), VENUE_WIDE, state, epoch=epoch))

    @asynccontextmanager
    async def aggregator(self, epoch: int = 1) -> AsyncIterator[None]:
        """An aggregator that is alive for the length of the block, and stops in order."""
        await self.publish_life(epoch)
        async with repeated(lambda: self.publish_life(epoch), LIFE_S):
            yield
        await self.publish_life(epoch, FeedState.DOWN)


@asynccontextmanager
async def example(*command: str) -> AsyncIterator[Process]:
    """The running example, ended with the block."""
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, start_new_session=True)
    try:
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)  # a pipeline is several processes
        await process.communicate()


def python(name: str, *arguments: str) -> tuple[str, ...]:
    """The command of an example in Python."""
    return (sys.executable, str(EXAMPLES / name), *arguments)


async def line(process: Process, *, error: bool = False) -> str:
    """Returns the next line of the program's output."""
    stream = process.stderr if error else process.stdout
    assert stream is not None
    return (await asyncio.wait_for(stream.readline(), 60)).decode().strip()


class Lines:
    """The lines that an example prints while its aggregator lives.

    A machine may be too busy to bring signs of life in time. What the program then adds is left out: that nothing is current, and what it
    had printed before that, once more.
    """

    def __init__(self, process: Process, dead: str) -> None:
        """`dead`: what all lines have that say so."""
        self._process = process
        self._dead = dead
        self._newest = ""

    async def next(self) -> str:
        """Returns the next line."""
        interrupted = False
        while True:
            said = await line(self._process)
            if self._dead in said:
                interrupted = True
            elif not interrupted or said != self._newest:
                self._newest = said
                return said
