"""Claiming a producer's name for a new epoch, which is greater than all before it, whatever the clocks said.

The epoch is the time in ns, or one more than the greatest that is found, if that is not older: a clock may have been ahead at an earlier
start, or be set back since, or belong to another machine. Whoever claims last publishes; all that claimed before are refused.

Where a producer has several lines, of which one publishes at a time, the cursor also says whose the epoch is.

**Rivals.** A lone producer has no lease. Two of one name, each started again by a supervisor when it was superseded, would take the name
from one another for ever. So `claim_alone` looks first whether the present owner is alive, that is, whether it goes on writing batches,
where there is a cause: its epoch is not older than our clock, or we were superseded before.
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
"""How often it is looked whether another goes on writing."""

EPOCH_MAX: Final = (1 << 63) - 1
"""Of what every reader can hold. As a time it is in the year 2262."""

CLAIM: Final = """
-- KEYS: cursor. ARGV: epoch, line. Answers {'' if it is claimed, else the epoch that has it, which is not older; the epoch and line before}
local found = redis.call('HMGET', KEYS[1], 'epoch', 'batch', 'line')
local epoch, batch, line = found[1] or '', tonumber(found[2]) or 0, found[3] or ''
if #epoch > #ARGV[1] or (#epoch == #ARGV[1] and epoch >= ARGV[1]) then return {epoch, epoch, line} end -- as numbers: too large for Lua's
if batch > 1 then -- as in the script that writes: what of the spool was in flight then, only this tells
  redis.call('HSET', KEYS[1], 'prior_epoch', epoch, 'prior_batch', batch)
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'batch', '0', 'line', ARGV[2] == '' and '' or ARGV[1] .. ':' .. ARGV[2])
return {'', epoch, line}
"""


class FencingToken(NamedTuple):
    """What was claimed, and from whom."""

    epoch: int
    previous: str | None
    """The line that had claimed before; empty: it was one of none; None: nobody had."""


async def claim(client: Client, keys: Keys, producer: str, line: str = "") -> FencingToken:
    """An epoch for a `Publisher` of this name: newer than all before, and nobody else's. Predecessors are refused from here on.

    (With several partitions: on the first at once, on each other one when the publisher writes.) Raises one of `call.UNAVAILABLE`,
    and `BusError` when the cursor is none of ours.
    """
    found = [
        parse_epoch(keys.cursor(producer, partition), epoch) for partition, (epoch, _) in enumerate(await _cursors(client, keys, producer))
    ]
    while True:
        epoch = max(time.time_ns(), *(one + 1 for one in found))
        newer, before, whose = await execute(client, "EVAL", CLAIM, 1, keys.cursor(producer), epoch, line)
        if not newer:
            claimed, _, name = whose.decode(errors="replace").partition(":")
            same = claimed == before.decode(errors="replace")  # else somebody has begun to write since, without a line
            return FencingToken(epoch, (name if same else "") if before else None)
        found.append(parse_epoch(keys.cursor(producer), newer))


async def claim_alone(client: Client, keys: Keys, producer: str, *, yields: bool) -> int:
    """`claim` for a producer that has no lease, and the epoch. `yields`: it was superseded before.

    Raises `Superseded` if the present owner of the name is to keep it, which takes up to `ALIVE_S` to find out.
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
    """An epoch as a number; 0: there is none. Raises `BusError` for what is no epoch, naming where it stands.

    Leading zeros are none of ours, and the scripts compare epochs by their lengths.
    """
    if not epoch:
        return 0
    if not epoch.isdigit() or (epoch[:1] == b"0" and len(epoch) > 1) or int(epoch) >= EPOCH_MAX:
        raise BusError(f"{cursor}: its epoch is no number of ns: {epoch.decode(errors='replace')!r:.50}")
    return int(epoch)


async def _cursors(client: Client, keys: Keys, producer: str) -> list[list[bytes | None]]:
    """Epoch and batch, by partition."""
    return [await execute(client, "HMGET", keys.cursor(producer, partition), "epoch", "batch") for partition in range(keys.partitions)]
