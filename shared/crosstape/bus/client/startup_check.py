"""Checks at the start whether the server can be used, so that a service that cannot work ends and says why.

Once the server has been used, an outage is waited out for ever (see `availability`): then there are events to keep. Before, there are
none, and the cause is more often a wrong setting than an outage.
"""

from __future__ import annotations

import asyncio
from typing import Final

from redis.exceptions import NoPermissionError, ReadOnlyError, ResponseError

from crosstape.bus.client import eviction
from crosstape.bus.client.availability import Availability
from crosstape.bus.client.call import UNAVAILABLE, Client, execute
from crosstape.bus.client.reasons import WrongKeyType, denied, is_hopeless, reason
from crosstape.errors import BusError
from crosstape.settings import BusSettings, shown
from crosstape_schemas import Keys

TRY: Final = """
-- KEYS: registry, cursor, identity (or, of a partition that has none, the cursor again). Answers the error of reading each, and of
-- writing; '' where there is none
local function wrong(...)
  local answer = redis.pcall(...)
  return type(answer) == 'table' and answer.err or ''
end
local registry, cursor, identity, write = wrong('SCARD', KEYS[1]), wrong('HMGET', KEYS[2], 'epoch'), wrong('HMGET', KEYS[3], 'id'), ''
-- A cursor is no stream, so this adds nothing; but where writing is refused, it is refused first
if cursor == '' then write = wrong('XADD', KEYS[2], 'NOMKSTREAM', '*', 'd', '') end
return {registry, cursor, identity, write}
"""

_WRONG_TYPE: Final = "WRONGTYPE"


async def wait_until_usable(client: Client, keys: Keys, settings: BusSettings, *, producer: str) -> None:
    """Return once the server answers this producer and allows it to write. Logs if the server evicts keys of the tape.

    Raises `BusError` after `start_s`, with the last reason: nothing listens, the name does not resolve, the server is loading, is a
    replica, or has no memory. Raises it at once where waiting cannot help: refused credentials or commands, a certificate that is not
    trusted, a key of ours that holds something else. A person has to fix that and then starts us again, and more attempts would fill
    the server's log of refusals and may lock us out.
    """
    where = shown(settings.url)
    availability = Availability(client, producer, backoff_s=min(settings.backoff_s, settings.start_s / 2), reconnected=lambda _away_s: None)
    last = f"no answer within {settings.start_s:g} s"

    async def attempt() -> None:
        nonlocal last
        try:
            for partition in range(keys.partitions):
                cursor = keys.cursor(producer, partition)
                await _try(client, keys.registry(partition), cursor, cursor if partition else keys.identity())
        except UNAVAILABLE as exc:
            last = reason(exc)
            if is_hopeless(exc):
                raise BusError(f"the bus {where} cannot be used: {last}") from exc
            raise

    try:
        async with asyncio.timeout(settings.start_s):
            await availability.until_answered(attempt, attempt)
            await eviction.warn(client)
    except TimeoutError:
        raise BusError(f"the bus {where} could not be used for {settings.start_s:g} s (bus.start_s): {last}") from None


async def _try(client: Client, registry: str, cursor: str, identity: str) -> None:
    """Raises one of `UNAVAILABLE`."""
    answers: list[bytes] = await execute(client, "EVAL", TRY, 3, registry, cursor, identity)
    *reading, writing = (answer.decode(errors="replace") for answer in answers)
    for name, kind, fault in zip((registry, cursor, identity), ("set", "hash", "hash"), reading, strict=True):
        if fault.startswith(_WRONG_TYPE):
            raise WrongKeyType(f"{name} exists and is no {kind}: something else uses this name; remove it, or choose another bus.prefix")
    for fault in (*reading, writing):
        if fault and not fault.startswith(_WRONG_TYPE):  # WRONGTYPE of writing is right: the cursor is a hash
            error = ResponseError
            if denied(fault):
                error = NoPermissionError
            elif fault.startswith("READONLY"):  # then `Availability` connects again for the next attempt
                error = ReadOnlyError
            raise error(fault)
