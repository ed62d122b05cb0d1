"""Decides which commits are merged into which files, from names and sizes alone.

Numbers are divided into blocks of ten, sixty, 1,440 and 43,200: at a commit a minute, an hour, a day and a month. Blocks of two sizes never
overlap in part, so that any number of processes may merge at once, each by another listing, and each commit still counts once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from crosstape.history.parquet.names import Cover, Name, Stretch

BLOCKS: Final = (10, 60, 1_440, 43_200)
"""Sizes of blocks; each a multiple of the one before."""
MOST_BYTES: Final = 256 << 20
"""Most bytes of one day in a merged file, beyond the smallest block. Larger files would not make reading faster, only merging slower."""


class Merge(msgspec.Struct, frozen=True):
    """The commits `first` to `last` become merged files."""

    first: int
    last: int
    stretches: tuple[Stretch, ...]
    """What holds them now."""


def merges(
    cover: Cover,
    sizes: Mapping[Name, int],
    blocks: Sequence[int] = BLOCKS,
    most_bytes: int = MOST_BYTES,
    without: Collection[tuple[int, int]] = (),
) -> list[Merge]:
    """Returns what to merge: each block that is full, the widest that are not too large. `without`: first and last commit of blocks that
    cannot be merged; narrower ones within them are.
    """
    found: list[Merge] = []
    done: set[int] = set()  # first commits of what is in a wider block already
    for size in sorted(blocks, reverse=True):
        by_block: dict[int, list[Stretch]] = defaultdict(list)
        for stretch in cover.stretches:
            by_block[(stretch.first - 1) // size].append(stretch)
        for block, stretches in by_block.items():
            first, last = block * size + 1, (block + 1) * size
            small = size == min(blocks) or _bytes_of_a_day(stretches, sizes) <= most_bytes
            if stretches[0].first in done or (first, last) in without or not small or not _can_be_merged(cover, first, last, stretches):
                continue
            found.append(Merge(first, last, tuple(stretches)))
            done.update(stretch.first for stretch in stretches)
    return sorted(found, key=lambda merge: merge.first)


def _can_be_merged(cover: Cover, first: int, last: int, stretches: Sequence[Stretch]) -> bool:
    """Whether the block is full, nothing of it is missing, and merging makes fewer files of it.

    At the beginning of the history the first commits of a block may have been deleted.
    """
    return (
        last <= cover.newest
        and (stretches[0].first == first or stretches[0] == cover.stretches[0])
        and stretches[-1].last == last
        and not any(start <= last and end >= first for start, end in cover.missing)
        and (len(stretches) > 1 or not stretches[0].is_merged)
    )


def _bytes_of_a_day(stretches: Iterable[Stretch], sizes: Mapping[Name, int]) -> int:
    """Return the most bytes that one day has here. Those of commits that are not merged may be of any day."""
    by_day: dict[str, int] = defaultdict(int)
    for stretch in stretches:
        for name in stretch.names:
            by_day[name.day] += sizes.get(name, 0)
    return by_day.pop("", 0) + max(by_day.values(), default=0)
