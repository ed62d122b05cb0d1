"""Gaps of the history for the eye, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from rich.table import Table
from rich.text import Text

from crosstape_cli.moments import iso
from crosstape_recorder.gaps.gap import HistoryGap
from crosstape_recorder.repairing import Repaired

SECOND: Final = 1_000_000_000
HEADINGS: Final = ("kind", "instrument", "venue", "from", "for", "missing", "cause", "seen by", "can be repaired")


class Line(msgspec.Struct, frozen=True):
    """A gap as JSON."""

    kind: str
    timeframe: str | None
    instrument: str
    venue: str
    from_ts: int
    to_ts: int
    missing: int | None
    causes: tuple[str, ...]
    seen: tuple[str, ...]
    repairable: bool
    why_not: str


def as_line(gap: HistoryGap) -> str:
    """Return the gap as one JSON object."""
    feed = gap.feed
    line = Line(
        feed.kind, feed.timeframe or None, feed.instrument, feed.venue, gap.from_ts, gap.to_ts, gap.missing, gap.causes, gap.seen,
        not gap.why_not, gap.why_not,
    )  # fmt: skip
    return msgspec.json.encode(line).decode()


def table(gaps: Sequence[HistoryGap]) -> Table:
    """Return a table with a row for each gap."""
    drawn = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim", expand=False)
    for heading in HEADINGS:
        drawn.add_column(heading, justify="right" if heading in {"for", "missing"} else "left", no_wrap=heading != HEADINGS[-1])
    for gap in gaps:
        drawn.add_row(*(Text(cell) for cell in _cells(gap)))
    return drawn


def _cells(gap: HistoryGap) -> Iterable[str]:
    feed = gap.feed
    missing = "not known" if gap.missing is None else f"{gap.missing:,}"
    return (
        feed.feed_kind, feed.instrument, feed.venue, iso(gap.from_ts // 1_000_000 * 1_000_000), lasting(gap.to_ts - gap.from_ts), missing,
        ", ".join(gap.causes), ", ".join(gap.seen), gap.why_not or "yes",
    )  # fmt: skip


def lasting(ns: int) -> str:
    """Return a duration in its two largest units: `3m 20s`."""
    seconds = ns / SECOND
    if seconds < 60:
        return f"{seconds:.1f}s"
    units = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
    left, parts = round(seconds), list[str]()
    for unit, length in units:
        count, left = divmod(left, length)
        if count or parts:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def outcome(done: Repaired) -> str:
    """Return what became of a gap, as a line."""
    gap, feed = done.gap, done.gap.feed
    where = f"{feed.venue} {feed.instrument} {feed.feed_kind} from {iso(gap.from_ts)} for {lasting(gap.to_ts - gap.from_ts)}"
    parts = [f"{done.came:,} came"] if done.came or not done.reason else []
    parts += [f"{done.nonexistent:,} never existed"] if done.nonexistent else []
    return f"{where}: {', '.join(parts)}{'; ' if parts and done.reason else ''}{f'not repaired: {done.reason}' if done.reason else ''}"
