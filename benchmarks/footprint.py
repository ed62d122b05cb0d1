"""Measures what a running tape needs: CPU and memory of its services, and memory of its server by kind of stream. It changes nothing.

    make demo &                                  # or any tape of yours, or the containers of compose
    python benchmarks/footprint.py --redis-url redis://127.0.0.1:6380 --metrics http://172.18.0.5:9100 http://172.18.0.6:9100 --seconds 30

Prints one JSON line for each service (CPU as a share of one core, resident memory, events a second) and one for each kind of stream
(entries, bytes an entry). A service's figures are the difference between two readings of its `/metrics`; a server's bytes are those of
`MEMORY USAGE`, all entries counted.
"""

from __future__ import annotations

import argparse
import json
import time
import urllib.request
from collections import Counter, defaultdict

import redis
from prometheus_client.parser import text_string_to_metric_families

COUNTED = {"crosstape_connector_frames_total", "crosstape_aggregator_events_total", "crosstape_aggregator_published_total"}


def readings(url: str) -> defaultdict[str, float]:
    """Reads the metrics of one service, each summed over its labels. The key `service NAME`, with value 0, gives the service's name."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found: defaultdict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in COUNTED or sample.name in {"process_cpu_seconds_total", "process_resident_memory_bytes"}:
                found[sample.name] += sample.value
            elif sample.name == "crosstape_build_info":
                found[f"service {sample.labels['service']}"] = 0
            elif (
                sample.name in {"crosstape_connector_instruments", "crosstape_aggregator_instruments"}
                and "refused" not in sample.labels.values()
            ):
                found["instruments"] += sample.value
    return found


def services(urls: list[str], seconds: float) -> None:
    """Read each service twice, and print the figures for the time between the readings."""
    before = {url: readings(url) for url in urls}
    started = time.monotonic()
    time.sleep(seconds)
    for url in urls:
        after = readings(url)
        passed = time.monotonic() - started
        rates = {name: round((after[name] - before[url][name]) / passed, 1) for name in sorted(COUNTED & after.keys())}
        cpu = (after["process_cpu_seconds_total"] - before[url]["process_cpu_seconds_total"]) / passed
        name = next((key.removeprefix("service ") for key in after if key.startswith("service ")), url)
        rss = round(after["process_resident_memory_bytes"] / 2**20, 1)
        print(
            json.dumps(
                {"service": name, "cpu_cores": round(cpu, 4), "rss_mib": rss, "instruments": int(after["instruments"]), "per_second": rates}
            )
        )


def server(url: str, prefix: str) -> None:
    """Print the entries and the bytes per entry of each kind of stream."""
    client = redis.Redis.from_url(url, decode_responses=True)
    entries: Counter[str] = Counter()
    size: Counter[str] = Counter()
    for key in client.scan_iter(f"{prefix}:*", _type="stream"):
        kind = key.removeprefix(f"{prefix}:").split(":")[0]
        entries[kind] += client.xlen(key)
        size[kind] += client.memory_usage(key, samples=0) or 0
    for kind in sorted(entries):
        print(json.dumps({"kind": kind, "entries": entries[kind], "bytes_an_entry": round(size[kind] / entries[kind], 1)}))
    memory = client.info("memory")
    print(json.dumps({"server_mib": round(memory["used_memory"] / 2**20, 1), "rss_mib": round(memory["used_memory_rss"] / 2**20, 1)}))


def main() -> None:
    """Print one JSON line for each service and for each kind of stream."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redis-url", default="", help="of the tape's server; empty: leave it out")
    parser.add_argument("--prefix", default="tape")
    parser.add_argument("--metrics", nargs="*", default=[], metavar="URL", help="base addresses of services, as their logs say")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    services(options.metrics, options.seconds)
    if options.redis_url:
        server(options.redis_url, options.prefix)


if __name__ == "__main__":
    main()
