"""Records a demo while venues and processes fail, and audits what was published: every value must follow from what was recorded.

    python -m tests.chaos.audited --minutes 30                      # ends with one JSON line of figures

Exits with 1 if a value differs, if fewer than `--values` were compared, if a process cannot be restarted, or if an input that is changed on
purpose is not found. Faults of venues and kills of a connector, the aggregator, the recorder or the server take turns. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
from redis.asyncio import Redis
from redis.exceptions import RedisError

from crosstape.runtime.embedded_server import free_ports
from crosstape.settings import Settings
from crosstape.settings.load import load
from crosstape_cli.demo_outputs import outputs
from crosstape_recorder.audit.findings import Audit
from tests.chaos.audited_store import audited, found_changes
from tests.chaos.rehearsal import Rehearsal
from tests.waiting import wait_until

VENUES: Final = ("binance", "coinbase", "kraken", "bitfinex", "binance_usdm")
FAULTS: Final = (
    "cut",
    "cut for=3",
    "half-open for=3",
    "close",
    "lifetime at=1 for=3",
    "malformed how=json count=5",
    "stall for=4",
    "stall kind=book for=8",
    "drop probability=0.05 count=0 for=3",
    "drop kind=trade probability=0.1 count=0 for=3",
    "duplicate probability=0.1 count=0 for=3",
    "swap probability=0.05 count=0 for=3",
    "delay kind=all by=1 for=3",
    "skew by=30 for=10",
)
KILLED: Final = ("connector", "aggregator", "valkey-server", "connector", "recorder")
"""Words of the command lines of processes that are killed, in turn."""
KINDS: Final = ("trade", "quote", "book", "status", "gap", "cbbo", "bar", "depth", "edge")
CALM_S: Final = 25.0
"""Time before the first fault, and after the last one."""
EVERY_S: Final = 12.0
START_S: Final = 90.0
STOP_S: Final = 60.0


class Running(NamedTuple):
    """A demo and a recorder that run."""

    demo: Process
    client: Redis
    control: str
    settings: Settings
    environ: Mapping[str, str]
    directory: Path


@contextlib.asynccontextmanager
async def running(directory: Path, *, rate: float, seed: int) -> AsyncIterator[Running]:
    """Run the demo for the length of the block; `recording` runs the recorder beside it."""
    port, control = free_ports(2)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CROSSTAPE_")}
    environ |= {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(directory)}
    options = ("--venues", ",".join(VENUES), "--port", str(port), "--control", str(control), "--rate", str(rate), "--seed", str(seed))
    with (directory / "demo.log").open("ab") as log:
        demo = await asyncio.create_subprocess_exec(
            sys.executable, *("-m", "crosstape_cli", "demo", *options, "--logs", str(directory)),
            env=environ, stdin=DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    environ |= outputs(VENUES)
    environ |= {
        "CROSSTAPE_BUS__URL": f"redis://127.0.0.1:{port}",
        "CROSSTAPE_RUN__DIR": str(directory),
        "CROSSTAPE_RECORDER__KINDS": ",".join(KINDS),
        "CROSSTAPE_RECORDER__KEEP": "events",
        "CROSSTAPE_RECORDER__COMMIT_S": "5",
        "CROSSTAPE_TELEMETRY__HTTP_ENABLED": "false",
    }
    settings = load(None, environ=environ)
    try:
        async with Redis(port=port) as client:
            yield Running(demo, client, f"http://127.0.0.1:{control}", settings, environ, directory)
    finally:
        await stop(demo)


async def start_recorder(one: Running) -> Process:
    """Start the recorder."""
    with (one.directory / "recorder.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "crosstape_cli", "recorder", env=dict(one.environ), stdin=DEVNULL, stdout=log, stderr=log
        )


async def stop(process: Process) -> None:
    """Stop a process in order."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


