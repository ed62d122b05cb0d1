"""Counts the instructions per frame of a connector and per event of an aggregator, of this tree and of another one.

A busy machine does not change these counts, unlike times.

    python benchmarks/instructions.py --against ../before/.venv/bin/python

The services run as the command starts them, under valgrind (which must be installed). All input waits before they start, so that batches
are as large as they get, and `aggregator.min_interval_s` is 0, so that the number of quotes does not depend on speed. Each service runs
twice, with few and with many frames or events: the difference leaves out start and end. Counts of the same tree still
differ by some 1 % for a connector, and by up to 3 % for an aggregator.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import harness
import msgspec
import redis

from crosstape_schemas import Cbbo, decode

FEW, MANY = 10_000, 40_000
LIMIT_S = 600.0
POLL_S = 0.1
SYMBOLS = 20
"""How many instruments the connector reads."""
REFS = re.compile(rb"I +refs: +([\d,]+)")
SETTINGS = """\
[bus]
url = "{bus}"
[bus.max_len]
trade = 10_000_000
quote = 10_000_000
[run]
dir = "{directory}"
[telemetry]
http_enabled = false
log_level = "warning"
[aggregator]
stale_s = 3600.0
min_interval_s = 0
[venues.binance]
instruments = {names}
kinds = ["trade"]
candles = []
ws_url = "ws://127.0.0.1:{port}/stream"
rest_url = "http://127.0.0.1:{port}"
"""


class Counted:
    """A service that runs under valgrind."""

    def __init__(self, python: str, service: tuple[str, ...], directory: Path) -> None:
        """`directory`: with `settings.toml`."""
        self._log = directory / "valgrind.log"
        valgrind = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", f"--log-file={self._log}")
        command = (*valgrind, python, "-m", "crosstape_cli.main", *service, "--settings", str(directory / "settings.toml"))
        self.process = subprocess.Popen(command, env=os.environ | {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"})

    def wait_for(self, so: Callable[[], bool], what: str) -> None:
        """Wait until `so()` is true. Ends the program if that takes too long, or if the service has ended."""
        deadline = time.monotonic() + LIMIT_S
        while not so():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit(f"instructions: {what} never came")
            time.sleep(POLL_S)

    def end(self) -> int:
        """Stop the service. Returns the number of instructions that it executed."""
        self.process.terminate()
        self.process.wait(LIMIT_S)
        found = REFS.search(self._log.read_bytes())
        assert found is not None
        return int(found[1].replace(b",", b""))


@contextlib.contextmanager
def counted(python: str, service: tuple[str, ...], bus: str, names: list[str], port: int = 1) -> Iterator[Counted]:
    """Run a service under valgrind for the length of the block, or until it is stopped before."""
    with tempfile.TemporaryDirectory() as directory:
        settings = SETTINGS.format(bus=bus, directory=directory, names=msgspec.json.encode(names).decode(), port=port)
        (Path(directory) / "settings.toml").write_text(settings)
        one = Counted(python, service, Path(directory))
        try:
            yield one
        finally:
            one.process.kill()
            one.process.wait()


def connector(python: str, count: int) -> int:
    """Returns the instructions of a connector that has published `count` trades."""
    names = list(harness.instruments(SYMBOLS))
    with (
        harness.server() as bus,
        redis.Redis.from_url(bus) as client,
        harness.source("--symbols", str(SYMBOLS), "--count", str(count)) as port,
        counted(python, ("connector", "--venue", "binance"), bus, names, port) as one,
    ):
        one.wait_for(lambda: sum(client.xlen(f"tape:trade:{name}") for name in names) >= count, "all trades on the tape")
        return one.end()


def aggregator(python: str, count: int, *, instruments: int) -> int:
    """Returns the instructions of an aggregator that has read `count` events."""
    names = list(harness.instruments(instruments))
    with harness.server() as bus, redis.Redis.from_url(bus) as client:
        loading = (str(harness.HERE / "loader.py"), bus, str(instruments), str(count))
        with harness.process(*loading, stdin=True) as loader, counted(python, ("aggregator",), bus, names) as one:
            assert loader.stdin is not None
            trades = 1 + sum(turn % 3 == 2 for turn in range(count // 3 // instruments))

            def has(wanted: int) -> bool:
                last = client.xrevrange(f"tape:cbbo:{names[-1]}", count=1)
                event = decode(last[0][1][b"d"]) if last else None
                return isinstance(event, Cbbo) and event.vwap["1h"].trades >= wanted

            one.wait_for(lambda: client.scard("tape:streams") >= instruments * 3 and has(3), "a quote of each instrument")
            one.process.send_signal(signal.SIGSTOP)
            loader.stdin.write(b"go\n")
            loader.stdin.flush()
            loader.wait(LIMIT_S)
            one.process.send_signal(signal.SIGCONT)
            one.wait_for(lambda: has(3 * trades), "a quote of all trades")
            return one.end()


def compared(measure: Callable[[str, int], int], pythons: list[str]) -> dict[str, float]:
    """Returns the instructions per frame or event of each tree."""
    found = [round((measure(python, MANY) - measure(python, FEW)) / (MANY - FEW)) for python in pythons]
    figures: dict[str, float] = dict(zip(("ours", "theirs"), found, strict=False))
    return figures if len(found) == 1 else figures | {"ratio": round(found[0] / found[1], 3)}


def main() -> None:
    """Print one JSON line for each service."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="PYTHON", default="", help="of the other tree's environment; empty: only this tree's")
    parser.add_argument("--instruments", type=int, nargs="*", default=[10, 200], help="of the aggregator")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        raise SystemExit("instructions: valgrind is not installed")
    pythons = [sys.executable, *filter(None, [options.against])]
    harness.report(benchmark="instructions", service="connector", **compared(connector, pythons))
    for number in options.instruments:
        found = compared(partial(aggregator, instruments=number), pythons)
        harness.report(benchmark="instructions", service="aggregator", instruments=number, **found)


if __name__ == "__main__":
    main()
