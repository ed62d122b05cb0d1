"""Claims a producer's name for a new epoch. The epoch is a fencing token: the server refuses every writer with an older one.

The epoch is the time in ns, or the greatest epoch that is found plus one where that is not older: a clock may have been ahead at an earlier
start, or have been set back since, or belong to another machine. The last to claim publishes; all that claimed before are refused.

Where a producer has several replicas, of which one publishes at a time, the cursor also says which replica has the epoch.

**Rivals.** A lone producer has no lease. Two of one name, each started again by a supervisor when it was superseded, would take the name
from each other for ever. So `claim_alone` first looks whether the present owner is alive, that is, goes on writing batches, if there is a
reason to: the owner's epoch is not older than our clock, or we were superseded before.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, NamedTuple

from crosstape.bus.client.call import Client, execute
from crosstape.errors import BusError, Superseded
from crosstape.liveness import ALIVE_S
from crosstape_schemas import Keys

POLL_S: Final = 0.1
"""How often to look whether another producer goes on writing."""

EPOCH_MAX: Final = (1 << 63) - 1
"""The greatest epoch: every reader can hold it. As a time it is in the year 2262."""

CLAIM: Final = """
-- KEYS: cursor. ARGV: epoch, replica. Answers {'' if it is claimed, else the epoch that has it, which is not older; the epoch and
-- `EPOCH:REPLICA` before}
local found = redis.call('HMGET', KEYS[1], 'epoch', 'batch', 'line')
local epoch, batch, line = found[1] or '', tonumber(found[2]) or 0, found[3] or ''
if #epoch > #ARGV[1] or (#epoch == #ARGV[1] and epoch >= ARGV[1]) then return {epoch, epoch, line} end -- too large for Lua's numbers
if batch > 1 then -- as in the script that writes: only this shows which entries of the spool were in flight then
  redis.call('HSET', KEYS[1], 'prior_epoch', epoch, 'prior_batch', batch)
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'batch', '0', 'line', ARGV[2] == '' and '' or ARGV[1] .. ':' .. ARGV[2])
return {'', epoch, line}
"""


class FencingToken(NamedTuple):
    """A claim: the epoch that shuts out all writers with an older one, and who had the name before."""

    epoch: int
    previous: str | None
    """The replica that had claimed the name before; empty: a producer without replicas; None: nobody."""


async def claim(client: Client, keys: Keys, producer: str, replica: str = "") -> FencingToken:
    """Claim the name for a new epoch, greater than all before. The server refuses all predecessors from now on.

    (With several partitions: on the first one at once, on each other one when the publisher first writes there.) Raises one of
    `call.UNAVAILABLE`, and `BusError` when the cursor is not ours.
    """
    found = [
        parse_epoch(keys.cursor(producer, partition), epoch) for partition, (epoch, _) in enumerate(await _cursors(client, keys, producer))
    ]
    while True:
        epoch = max(time.time_ns(), *(one + 1 for one in found))
        newer, before, whose = await execute(client, "EVAL", CLAIM, 1, keys.cursor(producer), epoch, replica)
        if not newer:
            claimed, _, name = whose.decode(errors="replace").partition(":")
            same = claimed == before.decode(errors="replace")  # else a producer without replicas has started to write since
            return FencingToken(epoch, (name if same else "") if before else None)
        found.append(parse_epoch(keys.cursor(producer), newer))


async def claim_alone(client: Client, keys: Keys, producer: str, *, yields: bool) -> int:
    """Claim the name for a producer that has no lease. Returns the epoch. `yields`: the producer was superseded before.

    Raises `Superseded` if the present owner keeps the name; finding that out takes up to `ALIVE_S`.
    """
    before = await _cursors(client, keys, producer)
    epochs = [parse_epoch(keys.cursor(producer, partition), epoch) for partition, (epoch, _) in enumerate(before)]
    if any(epochs) and (yields or max(epochs) >= time.time_ns()):
        deadline = time.monotonic() + ALIVE_S
        while time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
            if (now := await _cursors(client, keys, producer)) != before:
                raise Superseded(
                    f"{producer} is running elsewhere: its epoch is {max(int(epoch or 0) for epoch, _ in now)}, and it goes on writing;"
                    " stop that one first, or give each its own connector.replica"
                )
    return (await claim(client, keys, producer)).epoch


def parse_epoch(cursor: str, epoch: bytes | None) -> int:
    """Returns the epoch as a number; 0: there is none. Raises `BusError` for a text that is no epoch, naming the key.

    A leading zero is an error, because the scripts compare epochs by their lengths.
    """
    if not epoch:
        return 0
    if not epoch.isdigit() or (epoch[:1] == b"0" and len(epoch) > 1) or int(epoch) >= EPOCH_MAX:
        raise BusError(f"{cursor}: its epoch is no number of ns: {epoch.decode(errors='replace')!r:.50}")
    return int(epoch)


async def _cursors(client: Client, keys: Keys, producer: str) -> list[list[bytes | None]]:
    """Returns epoch and batch of the cursor of each partition."""
    return [await execute(client, "HMGET", keys.cursor(producer, partition), "epoch", "batch") for partition in range(keys.partitions)]
