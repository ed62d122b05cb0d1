"""Counts the contents of a capture, and the events made from it. Its fields are the keys of the summary of `crosstape normalize`."""

from __future__ import annotations

from collections import Counter

import msgspec


class Unhandled(msgspec.Struct, frozen=True):
    """The first frame of its kind that could not be used."""

    kind: str
    error: str
    frame: bytes


class Summary(msgspec.Struct):
    """Counts of one capture; complete when its events are exhausted."""

    venue: str = ""
    frames: int = 0
    """Frames received, of all connections."""
    events: Counter[str] = msgspec.field(default_factory=Counter)
    """Events by kind."""
    trades: Counter[str] = msgspec.field(default_factory=Counter)
    """Trades by instrument."""
    gaps: Counter[str] = msgspec.field(default_factory=Counter)
    """Gaps by kind and cause: `book sequence`."""
    proofs: Counter[str] = msgspec.field(default_factory=Counter)
    """Check counters of all books together, see `BookChecks`."""
    duplicates: int = 0
    """Trades that were dropped because the tape had them."""
    odd: Counter[str] = msgspec.field(default_factory=Counter)
    """Values left out of good frames, by kind."""
    unwanted: int = 0
    """Outputs of an instrument or kind that is not published."""
    unhandled: Counter[str] = msgspec.field(default_factory=Counter)
    """Frames that could not be used, by kind."""
    first_unhandled: list[Unhandled] = msgspec.field(default_factory=list)
    """The first frame of each kind in `unhandled`."""
    session: Counter[str] = msgspec.field(default_factory=Counter)
    """Acknowledgements, refusals, announced rotations."""
    rest: Counter[str] = msgspec.field(default_factory=Counter)
    """REST answers: `instruments`, `snapshot`, `values` (figures that are polled), `unused` ones, and those by which the venue refused
    (`failed`)."""
    resyncs: Counter[str] = msgspec.field(default_factory=Counter)
    """Snapshots that the running connector would have requested, by cause."""
