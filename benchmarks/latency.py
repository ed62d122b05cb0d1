"""Measures the time from a frame on the socket to the consolidated quote on its channel.

The processes are real: source, connector, server, aggregator, and this one as a subscriber.

    python benchmarks/latency.py --rate 5000 --seconds 10

Each frame carries the moment of its sending as the digits of its bid size (see `source`), and so does the quote made from it. The first
two seconds are not counted. `--min-interval` is `aggregator.min_interval_s`: 0 publishes every change; above it, a wait of up to that
long is part of the figure by design.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import harness
import hiredis
import msgspec
import redis

WARM_UP_S = 2.0
IDLE_S = 3.0
SETTINGS = """\
[bus]
url = "{bus}"
[telemetry]
http_enabled = false
log_level = "warning"
[aggregator]
min_interval_s = {min_interval}
[venues.binance]
instruments = {instruments}
kinds = ["quote"]
candles = []
ws_url = "ws://127.0.0.1:{port}/stream"
rest_url = "http://127.0.0.1:{port}"
[venues.coinbase]
enabled = false
[venues.kraken]
enabled = false
"""


class Stamped(msgspec.Struct):
    """The fields of a consolidated quote that are needed here."""

    bid_size: Decimal | None


def wait_for_pattern_subscriber(client: redis.Redis, stream: str) -> None:
    """Return once the aggregator has published anything for this stream's instrument."""
    deadline = time.monotonic() + 60
    while not client.exists(stream):
        if time.monotonic() > deadline:
            raise SystemExit("latency: no consolidated quote within 60 s")
        time.sleep(0.05)


def latencies(url: str, seconds: float) -> list[float]:
    """Returns, in microseconds, the time from sending to receiving of every consolidated quote after the warm-up."""
    path = urlsplit(url).path
    decode = msgspec.json.Decoder(Stamped).decode
    reader = hiredis.Reader()
    found: list[float] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as subscriber:
        subscriber.connect(path)
        subscriber.settimeout(IDLE_S)
        subscriber.sendall(b"PSUBSCRIBE tape:cbbo:*\r\n")
        start = time.monotonic()
        while time.monotonic() < start + WARM_UP_S + seconds:
            try:
                reader.feed(subscriber.recv(1 << 20))
            except TimeoutError:
                break
            now = time.time_ns()
            counts = time.monotonic() > start + WARM_UP_S
            while (message := reader.gets()) is not False:
                if counts and message[0] == b"pmessage" and (stamp := decode(message[3]).bid_size) is not None:
                    found.append((now - int(stamp * 1_000_000_000)) / 1_000)
    return found


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=5_000.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--symbols", type=int, default=20)
    parser.add_argument("--min-interval", type=float, default=0.0)
    options = parser.parse_args()
    count = int(options.rate * (options.seconds + WARM_UP_S + IDLE_S))
    with contextlib.ExitStack() as stack:
        bus = stack.enter_context(harness.server())
        port = stack.enter_context(harness.source("--symbols", str(options.symbols), "--count", str(count), "--rate", str(options.rate)))
        settings = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "settings.toml"
        names = list(harness.instruments(options.symbols))
        settings.write_text(
            SETTINGS.format(bus=bus, min_interval=options.min_interval, instruments=str(names).replace("'", '"'), port=port)
        )
        command = ("-m", "crosstape_cli.main")
        aggregator = stack.enter_context(harness.process(*command, "aggregator", "--settings", str(settings)))
        connector = stack.enter_context(harness.process(*command, "connector", "--venue", "binance", "--settings", str(settings)))
        with redis.Redis.from_url(bus) as client:
            wait_for_pattern_subscriber(client, f"tape:cbbo:{names[0]}")
        before = [harness.cpu_s(aggregator.pid), harness.cpu_s(connector.pid), harness.server_cpu_s(bus)]
        found = sorted(latencies(bus, options.seconds))
        after = [harness.cpu_s(aggregator.pid), harness.cpu_s(connector.pid), harness.server_cpu_s(bus)]
    if not found:
        raise SystemExit("latency: nothing was received")
    spent = [round((b - a) / (options.seconds + WARM_UP_S) * 100) for a, b in zip(before, after, strict=True)]
    harness.report(
        benchmark="latency",
        rate=options.rate,
        symbols=options.symbols,
        min_interval_s=options.min_interval,
        quotes_per_s=round(len(found) / options.seconds),
        p50_us=round(harness.percentile(found, 0.5)),
        p99_us=round(harness.percentile(found, 0.99)),
        max_us=round(found[-1]),
        cpu_percent=dict(zip(("aggregator", "connector", "server"), spent, strict=True)),
    )


if __name__ == "__main__":
    main()
