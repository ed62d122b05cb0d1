"""Measures what a live event costs as instruments grow in number: CPU of the server and of the aggregator, and the time to its channel.

    python benchmarks/scale.py --rate 2000 --instruments 20 200 1000 2000 --seconds 8

A writer (`paced_writer`) puts quotes on the tape through the publisher of a connector, at the same pace whatever the number of
instruments. The aggregator and the server are processes as the command starts them; this one subscribes to the channel of each consolidated
quote. Every change is published (`aggregator.min_interval_s` is 0). Latency is from writing a quote to the arrival of what was made of it;
`latency.py` measures it from a frame on a socket. The first two seconds are not counted. On a machine that is too busy, several changes
become one quote (`quotes_per_s` is then below `events_per_s`), which costs less: such a figure is not comparable with others.
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
[run]
dir = "{run_dir}"
[telemetry]
http_enabled = false
log_level = "warning"
[aggregator]
min_interval_s = 0
stale_s = 3600.0
"""


def measured(instruments: int, rate: float, seconds: float) -> dict[str, object]:
    """Measure one number of instruments, on a server of its own."""
    names = harness.instruments(instruments)
    with contextlib.ExitStack() as stack:
        bus = stack.enter_context(harness.server())
        run_dir = stack.enter_context(tempfile.TemporaryDirectory())
        settings = Path(run_dir) / "settings.toml"
        settings.write_text(SETTINGS.format(bus=bus, run_dir=run_dir))
        length_s = seconds + heard.WARM_UP_S + heard.SPARE_S
        writing = (str(harness.HERE / "paced_writer.py"), bus, str(instruments), str(rate), str(length_s))
        writer = stack.enter_context(harness.process(*writing, stdin=True))
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdout.readline()
        command = ("-m", "crosstape_cli.main", "aggregator", "--settings", str(settings))
        aggregator = stack.enter_context(harness.process(*command))
        heard.wait_for_quotes(bus, names)
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
        found = heard.listen(bus, names, seconds, {"aggregator": aggregator.pid, "writer": writer.pid})
    return {
        "events_per_s": round(found.written / found.seconds),
        **{f"{name}_cpu_us_per_event": round(used / found.written * 1e6, 1) for name, used in found.cpu_s.items()},
        **found.figures(),
    }


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=2_000.0, help="quotes a second")
    parser.add_argument("--instruments", type=int, nargs="+", default=[20, 200, 1_000, 2_000])
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    found = {str(instruments): measured(instruments, options.rate, options.seconds) for instruments in options.instruments}
    harness.report(benchmark="scale", rate=options.rate, instruments=found)


if __name__ == "__main__":
    main()
