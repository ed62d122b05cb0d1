"""Gaps of the history for the eye, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from rich.table import Table
from rich.text import Text

from crosstape_cli.moments import iso
from crosstape_recorder.gaps.gap import Seen
from crosstape_recorder.gaps.stretches import Listed
from crosstape_recorder.repairing import Repaired

SECOND: Final = 1_000_000_000
HEADINGS: Final = ("kind", "instrument", "venue", "from", "for", "missing", "cause", "repair")
AWAY: Final = "recorder away"
AWAY_NOTE: Final = f"{AWAY}: {Seen.RECORDER}; entries left the tape before it had read them"
NOT_KNOWN: Final = "?"
SHORT: Final = (("it is computed", "no: computed"), ("venues do not keep", "no: a state"), ("nobody else has", "no: our own"),
                ("bars are computed", "with its trades"), ("it is too new", "not yet: too new"))  # fmt: skip
"""How reasons begin that many gaps have, and what the table says for them. The lines of JSON have the reasons in full."""


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
    feeds: int
    """How many kinds × instruments × venues are meant: 1, but for a stretch in which a venue, or nobody, was recorded."""


def as_line(listed: Listed) -> str:
    """Return the gap as one JSON object."""
    gap, feed = listed.gap, listed.gap.feed
    line = Line(
        feed.kind, feed.timeframe or None, feed.instrument, feed.venue, gap.from_ts, gap.to_ts, gap.missing, gap.causes, gap.seen,
        not gap.why_not, gap.why_not, len(listed.members),
    )  # fmt: skip
    return msgspec.json.encode(line).decode()


def table(lines: Sequence[Listed]) -> Table:
    """Return a table with a row for each line."""
    drawn = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", expand=False)
    for heading in HEADINGS:
        drawn.add_column(heading, justify="right" if heading in {"for", "missing"} else "left", no_wrap=heading != HEADINGS[-1])
    for line in lines:
        drawn.add_row(*(Text(cell) for cell in _cells(line)))
    return drawn


def notes(lines: Sequence[Listed]) -> list[str]:
    """Return what the table's words mean that do not explain themselves."""
    return [AWAY_NOTE] if any(part.seen is Seen.RECORDER for line in lines for part in line.gap.parts) else []


def to_seconds(ts: int) -> str:
    """Return a time in whole seconds."""
    return iso(ts // SECOND * SECOND)


def _cells(line: Listed) -> Iterable[str]:
    gap, feed = line.gap, line.gap.feed
    missing = NOT_KNOWN if gap.missing is None else f"{gap.missing:,}"
    # a report says why; what is seen by numbers or by silence says where it was seen
    causes = (part.cause if part.seen is Seen.EVENT else AWAY if part.seen is Seen.RECORDER else part.seen.value for part in gap.parts)
    return (
        feed.feed_kind, feed.instrument, feed.venue, to_seconds(gap.from_ts), lasting(gap.to_ts - gap.from_ts), missing,
        ", ".join(dict.fromkeys(causes)), _repair(line),
    )  # fmt: skip


def _repair(line: Listed) -> str:
    if len(line.members) > 1:
        return ", ".join(line.repairable) or "no"
    why = line.gap.why_not
    return next((short for start, short in SHORT if why.startswith(start)), f"no: {why}") if why else "yes"


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
