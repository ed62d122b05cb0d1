"""Frames of venues for `venues`, from recordings or from the tests' examples, and what each costs a connector."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

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
    book: list[int]
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
        least = found if least is None else Costs(found.kinds, *(list(map(min, *both)) for both in zip(least[1:], found[1:], strict=True)))
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
    costs = Costs([], [], [], [])
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
        parsed = applied = clock()
        if frames.is_market:
            effects = [effect for output in outputs for effect in feeds.apply(output)]
            if now >= due_at:
                due_at = now + BOOK_NS // 2
                effects += feeds.due_books(now)
            applied = clock()
            _publish(effects)
        costs.every.append(clock() - started)
        costs.book.append(applied - started)
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
        parse, book, every = (round(sum(times[at] for at in places) / len(places) / 1_000, 2) for times in costs[1:])
        yield {
            "venue": frames.venue.id, "kind": kind, "frames": len(places), "parse_us": parse,
            "book_us": book if frames.is_market else None, "all_us": every if frames.is_market else None, "source": frames.source,
        }  # fmt: skip
