"""Computes the comparison of two trees from the JSON lines that a benchmark printed in each run. No process is started here."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

Figures = Mapping[str, float]
"""The numbers of one run, by name."""
ENVIRONMENT = {"python", "build", "processor", "cpus", "benchmark"}


class Compared(NamedTuple):
    """One figure of two trees. A ratio is ours / theirs of one pair of runs."""

    name: str
    ours: float
    """The median of our runs."""
    theirs: float
    """The median of theirs."""
    ratio: float
    """The median of the pairs' ratios."""
    least: float
    most: float


def figures(output: Iterable[str]) -> dict[str, float]:
    """Returns the numbers of all JSON lines of an output; other lines are logs.

    A number's name is that of its fields, inner ones after a dot, behind the texts of its line: `instruments.10.cpu_us_per_event`,
    `gathered sse us`. A name that comes again has its count behind it.
    """
    found: dict[str, float] = {}
    for line in output:
        if not line.startswith("{"):
            continue
        row = {name: value for name, value in json.loads(line).items() if name not in ENVIRONMENT}
        texts = " ".join(value for value in row.values() if isinstance(value, str))
        for name, number in _numbers(row):
            full, times = f"{texts} {name}".strip(), 1
            while (unique := full if times == 1 else f"{full} ({times})") in found:
                times += 1
            found[unique] = number
    return found


def _numbers(row: Mapping[str, object], before: str = "") -> Iterator[tuple[str, float]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{before}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{before}{name}", float(value)


def compared(ours: Sequence[Figures], theirs: Sequence[Figures]) -> list[Compared]:
    """Compares the runs of two trees, the n-th with the n-th.

    A number that is the same in all runs is no figure but a parameter, and is left out, as is one that a run lacks or that is 0 in theirs.
    """
    rows = []
    for name in ours[0]:
        if not all(name in run for run in (*ours, *theirs)):
            continue
        here, there = [run[name] for run in ours], [run[name] for run in theirs]
        if len({*here, *there}) == 1 or 0 in there:
            continue
        ratios = [one / other for one, other in zip(here, there, strict=True)]
        rows.append(Compared(name, statistics.median(here), statistics.median(there), statistics.median(ratios), min(ratios), max(ratios)))
    return rows


def missing(ours: Sequence[Figures], theirs: Sequence[Figures]) -> list[str]:
    """Returns the names of the numbers that every run of ours has and no run of theirs: they cannot be compared."""
    there = {name for run in theirs for name in run}
    return [name for name in ours[0] if name not in there]


def meaning(pairs: int) -> str:
    """Returns how to read the ratios of so many pairs of runs."""
    spread = "" if pairs > 1 else "; one pair shows no spread"
    return f"ratio = ours / theirs; rates (frames_per_s): above 1 is faster; times and bytes (cpu_us): below 1 is cheaper{spread}"


def table(rows: Sequence[Compared]) -> list[str]:
    """Returns the lines of a table of compared figures."""
    head = ("", "ours", "theirs", "ratio", "min", "max")
    cells = [head, *((row.name, *(_short(number) for number in row[1:3]), *(f"{ratio:.3f}" for ratio in row[3:])) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.rjust(width) if at else cell.ljust(width) for at, (cell, width) in enumerate(zip(line, widths, strict=True)))
            for line in cells]  # fmt: skip


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1_000 else f"{number:.4g}"
