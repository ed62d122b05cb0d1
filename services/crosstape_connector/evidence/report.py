"""Writes an examination as a page of Markdown that can be put into an issue as it is: it names no address, path or key of the machine."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import groupby

import msgspec

from crosstape_connector.evidence.examination import Examination
from crosstape_connector.evidence.finding import Verdict


class Subject(msgspec.Struct, frozen=True):
    """What was probed, and by what."""

    venue: str
    market: str
    """The live one, a testnet …"""
    instrument: str
    version: str
    """Of crosstape."""
    python: str
    minutes: float | None
    """For how long it was to be recorded; None: the captures were there."""


def written(subject: Subject, found: Examination) -> str:
    """Return the page."""
    return "\n".join(_lines(subject, found)) + "\n"


def _lines(subject: Subject, found: Examination) -> Iterator[str]:
    yield f"# Probe of {subject.venue} {subject.instrument}"
    yield ""
    yield f"- venue: `{subject.venue}`, {subject.market}"
    named = f"the venue calls it `{found.symbol}`" if found.symbol else "which the venue does not list"
    asked = "" if subject.minutes is None else f" (asked for {subject.minutes:g} minutes)"
    yield f"- instrument: `{subject.instrument}`, {named}"
    yield f"- recorded: {_utc(found.first_ts)} to {_utc(found.last_ts)}{asked}"
    yield f"- crosstape {subject.version}, Python {subject.python}"
    counts = ", ".join(f"{found.count(one)} {one.value}" for one in (Verdict.HOLDS, Verdict.BROKEN, Verdict.NOT_SEEN))
    yield f"- claims: {counts}"
    for section, rows in groupby(found.findings, key=lambda one: one.section):
        yield ""
        yield f"## {section}"
        yield ""
        yield "| | seen | the table says | |"
        yield "|---|---|---|---|"
        for row in rows:
            cells = (row.subject, row.seen, row.claim, f"**{row.verdict.value}**" if row.verdict is Verdict.BROKEN else row.verdict.value)
            yield f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    """Return the text without what would end a cell, and without control characters: it may hold a venue's own words."""
    return "".join(" " if ord(one) < 32 else one for one in text).replace("|", "\\|").replace("<", "&lt;")


def _utc(ts: int | None) -> str:
    return "?" if ts is None else f"{dt.datetime.fromtimestamp(ts // 1_000_000_000, dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
