"""The lease table of a service on the server: one script does all that an instance asks for, and shows all leases at one moment.

What to ask for, and what follows from the answer, is the service's decision.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from redis.exceptions import NoScriptError

from crosstape.bus.client.call import Client
from crosstape.bus.client.raw_connection import raw_connection
from crosstape_schemas import Keys


class Want(StrEnum):
    """What an instance wants of one lease."""

    HOLD = "+"  # renew it, or take it, unless another instance holds it
    RELEASE = "-"  # release it, if it is ours
    OBSERVE = "."  # change nothing


class LeaseSnapshot(NamedTuple):
    """The leases of a service at one moment."""

    instances: tuple[str, ...]
    """The instances that live, ours included."""
    holders: tuple[str | None, ...]
    """The instance that holds each lease; None: it is free."""
    next_expiry_s: float
    """Seconds until the first lease of another instance expires if it is not renewed; infinite if there is none."""


EXCHANGE: Final = """
-- KEYS: instances, then the leases
-- ARGV: this instance, count of leases, life in ms (0: this instance leaves), then per lease: '+' hold it, '-' release it, '.' observe
-- answers {instances, per lease its holder or '', per lease ms until it expires}, or the count of leases that other instances have
local call, me, count, life = redis.call, ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for _, member in ipairs(call('ZRANGE', KEYS[1], 0, -1)) do
  local theirs = string.match(member, '^%d+')
  if theirs ~= count then return tonumber(theirs) or 0 end
end
local member = count .. ' ' .. me
if life > 0 then call('ZADD', KEYS[1], now + life, member) else call('ZREM', KEYS[1], member) end
local holders, lasts = {}, {}
for i = 2, #KEYS do
  local holder, want = call('GET', KEYS[i]) or '', ARGV[i + 2]
  if want == '+' and (holder == '' or holder == me) then
    call('SET', KEYS[i], me, 'PX', life)
    holder = me
  elseif want == '-' and holder == me then
    call('DEL', KEYS[i])
    holder = ''
  end
  holders[i - 1] = holder
  lasts[i - 1] = call('PTTL', KEYS[i])
end
return {call('ZRANGE', KEYS[1], 0, -1), holders, lasts}
"""

_SHA: Final = hashlib.sha1(EXCHANGE.encode(), usedforsecurity=False).hexdigest()


class LeaseCountMismatch(Exception):
    """Living instances of the service have another number of leases; nothing was changed."""

    def __init__(self, theirs: int) -> None:
        super().__init__(theirs)
        self.theirs = theirs


class LeaseTable:
    """The lease table of a service, for one instance. One caller; a cancelled call may or may not have been executed."""

    def __init__(self, client: Client, keys: Keys, me: str, service: str, producers: Sequence[str]) -> None:
        """`me` names this instance. There is a lease for each of `producers`; all instances of `service` have the same number."""
        self._connection = raw_connection(client)
        self._me = me
        self._keys = [name.encode() for name in (keys.instances(service), *map(keys.lease, producers))]

    async def exchange(self, wants: Sequence[Want], life_s: float) -> LeaseSnapshot:
        """Renew this instance for `life_s` seconds (0: it leaves), and ask for what it wants of each lease.

        Raises `LeaseCountMismatch`, and one of `call.UNAVAILABLE` when the server does not answer.
        """
        life_ms = round(life_s * 1000)
        args = (len(self._keys), *self._keys, self._me, len(self._keys) - 1, life_ms, *(want.value for want in wants))
        try:
            reply = await self._connection.call("EVALSHA", _SHA, *args, key=self._keys[0])
        except NoScriptError:  # a new server, or it has lost its scripts: EVAL loads this one
            reply = await self._connection.call("EVAL", EXCHANGE, *args, key=self._keys[0])
        return parse(reply, self._me)

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()


def parse(reply: Any, me: str) -> LeaseSnapshot:
    """Returns what an answer of `EXCHANGE` means. Raises `LeaseCountMismatch`."""
    if isinstance(reply, int):
        raise LeaseCountMismatch(reply)
    members, owners, lasts = reply
    holders = tuple(owner.decode(errors="replace") or None for owner in owners)
    instances = tuple(member.decode(errors="replace").partition(" ")[2] for member in members)
    others = [last for holder, last in zip(holders, lasts, strict=True) if holder not in {None, me} and last >= 0]
    return LeaseSnapshot(instances, holders, min(others) / 1000 if others else math.inf)
