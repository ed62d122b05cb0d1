"""Measures how long a dead leg counts: from the event until a consolidated quote no longer counts the leg, or a reader knows.

    python benchmarks/detection.py                     # every condition on every venue, once: about twenty minutes
    python benchmarks/detection.py --runs 3
    python benchmarks/detection.py --only "dead symbol" "halted pair"

Simulated venues, a server, three connectors and an aggregator, each a process with its default settings. Before each event all legs have
counted for `--settle` seconds, so that connectors know the usual pace of their feeds. The conditions:

- `dead symbol`: the stream of one instrument of each venue dies, heartbeats and all else go on. Its market has stepped by 0.1 % once
  (`moved once`), does so every 30 s (`moves on`), or rests (`rests`: the leg is then true, and may count).
- `halted pair`: a pair of each venue is halted, which only the list by REST says.
- `dead venue`: all feeds of one venue stall, its connections are half-open, or they are cut and stay so.
- `dead connector`, `dead aggregator`: killed with SIGKILL. Of the aggregator: until its sign of life is over by `crosstape.liveness`.

`p50_s` and `max_s` are of the times from the event to the first quote since which the leg has not counted, for eight seconds at least;
`never` counts the legs that still did, or did again, after `--longest` seconds. `crossed`: of the consolidated quotes from the event until
then, those whose bid was above the ask, with the dead leg at either side.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import harness
import legs_seen

from crosstape.runtime.embedded_server import free_port

VENUES = ("binance", "coinbase", "kraken")
CONDITIONS = ("dead symbol", "halted pair", "dead venue", "dead connector", "dead aggregator")
INSTRUMENTS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT", "DOGE-USDT", "ADA-USDT")
SYMBOLS = {
    "dead symbol, moved once": ("ETH-USDT", ("stall", "market every=0 by=0.1")),
    "dead symbol, moves on": ("SOL-USDT", ("stall", "market every=30 by=0.1")),
    "dead symbol, rests": ("XRP-USDT", ("stall", "market how=rest")),
    "halted pair": ("ADA-USDT", ("halt",)),
}
"""Condition → instrument and faults. All conditions run at the same time, on all venues."""
VENUE_FAULTS = {"dead venue, stalled": "stall", "dead venue, half-open": "half-open", "dead venue, cut": "cut for=600"}
WATCHED = "ETH-USDT"
"""Instrument whose legs are watched in the conditions that stop a venue, a connector or the aggregator."""
OUT_S = 8.0
"""A leg counts as out once it has not counted for this many seconds."""
START_S = 90.0
AGAIN_S = 180.0
POLL_S = 0.1


class Tape:
    """Simulator, server, three connectors and an aggregator, each a process of its own."""

    def __init__(self, stack: contextlib.ExitStack, rate: float) -> None:
        self._directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="detection-", dir="/tmp")))
        self.url = stack.enter_context(harness.server())
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTAPE_")} | {
            "CROSSTAPE_BUS__URL": self.url,
            "CROSSTAPE_RUN__DIR": str(self._directory),
            "CROSSTAPE_TELEMETRY__HTTP_ENABLED": "false",
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        stack.callback(self._stop)
        file = self._directory / "venues.toml"
        self._settings = ("--settings", str(file))
        control = free_port()
        self._control = f"http://127.0.0.1:{control}"
        self.start("simulator", "simulate", "--rate", str(rate), "--control", str(control), "--write", str(file))
        wait_until(file.exists, "the simulator", START_S)
        for venue in VENUES:
            self.connector(venue)
        self.aggregator()

    def start(self, name: str, *arguments: str) -> None:
        """Start one process; `arguments` are those of the `crosstape` command."""
        with (self._directory / f"{name}.log").open("ab") as log:
            command = (sys.executable, "-m", "crosstape_cli", *arguments)
            self._processes[name] = subprocess.Popen(command, env=self._environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def connector(self, venue: str) -> None:
        """Start the connector of one venue."""
        self.start(venue, "connector", "--venue", venue, *self._settings)

    def aggregator(self) -> None:
        """Start the aggregator."""
        self.start("aggregator", "aggregator", *self._settings)

    def kill(self, name: str) -> int:
        """Kill a process with SIGKILL. Returns the time of the kill, ns since the epoch."""
        self._processes[name].kill()
        now = time.time_ns()
        self._processes[name].wait()
        return now

    def set(self, text: str) -> int:
        """Start a fault in the simulator. Returns the number of the fault."""
        with urllib.request.urlopen(f"{self._control}/faults", text.encode(), timeout=10) as answer:
            return int(json.load(answer)["id"])

    def end(self, number: int) -> None:
        """End a fault. A fault that has already ended is no error."""
        request = urllib.request.Request(f"{self._control}/faults/{number}", method="DELETE")
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=10):
            pass

    def _stop(self) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Figures:
    """The results, by condition: seconds until each leg was out, legs that never were, and crossed quotes."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.never: dict[str, int] = defaultdict(int)
        self.quotes: dict[str, int] = defaultdict(int)
        self.crossed: dict[str, int] = defaultdict(int)

    def add(self, condition: str, seconds: float | None, crossed: legs_seen.Crossed | None = None) -> None:
        """Add the result of one leg. `seconds` None: it still counted at the end of the wait."""
        if seconds is None:
            self.never[condition] += 1
        else:
            self.seconds[condition].append(seconds)
        if crossed is not None:
            self.quotes[condition] += crossed.quotes
            self.crossed[condition] += crossed.crossed
        found = "never" if seconds is None else f"{seconds:.2f} s"
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {condition}: {found}{'' if crossed is None else f', {crossed}'}\n")

    def shown(self) -> dict[str, dict[str, object]]:
        """Returns the figures of each condition for the JSON line."""
        found: dict[str, dict[str, object]] = {}
        for condition in sorted({*self.seconds, *self.never}):
            ordered = sorted(self.seconds[condition])
            figures: dict[str, object] = {"n": len(ordered) + self.never[condition], "never": self.never[condition]}
            if ordered:
                figures |= {"p50_s": round(harness.percentile(ordered, 0.5), 2), "max_s": round(ordered[-1], 2)}
            if self.quotes[condition]:
                figures |= {"quotes": self.quotes[condition], "crossed": self.crossed[condition]}
            found[condition] = figures
        return found


