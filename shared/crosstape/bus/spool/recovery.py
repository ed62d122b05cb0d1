"""Finds how much of a predecessor's spool is on the tape, from the spool's header and the producer's cursor. Pure.

Each batch carries the spool's position as it will be once the batch is written, and the script writes it into the cursor together with the
batch. So the cursor knows, except in two cases: the server has lost data since, or the spool was never read, and the batch that was in
flight when the spool was started may be on the tape or not. Then the number of the last batch of that epoch decides.
"""

from __future__ import annotations

from typing import Final

import msgspec

from crosstape.bus.spool.format import SegmentHeader

CLAIM: Final = 1
"""The number of a producer's first batch, which is empty."""


class Cursor(msgspec.Struct, frozen=True):
    """The fields of a producer's cursor that concern a spool, as the server has them."""

    position: bytes | None
    """`ID:INDEX`: the spool, and how many of its entries are on the tape."""
    epoch: bytes | None
    """The epoch before ours …"""
    batch: bytes | None
    """… and the number of its last batch."""


class Recovered(msgspec.Struct, frozen=True):
    """Where to continue in a predecessor's spool, and what does not fit between spool and tape."""

    done_to: int
    """Entries up to this count are on the tape, or lost."""
    unknown: int = 0
    """Entries of which it cannot be known whether they are on the tape: they are skipped."""
    lost: int | None = 0
    """Events before those in the spool that were on the tape and that the server lost. None: some, the count is not known."""


def recover(header: SegmentHeader, cursor: Cursor, *, done_to: int, written_to: int) -> Recovered:
    """Compare a spool with the cursor. `done_to` and `written_to` are the counts of entries that the spool itself knows."""
    spool_id, _, index = (cursor.position or b"").partition(b":")
    epoch, batch = _number(cursor.epoch), _number(cursor.batch)
    target = unknown = 0
    lost: int | None = 0
    if spool_id == b"%d" % header.id:
        target = _number(index)
        lost = max(0, done_to - target)
    elif epoch <= header.epoch and header.batch - 1 > (batch if epoch == header.epoch else CLAIM):
        lost = None
    elif header.carried and epoch > header.epoch:  # others have written since, without a spool: it cannot be known any more
        target = header.carried
        unknown = max(0, header.carried - done_to)
    elif header.carried and epoch == header.epoch and batch >= header.batch:
        target = header.carried
    return Recovered(min(target, written_to), unknown, lost)


def _number(text: bytes | None) -> int:
    """The number that the text is; 0 for any other text."""
    return int(text) if text and text.isdigit() else 0
