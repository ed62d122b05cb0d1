"""Measures what a frame of each venue costs a connector, by kind: CPU µs to parse it, and to turn it into encoded events.

    python benchmarks/venues.py                                              # the example frames of the tests, repeated
    CROSSTAPE_CORPUS=../corpus python benchmarks/venues.py                   # recordings, where the folder has any of a venue
    CROSSTAPE_CORPUS=../corpus python benchmarks/venues.py --peers ~/peers/bin/python

`parse`: from the frame to the venue's outputs (`Endpoint.parser`). `book`: that, and the checks of feeds and books, with a book event at
most every 100 ms. `all`: that, and the events' encoding. The last two are measured of recordings only, because repeated examples are no
market. In none: the socket and the server, which cost the same for every venue (`connector.py`). Each frame is measured in several passes,
each from a new start. The least of its times counts: the others were interrupted.

`--peers`: the Python of an environment in which ccxt 4.5.90 (ccxt.pro) and cryptofeed 3.0.1 read the same frames (`venues_peers.py`). They
parse, update their book or make their trades, and call an empty callback, which compares with our `book` (`ratio`): they encode
nothing either. cryptofeed needs Python 3.13:

    python3.13 -m venv ~/peers && ~/peers/bin/pip install ccxt==4.5.90 cryptofeed==3.0.1

Without cryptofeed in it, ccxt is compared alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import harness
from made_frames import MAKERS, made
from venue_frames import Costs, Recorded, examples, measured, recordings, rows

from crosstape_connector.capture.reader import CaptureLine
from crosstape_connector.venues.registry import VENUES
from crosstape_schemas import Instrument


class Peer(NamedTuple):
    """A library and its exchange, and the kinds of frames that it reads beside us."""

    name: str
    recording: str
    """A recording, or the venue whose frames are made here."""
    kinds: tuple[str, ...]


PEERS: Final = (
    Peer("ccxt.kucoin", "cryptofeed_kucoin", ("book", "trade")),
    Peer("ccxt.bingx", "bingx", ("book",)),
    Peer("ccxt.okx", "okx", ("book", "trade")),
    Peer("ccxt.bybit", "bybit", ("book", "trade")),
    Peer("ccxt.gate", "gateio", ("book", "trade")),
    Peer("ccxt.bitget", "bitget", ("book", "trade")),
    Peer("cryptofeed.Bitfinex", "cryptofeed_bitfinex", ("book",)),
    Peer("cryptofeed.BinanceFutures", "cryptofeed_binance_futures", ("book",)),
)
LEVELS: Final = 100


def bingx_depth(count: int) -> Recorded:
    """Complete books of 100 levels a side, as BingX sends them. In each, about a third of the sizes differ from those before."""
    lines = []
    for turn in range(count):
        sides = [
            [
                [f"{91_000 + sign * (level + 1) / 10:.2f}", f"{(turn // (level % 10 + 1) * 7 + level * 13) % 997 + 1}.0000"]
                for level in range(LEVELS)
            ]
            for sign in (-1, 1)
        ]
        data = {"asks": sides[1][::-1], "bids": sides[0], "lastUpdateId": 13_565_694_850 + turn}
        at = 1_767_225_600_000 + 300 * turn
        frame = {"code": 0, "data": data, "dataType": f"BTC-USDT@depth{LEVELS}", "success": True, "timestamp": at}
        lines.append(CaptureLine(t=at * 1_000_000, d="in", f=json.dumps(frame, separators=(",", ":"))))
    instrument = Instrument("BTC-USDT", "bingx", "BTC-USDT", "BTC", "USDT")
    return Recorded("made here", VENUES["bingx"], "", lines, [instrument], is_market=True)


def peers(python: str, market: Sequence[Recorded], passes: int) -> list[dict[str, object]]:
    """Runs the other libraries on the same frames, in the same run; returns their cost beside ours."""
    by_source = {frames.source: frames for frames in market} | {"bingx": bingx_depth(500)} | {venue: made(venue, 2_000) for venue in MAKERS}
    cases, ours = [], []
    for peer in PEERS:
        if peer.recording not in by_source:
            continue  # without CROSSTAPE_CORPUS there is nothing to read
        frames = by_source[peer.recording]
        costs = measured(frames, passes)
        ours.append({str(row["kind"]): (row["parse_us"], row["book_us"], row["all_us"]) for row in rows(frames, costs)})
        wanted = [kind for kind in peer.kinds if kind in costs.kinds]
        cases.append(_case(peer, frames, costs, wanted))
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(cases, file)
        file.flush()
        command = (python, str(harness.HERE / "venues_peers.py"), file.name, str(passes))
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found = []
    for row in map(json.loads, done.stdout.splitlines()):
        at = next(at for at, case in enumerate(cases) if case["peer"] == row["peer"])
        parse_us, book_us, all_us = ours[at][row["kind"]]
        ratio = round(row["peer_us"] / book_us, 1)
        found.append({**row, "our_parse_us": parse_us, "our_book_us": book_us, "our_all_us": all_us, "ratio": ratio})
    return found


def _case(peer: Peer, frames: Recorded, costs: Costs, wanted: Sequence[str]) -> dict[str, Any]:
    snapshots: dict[str, str] = {}
    source = frames.venue.snapshots
    for line in frames.lines:
        if line.d == "rest" and source is not None and (symbol := source.match(line.u)):
            snapshots[symbol] = line.f or ""
    return {
        "peer": peer.name, "url": frames.url, "wanted": wanted, "kinds": costs.kinds, "snapshots": snapshots,
        "symbols": {row.symbol: (row.base, row.quote) for row in frames.instruments},
        "frames": [(line.t or 0, line.f) for line in frames.lines if line.d == "in"],
    }  # fmt: skip


def show(found: Sequence[dict[str, object]]) -> None:
    """Print rows as one table."""
    columns = list(dict.fromkeys(name for row in found for name in row))
    cells = [[str("–" if row.get(name) is None else row[name]) for name in columns] for row in found]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for line in (columns, *cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip(), flush=True)


def main() -> None:
    """Print one table of all venues, and one of the peers; or the rows as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20_000, help="of each recording at most")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=40, help="of the example frames, in each pass")
    parser.add_argument("--peers", metavar="PYTHON", default="", help="of an environment with ccxt and cryptofeed; empty: without them")
    parser.add_argument("--json", action="store_true", help="JSON lines in place of tables")
    options = parser.parse_args()
    market = list(recordings(options.frames))
    have = {frames.venue.id for frames in market}
    every = [*market, *(frames for frames in examples(options.repeat) if frames.venue.id not in have)]
    found = [row for frames in sorted(every, key=lambda one: one.venue.id) for row in rows(frames, measured(frames, options.passes))]
    beside = peers(options.peers, market, options.passes) if options.peers else []
    if options.json:
        for row in (*found, *beside):
            harness.report(benchmark="venues", **row)
        return
    print(f"Python {sys.version.split()[0]}, µs a frame")
    show(found)
    if beside:
        print()
        show(beside)


if __name__ == "__main__":
    main()
