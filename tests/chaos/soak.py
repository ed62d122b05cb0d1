"""A soak test: the complete tape at a steady rate, regular faults, and the checker all the time. Ends with one JSON line of figures.

    make soak                                          # ten minutes, 10,000 orders a second
    make soak ARGS='--minutes 2 --rate 500 --seed 7'
    make soak ARGS='--venues all --pairs 20 --calm'    # a connector for each simulated venue, twenty instruments each, no faults

Exits 1 if anything is wrong: a violation, a process that ended, memory that grew by more than a tenth since the second minute, or a p99
over the budget while no fault was near. `--rate` counts orders; 10,000 orders make some 5,000 frames, and the figures give the exact count.
Latency is measured by `listener`. Venues and checker, which nobody runs beside a real tape, get the processor time that the tape leaves.
Failures that are known (`cases.KNOWN`) are left out. Linux only.

With `--pairs` the checker reads the instruments that most venues list (`CHECKED` of them): a tape of thousands of feeds is more than one
process can check beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp

from crosstape.runtime import lifecycle
from crosstape_cli.simulate import shortest_candles
from crosstape_simulator.spec import VENUES
from crosstape_simulator.venues.registry import VENUES as SIMULATED
from crosstape_simulator.venues.registry import default_listings
from tests.chaos.checker import Bounds, Checker
from tests.chaos.rehearsal import Rehearsal
from tests.chaos.soak_processes import Services, services
from tests.chaos.stand import INSTRUMENTS
from tests.chaos.tape import Follower
from tests.chaos.true_market import TrueMarket
from tests.chaos.violations import Violation
from tests.waiting import wait_until

FAULTS: Final = (
    "cut",
    "cut for=3",
    "half-open for=3",
    "close",
    "lifetime at=1 for=3",
    "slow-loris for=3",
    "oversized",
    "malformed how=json count=5",
    "malformed how=unknown count=5",
    "malformed how=opcode",
    "stall for=4",
    "stall kind=book instrument=BTC-USDT for=8",
    "drop probability=0.05 count=0 for=3",
    "drop kind=trade probability=0.1 count=0 for=3",
    "duplicate probability=0.1 count=0 for=3",
    "duplicate kind=trade probability=0.1 count=0 for=3",
    "swap probability=0.05 count=0 for=3",
    "delay kind=all by=1 for=3",
)
ONLY: Final = {"kraken": ("checksum count=3", "checksum what=level count=3", "maintenance for=3"), "coinbase": ("reset for=3",)}
CALM_S: Final = 12.0
"""Seconds after the start of a fault until its consequences are over and latency counts again."""

BOUNDS: Final = Bounds(fresh_s=25.0, detect_s=25.0, traded_s=25.0)
WARM_S: Final = 120.0
"""Memory is compared with what it was then."""

P99_US: Final = 5_000
GROWTH: Final = 1.1
OTHERS: Final = ("simulator", "listener")
"""Processes that are no part of the tape: what they remember of the market and of latencies grows for a while. Their figures are shown."""

CHECKED: Final = 4
"""Instruments that are checked where there are many."""

LOG_LINES: Final = 15
"""Of a process that has ended."""

SHOWN: Final = 5
"""How many violations of each rule are printed one by one."""
UNIT_US: Final = 100
POLL_S: Final = 0.5


class Soak:
    """One soak test, from its first fault to its figures."""

    def __init__(self, options: argparse.Namespace, running: Services, market: TrueMarket, rehearsal: Rehearsal) -> None:
        self.violations: list[Violation] = []
        self.faults = 0
        self._options = options
        self._services = running
        self._market = market
        self._rehearsal = rehearsal
        self._follower = Follower(running.client, instruments={name for _, name in market.of})
        self._checker = Checker(market.of, BOUNDS, consolidated=True, windows=True)
        self._late: Counter[int] = Counter()
        self._shown: Counter[str] = Counter()
        self._fault_ts = 0
        self._random = random.Random(options.seed)

    async def look(self) -> None:
        """Check what has come since the last time."""
        entries = await self._follower.more()
        await self._market.more()  # after the tape: all that is on it has happened
        self.note(list(self._checker.take(entries, self._follower.trimmed)))

    def note(self, found: list[Violation]) -> None:
        """Print violations as they are found."""
        for violation in found:
            self._shown[violation.what] += 1
            if self._shown[violation.what] <= SHOWN:
                tell(violation=str(violation))
        self.violations += found

    async def fail(self) -> None:
        """Let something go wrong."""
        venue = self._random.choice(self._options.venues)
        text = f"{self._random.choice((*FAULTS, *ONLY.get(venue, ())))} venue={venue}"
        self._fault_ts = time.time_ns()
        self.faults += 1
        tell(fault=text)
        await self._rehearsal.set(text)

    async def listen(self) -> None:
        """Add the listener's figures while no fault is near, until cancelled."""
        stream = self._services.processes["listener"].stdout
        assert stream is not None
        while line := await stream.readline():
            told = json.loads(line)
            if not 0 <= told["ts"] - self._fault_ts < CALM_S * 1e9:
                self._late.update({int(units): count for units, count in told["late"].items()})

    def done(self) -> None:
        """Check the end of the tape."""
        self.note(self._checker.done())

    @property
    def checked(self) -> dict[str, int]:
        """How much was looked at."""
        return self._checker.checked

    def late_us(self, share: float) -> int:
        """Latency that this share of quotes stayed within."""
        left = share * sum(self._late.values())
        for units in sorted(self._late):
            left -= self._late[units]
            if left <= 0:
                return (units + 1) * UNIT_US
        return 0


