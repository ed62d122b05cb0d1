"""Puts quotes of one venue on the tape at an even pace, as a connector would. A quote's bid size is the moment when it was written.

    python benchmarks/paced_writer.py URL INSTRUMENTS RATE SECONDS

First one quote of each instrument, so that the streams exist; then, after a line on standard input, RATE quotes a second, instruments in
turn, for so many seconds.
"""

from __future__ import annotations

import asyncio
import sys
import time
from decimal import Decimal

import harness
import uvloop

from crosstape.bus import Publisher, connect
from crosstape.settings import BusSettings
from crosstape_schemas import VENUE_WIDE, FeedState, Keys, Quote, Status

VENUE = "binance"
TURN_S = 0.0005
FLOW_EVERY = 256
SIZE, TICK = Decimal("1.50000000"), Decimal("0.01")


def quote(names: tuple[str, ...], index: int) -> Quote:
    """Returns the index-th quote, written now."""
    now = time.time_ns()
    seconds, rest = divmod(now, 1_000_000_000)
    bid = Decimal(100_000 + index % 977) * TICK
    return Quote(VENUE, names[index % len(names)], None, now, bid, Decimal(f"{seconds}.{rest:09d}"), bid + TICK, SIZE)


async def main() -> None:
    """Publish one quote of each instrument, wait for a line on standard input, then publish the rest."""
    url, names, rate, seconds = sys.argv[1], harness.instruments(int(sys.argv[2])), float(sys.argv[3]), float(sys.argv[4])
    settings = BusSettings(url=url)
    async with connect(settings) as client, asyncio.TaskGroup() as tasks:
        publisher = Publisher(client, Keys(), settings, producer=f"connector.{VENUE}")
        running = tasks.create_task(publisher.run())
        publisher.publish(Status(VENUE, VENUE_WIDE, None, time.time_ns(), kind=VENUE_WIDE, state=FeedState.LIVE))
        for index in range(len(names)):
            publisher.publish(quote(names, index))
            if not index % FLOW_EVERY:
                await publisher.flow()
        await publisher.drain(60)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)  # no timeout: the benchmark decides when
        start, written, count = time.monotonic(), 0, int(rate * seconds)
        while written < count:
            due = min(count, int((time.monotonic() - start) * rate) + 1)
            publisher.publish_all(quote(names, index) for index in range(written, due))
            written = due
            await publisher.flow()
            await asyncio.sleep(TURN_S)
        await publisher.drain(60)
        running.cancel()


if __name__ == "__main__":
    uvloop.run(main())