class Chaos:
    """Faults of venues and kills of processes, in turn."""

    def __init__(self, one: Running, rehearsal: Rehearsal, seed: int) -> None:
        self.recorder: Process | None = None
        self.done: Counter[str] = Counter()
        self._one = one
        self._rehearsal = rehearsal
        self._random = random.Random(seed)
        self._turn = 0

    async def next(self) -> None:
        """Let something fail."""
        self._turn += 1
        if self._turn % 2:
            fault = f"{self._random.choice(FAULTS)} venue={self._random.choice(VENUES)}"
            tell(fault=fault)
            await self._rehearsal.set(fault)
            self.done["fault"] += 1
            return
        await self._kill(KILLED[self._turn // 2 % len(KILLED)])

    async def _kill(self, word: str) -> None:
        self.done[word] += 1
        if word == "recorder":
            assert self.recorder is not None
            tell(killed=word)
            self.recorder.kill()
            await self.recorder.wait()
            self.recorder = await start_recorder(self._one)
            return
        found = [(pid, text) for pid, text in descendants(self._one.demo.pid) if word in text.split()[0] or f" {word} " in f"{text} "]
        pid, text = self._random.choice(found)
        tell(killed=text[-80:])
        os.kill(pid, signal.SIGKILL)  # one of ours: a child of the demo, which starts it again


def descendants(pid: int) -> list[tuple[int, str]]:
    """Return the processes that a process has started, and these in turn: pid and command line."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found: list[tuple[int, str]] = []
    wanted = [pid]
    while wanted:
        for child in parents.get(wanted.pop(), []):
            with contextlib.suppress(OSError):
                text = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                if text:
                    found.append((child, text))
            wanted.append(child)
    return found


def tell(**what: object) -> None:
    """Print the progress, for a person who watches."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {json.dumps(what)}\n")


async def record(one: Running, *, minutes: float, seed: int, from_start: bool = True) -> Counter[str]:
    """Record for this time while things fail; then all that was published is in the store. Returns what was done."""
    async with aiohttp.ClientSession(one.control) as http:
        chaos = Chaos(one, Rehearsal(http), seed)
        if from_start:
            await wait_until(lambda: _has_quotes(one.client), what="a consolidated quote", timeout_s=START_S)
        chaos.recorder = await start_recorder(one)
        try:
            end, due = time.monotonic() + minutes * 60, time.monotonic() + CALM_S
            while (now := time.monotonic()) < end:
                if now >= due and now < end - CALM_S:
                    due += EVERY_S
                    with contextlib.suppress(aiohttp.ClientConnectionError):
                        await chaos.next()
                assert one.demo.returncode is None, "the demo has ended"
                assert chaos.recorder.returncode is None, (one.directory / "recorder.log").read_text()[-2000:]
                await asyncio.sleep(0.25)
        finally:
            await stop(chaos.recorder)  # it commits what it has read
        return chaos.done


async def _has_quotes(client: Redis) -> bool:
    try:
        return bool(await client.exists("tape:cbbo:BTC-USDT"))
    except RedisError:
        return False


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Record, audit, change inputs; the figures."""
    with contextlib.ExitStack() as stack:
        directory = options.keep or stack.enter_context(tempfile.TemporaryDirectory(prefix="audited-", dir="/tmp"))
        Path(directory).mkdir(parents=True, exist_ok=True)
        async with running(Path(directory), rate=options.rate, seed=options.seed) as one:
            began_ts = time.time_ns()
            done = await record(one, minutes=options.minutes, seed=options.seed)
            ended_ts = time.time_ns()
        began = time.monotonic()
        found = await audited(one.settings, began_ts - 60_000_000_000, ended_ts)
        took_s = time.monotonic() - began
        for difference in found.differences[:20]:
            tell(difference=f"{difference.event}: {difference.field}: {difference.published} | {difference.computed}")
        changes = await found_changes(one.settings, began_ts, ended_ts)
    return {"minutes": options.minutes, "seed": options.seed, "failures": dict(done), **figures(found, took_s), "found_changes": changes}


def figures(found: Audit, took_s: float) -> dict[str, Any]:
    """Return the counts of an audit."""
    return {
        "events": dict(found.events),
        "values": found.compared,
        "exact": found.exact.total(),
        "justified": found.justified.total(),
        "unchecked": {f"{kind}: {reason}": count for (kind, reason), count in found.unchecked.items()},
        "differences": found.differs.total(),
        "audit_s": round(took_s, 1),
        "values_per_s": round(found.compared / took_s),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=120.0, help="orders a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--values", type=int, default=0, help="how many values must be compared at least")
    parser.add_argument("--keep", type=Path, help="a folder with a short path that keeps the history and the logs")
    options = parser.parse_args(arguments)
    result = asyncio.run(run(options))
    sys.stdout.write(json.dumps(result) + "\n")
    return int(bool(result["differences"]) or result["values"] < options.values or not all(result["found_changes"].values()))


if __name__ == "__main__":
    raise SystemExit(main())
