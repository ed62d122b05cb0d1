"""Merges commits into files of days, and deletes what is merged. Everything here blocks.

A merged file is written beside its sources, which any process may still be reading. They are deleted an hour later, and only while a
merged file is there that holds all of them. So a process that is killed at any moment, or several that do the same, cause no harm.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from crosstape.errors import HistoryError
from crosstape.history.arrow import schema_of
from crosstape.history.parquet.catalogue import DAY_NS, Catalogue, Group, Listing, day_of, day_ts, reading
from crosstape.history.parquet.file import FileWriter, added
from crosstape.history.parquet.merging import Merge, merges
from crosstape.history.parquet.names import NO_DAY, Name, merged
from crosstape.history.parquet.rows import conformed
from crosstape.history.parquet.slices import Span, slices
from crosstape.log import get_log

KEPT_S: Final = 3_600
"""How long sources stay beside what they were merged into: others read them, and `committing` relies on the names of commits."""
MOST_ERRORS: Final = 3
"""After so many blocks that cannot be merged, the disk or the bucket is the cause, and not a file."""
CHUNK_ROWS: Final = 400_000
CHUNK_BYTES: Final = 64 << 20
"""Most rows, and about the most bytes without compression, that are merged at a time in memory."""

log = get_log(__name__)


class NewerFile(HistoryError):
    """A newer version has written a file, with columns that would be lost here. That version merges it."""


class Source(msgspec.Struct, frozen=True):
    """One file of those to merge."""

    name: Name
    path: str
    groups: tuple[Group, ...]


class Chunk(msgspec.Struct, frozen=True):
    """Rows of one day that are merged at a time: all from one instrument to another, or a range of time of a single one."""

    first_instrument: str
    last_instrument: str
    from_ts: int
    to_ts: int


class Compaction:
    """Merges the commits of one history."""

    def __init__(self, catalogue: Catalogue, clock: Callable[[], int] = time.time_ns) -> None:
        self._catalogue = catalogue
        self._folder = catalogue.folder
        self._clock = clock
        self.bytes_written = 0
        self._stopped = threading.Event()
        self._newer: dict[str, set[tuple[int, int]]] = {}
        """Kind → first and last commit of the blocks in which a newer version has written a file."""

    def stop(self) -> None:
        """Ends what runs within some seconds: a merge that is not finished is given up, as if this process were killed."""
        self._stopped.set()

    def steps(self) -> Iterator[int]:
        """Merges and deletes, a block after the other. Yields after each how many commits were merged.

        Where one cannot be merged, as with a torn file, narrower ones within it and the others are; then the error is raised. Files of a
        newer version are left as they are.
        """
        errors: dict[str, HistoryError] = {}
        for kind in self._catalogue.kinds():
            failed: set[tuple[int, int]] = set()
            while (done := self._step(kind, failed, errors)) is not None:
                yield done
            self._sweep(kind)
            yield 0
        old = self._clock() - KEPT_S * 10**9
        self._folder.delete(found.name for found in self._folder.leftovers() if found.changed_ts < old)
        for error in errors.values():
            raise error

    def _step(self, kind: str, failed: set[tuple[int, int]], errors: dict[str, HistoryError]) -> int | None:
        """Merge one block; returns how many commits it has, or None if there is no block to merge. Notes a block that cannot be merged."""
        listing = self._catalogue.listing(kind)
        newer = self._newer.setdefault(kind, set())
        for merge in merges(listing.cover, listing.sizes, without=failed | newer):
            block = merge.first, merge.last
            failed.add(block)  # it is tried once
            try:
                self._merge(listing, merge)
            except FileNotFoundError:  # another process has merged and deleted it
                return 0
            except NewerFile as exc:
                newer.add(block)
                log.warning("history.not_merged", kind=kind, first=merge.first, last=merge.last, reason=str(exc))
                return 0
            except HistoryError as exc:
                errors[str(exc)] = exc
                if len(errors) >= MOST_ERRORS or self._stopped.is_set():
                    raise
                return 0
            return merge.last - merge.first + 1
        return None

    def _merge(self, listing: Listing, merge: Merge) -> None:
        sources = [
            Source(name, listing.path(name), self._catalogue.footer(listing, name).groups)
            for stretch in merge.stretches
            for name in stretch.names
        ]
        footers = [self._catalogue.written(source.path) for source in sources]
        targets = merged(merge.first, merge.last, self._days(listing.kind, sources) or [NO_DAY])
        rows, sums = 0, [footer.sums for footer in footers]
        made: list[dict[str, Decimal]] = []
        for target in targets:
            writer = FileWriter(listing.kind)
            if target.day != NO_DAY:
                for chunk in self._chunks(sources, target.day):
                    if self._stopped.is_set():
                        raise HistoryError(f"{self._folder.url}/{listing.kind}: merging was stopped")
                    writer.write(self._rows(listing.kind, sources, chunk))
            rows += writer.rows
            made.append(writer.sums)
            data = writer.finish(footers[-1].marks if target.has_marks else {})
            if target.has_marks:  # nothing counts before this file is there
                expected = sum(footer.rows for footer in footers)
                if rows != expected or not _equal(added(made), added(sums)):
                    raise HistoryError(
                        f"{self._folder.url}/{listing.kind}: commits {merge.first} to {merge.last} are not merged: they have {expected} "
                        f"rows, what was read has {rows}, or other sums; `crosstape recorder check` finds what is wrong"
                    )
            if self._folder.put(listing.path(target), data):
                self.bytes_written += len(data)

    def _sweep(self, kind: str) -> None:
        """Delete the files that do not count, and have not for an hour."""
        listing = self._catalogue.listing(kind)
        old = self._clock() - KEPT_S * 10**9
        gone: list[str] = []
        for name in listing.cover.hidden:
            instead = listing.cover.within(name)
            if instead and all(listing.found[one].changed_ts < old for one in instead.names):
                gone.append(listing.path(name))
        if gone:
            self._folder.delete(gone)
            log.info("history.merged_files_deleted", kind=kind, files=len(gone))

    def _days(self, kind: str, sources: Sequence[Source]) -> list[str]:
        """Return the days that there are rows of."""
        days: set[str] = set()
        for source in sources:
            if source.name.is_merged:
                days |= {source.name.day} - {NO_DAY}
                continue
            for group in source.groups:
                first, last = group.from_ts // DAY_NS, group.to_ts // DAY_NS
                if last - first <= 1:
                    days |= {day_of(group.from_ts), day_of(group.to_ts)}
                else:
                    with self._catalogue.open(source.path) as file, reading(self._folder, source.path):
                        days |= set(map(day_of, file.read_row_group(group.index, columns=["ts"]).column(0).to_pylist()))
        return sorted(days)

    def _chunks(self, sources: Sequence[Source], day: str) -> Iterator[Chunk]:
        """Yield the parts in which a day is merged, in the order of the file."""
        from_ts, to_ts = day_ts(day), day_ts(day) + DAY_NS
        counts: dict[str, int] = {}
        groups: list[Group] = []
        for source in sources:
            chosen = [group for group in source.groups if _is_of_day(source.name, group, day)]
            groups += chosen
            if not chosen:
                continue
            with self._catalogue.open(source.path) as file, reading(self._folder, source.path):
                for group in chosen:
                    names = file.read_row_group(group.index, columns=["instrument"]).column(0)
                    for one in pc.value_counts(names).to_pylist():
                        counts[one["values"]] = counts.get(one["values"], 0) + one["counts"]
        bytes_of_a_row = max(1, sum(group.size for group in groups) // max(1, sum(group.rows for group in groups)))
        most = max(1, min(CHUNK_ROWS, CHUNK_BYTES // bytes_of_a_row))
        waiting: list[str] = []
        for instrument in sorted(counts):
            if waiting and sum(counts[name] for name in waiting) + counts[instrument] > most:
                yield Chunk(waiting[0], waiting[-1], from_ts, to_ts)
                waiting = []
            if counts[instrument] <= most:
                waiting.append(instrument)
                continue
            spans = [
                Span(group.from_ts, group.to_ts, group.rows)
                for group in groups
                if group.first_instrument <= instrument <= group.last_instrument
            ]
            for start, end in slices(spans, from_ts, to_ts, most):
                yield Chunk(instrument, instrument, start, end)
        if waiting:
            yield Chunk(waiting[0], waiting[-1], from_ts, to_ts)

    def _rows(self, kind: str, sources: Sequence[Source], chunk: Chunk) -> pa.Table:
        schema = schema_of(kind)
        found = [schema.empty_table()]
        for source in sources:
            chosen = [group.index for group in source.groups if _overlaps(group, chunk)]
            if not chosen:
                continue
            with self._catalogue.open(source.path) as file, reading(self._folder, source.path):
                if newer := set(file.schema_arrow.names) - set(schema.names):
                    raise NewerFile(
                        f"{self._folder.url}/{source.path}: a newer version has written it, with {min(newer)}: merge it with that"
                    )
                table = conformed(file.read_row_groups(chosen), kind, schema.names)
            ts, instrument = table.column("ts"), table.column("instrument")
            mask = pc.and_(pc.greater_equal(ts, chunk.from_ts), pc.less(ts, chunk.to_ts))
            mask = pc.and_(mask, pc.greater_equal(instrument, chunk.first_instrument))
            found.append(table.filter(pc.and_(mask, pc.less_equal(instrument, chunk.last_instrument))))
        return pa.concat_tables(found)


def _is_of_day(name: Name, group: Group, day: str) -> bool:
    if name.is_merged:
        return name.day == day
    return group.from_ts < day_ts(day) + DAY_NS and group.to_ts >= day_ts(day)


def _overlaps(group: Group, chunk: Chunk) -> bool:
    return (
        group.from_ts < chunk.to_ts
        and group.to_ts >= chunk.from_ts
        and group.first_instrument <= chunk.last_instrument
        and group.last_instrument >= chunk.first_instrument
    )


def _equal(one: dict[str, Decimal], other: dict[str, Decimal]) -> bool:
    return all(one.get(name, 0) == other.get(name, 0) for name in one.keys() | other.keys())
