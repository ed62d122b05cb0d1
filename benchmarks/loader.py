"""Puts quotes and trades of three venues on the tape, as three connectors would: two quotes to one trade, instruments in turn.

    python benchmarks/loader.py URL INSTRUMENTS EVENTS

First one quote of each, so that the streams exist; then, after a line on standard input, the rest as fast as the server takes them.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from decimal import Decimal

from crosstape.bus import Publisher, connect
from crosstape.settings import BusSettings, MaxLen
from crosstape_schemas import VENUE_WIDE, Event, FeedState, Keys, Quote, Side, Status, Trade

VENUES = ("binance", "coinbase", "kraken")
TURN = 256
KEPT = 10_000_000
SIZE = Decimal("1.50000000")
TICK = Decimal("0.01")


def events(venue: str, names: list[str], count: int) -> Iterator[Event]:
    """Returns quotes and trades whose prices stay within one percent, so that no venue is an outlier."""
    for index in range(count):
        name, now = names[index % len(names)], time.time_ns()
        price = Decimal(100_000 + index % 977) * TICK
        if index // len(names) % 3 == 2:
            yield Trade(venue, name, now, now, price, SIZE, Side.BUY, str(index))
        else:
            yield Quote(venue, name, None, now, price, SIZE, price + TICK, SIZE)


async def produce(publisher: Publisher, made: Iterator[Event]) -> None:
    """Publish all events, never far ahead of the server."""
    for index, event in enumerate(made):
        publisher.publish(event)
        if not index % TURN:
            await publisher.flow()


async def main() -> None:
    """Publish one quote of each instrument, wait for a line on standard input, then publish the rest."""
    url, instruments, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    names = [f"COIN{i}-USDT" for i in range(instruments)]
    settings = BusSettings(url=url, max_len=MaxLen(trade=KEPT, quote=KEPT))
    async with connect(settings) as client, asyncio.TaskGroup() as tasks:
        publishers = {venue: Publisher(client, Keys(), settings, producer=f"connector.{venue}") for venue in VENUES}
        running = [tasks.create_task(publisher.run()) for publisher in publishers.values()]
        for venue, publisher in publishers.items():
            now = time.time_ns()
            publisher.publish(Status(venue, VENUE_WIDE, None, now, kind=VENUE_WIDE, state=FeedState.LIVE))
            await produce(publisher, events(venue, names, 3 * len(names)))
        for publisher in publishers.values():
            await publisher.drain(60)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)  # no timeout: the benchmark decides when
        await asyncio.gather(*(produce(publisher, events(venue, names, count // 3)) for venue, publisher in publishers.items()))
        for publisher in publishers.values():
            await publisher.drain(60)
        for task in running:
            task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
