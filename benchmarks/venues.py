"""Measures what a frame of each venue costs a connector, by kind: CPU µs to parse it, and to turn it into encoded events.

    python benchmarks/venues.py                                              # the example frames of the tests, repeated
    CROSSTAPE_CORPUS=../corpus python benchmarks/venues.py                   # recordings, where the folder has any of a venue
    CROSSTAPE_CORPUS=../corpus python benchmarks/venues.py --peers ~/peers/bin/python

`parse`: from the frame to the venue's outputs (`Endpoint.parser`). `all`: that, the checks of feeds and books, and the events' encoding. It
is measured of recordings only, because repeated examples are no market. Not in it: the socket and the server, which cost the same for every
venue (`connector.py`). Each frame is measured in several passes, each from a new start. The least of its times counts: the others were
interrupted.

`--peers`: the Python of an environment in which ccxt 4.5.90 (ccxt.pro) and cryptofeed 3.0.1 read the same frames (`venues_peers.py`). They
parse, update their book or make their trades, and call an empty callback: less than our `all`, more than our `parse`. cryptofeed needs
Python 3.13:

    python3.13 -m venv ~/peers && ~/peers/bin/pip install ccxt==4.5.90 cryptofeed==3.0.1
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import harness
import msgspec

from crosstape_connector.capture.reader import CaptureLine, opened, read
from crosstape_connector.errors import FRAME_ERRORS, UnknownVenue
from crosstape_connector.feeds.effects import SnapshotRequest
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, CandleSnapshot, LastTrade, Output, TradeSnapshot
from crosstape_connector.venues.registry import VENUES, recorded
from crosstape_connector.venues.spec import Endpoint, Parser, Venue
from crosstape_schemas import KIND_OF, Instrument, stamp

ROOT: Final = Path(__file__).parents[1]
EXAMPLES: Final = ROOT / "tests" / "connector" / "venues"
CORPUS: Final = os.environ.get("CROSSTAPE_CORPUS", "")
KINDS: Final = ("trade", "quote", "book", "ticker", "mark", "funding", "open_interest", "liquidation", "status")
NAMES: Final[dict[type, str]] = {
    **KIND_OF, TradeSnapshot: "trade", LastTrade: "trade", BookSnapshot: "book snapshot", BookUpdate: "book",
    CandleSnapshot: "candle snapshot",
}  # fmt: skip
BOOK_NS: Final = 100_000_000
CONTROL: Final = "control"
"""Frames without data: acknowledgements, heartbeats, and what is skipped."""


class Recorded(NamedTuple):
    """Frames of one venue, in their order."""

    source: str
    venue: Venue
    url: str
    lines: Sequence[CaptureLine]
    instruments: Sequence[Instrument]
    is_market: bool
    """Whether the frames follow one another, as in a recording."""


class Costs(NamedTuple):
    """The least time of each frame, ns, in the order of the frames, and the kind of each."""

    kinds: list[str]
    parse: list[int]
    every: list[int]


def recordings(most: int) -> Iterator[Recorded]:
    """The recordings of venues that we know, with `most` frames of each."""
    for path in sorted(Path(CORPUS).glob("*.jsonl.zst")) if CORPUS else ():
        if path.name.endswith(".rest.jsonl.zst"):
            continue
        with opened(path) as text:
            header, lines = read(text)
            try:
                venue = recorded(header.venue)
            except UnknownVenue:
                continue
            venue = next((table for part, table in venue.recordings.items() if part in header.url), venue)
            kept: list[CaptureLine] = []
            for line in lines:
                kept.append(line)
                if len(kept) > most:
                    break
        answers = [line for line in kept if line.d == "rest" and venue.instruments.match(line.u)]
        listed = [row for line in answers for row in venue.instruments.parse(line.body()) if isinstance(row, Instrument)]
        yield Recorded(path.name.removesuffix(".jsonl.zst"), venue, header.url, kept, listed, is_market=True)


def examples(repeat: int) -> Iterator[Recorded]:
    """The example frames of each venue's tests, `repeat` times; of each endpoint as one connection."""
    for venue in VENUES.values():
        folder = EXAMPLES / venue.id
        answers = {row["name"]: row["body"] for row in map(json.loads, (folder / "rest.jsonl").read_bytes().splitlines())}
        listed = venue.instruments.parse(json.dumps(answers["instruments"]).encode())
        rows = [msgspec.json.decode(text, type=dict[str, msgspec.Raw]) for text in (folder / "frames.jsonl").read_bytes().splitlines()]
        for endpoint in venue.endpoints:
            frames = [bytes(row["frame"]).decode() for row in rows if json.loads(bytes(row["endpoint"])) == endpoint.name]
            lines = [CaptureLine(t=at, c=turn, d="in", f=text) for turn in range(repeat) for at, text in enumerate(frames)]
            only = msgspec.structs.replace(venue, endpoints=(endpoint,))
            instruments = [row for row in listed if isinstance(row, Instrument)]
            yield Recorded(f"examples {endpoint.name}", only, "", lines, instruments, is_market=False)


