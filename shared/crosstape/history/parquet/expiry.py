"""Deletes the oldest days of a history. Everything here blocks.

Nothing is deleted from a file. A range of commits that loses days is given the names it would have without them: from then on these count,
and the files of the days can go. One that has lost all days is a file without rows, which has the marks. So a reader, a merging process or
one that is killed sees whole days, before or after, and numbers never come again.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from crosstape.errors import HistoryError
from crosstape.history.arrow import schema_of
from crosstape.history.parquet.catalogue import EXPIRED, Catalogue, Listing, day_of, day_ts, reading
from crosstape.history.parquet.file import bytes_of
from crosstape.history.parquet.names import NO_DAY, Stretch, merged
from crosstape.history.parquet.rows import conformed
from crosstape.log import get_log

log = get_log(__name__)


class Expiry:
    """Deletes days of one history."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._folder = catalogue.folder

    def steps(self, before_ts: int | None, max_bytes: int | None) -> Iterator[int]:
        """Deletes the days of one kind after another. Yields after each how many rows were deleted."""
        before = "" if before_ts is None else day_of(before_ts)
        if max_bytes is not None:
            before = max(before, self._catalogue.retried("", lambda: self._first_day_within(max_bytes)))
        if not before:
            return
        error: HistoryError | None = None
        for kind in self._catalogue.kinds():
            try:
                rows = self._catalogue.retried(kind, partial(self._expire, kind, before))
            except HistoryError as exc:  # a torn file; days of other kinds are deleted all the same
                error = error or exc
                continue
            if rows:
                log.info("history.days_deleted", kind=kind, before=before, rows=rows)
            yield rows
        if error is not None:
            raise error

    def _first_day_within(self, max_bytes: int) -> str:
        """Return the first day to keep so that all kinds together have at most so many bytes; at least the newest day is kept."""
        sizes: dict[str, int] = {}
        for kind in self._catalogue.kinds():
            listing = self._catalogue.listing(kind)
            for name in listing.cover.names:
                day = name.day or day_of(self._catalogue.footer(listing, name).to_ts)
                sizes[day] = sizes.get(day, 0) + listing.found[name].size
        sizes.pop(NO_DAY, None)
        total, first = 0, ""
        for day in sorted(sizes, reverse=True):
            total += sizes[day]
            if total > max_bytes and first:
                return first
            first = day
        return ""

    def _expire(self, kind: str, before: str) -> int:
        listing = self._catalogue.listing(kind)
        if before > listing.expired:
            self._folder.put(f"{kind}/{EXPIRED}/{before}", b"")
            if listing.expired:
                self._folder.delete([f"{kind}/{EXPIRED}/{listing.expired}"])
        rows = 0
        for stretch in listing.cover.stretches:
            rows += self._merged(listing, stretch, before) if stretch.is_merged else self._single(listing, stretch, before)
        self._clear(kind, before)
        return rows

    def _merged(self, listing: Listing, stretch: Stretch, before: str) -> int:
        """Delete days of merged files. Returns how many rows they had."""
        names = stretch.names
        gone = [name for name in names if name.day < before]
        if stretch.is_empty or not gone:
            return 0
        rows = sum(self._catalogue.footer(listing, name).rows for name in gone)
        remaining = names[len(gone) :]
        if not remaining:
            self._empty(listing, stretch)
            return rows
        for source, target in zip(remaining, merged(stretch.first, stretch.last, [name.day for name in remaining]), strict=True):
            self._folder.copy(listing.path(source), listing.path(target))
        return rows

    def _single(self, listing: Listing, stretch: Stretch, before: str) -> int:
        """Delete days of a commit that is not merged. Returns how many rows they had."""
        (name,) = stretch.names
        footer = self._catalogue.footer(listing, name)
        limit = day_ts(before)
        if not footer.rows or footer.from_ts >= limit:
            return 0
        if footer.to_ts < limit:
            self._empty(listing, stretch)
            return footer.rows
        path = listing.path(name)
        with self._catalogue.open(path) as file, reading(self._folder, path):
            table = conformed(file.read(), listing.kind, schema_of(listing.kind).names)
        days = [day_of(ts) for ts in table.column("ts").to_pylist()]
        marks = self._catalogue.written(path).marks
        targets = merged(stretch.first, stretch.last, sorted({day for day in days if day >= before}))
        for target in targets:
            rows = table.filter(pc.equal(pa.array(days, pa.string()), target.day))
            self._folder.put(listing.path(target), bytes_of(rows, marks if target.has_marks else {}))
        return sum(day < before for day in days)

    def _empty(self, listing: Listing, stretch: Stretch) -> None:
        """Write a file without rows in the place of all of a range."""
        (target,) = merged(stretch.first, stretch.last, [NO_DAY])
        marks = self._catalogue.written(listing.path(stretch.names[-1])).marks
        self._folder.put(listing.path(target), bytes_of(schema_of(listing.kind).empty_table(), marks))

    def _clear(self, kind: str, before: str) -> None:
        """Delete the files of days that do not count any more. Commits keep their names for an hour longer: see `committing`."""
        listing = self._catalogue.listing(kind)
        self._folder.delete(
            listing.path(name)
            for name in listing.cover.hidden
            if name.is_merged and NO_DAY < name.day < before and listing.cover.within(name)
        )
