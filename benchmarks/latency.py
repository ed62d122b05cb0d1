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
import tempfile
from pathlib import Path

import harness
import heard

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


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=5_000.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--symbols", type=int, default=20)
    parser.add_argument("--min-interval", type=float, default=0.0)
    options = parser.parse_args()
    count = int(options.rate * (options.seconds + heard.WARM_UP_S + heard.SPARE_S))
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
        heard.wait_for_quotes(bus, names)
        found = heard.listen(bus, names, options.seconds, {"aggregator": aggregator.pid, "connector": connector.pid})
    harness.report(
        benchmark="latency",
        rate=options.rate,
        symbols=options.symbols,
        min_interval_s=options.min_interval,
        **found.figures(),
        cpu_us_per_frame={name: round(used / found.written * 1e6, 1) for name, used in found.cpu_s.items()},
        cpu_percent={name: round(used / found.seconds * 100, 1) for name, used in found.cpu_s.items()},
    )


if __name__ == "__main__":
    main()