class Measure:
    """Runs the conditions, one after the other."""

    def __init__(self, tape: Tape, seen: legs_seen.LegsSeen, options: argparse.Namespace) -> None:
        self.figures = Figures()
        self._tape = tape
        self._seen = seen
        self._settle_s: float = options.settle
        self._longest_s: float = options.longest

    def symbols(self, wanted: set[str]) -> None:
        """Run all conditions of single instruments at the same time, on all venues. Each has its own instrument; two more stay healthy."""
        chosen = {name: what for name, what in SYMBOLS.items() if name.partition(",")[0] in wanted}
        self._settle()
        since = time.time_ns()
        numbers = [
            self._tape.set(f"{fault} venue={venue} instrument={instrument}")
            for instrument, faults in chosen.values()
            for venue in VENUES
            for fault in faults
        ]
        legs = {(venue, instrument): name for name, (instrument, _) in chosen.items() for venue in VENUES}
        self._until_out(legs, since)
        self._end(numbers)

    def venue(self, condition: str, venue: str) -> None:
        """Stop all feeds of one venue by a fault, and wait until its leg is out."""
        self._settle()
        since = time.time_ns()
        number = self._tape.set(f"{VENUE_FAULTS[condition]} venue={venue}")
        self._until_out({(venue, WATCHED): condition}, since)
        self._end([number])

    def connector(self, venue: str) -> None:
        """Kill one connector, wait until its leg is out, and start it again."""
        self._settle()
        since = self._tape.kill(venue)
        self._until_out({(venue, WATCHED): "dead connector"}, since)
        self._tape.connector(venue)

    def aggregator(self) -> None:
        """Kill the aggregator, wait until readers know that it is dead, and start it again."""
        wait_until(self._seen.aggregator_lives, "the aggregator's sign of life", AGAIN_S)
        time.sleep(2.0)
        since = self._tape.kill("aggregator")
        deadline = time.monotonic() + self._longest_s
        while self._seen.aggregator_lives() and time.monotonic() < deadline:
            time.sleep(POLL_S / 10)
        lives = self._seen.aggregator_lives()
        self.figures.add("dead aggregator", None if lives else (time.time_ns() - since) / 1e9)
        self._tape.aggregator()

    def _settle(self) -> None:
        """Return when all legs count, and have counted for `--settle` seconds."""
        wait_until(lambda: self._seen.count(VENUES, INSTRUMENTS), "all legs", AGAIN_S)
        deadline = time.monotonic() + self._settle_s
        while time.monotonic() < deadline:
            time.sleep(POLL_S)
        wait_until(lambda: self._seen.count(VENUES, INSTRUMENTS), "all legs", AGAIN_S)
        self._seen.forget()

    def _until_out(self, legs: dict[tuple[str, str], str], since: int) -> None:
        """Wait until each leg is out, or `--longest` seconds are over; add the results."""
        deadline = time.monotonic() + self._longest_s
        while time.monotonic() < deadline and any(self._seen.out_for_s(*leg) < OUT_S for leg in legs):
            time.sleep(POLL_S)
        for leg, condition in legs.items():
            out_since = self._seen.out_since(*leg) if self._seen.out_for_s(*leg) >= OUT_S else 0
            crossed = self._seen.crossed(*leg, since, out_since or time.time_ns())
            self.figures.add(condition, (out_since - since) / 1e9 if out_since else None, crossed)

    def _end(self, numbers: list[int]) -> None:
        for number in numbers:
            self._tape.end(number)


def wait_until(holds: Callable[[], bool], what: str, timeout_s: float) -> None:
    """Wait until `holds()` is true. Raises `SystemExit` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"detection: waited {timeout_s:g} s for {what}")
        time.sleep(POLL_S)


@contextlib.contextmanager
def seeing(url: str) -> Iterator[legs_seen.LegsSeen]:
    """Run a subscriber for the length of the block."""
    seen = legs_seen.LegsSeen(url)
    seen.start()
    try:
        yield seen
    finally:
        seen.stop()


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1, help="how often to run every condition on every venue")
    parser.add_argument("--rate", type=float, default=120.0, help="orders a second, over all venues")
    parser.add_argument("--settle", type=float, default=40.0, help="seconds before each event: feeds are questioned late in their first 30")
    parser.add_argument("--longest", type=float, default=90.0, help="longest wait for a leg to be out, in seconds")
    parser.add_argument("--only", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    options = parser.parse_args()
    wanted = set(options.only)
    with contextlib.ExitStack() as stack:
        tape = Tape(stack, options.rate)
        seen = stack.enter_context(seeing(tape.url))
        measure = Measure(tape, seen, options)
        for _ in range(options.runs):
            if wanted.intersection(("dead symbol", "halted pair")):
                measure.symbols(wanted)
            for venue in VENUES:
                if "dead venue" in wanted:
                    for condition in VENUE_FAULTS:
                        measure.venue(condition, venue)
                if "dead connector" in wanted:
                    measure.connector(venue)
                if "dead aggregator" in wanted:
                    measure.aggregator()
    harness.report(benchmark="detection", runs=options.runs, rate=options.rate, settle_s=options.settle, conditions=measure.figures.shown())


if __name__ == "__main__":
    main()
