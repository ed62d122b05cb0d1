"""Claiming a producer's name for a new epoch, when its clock alone cannot be trusted to make that one the newest.

A publisher that is started where its predecessor ran takes the time as its epoch, and its first batch claims the cursor. Where several
machines replace one another under one name, a clock that is behind would make the new one's epoch older than that of the one it replaces.

Where a producer has several lines, of which one publishes at a time, the cursor also says whose the epoch is.
"""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from crosstape.bus.call import Client, ask
from crosstape.errors import BusError
from crosstape_schemas import Keys

CLAIM: Final = """
-- KEYS: cursor. ARGV: epoch, line. Answers {'' if it is claimed, else the epoch that has it, which is not older; the epoch and line before}
local found = redis.call('HMGET', KEYS[1], 'epoch', 'batch', 'line')
local epoch, batch, line = found[1] or '', tonumber(found[2]) or 0, found[3] or ''
if epoch >= ARGV[1] then return {epoch, epoch, line} end
if batch > 1 then -- as in the script that writes: what of the spool was in flight then, only this tells
  redis.call('HSET', KEYS[1], 'prior_epoch', epoch, 'prior_batch', batch)
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'batch', '0', 'line', ARGV[2] == '' and '' or ARGV[1] .. ':' .. ARGV[2])
return {'', epoch, line}
"""


class Claim(NamedTuple):
    """What was claimed, and from whom."""

    epoch: int
    former: str | None
    """The line that had claimed before; empty: it was one of none; None: nobody had."""


async def claim(client: Client, keys: Keys, producer: str, line: str = "") -> Claim:
    """An epoch for a `Publisher` of this name: newer than all before, and nobody else's. Predecessors are refused from here on.

    (With several partitions: on the first at once, on each other one when the publisher writes.) Raises one of `call.UNAVAILABLE`,
    and `BusError` when the cursor is none of ours.
    """
    found = [await ask(client, "HGET", keys.cursor(producer, partition), "epoch") for partition in range(keys.partitions)]
    while True:
        epoch = max([time.time_ns(), *(int(one) + 1 for one in found if one is not None and one.isdigit())])
        newer, before, whose = await ask(client, "EVAL", CLAIM, 1, keys.cursor(producer), epoch, line)
        if not newer:
            claimed, _, name = whose.decode(errors="replace").partition(":")
            same = claimed == before.decode(errors="replace")  # else somebody has begun to write since, without a line
            return Claim(epoch, (name if same else "") if before else None)
        if not newer.isdigit():
            raise BusError(f"{keys.cursor(producer)}: its epoch is no number: {newer.decode(errors='replace')!r}")
        found.append(newer)
