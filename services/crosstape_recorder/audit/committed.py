"""Finds up to when a history is complete beside a recorder that runs: each kind is committed by itself, so one may be ahead of another.

A mark is the id of the last entry of a stream that was read. A kind is complete up to the newest mark of its streams, as they are read
together. Kinds that may have nothing for hours have old marks though nothing is missing: they are complete up to what a recorder
that works must have committed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from crosstape.bus.read.followed import parse_id
from crosstape.history.store import Store
from crosstape_recorder.audit.rules import MS, SECOND

MARGIN_NS: Final = 5 * SECOND
"""Streams are read one after the other: the marks of a kind are at most this far apart while all of them are written."""
SPARSE: Final = frozenset({"gap", "edge"})
"""Kinds that may have nothing for hours in a market that trades."""
QUIET_NS: Final = 3_600 * SECOND
"""A kind whose newest mark is so much older than those of others is not written any more."""
SLACK_NS: Final = 30 * SECOND
"""Rows of such kinds are committed within twice `recorder.commit_s` and this."""


async def complete_until(store: Store, kinds: Collection[str], commit_s: float, recorded: Collection[str]) -> int | None:
    """Return the moment (ns) up to which the history of these kinds is complete; None: nothing of them was recorded from a tape.

    `commit_s` and `recorded` are the settings `recorder.commit_s` and `recorder.kinds`. Raises `HistoryError`.
    """
    newest: dict[str, int] = {}
    for kind in kinds:
        marks = (await store.position(kind)).marks.values()
        ms = max((parse_id(mark.id.encode())[0] for mark in marks if mark.id), default=0)
        if ms or kind in recorded:
            newest[kind] = ms * MS
    last = max(newest.values(), default=0)
    if not last:
        return None
    surely = last - round(2 * commit_s * SECOND) - SLACK_NS
    ends = [max(ts, surely) if kind in SPARSE or ts < last - QUIET_NS else ts for kind, ts in newest.items()]
    return min(ends) - MARGIN_NS
