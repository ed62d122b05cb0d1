"""Claiming a producer's name for a new epoch, when its clock alone cannot be trusted to make that one the newest.

A publisher that is started where its predecessor ran takes the time as its epoch, and its first batch claims the cursor. Where several
machines replace one another under one name, a clock that is behind would make the new one's epoch older than that of the one it replaces.
"""

from __future__ import annotations

import time
from typing import Final

from crosstape.bus.connection import Client, ask
from crosstape.errors import BusError
from crosstape_schemas import Keys

CLAIM: Final = """
-- KEYS: cursor. ARGV: epoch. Answers '' if it is claimed, else the epoch that has it, which is not older
local found = redis.call('HGET', KEYS[1], 'epoch') or ''
if found >= ARGV[1] then return found end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'batch', '0')
return ''
"""


async def claim(client: Client, keys: Keys, producer: str) -> int:
    """An epoch for a `Publisher` of this name: newer than all before, and nobody else's. Predecessors are refused from here on.

    (With several partitions: on the first at once, on each other one when the publisher writes.) Raises one of `connection.UNAVAILABLE`,
    and `BusError` when the cursor is none of ours.
    """
    found = [await ask(client, "HGET", keys.cursor(producer, partition), "epoch") for partition in range(keys.partitions)]
    while True:
        epoch = max([time.time_ns(), *(int(one) + 1 for one in found if one is not None and one.isdigit())])
        newer = await ask(client, "EVAL", CLAIM, 1, keys.cursor(producer), epoch)
        if not newer:
            return epoch
        if not newer.isdigit():
            raise BusError(f"{keys.cursor(producer)}: its epoch is no number: {newer.decode(errors='replace')!r}")
        found.append(newer)
