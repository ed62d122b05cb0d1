"""Follows the numbers (`seq`) of recorded events: which are missing, and which are there twice. For the checks of stores.

A producer numbers the events of each venue in each stream without a break, as long as its epoch lasts. So whatever is missing between two
recorded numbers was not recorded, or was deleted since.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from crosstape.history.batch import Source
from crosstape_schemas.event import VENUE_WIDE

MARGIN_NS: Final = 10**9
"""How far the times of a gap may be from those of the events around it, by the clocks of two machines."""
FRAMED: Final = frozenset({"candle", "bar"})
SHARED: Final = frozenset({"status", "gap"})
"""Kinds that share the numbers of a venue's own stream."""
FIRST_MERGE: Final = 10_000


class Numbered(NamedTuple):
    """What numbers events without a break: one venue in one stream, while one producer runs."""

    stream: str
    """How the stream's name ends: `trade:BTC-USDT`, `candle:1m:BTC-USDT`, `venue:kraken`."""
    kind: str
    """Of the feed: `trade`, `candle:1m`; `*` for a venue's own stream."""
    instrument: str
    venue: str
    epoch: int


class Run(NamedTuple):
    """Numbers that follow each other, and when the first and the last of these events were received."""

    first: int
    last: int
    first_ts: int
    last_ts: int


class Hole(NamedTuple):
    """Numbers that are missing, and when the events around them were received."""

    of: Numbered
    first: int
    last: int
    from_ts: int
    to_ts: int


class Reported(NamedTuple):
    """What one `gap` event says is missing."""

    venue: str
    instrument: str
    kind: str
    from_ts: int
    to_ts: int

    def explains(self, hole: Hole) -> bool:
        """Whether the missing numbers may be of the events that it says are missing."""
        return (
            self.venue in {hole.of.venue, VENUE_WIDE}
            and self.instrument in {hole.of.instrument, VENUE_WIDE}
            and self.kind in {hole.of.kind, VENUE_WIDE}
            and self.from_ts <= hole.to_ts + MARGIN_NS
            and self.to_ts >= hole.from_ts - MARGIN_NS
        )


class Numbers:
    """Collects the numbers of all events of a history. What it needs of memory grows with what is missing, not with the events."""

    def __init__(self) -> None:
        self.newest_ids: dict[tuple[str, str], tuple[int, int]] = {}
        """Kind and end of a stream's name → the newest id of a row."""
        self._runs: dict[Numbered, list[Run]] = {}
        self._merge_at: dict[Numbered, int] = {}
        self._statuses: dict[Numbered, tuple[int, int]] = {}

    def add(self, kind: str, table: pa.Table) -> None:
        """Adds rows of a kind, in any order."""
        framed = ["timeframe"] if kind in FRAMED else []
        table = table.select(["instrument", "venue", "epoch", *framed, "seq", "received_ts", "id_ms", "id_n", "source"])
        table = table.filter(pc.and_(pc.equal(table.column("source"), Source.TAPE.value), pc.greater(table.column("seq"), 0)))
        if not len(table):
            return
        keys = ["instrument", *framed, "venue", "epoch"]
        table = table.sort_by([(name, "ascending") for name in (*keys, "seq")]).combine_chunks()
        following, before = table.slice(1), table.slice(0, len(table) - 1)
        breaks = pc.not_equal(pc.subtract(following.column("seq"), before.column("seq")), 1)
        for name in keys:
            breaks = pc.or_(breaks, pc.not_equal(following.column(name), before.column(name)))
        starts = [0, *(index + 1 for index in pc.indices_nonzero(breaks).to_pylist())]
        ends = [*(start - 1 for start in starts[1:]), len(table) - 1]
        firsts, lasts = table.take(pa.array(starts, pa.int64())), table.take(pa.array(ends, pa.int64()))
        for first, last in zip(firsts.to_pylist(), lasts.to_pylist(), strict=True):
            of = _numbered(kind, first)
            self._runs.setdefault(of, []).append(Run(first["seq"], last["seq"], first["received_ts"], last["received_ts"]))
            if kind == "status" and of.instrument == VENUE_WIDE:
                lowest, highest = self._statuses.get(of, (first["seq"], last["seq"]))
                self._statuses[of] = min(lowest, first["seq"]), max(highest, last["seq"])
        self._newest(kind, table, framed)
        for of in {_numbered(kind, first) for first in firsts.select([*keys]).to_pylist()}:
            if len(self._runs[of]) > self._merge_at.get(of, FIRST_MERGE):
                self._runs[of] = list(_joined(self._runs[of]))
                self._merge_at[of] = 2 * len(self._runs[of]) + FIRST_MERGE

    def newest(self) -> dict[Numbered, int]:
        """Returns the highest number of each."""
        return {of: max(run.last for run in runs) for of, runs in self._runs.items()}

    def repeated(self) -> Iterator[tuple[Numbered, int, int]]:
        """Yields numbers that are there more than once: from number to number."""
        for of, runs in self._runs.items():
            last = 0
            for run in sorted(runs):
                if run.first <= last:
                    yield of, run.first, min(last, run.last)
                last = max(last, run.last)

    def holes(self) -> Iterator[Hole]:
        """Yields the numbers that are missing. Not of candles and bars: those that are not closed need not be recorded."""
        for of, runs in self._runs.items():
            if of.kind.partition(":")[0] in FRAMED:
                continue
            lowest, highest = self._statuses.get(of, (0, 0)) if of.stream.startswith("venue:") else (0, 2**63)
            ordered = list(_joined(runs))
            before = ordered[0]
            for run in ordered[1:]:
                if run.first > before.last + 1 and lowest <= before.last and run.first <= highest:
                    yield Hole(of, before.last + 1, run.first - 1, *sorted((before.last_ts, run.first_ts)))
                if run.last > before.last:
                    before = run

    def _newest(self, kind: str, table: pa.Table, framed: list[str]) -> None:
        """Note the newest id of each stream."""
        by_stream = ["instrument", *framed]
        ordered = table.sort_by([("id_ms", "ascending"), ("id_n", "ascending")])
        wide = ["venue"] if kind in SHARED else []
        found = ordered.group_by([*by_stream, *wide], use_threads=False).aggregate([("id_ms", "last"), ("id_n", "last")])
        for row in found.to_pylist():
            of = _numbered(kind, {"venue": "", "epoch": 0} | row)
            place = kind, of.stream
            self.newest_ids[place] = max(self.newest_ids.get(place, (0, 0)), (row["id_ms_last"], row["id_n_last"]))


def _numbered(kind: str, row: dict[str, object]) -> Numbered:
    instrument, venue, epoch = str(row["instrument"]), str(row["venue"]), int(str(row["epoch"]))
    if kind in SHARED and instrument == VENUE_WIDE:
        return Numbered(f"venue:{venue}", VENUE_WIDE, VENUE_WIDE, venue, epoch)
    feed = f"{kind}:{row['timeframe']}" if kind in FRAMED else kind
    return Numbered(f"{feed}:{instrument}", feed, instrument, venue, epoch)


def _joined(runs: Iterable[Run]) -> Iterator[Run]:
    """Yield the runs in order, those that touch as one. Those that overlap stay two, so that `repeated` finds them."""
    before: Run | None = None
    for run in sorted(runs):
        if before is not None and run.first == before.last + 1:
            before = Run(before.first, run.last, before.first_ts, run.last_ts)
            continue
        if before is not None:
            yield before
        before = run
    if before is not None:
        yield before