def tell(**what: object) -> None:
    """Print the progress, for a person who watches."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {json.dumps(what)}\n")


def checked(venues: Sequence[str], pairs: int) -> list[tuple[str, str]]:
    """The feeds that are checked: (venue, instrument)."""
    if not pairs:
        return [(venue, name) for venue in venues for name in INSTRUMENTS]
    listed = {venue: [one.instrument for one in default_listings(venue, pairs=pairs)] for venue in venues}
    names = [name for name, _ in Counter(name for found in listed.values() for name in found).most_common(CHECKED)]
    return [(venue, name) for name in names for venue in venues if name in listed[venue]]


async def soak(options: argparse.Namespace) -> dict[str, Any]:
    """Run it; the figures."""
    with tempfile.TemporaryDirectory(prefix="soak-", dir="/tmp") as directory:
        async with (
            services(Path(directory), rate=options.rate, seed=options.seed, venues=options.venues, pairs=options.pairs) as running,
            aiohttp.ClientSession(running.control) as http,
        ):
            figures = await _soaked(options, running, http)
            for name in running.ended:
                tell(ended=name, log=(Path(directory) / f"{name}.log").read_text(errors="replace").splitlines()[-LOG_LINES:])
            return figures


async def _soaked(options: argparse.Namespace, running: Services, http: aiohttp.ClientSession) -> dict[str, Any]:
    feeds = checked(options.venues, options.pairs)
    contracts = [
        (one.venue, one.instrument) for venue in options.venues for one in default_listings(venue, pairs=options.pairs) if one.is_contract
    ]
    candles = {venue: shortest_candles(venue) for venue in options.venues}
    market = TrueMarket(http, feeds, timeframes=candles, contracts=contracts)
    one = Soak(options, running, market, Rehearsal(http))
    await wait_until(lambda: running.client.exists(f"tape:cbbo:{feeds[0][1]}"), what="a consolidated quote", timeout_s=60 + 5 * len(feeds))
    listening = asyncio.create_task(one.listen(), name="listen")
    for pid in (0, running.processes["simulator"].pid):  # 0: ourselves
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
    seconds, next_fault, frames = options.minutes * 60, options.every, 0.0
    warm: dict[str, float] = {}
    cpu: dict[str, float] = {}
    lasted = seconds
    async with aiohttp.ClientSession() as plain:
        try:
            await wait_until(lambda: running.serve(plain), what="figures of all connectors", timeout_s=60)
            used = await running.cpu_s()
            frames_before, started = await running.frames(plain), time.monotonic()
            while (passed := time.monotonic() - started) < seconds and not running.ended:
                begun = time.monotonic()
                await one.look()
                if not options.calm and passed >= next_fault and passed < seconds - CALM_S:
                    next_fault += options.every
                    await one.fail()
                if not warm and passed >= min(WARM_S, seconds / 2):
                    warm = await running.rss_mib()
                await asyncio.sleep(max(0.0, POLL_S - (time.monotonic() - begun)))
            frames, lasted = await running.frames(plain) - frames_before, time.monotonic() - started
            cpu = {name: round((spent - used[name]) / lasted, 3) for name, spent in (await running.cpu_s()).items() if name in used}
            await one.look()
            one.done()
        finally:
            listening.cancel()
            await asyncio.wait({listening})
    return {
        **_figures(one, running.ended, warm, await running.rss_mib()),
        "minutes": options.minutes,
        "orders_per_s": options.rate,
        "frames_per_s": round(frames / lasted),
        "cpu_cores": cpu,
        "seed": options.seed,
    }


def _figures(one: Soak, ended: list[str], warm: dict[str, float], end: dict[str, float]) -> dict[str, Any]:
    growth = {name: round(end[name] / warm[name], 3) for name in warm if warm[name] and end.get(name)}
    p99 = one.late_us(0.99)
    wrong = {
        "violations": len(one.violations),
        "ended": ended,
        "grown": [name for name, ratio in growth.items() if ratio > GROWTH and name not in OTHERS],
        "late": p99 > P99_US,
    }
    return {
        "soak": "ok" if not any(wrong.values()) else "failed",
        **wrong,
        "faults": one.faults,
        "checked": one.checked,
        "by_rule": dict(Counter(violation.what for violation in one.violations)),
        "latency_us": {"p50": one.late_us(0.5), "p99": p99, "p999": one.late_us(0.999)},
        "rss_mib": {name: [round(warm.get(name, 0), 1), round(end[name], 1)] for name in end},
        "rss_ratio": growth,
    }


def main() -> int:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=10_000.0, help="orders a second, over all venues")
    parser.add_argument("--every", type=float, default=20.0, help="seconds from one fault to the next")
    parser.add_argument("--seed", type=int, default=1, help="of the market and of the choice of faults")
    parser.add_argument("--venues", nargs="+", default=VENUES, help="all: each that is simulated")
    parser.add_argument("--pairs", type=int, default=0, help="instruments of each venue; 0: its usual ones, of which two are checked")
    parser.add_argument("--calm", action="store_true", help="set no faults")
    options = parser.parse_args()
    if options.venues == ["all"]:
        options.venues = tuple(SIMULATED)
    lifecycle.tune_gc()  # what is remembered of the market is much, and no garbage
    figures = asyncio.run(soak(options))
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0 if figures["soak"] == "ok" else 1


if __name__ == "__main__":
    raise SystemExit(main())
