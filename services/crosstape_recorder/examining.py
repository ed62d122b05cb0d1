"""Reads from a store what `gaps` needs to find what the history lacks. It needs the extra `history`.

Rows are read in parts, and only runs of numbers are kept of them: the memory that it takes does not grow with the number of rows.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from crosstape.history.arrow import events_of
from crosstape.history.batch import Source
from crosstape.history.query import Query
from crosstape.history.store import Store
from crosstape_recorder.gaps.finding import Findings, Recorded, Span, VenueFacts, find
from crosstape_recorder.gaps.gap import Feed
from crosstape_recorder.gaps.runs import Run, joined
from crosstape_recorder.gaps.told import GapRow
from crosstape_recorder.selection import Selection
from crosstape_schemas import VENUE_WIDE, Gap, decode

MARGIN_NS: Final = 3_600_000_000_000
"""Rows are read so much before and after the time that is asked for: what is missing lies between two that are there."""
LATE_NS: Final = 86_400_000_000_000
"""Trades that were fetched late have earlier times than the entries around them: numbers are looked for so much further."""
NOT_NUMBERED: Final = frozenset({"candle", "bar"})
"""Kinds of which not every event is kept."""
_GROUP: Final = ["venue", "instrument", "epoch"]
_DIGITS: Final = "^[0-9]{1,18}$"


async def examine(store: Store, selection: Selection, facts: Callable[[str], VenueFacts], *, tolerance_ns: int) -> Findings:
    """Returns what the history lacks. `facts`: of a venue. `tolerance_ns`: see `find`. Raises `HistoryError`."""
    recorded = await read(store, selection)
    return find(recorded, facts, selection.wants, Span(selection.from_ts, selection.to_ts), tolerance_ns=tolerance_ns)


async def read(store: Store, selection: Selection) -> Recorded:
    """Reads what is there of the selection. Raises `HistoryError`."""
    rows = _Rows(selection)
    await rows.read_gaps(store)
    await rows.read_signs(store)
    await rows.read_end(store)
    for kind in selection.kinds:
        if kind not in ("gap", "status"):
            await rows.read_kind(store, kind)
    return await rows.recorded(store)


def runs_of(table: pa.Table, number: str, ts: str) -> Iterator[tuple[str, str, int, list[Run]]]:
    """Yields venue, instrument and epoch, and the runs of the numbers in a column. `ts`: the column of their times.

    Of a group without a break, which is the usual case, no number is looked at in Python.
    """
    groups = table.group_by(_GROUP).aggregate([(number, "min"), (number, "max"), (number, "count_distinct"), (ts, "min"), (ts, "max")])
    for group in groups.to_pylist():
        first, last = group[f"{number}_min"], group[f"{number}_max"]
        if last - first + 1 == group[f"{number}_count_distinct"]:
            runs = [Run(first, last, group[f"{ts}_min"], group[f"{ts}_max"])]
        else:
            part = table.filter(pc.and_kleene(*_same(table, group, "venue", "instrument")))
            part = part.filter(pc.equal(part.column("epoch"), group["epoch"]))
            runs = _runs(part.column(number), part.column(ts))
        yield group["venue"], group["instrument"], group["epoch"], runs


def _runs(numbers: pa.ChunkedArray, stamps: pa.ChunkedArray) -> list[Run]:
    """Return the runs of these numbers, one at least. What is done in Python grows with the number of runs alone."""
    order = pc.sort_indices(numbers)
    ordered, times = numbers.take(order).combine_chunks(), stamps.take(order).combine_chunks()
    starts = [0, *pc.indices_nonzero(pc.greater(pc.pairwise_diff(ordered), 1)).to_pylist(), len(ordered)]
    found = []
    for start, end in pairwise(starts):
        both = pc.min_max(times.slice(start, end - start)).as_py()
        found.append(Run(ordered[start].as_py(), ordered[end - 1].as_py(), both["min"], both["max"]))
    return found


def of_tape(table: pa.Table) -> pa.Table:
    """Returns the rows that have a number of the tape."""
    return table.filter(pc.and_kleene(pc.equal(table.column("source"), Source.TAPE.value), pc.greater(table.column("seq"), 0)))


def trade_runs(table: pa.Table) -> Iterator[tuple[str, str, int, list[Run]]]:
    """Yields venue, instrument and epoch, and the runs of the trade ids that are numbers."""
    columns = table.select([*_GROUP, "ts", "trade_id"])
    columns = columns.filter(pc.match_substring_regex(columns.column("trade_id"), _DIGITS))
    ids = pc.cast(columns.column("trade_id"), pa.int64())
    yield from runs_of(columns.set_column(columns.schema.get_field_index("trade_id"), "trade_id", ids), "trade_id", "ts")


def _same(table: pa.Table, group: dict[str, Any], *names: str) -> Iterable[Any]:
    return (pc.equal(table.column(name), group[name]) for name in names)


class _Rows:
    """What was read so far."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._feeds: set[Feed] = set()
        self._gaps: list[GapRow] = []
        self._numbers: dict[Feed, dict[int, list[Run]]] = defaultdict(lambda: defaultdict(list))
        self._ids: dict[Feed, list[Run]] = defaultdict(list)
        self._candles: dict[Feed, set[int]] = defaultdict(set)
        self._signs: dict[str, list[int]] = defaultdict(list)
        self._until_ts: int | None = None

    def _query(self, kind: str, margin_ns: int) -> Query:
        wanted = self._selection
        from_ts = None if wanted.from_ts is None else max(0, wanted.from_ts - margin_ns)
        return Query(
            kind=kind, instrument=wanted.instrument, venue=wanted.venue, timeframe=wanted.timeframe if kind in NOT_NUMBERED else None,
            from_ts=from_ts, to_ts=wanted.to_ts + margin_ns,
        )  # fmt: skip

    async def read_gaps(self, store: Store) -> None:
        """Read all gaps that began before the end of the time: one may be long, or may have been repaired."""
        wanted = self._selection
        async for table in store.read(Query(kind="gap", to_ts=wanted.to_ts)):
            for data, source in zip(events_of(table), table.column("source").to_pylist(), strict=True):
                gap = decode(data)
                if not isinstance(gap, Gap) or not self._concerns(gap):
                    continue
                self._gaps.append(GapRow(gap, by_recorder=source == Source.RECORDER.value))
                feed = Feed.of(gap.venue, gap.instrument, gap.kind)
                if VENUE_WIDE not in (feed.venue, feed.instrument, feed.kind):
                    self._feeds.add(feed)
            self._note_numbers("gap", table.filter(self._of_venues(table)))

    def _of_venues(self, table: pa.Table) -> Any:
        """Return which gaps are of a venue's own stream, and within the time of the statuses that are read of it."""
        wanted, received_ts = self._selection, table.column("received_ts")
        chosen = pc.and_(pc.equal(table.column("instrument"), VENUE_WIDE), pc.less(received_ts, wanted.to_ts))
        return chosen if wanted.from_ts is None else pc.and_(chosen, pc.greater_equal(received_ts, wanted.from_ts))

    def _concerns(self, gap: Gap) -> bool:
        wanted = self._selection
        return (wanted.instrument is None or gap.instrument in (wanted.instrument, VENUE_WIDE)) and (
            wanted.venue is None or gap.venue in (wanted.venue, VENUE_WIDE)
        )

    async def read_signs(self, store: Store) -> None:
        """Read the signs of life of the venues."""
        query = msgspec.structs.replace(self._query("status", 0), instrument=VENUE_WIDE)
        async for table in store.read(query):
            signs = table.filter(pc.equal(table.column("kind"), VENUE_WIDE))
            for venue, ts in zip(signs.column("venue").to_pylist(), signs.column("received_ts").to_pylist(), strict=True):
                self._signs[venue].append(ts)
            self._note_numbers("gap", table)  # statuses and gaps of a venue's own stream have one numbering

    async def read_end(self, store: Store) -> None:
        """Read until when anything was recorded, of any venue: that of one may have ended earlier."""
        newest = await store.last(Query(kind="status", instrument=VENUE_WIDE))
        self._until_ts = None if newest is None else decode(newest).received_ts

    async def read_kind(self, store: Store, kind: str) -> None:
        """Read the rows of a kind."""
        async for table in store.read(self._query(kind, MARGIN_NS)):
            await asyncio.to_thread(self._note, kind, table)  # a recorder goes on recording meanwhile

    def _note(self, kind: str, table: pa.Table) -> None:
        if kind in NOT_NUMBERED:
            self._note_candles(kind, table)
            return
        for one in table.group_by(["venue", "instrument"]).aggregate([]).to_pylist():
            self._feeds.add(Feed(one["venue"], one["instrument"], kind))
        self._note_numbers(kind, table)
        if kind == "trade":
            for venue, instrument, _, runs in trade_runs(table):
                feed = Feed(venue, instrument, kind)
                self._ids[feed] = joined([*self._ids[feed], *runs])

    def _note_numbers(self, kind: str, table: pa.Table) -> None:
        for venue, instrument, epoch, runs in runs_of(of_tape(table), "seq", "received_ts"):
            numbers = self._numbers[Feed(venue, instrument, kind)]
            numbers[epoch] = joined([*numbers[epoch], *runs])

    def _note_candles(self, kind: str, table: pa.Table) -> None:
        names = ("venue", "instrument", "timeframe", "open_ts", "closed")
        for venue, instrument, timeframe, open_ts, closed in zip(*(table.column(name).to_pylist() for name in names), strict=True):
            feed = Feed(venue, instrument, kind, timeframe)
            self._feeds.add(feed)
            if kind == "candle" and closed:
                self._candles[feed].add(open_ts)

    async def recorded(self, store: Store) -> Recorded:
        """Returns all that was read. Where numbers are missing, it looks for them among the rows of other times first."""
        suspects = [feed for feed, numbers in self._numbers.items() if any(len(runs) > 1 for runs in numbers.values())]
        for feed in suspects:
            if feed.kind == "gap" or self._selection.from_ts is None:
                continue
            query = msgspec.structs.replace(self._query(feed.kind, LATE_NS), instrument=feed.instrument, venue=feed.venue)
            async for table in store.read(query):
                self._note_numbers(feed.kind, table)
        return Recorded(
            feeds=self._feeds, gaps=self._gaps, numbers=self._numbers, trade_ids=self._ids, candles=self._candles, signs=self._signs,
            until_ts=self._until_ts,
        )  # fmt: skip
