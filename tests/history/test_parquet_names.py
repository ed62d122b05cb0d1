"""Which files count is decided by their names alone, and each commit counts once whatever was merged, left behind or deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape.history.parquet.merging import Merge, merges
from crosstape.history.parquet.names import NO_DAY, Name, commit, cover, merged, parse

BLOCKS = (2, 4, 8)
DAYS = ("2026-11-28", "2026-11-29", "2026-11-30")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("commits/000000042.parquet", Name(42, 42)),
        ("2026-11-30/000000001-000000060.parquet", Name(1, 60, 1, 1, "2026-11-30")),
        ("2026-11-30/000000061-000000120.1of2.parquet", Name(61, 120, 2, 1, "2026-11-30")),
    ],
)
def test_a_name_says_which_commits_a_file_holds(text: str, name: Name) -> None:
    """And is made from it again."""
    assert parse(text) == name
    assert name.text == text


@pytest.mark.parametrize(
    "text",
    [
        "commits/000000000.parquet",
        "commits/42.parquet",
        "commits/0000000042.parquet",
        "commits/.part-000000042.parquet",
        "commits/000000042.parquet.tmp",
        "commits/٠٠٠٠٠٠٠٤٢.parquet",
        "000000042.parquet",
        "2026-13-30/000000001-000000060.parquet",
        "2026-11-30/000000060-000000001.parquet",
        "2026-11-30/000000001-000000060.3of2.parquet",
        "2026-11-30/000000001-000000060.1of1.parquet",
        "2026-11-30/000000001-000000060.0of2.parquet",
        "2026-11-30/deep/000000001-000000060.parquet",
        "README.md",
    ],
)
def test_what_is_named_otherwise_is_no_file_of_ours(text: str) -> None:
    """A reader leaves it alone."""
    assert parse(text) is None


def test_the_widest_range_counts_that_is_complete() -> None:
    """A merged file of two days counts once both are there; until then its sources do."""
    sources = [commit(1), commit(2), *merged(3, 4, DAYS[:1])]
    first, second = merged(1, 4, DAYS[:2])

    assert cover([*sources, first]).names == sources
    assert cover([*sources, first]).hidden == (first,)
    assert cover([*sources, first, second]).names == [first, second]
    assert cover([*sources, first, second]).hidden == tuple(sorted(sources))


def test_a_commit_that_is_gone_is_missing() -> None:
    """A file that somebody deleted is seen from the others, and so is one day of two."""
    assert cover([commit(1), commit(3), commit(6)]).missing == ((2, 2), (4, 5))
    assert cover([commit(1), *merged(2, 3, DAYS[:2])[:1]]).missing == ((2, 3),)
    assert cover([commit(1), *merged(2, 3, DAYS[:2])[:1]]).newest == 3
    assert cover([commit(7), commit(8)]).missing == ()
    assert cover([]).newest == 0


def test_blocks_are_merged_when_they_are_full() -> None:
    """The widest first; what remains in smaller ones, and the newest not at all."""
    found = merges(cover(commit(number) for number in range(1, 16)), {}, BLOCKS)

    assert [(merge.first, merge.last) for merge in found] == [(1, 8), (9, 12), (13, 14)]
    assert [len(merge.stretches) for merge in found] == [8, 4, 2]


def test_a_large_day_is_not_merged_further() -> None:
    """Only the smallest block is merged whatever its size."""
    names = [*merged(1, 2, DAYS[:1]), *merged(3, 4, DAYS[:1]), *merged(5, 6, DAYS[:1]), *merged(7, 8, DAYS[1:2])]
    sizes = dict.fromkeys(names, 60) | {commit(9): 500, commit(10): 500}

    found = merges(cover([*names, commit(9), commit(10)]), sizes, BLOCKS, most_bytes=100)

    assert [(merge.first, merge.last) for merge in found] == [(5, 8), (9, 10)]


def test_a_block_with_a_missing_commit_stays_as_it_is() -> None:
    """Else nobody would see any more that it is missing. What was deleted at the beginning is not missing."""
    assert merges(cover([commit(1), commit(2), commit(4)]), {}, BLOCKS) == merges(cover([commit(1), commit(2)]), {}, BLOCKS)
    assert [(merge.first, merge.last) for merge in merges(cover([commit(2), commit(3), commit(4)]), {}, BLOCKS)] == [(1, 4)]


Rows = frozenset[tuple[int, str]]
"""Commit and day of each row."""


class Disk:
    """Files by name, each with the rows that are in it: what any number of processes do at once, one step at a time."""

    def __init__(self) -> None:
        self.files: dict[Name, Rows] = {}
        self.written: set[tuple[int, str]] = set()
        self.deleted_before = ""

    def commit(self, days: frozenset[str]) -> None:
        """One recorder writes."""
        number = cover(self.files).newest + 1
        rows = frozenset((number, day) for day in days)
        self.files[commit(number)] = rows
        self.written |= rows

    def merging(self, choose: Callable[[list[Merge]], Merge]) -> Iterator[None]:
        """One process merges a block: it lists, reads, and writes a file at a time; it may end at any step."""
        found = merges(cover(self.files), {}, BLOCKS)
        if not found:
            return
        merge = choose(found)
        rows: set[tuple[int, str]] = set()
        for stretch in merge.stretches:
            for name in stretch.names:
                yield
                if name not in self.files:
                    return  # it was deleted: this process begins again
                rows |= self.files[name]
        days = sorted({day for _, day in rows}) or [NO_DAY]
        for name in merged(merge.first, merge.last, days):
            yield
            self.files.setdefault(name, frozenset(row for row in rows if row[1] == name.day))

    def sweeping(self) -> Iterator[None]:
        """One process deletes what does not count, by a listing of its own."""
        found = cover(self.files)
        for name in found.hidden:
            if found.within(name):
                yield
                self.files.pop(name, None)

    def expiring(self, before: str) -> Iterator[None]:
        """One process deletes days. The range keeps its days that remain, and one whose days are all gone is written without rows."""
        found = cover(self.files)
        self.deleted_before = max(self.deleted_before, before)
        for stretch in found.stretches:
            names = stretch.names
            if not stretch.is_merged:
                rows = self.files.get(names[0])
                if rows is None or all(day >= before for _, day in rows):
                    continue
                names = tuple(merged(stretch.first, stretch.last, sorted({day for _, day in rows})))
                content = {name: frozenset(row for row in rows if row[1] == name.day) for name in names}
            else:
                if any(name not in self.files for name in names):
                    continue
                content = {name: self.files[name] for name in names}
            if stretch.is_empty or all(name.day >= before for name in names):
                continue
            remaining = [name for name in names if name.day >= before]
            targets = merged(stretch.first, stretch.last, [name.day for name in remaining] or [NO_DAY])
            for target, source in zip(targets, remaining or [names[-1]], strict=True):
                yield
                self.files.setdefault(target, content[source] if remaining else frozenset())

    def check(self) -> None:
        """Each row counts once, and no row is lost that is not of a deleted day."""
        found = cover(self.files)
        assert found.missing == ()
        rows = [row for name in found.names for row in self.files[name]]
        assert len(rows) == len(set(rows)), "a row counts twice"
        assert set(rows) <= self.written
        assert set(rows) >= {row for row in self.written if row[1] >= self.deleted_before}


@settings(max_examples=100)
@given(st.data())
def test_each_commit_counts_once_whatever_happens(data: st.DataObject) -> None:
    """Commits, mergers, sweepers and deleters take turns step by step, and each may stop for ever at any of them."""
    disk = Disk()
    running: list[Iterator[None]] = []
    for _ in range(data.draw(st.integers(5, 80))):
        match data.draw(st.sampled_from(["commit", "commit", "merge", "sweep", "expire", "step", "step", "step", "step", "finish"])):
            case "commit":
                disk.commit(frozenset(data.draw(st.sets(st.sampled_from(DAYS), max_size=3))))
            case "merge":
                running.append(disk.merging(lambda found: data.draw(st.sampled_from(found))))
            case "sweep":
                running.append(disk.sweeping())
            case "expire":
                running.append(disk.expiring(data.draw(st.sampled_from(DAYS))))
            case "finish" if running:
                for _ in running.pop(data.draw(st.integers(0, len(running) - 1))):
                    disk.check()
            case "step" if running:
                next(data.draw(st.sampled_from(running)), None)
        disk.check()
