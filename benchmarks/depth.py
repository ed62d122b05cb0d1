"""Measures what consolidated books cost: CPU of an aggregator with them minus without them, in one run, and memory per instrument.

    python benchmarks/depth.py --instruments 200 --venues 5 --seconds 5

Each venue sends a quote and a book of ten levels of each instrument ten times a second, a tenth of the instruments at a time. Two engines
apply the same events, one with `aggregator.depth_levels`, one without; both publish to a server. Reading from the bus is the same for both
and left out. Time is simulated, so the rate does not depend on the machine; CPU time is that of this process. Prints one JSON line: of each
round, the share of one core.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import random
import time
from decimal import Decimal
from pathlib import Path

import harness
import uvloop

from crosstape.bus import Publisher, connect
from crosstape.runtime import lifecycle
from crosstape.settings import AggregatorSettings, BusSettings
from crosstape_aggregator.clocks import SECOND
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_schemas import VENUE_WIDE, Book, Event, FeedState, Keys, Level, Quote, Status

RATE = 10
"""Books a second of each venue and instrument."""
PHASES = 10
LEVELS = 10
TICK = Decimal("0.01")
UNIT = Decimal("0.00000001")
SIZES = (Decimal("0.1"), Decimal(1), Decimal(5))


class Market:
    """Makes the events of all venues. Spreads differ, so that venues take turns in having the best price."""

    def __init__(self, instruments: int, venues: int) -> None:
        self.names = [f"COIN{i}-USDT" for i in range(instruments)]
        self.venues = [f"venue{i}" for i in range(venues)]
        self.now = time.time_ns()
        self._random = random.Random(1)
        self._steps = 0

    def step(self) -> list[Event]:
        """Return the events of one phase of a period, received now."""
        self.now += SECOND // RATE // PHASES
        self._steps += 1
        seq = -(-self._steps // PHASES)
        events: list[Event] = [Status(venue, VENUE_WIDE, None, self.now, VENUE_WIDE, FeedState.LIVE, epoch=1) for venue in self.venues]
        for name in self.names[self._steps % PHASES :: PHASES]:
            middle = 5_700_000 + self._random.randrange(500)
            for venue in self.venues:
                bids, asks = self._side(middle, -1), self._side(middle, 1)
                quote = Quote(venue, name, None, self.now, *bids[0], *asks[0], epoch=1, seq=seq)
                events += [quote, Book(venue, name, None, self.now, bids, asks, LEVELS, FeedState.LIVE, epoch=1, seq=seq)]
        return events

    def _side(self, middle: int, sign: int) -> tuple[Level, ...]:
        levels = []
        price = middle
        for _ in range(LEVELS):
            price += sign * self._random.randint(1, 20)
            levels.append((price * TICK, self._random.randint(1, 200_000_000) * UNIT))
        return tuple(levels)


def settings(*, depth: bool, sizes: tuple[Decimal, ...]) -> AggregatorSettings:
    """Return the settings of one engine."""
    return AggregatorSettings(depth_levels=LEVELS if depth else 0, sweep_sizes={"*": sizes} if sizes else {}, windows=())


async def turn(engine: Engine, publisher: Publisher, events: list[Event], now: int) -> float:
    """Apply the events of one phase and publish what is due. Returns the CPU seconds."""
    start = time.process_time()
    engine.apply(events, now)
    publisher.publish_all(engine.due(now))
    publisher.publish_all(engine.due_outputs(now, len(engine.instruments)))
    if not await publisher.drain(60):
        raise SystemExit("depth: the server did not take the events")
    return time.process_time() - start


async def measure(url: str, options: argparse.Namespace, sizes: tuple[Decimal, ...]) -> dict[str, float]:
    """Measure one round."""
    bus = BusSettings(url=url)
    engines = [Engine(settings(depth=depth, sizes=sizes)) for depth in (False, True)]
    market = Market(options.instruments, options.venues)
    cpu_s = [0.0, 0.0]
    async with connect(bus) as client:
        publisher = Publisher(client, Keys(), bus, producer="aggregator")
        running = asyncio.create_task(publisher.run())
        for step in range(-RATE * PHASES, options.seconds * RATE * PHASES):
            events = market.step()
            for index in (0, 1) if step % 2 else (1, 0):
                spent = await turn(engines[index], publisher, events, market.now)
                cpu_s[index] += spent if step >= 0 else 0.0  # the first second warms up
        running.cancel()
    books = engines[1].counts.depths * options.seconds // (options.seconds + 1)
    without, with_books = (100 * spent / options.seconds for spent in cpu_s)
    return {
        "without_percent": round(without, 1),
        "with_percent": round(with_books, 1),
        "depth_percent": round(with_books - without, 1),
        "us_per_depth": round((cpu_s[1] - cpu_s[0]) / books * 1e6, 1),
    }


def resident(depth: bool, instruments: int, venues: int) -> int:
    """Return the bytes of a process that holds the newest events of its instruments, with or without consolidated books."""
    engine = Engine(settings(depth=depth, sizes=SIZES))
    market = Market(instruments, venues)
    for _ in range(3 * PHASES):
        events = market.step()
        engine.apply(events, market.now)
        engine.due(market.now)
        engine.due_outputs(market.now, instruments)
        del events
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def memory_per_instrument(instruments: int, venues: int) -> int:
    """Return the bytes that an instrument needs for its consolidated book."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        without, with_books = (pool.apply(resident, (depth, instruments, venues)) for depth in (False, True))
    return (with_books - without) // instruments


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instruments", type=int, default=200)
    parser.add_argument("--venues", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    lifecycle.tune_gc()
    rounds: dict[str, list[dict[str, float]]] = {"without_sweeps": [], "with_3_sweeps": []}
    for _ in range(options.rounds):
        for name, sizes in (("without_sweeps", ()), ("with_3_sweeps", SIZES)):
            with harness.server() as url, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                rounds[name].append(runner.run(measure(url, options, sizes)))
    per_instrument = memory_per_instrument(1_000, options.venues)
    harness.report(
        benchmark="depth",
        instruments=options.instruments,
        venues=options.venues,
        rate=RATE,
        bytes_per_instrument=per_instrument,
        rounds=rounds,
    )


if __name__ == "__main__":
    main()
