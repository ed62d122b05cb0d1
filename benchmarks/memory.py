"""Measures the memory that grows with the number of busy instruments: an aggregator's windows, and a connector's books. KiB an instrument.

    python benchmarks/memory.py --instruments 500

`windows`: an engine gets one trade a second of each instrument, for `--seconds` (default: an hour, the longest rolling window), and its
quotes are computed every ten seconds. `books`: each book of `--venue` starts from a REST snapshot with as many levels as the connector
requests, then has `--updates` updates of ten levels each, mostly near its top, with quotes and books published of it. It is renewed when
the connector requests that. Its levels are `--level-bps` of the price apart: 1 as on most markets, 0.05 on those that everybody trades.
Each part is measured in a process of its own: its resident memory at the end, less that with the same instruments before the first trade
or level (Linux).
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import book
import harness
import msgspec

from crosstape.settings import AggregatorSettings
from crosstape_aggregator.consolidation.engine import Engine
from crosstape_connector.feeds.effects import SnapshotRequest
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.venues.messages import BookSnapshot
from crosstape_connector.venues.registry import find
from crosstape_connector.venues.spec import Venue
from crosstape_schemas import VENUE_WIDE, FeedState, Instrument, Side, Status, Trade

SECOND = 1_000_000_000
START_S = 1_700_000_000
QUOTE_EVERY_S = 10
CHANGES = 10
PARTS = ("windows", "books")


def resident() -> int:
    """Returns the resident bytes of this process, without what the garbage collector can free."""
    gc.collect()
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


def trades(names: Sequence[str], second: int) -> list[Trade]:
    """Returns one trade of each instrument, with numbers of their own, as a decoder makes them."""
    now = second * SECOND
    return [
        Trade(
            "binance", name, now, now, Decimal(f"{57_000 + (second * 7 + at) % 977}.{second % 89 + 10}"),
            Decimal(f"0.{(second * 7_919 + at * 104_729) % 99_999_989:08d}"), Side.BUY, str(second),
        )
        for at, name in enumerate(names)
    ]  # fmt: skip


def windows(instruments: int, seconds: int) -> int:
    """Returns the bytes of the windows of so many instruments."""
    names = harness.instruments(instruments)
    engine = Engine(AggregatorSettings())
    start = START_S * SECOND
    engine.apply([Status("binance", VENUE_WIDE, None, start, kind=VENUE_WIDE, state=FeedState.LIVE)], start)
    engine.apply(trades(names, START_S), start)
    engine.look((), start, start)
    engine.due(start)
    before = resident()
    for second in range(START_S + 1, START_S + seconds):
        now = second * SECOND
        engine.apply(trades(names, second), now)
        engine.look((), now, now)
        if not second % QUOTE_EVERY_S:
            engine.due(now)
    return resident() - before


def wanted_levels(table: Venue, request: SnapshotRequest) -> int:
    """Returns how many levels a side a snapshot is requested with."""
    if hasattr(request, "levels"):
        return request.levels
    path: Any = table.snapshots and table.snapshots.path  # of an older tree, which always requests the same number
    return int(parse_qs(urlsplit(path(request.symbol)).query)["limit"][0])


def answered(table: Venue, request: SnapshotRequest, listed: Instrument, number: int, middle: int) -> BookSnapshot:
    """Returns the snapshot that answers a request. It has the changes up to this number."""
    assert table.snapshots is not None
    made, _ = book.updates(0, wanted_levels(table, request), CHANGES, 0, middle)
    sides = {name: [[f"{price:f}", f"{size:f}"] for price, size in side] for name, side in (("bids", made.bids), ("asks", made.asks))}
    body = json.dumps({"lastUpdateId": number, **sides}).encode()
    return table.snapshots.parse(body, listed, book.START_NS + number * book.FRAME_NS)


def books(instruments: int, venue: str, updates: int, middle: int) -> int:
    """Returns the bytes of so many books of a venue. `middle`: the price, in ticks, which are as far apart as levels."""
    table = find(venue)
    if table.snapshots is None:
        raise SystemExit(f"memory: {venue} has no snapshots by REST")
    listed = [Instrument(f"COIN{at}-USDT", venue, f"COIN{at}USDT", f"COIN{at}", "USDT") for at in range(instruments)]
    feeds = FeedHandler(table, {one.name: one for one in listed}, ("trade", "quote", "book"), book_depth=10, book_interval_ns=100_000_000)
    before = resident()
    for seed, one in enumerate(listed):
        _, made = book.updates(updates, 1_000, CHANGES, seed, middle)
        for number, update in enumerate(made, 1):
            effects = feeds.apply(msgspec.structs.replace(update, instrument=one.name, first=number, last=number, previous=number - 1))
            for request in effects:
                if isinstance(request, SnapshotRequest):
                    feeds.apply(answered(table, request, one, number, middle))
        feeds.due_books(made[-1].received_ts)
        if feeds.records[FeedKey("book", one.name)].state is not FeedState.LIVE:
            raise SystemExit(f"memory: the book of {one.name} did not become live")
    return resident() - before


def main() -> None:
    """Print one JSON line for each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instruments", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=3_600, help="of trades")
    parser.add_argument("--venue", default="binance", help="of the books; its snapshots must have Binance's form")
    parser.add_argument("--updates", type=int, default=100, help="of each book")
    parser.add_argument(
        "--level-bps", type=float, default=1.0, help="how far apart the levels of a book are, in parts of 10,000 of the price"
    )
    parser.add_argument("--only", choices=PARTS, default=None, help="measure this part in this process")
    options = parser.parse_args()
    if options.only is None:
        for part in PARTS:
            subprocess.run((sys.executable, *sys.argv, "--only", part), check=True)
        return
    if options.only == "windows":
        found = windows(options.instruments, options.seconds)
    else:
        found = books(options.instruments, options.venue, options.updates, round(10_000 / options.level_bps))
    harness.report(
        benchmark="memory",
        part=options.only,
        instruments=options.instruments,
        seconds=options.seconds,
        updates=options.updates,
        level_bps=options.level_bps,
        mib=round(found / 2**20, 1),
        kib_per_instrument=round(found / 1_024 / options.instruments, 1),
    )


if __name__ == "__main__":
    main()
