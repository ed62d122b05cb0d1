"""Decides by the names of files alone which of them count: each commit once, whatever was merged, left behind or deleted.

The files of one kind, below its folder:

`commits/000000042.parquet`                     commit 42
`2026-11-30/000000001-000000060.parquet`        the commits 1 to 60, merged; all their rows are of this day (UTC, by `ts`)
`2026-11-30/000000061-000000120.1of2.parquet`   the first day of 61 to 120; they count once all parts are there

A merged file is written beside what it was made of. So what lies within a range that is complete does not count any more, and is deleted
later. Ranges are either apart or one lies within the other: see `merging`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

DIGITS: Final = 9
COMMITS: Final = "commits"
"""Folder of the commits that are not merged."""
NO_DAY: Final = "0001-01-01"
"""Day of a merged file without rows; no moment that ns since 1970 can name is in it."""

_NAME: Final = re.compile(
    rf"{COMMITS}/(?P<single>\d{{{DIGITS}}})\.parquet"
    rf"|(?P<day>\d{{4}}-\d\d-\d\d)/(?P<first>\d{{{DIGITS}}})-(?P<last>\d{{{DIGITS}}})(\.(?P<part>[1-9]\d*)of(?P<parts>[1-9]\d*))?\.parquet",
    re.ASCII,
)


class Name(msgspec.Struct, frozen=True, order=True):
    """What the name of a file says: the commits `first` to `last`, or of these the rows of one day, part `part` of `parts`."""

    first: int
    last: int
    parts: int = 1
    part: int = 1
    day: str = ""
    """Empty: a commit that is not merged."""

    @property
    def is_merged(self) -> bool:
        """Whether it is a merged file."""
        return bool(self.day)

    @property
    def has_marks(self) -> bool:
        """Whether its footer has the marks: those of the last commit are in the last part."""
        return self.part == self.parts

    @property
    def text(self) -> str:
        """The name of the file, relative to the folder of its kind."""
        if not self.day:
            return f"{COMMITS}/{self.first:0{DIGITS}}.parquet"
        suffix = f".{self.part}of{self.parts}" if self.parts > 1 else ""
        return f"{self.day}/{self.first:0{DIGITS}}-{self.last:0{DIGITS}}{suffix}.parquet"


def commit(number: int) -> Name:
    """Returns the name of a commit."""
    return Name(number, number)


def merged(first: int, last: int, days: Sequence[str]) -> list[Name]:
    """Returns the names of the files into which commits are merged, one for each day, in the order of the days."""
    return [Name(first, last, len(days), part, day) for part, day in enumerate(sorted(days), 1)]


def parse(text: str) -> Name | None:
    """Returns what a name says; None: it is the name of no file of ours."""
    found = _NAME.fullmatch(text)
    if not found:
        return None
    if single := found["single"]:
        name = commit(int(single))
    else:
        name = Name(int(found["first"]), int(found["last"]), int(found["parts"] or 1), int(found["part"] or 1), found["day"])
        try:
            dt.date.fromisoformat(name.day)
        except ValueError:
            return None
    valid = 1 <= name.first <= name.last and name.part <= name.parts and name.text == text
    return name if valid else None


class Stretch(msgspec.Struct, frozen=True, order=True):
    """The commits `first` to `last`, and the files that hold their rows."""

    first: int
    last: int
    names: tuple[Name, ...]

    @property
    def is_merged(self) -> bool:
        """Whether these are merged files, and not a commit."""
        return self.names[0].is_merged

    @property
    def is_empty(self) -> bool:
        """Whether all its rows were deleted, or there never were any."""
        return self.names[0].day == NO_DAY


class Cover(msgspec.Struct, frozen=True):
    """Which files count."""

    stretches: tuple[Stretch, ...]
    """By number: together they hold each commit once."""
    hidden: tuple[Name, ...]
    """Files that do not count, because what they hold is in others too, or because parts are not written yet."""
    missing: tuple[tuple[int, int], ...]
    """From number to number: commits between the first and the newest one that no file holds, or only one of several parts."""
    newest: int
    """Number of the newest commit; 0: there is none."""

    @property
    def names(self) -> list[Name]:
        """The files that count."""
        return [name for stretch in self.stretches for name in stretch.names]

    def within(self, name: Name) -> Stretch | None:
        """Returns the merged files that hold all of a file that does not count."""
        for stretch in self.stretches:
            if stretch.is_merged and stretch.first <= name.first and name.last <= stretch.last:
                return stretch
        return None


def cover(names: Iterable[Name]) -> Cover:
    """Returns which files count: from the lowest number on the widest complete range that begins there, else the commit; then the next.

    Of several complete sets of files for one range, the one with the fewest parts counts, the one without rows first: it was made when days
    were deleted.
    """
    sets: dict[tuple[int, int, int, str], dict[int, Name]] = defaultdict(dict)
    known = sorted(set(names))
    for name in known:
        # Parts of several days belong together; merged files of one day each are a set of their own.
        day = name.day if name.parts == 1 else "parts"
        sets[name.first, name.last, name.parts, day].setdefault(name.part, name)
    found = [
        Stretch(first, last, tuple(parts[number] for number in sorted(parts)))
        for (first, last, count, _), parts in sets.items()
        if len(parts) == count
    ]
    found.sort(key=_preference)
    chosen: list[Stretch] = []
    missing: list[tuple[int, int]] = []
    for stretch in found:
        newest = chosen[-1].last if chosen else stretch.first - 1
        if stretch.first > newest + 1:
            missing.append((newest + 1, stretch.first - 1))
        if stretch.first > newest:
            chosen.append(stretch)
    newest = chosen[-1].last if chosen else 0
    if known and (last := max(name.last for name in known)) > newest:
        missing.append((newest + 1, last))
        newest = last
    counting = {name for stretch in chosen for name in stretch.names}
    return Cover(tuple(chosen), tuple(name for name in known if name not in counting), tuple(missing), newest)


def _preference(stretch: Stretch) -> tuple[int, int, bool, int, str]:
    """Sorts what counts before what does not, among files of one first commit."""
    return stretch.first, -stretch.last, not stretch.is_merged, len(stretch.names), stretch.names[0].day
