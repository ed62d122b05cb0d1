"""Measures a connector as the command starts it, from frames on a WebSocket to events on the server: frames/s, and CPU µs per frame.

    python benchmarks/connector.py                                                     # its own source and server
    python benchmarks/connector.py --ws-port 9391 --redis-url redis://127.0.0.1:6379 --count 200000 --symbols 20

Any server that speaks Binance's combined stream and `exchangeInfo` for pairs COIN0USDT, COIN1USDT … and sends `--count` trades will do.
Counted is from the first batch seen on the tape to the last trade acknowledged, with publishing as in production (stream, channel, last
value, cursor).
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from pathlib import Path

import harness
import redis

from crosstape_schemas import Keys

POLL_S = 0.01
LIMIT_S = 120.0
SETTINGS = """\
[bus]
url = "{bus}"
prefix = "{prefix}"
[run]
dir = "{run_dir}"
[telemetry]
http_enabled = false
log_level = "warning"
[venues.binance]
instruments = {instruments}
kinds = ["trade"]
candles = []
ws_url = "ws://127.0.0.1:{port}/stream"
rest_url = "http://127.0.0.1:{port}"
"""


def on_tape(client: redis.Redis, streams: list[str]) -> int:
    """Returns how many trades are on these streams."""
    with client.pipeline(transaction=False) as pipeline:
        for stream in streams:
            pipeline.xlen(stream)
        return sum(pipeline.execute())


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ws-port", type=int, default=0, help="of a source that runs; 0: start one")
    parser.add_argument("--redis-url", default="", help="of a server that runs; empty: start one")
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--symbols", type=int, default=20)
    parser.add_argument("--kind", choices=("trade", "aggTrade"), default="trade", help="of the source's frames")
    options = parser.parse_args()
    keys = Keys(prefix=f"bench-{time.time_ns()}")
    names = harness.instruments(options.symbols)
    streams = [keys.stream("trade", name) for name in names]
    with contextlib.ExitStack() as stack:
        bus = stack.enter_context(harness.server(options.redis_url))
        own_source = ("--symbols", str(options.symbols), "--count", str(options.count), "--kind", options.kind)
        port = options.ws_port or stack.enter_context(harness.source(*own_source))
        run_dir = stack.enter_context(tempfile.TemporaryDirectory())
        settings = Path(run_dir) / "settings.toml"
        settings.write_text(
            SETTINGS.format(bus=bus, prefix=keys.prefix, run_dir=run_dir, instruments=str(list(names)).replace("'", '"'), port=port)
        )
        client = stack.enter_context(redis.Redis.from_url(bus))
        command = ("-m", "crosstape_cli.main", "connector", "--venue", "binance", "--settings", str(settings))
        connector = stack.enter_context(harness.process(*command))
        deadline = time.monotonic() + LIMIT_S
        while not (first := on_tape(client, streams)):
            if time.monotonic() > deadline or connector.poll() is not None:
                raise SystemExit("connector: it published nothing")
            time.sleep(POLL_S)
        start, start_cpu, start_server = time.perf_counter(), harness.cpu_s(connector.pid), harness.server_cpu_s(bus)
        while (last := on_tape(client, streams)) < options.count and time.monotonic() < deadline:
            time.sleep(POLL_S)
        seconds, cpu_s = time.perf_counter() - start, harness.cpu_s(connector.pid) - start_cpu
        server_s = harness.server_cpu_s(bus) - start_server
        connector.terminate()
        connector.wait(30)
        if options.redis_url:
            client.delete(*client.keys(f"{keys.prefix}:*"))
    counted = last - first
    harness.report(
        benchmark="connector",
        symbols=options.symbols,
        kind=options.kind,
        frames=last,
        complete=last == options.count,
        frames_per_s=round(counted / seconds),
        cpu_us_per_frame=round(cpu_s / counted * 1e6, 2),
        server_cpu_us_per_frame=round(server_s / counted * 1e6, 2),
    )


if __name__ == "__main__":
    main()
