"""Compares a connector with cryptofeed 3.0.1: the same trade frames from a WebSocket onto streams of the same server, in turn.

    python benchmarks/peer.py --peer-python python3.13 --frames 200000 --pairs 5

crosstape runs on the interpreter that runs this program, cryptofeed on `--peer-python`.

`crosstape`: a connector as the command starts it (`connector.py`), with publishing as in production: stream, channel, last value, cursor,
each trade once. `cryptofeed`: its handler, feed and backend of streams (`peer_cryptofeed.py`). The source and the server are the same for
both, over TCP. How an interpreter was built matters more for cryptofeed than for crosstape, so it is printed of both; see `interpreter.py`.

cryptofeed is run as a program in an environment of its own, which is made once for each interpreter, in the user's cache. Prints one JSON
line for each run, and one with the ratios of the pairs: `cpu` is cryptofeed's CPU a frame / ours, `frames_per_s` is ours / cryptofeed's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import harness
import redis

PEER: Final = "cryptofeed[redis]==3.0.1"
INSTALL_S: Final = 600.0
RUN_S: Final = 400.0


def environment(python: str) -> str:
    """Returns the interpreter of the peer's environment that is based on `python`; makes the environment if it is missing."""
    if not (found := shutil.which(python)):
        raise SystemExit(f"peer: there is no {python}; --peer-python names one of 3.13")
    base = run(found, "-c", "import json, os, sys; print(json.dumps([os.path.realpath(sys.executable), sys.version]))")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "crosstape-bench"
    folder = cache / f"cryptofeed-{hashlib.sha256(json.dumps([PEER, *base]).encode()).hexdigest()[:12]}"
    made = str(folder / "bin" / "python")
    if not (folder / ".ready").exists():
        print(f"making {folder} with {PEER}", file=sys.stderr, flush=True)
        subprocess.run((found, "-m", "venv", "--clear", str(folder)), timeout=INSTALL_S, check=True)
        subprocess.run((made, "-m", "pip", "install", "-q", "--disable-pip-version-check", PEER, "uvloop"), timeout=INSTALL_S, check=True)
        (folder / ".ready").touch()
    return made


def run(*command: str) -> Any:
    """Run a program; returns the JSON of its last line."""
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=RUN_S, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def ratios(pairs: list[tuple[dict[str, float], dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Returns the median, least and greatest ratio of pairs of a crosstape run and a cryptofeed run; above 1, crosstape does better."""
    found = {
        "cpu": [peer["cpu_us_per_frame"] / ours["cpu_us_per_frame"] for ours, peer in pairs],
        "server_cpu": [peer["server_cpu_us_per_frame"] / ours["server_cpu_us_per_frame"] for ours, peer in pairs],
        "frames_per_s": [ours["frames_per_s"] / peer["frames_per_s"] for ours, peer in pairs],
    }
    return {
        name: {"median": round(statistics.median(each), 2), "min": round(min(each), 2), "max": round(max(each), 2)}
        for name, each in found.items()
    }


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", default="python3.13", metavar="PYTHON", help="what cryptofeed runs on; it needs Python 3.13")
    parser.add_argument("--frames", type=int, default=200_000)
    parser.add_argument("--symbols", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    peer = environment(options.peer_python)
    count, symbols = str(options.frames), str(options.symbols)
    frames = ("--kind", "aggTrade", "--count", count, "--symbols", symbols)  # the kind that cryptofeed subscribes
    builds = {
        "crosstape": run(sys.executable, str(harness.HERE / "interpreter.py")),
        "cryptofeed": run(peer, str(harness.HERE / "interpreter.py")),
    }
    pairs = []
    with harness.server(tcp=True) as bus, redis.Redis.from_url(bus) as client:
        for pair in range(options.pairs):
            runs: dict[str, dict[str, float]] = {}
            for name in ("cryptofeed", "crosstape")[:: -1 if pair % 2 else 1]:
                client.flushall()
                with harness.source(*frames) as port:
                    if name == "crosstape":
                        ours = ("--redis-url", bus, "--ws-port", str(port), *frames)
                        runs[name] = run(sys.executable, str(harness.HERE / "connector.py"), *ours)
                    else:
                        theirs = (str(port), bus.rpartition(":")[2], count, symbols)
                        runs[name] = run(peer, str(harness.HERE / "peer_cryptofeed.py"), *theirs)
                if runs[name]["frames"] != options.frames:
                    raise SystemExit(f"peer: {name} has written {runs[name]['frames']} of {count} frames")
                print(json.dumps({"writer": name} | builds[name] | runs[name]), flush=True)
            pairs.append((runs["crosstape"], runs["cryptofeed"]))
    print(json.dumps({"times_better_than_cryptofeed": ratios(pairs), "pairs": options.pairs}))


if __name__ == "__main__":
    main()