def measured(frames: Recorded, passes: int) -> Costs:
    """Returns the least cost of each frame in so many passes, each from a new start."""
    least: Costs | None = None
    for _ in range(passes):
        found = _pass(frames)
        if least is None:
            least = found
        else:
            least = Costs(found.kinds, list(map(min, least.parse, found.parse)), list(map(min, least.every, found.every)))
    assert least is not None
    return least


def _pass(frames: Recorded) -> Costs:
    venue = frames.venue
    symbols: dict[str, Instrument] = {}
    feeds = FeedHandler(venue, {}, (*KINDS, "candle:1m"), book_depth=10, book_interval_ns=BOOK_NS)
    connections: dict[int, tuple[Endpoint, Parser]] = {}
    urls: dict[int, str] = {}
    for row in frames.instruments:
        symbols[row.symbol] = row
        feeds.add_instrument(row)
    costs = Costs([], [], [])
    now, due_at, clock = 0, 0, time.perf_counter_ns
    for line in frames.lines:
        now = max(now, line.t or now)
        if line.d == "rest":
            _snapshot(venue, line, symbols, feeds, now)
        elif line.d == "open":
            urls[line.c] = line.u
            connections.pop(line.c, None)
        if line.d != "in" or line.bad:
            continue
        data = line.body()
        if line.c not in connections:
            connections[line.c] = _connection(venue, urls.get(line.c, frames.url), data, symbols)
        endpoint, parse = connections[line.c]
        started = clock()
        try:
            outputs = parse(data if line.b is None or endpoint.binary is None else endpoint.binary(data), now)
        except FRAME_ERRORS:
            outputs = ()
        parsed = clock()
        if frames.is_market:
            for output in outputs:
                _publish(feeds.apply(output))
            if now >= due_at:
                due_at = now + BOOK_NS // 2
                _publish(feeds.due_books(now))
        costs.every.append(clock() - started)
        costs.parse.append(parsed - started)
        costs.kinds.append(kind_of(outputs))
    return costs


def _publish(effects: Sequence[object]) -> None:
    for number, event in enumerate(effects, 1):
        if not isinstance(event, SnapshotRequest):
            stamp(event, 1, number)  # type: ignore[arg-type]  # all other effects are events


def _snapshot(venue: Venue, line: CaptureLine, symbols: dict[str, Instrument], feeds: FeedHandler, now: int) -> None:
    source = venue.snapshots
    if source is not None and (symbol := source.match(line.u)) in symbols:
        assert symbol is not None
        feeds.apply(source.parse(line.body(), symbols[symbol], now))


def _connection(venue: Venue, url: str, data: bytes, symbols: dict[str, Instrument]) -> tuple[Endpoint, Parser]:
    """Returns the endpoint that the address names, or the one whose format the first frame has, and its parser."""
    by_url = [one for one in venue.endpoints if any(host in url for host in one.hosts)]
    by_shape = [one for one in venue.endpoints if one.speaks is not None and one.speaks(data)]
    endpoint = (*by_url, *by_shape, *venue.endpoints)[0]
    return endpoint, endpoint.parser(symbols)


def kind_of(outputs: Sequence[Output]) -> str:
    """The kinds of what a frame holds: `trade`, `book`, `quote + ticker`."""
    found = {NAMES.get(type(output), "") for output in outputs}
    return " + ".join(sorted(found - {"", "status"})) or CONTROL


def rows(frames: Recorded, costs: Costs) -> Iterator[dict[str, object]]:
    """One row for each kind: count of frames, and the mean cost in µs."""
    by_kind: dict[str, list[int]] = defaultdict(list)
    for at, kind in enumerate(costs.kinds):
        by_kind[kind].append(at)
    for kind, places in sorted(by_kind.items()):
        parse, every = (sum(times[at] for at in places) / len(places) / 1_000 for times in (costs.parse, costs.every))
        every_us = round(every, 2) if frames.is_market else None
        yield {
            "venue": frames.venue.id, "kind": kind, "frames": len(places), "parse_us": round(parse, 2), "all_us": every_us,
            "source": frames.source,
        }  # fmt: skip


class Peer(NamedTuple):
    """A library and its exchange, and the kinds of frames that it reads beside us."""

    name: str
    recording: str
    """Empty: frames that are made here."""
    kinds: tuple[str, ...]


PEERS: Final = (
    Peer("ccxt.kucoin", "cryptofeed_kucoin", ("book", "trade")),
    Peer("ccxt.bingx", "", ("book",)),
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
    by_source = {frames.source: frames for frames in market} | {"": bingx_depth(500)}
    cases, ours = [], []
    for peer in PEERS:
        if peer.recording not in by_source:
            continue  # without CROSSTAPE_CORPUS there is nothing to read
        frames = by_source[peer.recording]
        costs = measured(frames, passes)
        ours.append({str(row["kind"]): (row["parse_us"], row["all_us"]) for row in rows(frames, costs)})
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
        parse_us, all_us = ours[at][row["kind"]]
        found.append({**row, "our_parse_us": parse_us, "our_all_us": all_us})
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
