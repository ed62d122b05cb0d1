"""A tape that is open, and what it takes to write to it: for the tests of `Tape`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from crosstape import Bar, Event, Publisher, Status, Subscription, Tape
from crosstape.settings import BusSettings
from crosstape_schemas import CONSOLIDATED, VENUE_WIDE, FeedState
from tests.bus.tape import BTC, MINUTE_NS, fast, publishing, trade

E = TypeVar("E", bound=Event)

TASKS = ("tape.", "bus.reader", "bus.signs_of_life")
"""How the names of a tape's tasks begin."""


@contextlib.asynccontextmanager
async def taping(url: str, *, queue_events: int = 10_000, **changes: Any) -> AsyncIterator[Tape]:
    """A tape of this server, which leaves no task behind. It waits for an answer as long as a busy machine may take."""
    async with Tape(fast(url, **{"timeout_s": 20.0, **changes}), queue_events=queue_events) as tape:
        yield tape
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith(TASKS)] == []


@contextlib.asynccontextmanager
async def tape_and_publisher(url: str, *, queue_events: int = 10_000, **changes: Any) -> AsyncIterator[tuple[Tape, Publisher]]:
    """Both, of one server."""
    settings: BusSettings = fast(url, **changes)
    async with publishing(settings) as publisher, taping(url, queue_events=queue_events) as tape:
        yield tape, publisher


async def begun(subscription: Subscription[E], *streams: str) -> None:
    """The subscription has found its place on its streams, or on these."""
    async with asyncio.timeout(60):
        while not subscription.positions.keys() >= set(streams or subscription.streams) or not subscription.positions:
            assert not await subscription.read(timeout_s=0.02)


async def write(publisher: Publisher, first: int, last: int, make: Callable[[int], Event] = trade) -> None:
    """Events of these numbers, on the tape."""
    publisher.publish_all(make(number) for number in range(first, last + 1))
    assert await publisher.drain(20)


async def taken(subscription: Subscription[E], count: int) -> list[E]:
    """The next `count` events of a loop."""
    found: list[E] = []
    async with asyncio.timeout(60):
        async for event in subscription:
            found.append(event)
            if len(found) == count:
                break
    return found


def is_current(tape: Tape, publisher: Publisher, event: Event) -> bool:
    """Whether an event is current, while its producer gives signs of life."""
    publisher.publish(Status("binance", VENUE_WIDE, None, time.time_ns(), VENUE_WIDE, FeedState.LIVE))
    return tape.is_current(event)


def bar(minute: int, *, venue: str = CONSOLIDATED, closed: bool = False, revision: int = 0, trades: int = 1, ts: int = 0) -> Bar:
    """A bar that opened at `minute` since `ts`."""
    opened = ts + minute * MINUTE_NS
    return Bar(
        venue, BTC, None, opened + 1, "1m", opened, opened + MINUTE_NS, None, None, None, None, 0, 0, trades, None,  # type: ignore[arg-type]
        closed=closed, revision=revision,
    )  # fmt: skip
