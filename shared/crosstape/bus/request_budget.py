"""The limits of venues' REST requests, shared on the server by all processes whose requests leave from one internet address.

A live connector spends: it says what each request weighs, and never waits for others. A backfill reserves: it gets what is left of its
share, else it waits. Where a venue has asked one of them to wait (429, 418), all wait. Without a server every process keeps its own limit.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from redis.exceptions import NoScriptError

from crosstape.bus.client.call import UNAVAILABLE, Client, execute
from crosstape_schemas import Keys

SLICES: Final = 30
"""What was spent is counted in so many slices of the window. It counts until the whole slice is older than the window."""

WITHIN_S: Final = 0.25
"""A spender waits for the server's answer no longer than this."""

AWAY_S: Final = 5.0
"""After a call that failed, a spender does not call the server for so long: requests must not wait for a server that is away."""


class RequestLimit(Protocol):
    """How much the requests of one address may weigh in any window, as the venue counts them."""

    @property
    def name(self) -> str:
        """Names the limit. All processes use the same name: `binance`, `bitfinex.trades`."""
        ...

    @property
    def capacity(self) -> int:
        """What requests may weigh together in any window."""
        ...

    @property
    def window_s(self) -> float:
        """Length of the window, in seconds."""
        ...


SCRIPT: Final = """
-- KEYS: what was spent, the hold
-- ARGV: window in ms, slice in ms, weight, most that may be spent in all with it ('': any), ms to hold (0: none)
-- answers {1: it was counted, 0: it was not; ms until the hold ends, or until it is worth to ask again}
local call, window, slice, weight, most = redis.call, tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = math.max(0, (tonumber(call('GET', KEYS[2]) or '') or 0) - now)
local hold = tonumber(ARGV[5])
if hold > held then
  held = hold
  call('SET', KEYS[2], string.format('%.0f', now + hold), 'PX', hold)
end
if weight == 0 then return {0, held} end
local spent, kept, first = 0, {}, nil
local current = math.floor(now / slice)
local counted = weight
for number, amount in string.gmatch(call('GET', KEYS[1]) or '', '(%d+):(%d+)') do
  local n, a = tonumber(number), tonumber(amount)
  if n > current then n = current end -- the server's clock was set back
  if (n + 1) * slice + window > now then
    spent = spent + a
    first = first or n
    if n == current then counted = counted + a else kept[#kept + 1] = string.format('%.0f:%.0f', n, a) end
  end
end
if most and held > 0 then return {0, held} end
if most and spent + weight > most then
  return {0, math.max(20, first and (first + 1) * slice + window - now or window)}
end
kept[#kept + 1] = string.format('%.0f:%.0f', current, counted)
call('SET', KEYS[1], table.concat(kept, ' '), 'PX', math.ceil(window + 2 * slice))
return {1, held}
"""

_SHA: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


class RequestBudget:
    """The limits of one venue for the processes of one address. A call that is cancelled may have been counted."""

    def __init__(self, client: Client, keys: Keys, venue: str, *, outbound: str = "") -> None:
        """`venue`: whose holds concern us; markets that one venue bans together have one name. `outbound`: names the address."""
        self._client = client
        self._keys = keys
        self._outbound = outbound
        self._held = keys.requests_held(venue, outbound)

    async def spend(self, limit: RequestLimit, weight: int) -> float:
        """Count a request that is about to be made, whatever was spent. Returns for how many seconds the venue is to be left alone.

        Raises one of `UNAVAILABLE`.
        """
        _, held_ms = await self._call(limit, weight=weight)
        return held_ms / 1000

    async def reserve(self, limit: RequestLimit, weight: int, share: float) -> float:
        """Count a request if all that was spent in the window stays within this share of the limit. Returns 0, or the seconds after which
        to ask again: then nothing was counted. Raises one of `UNAVAILABLE`.

        A share that is smaller than one request lets one through in an otherwise empty window.
        """
        counted, wait_ms = await self._call(limit, weight=weight, most=max(weight, int(limit.capacity * share)))
        return 0.0 if counted else wait_ms / 1000

    async def hold(self, limit: RequestLimit, seconds: float) -> None:
        """Let all wait: the venue has asked for it. A longer hold stays. Raises one of `UNAVAILABLE`."""
        await self._call(limit, hold_s=seconds)

    async def _call(self, limit: RequestLimit, *, weight: int = 0, most: int | None = None, hold_s: float = 0.0) -> tuple[int, int]:
        window_ms = max(SLICES, round(limit.window_s * 1000))
        keys = self._keys.requests(limit.name, self._outbound), self._held
        args = (window_ms, window_ms // SLICES, weight, "" if most is None else most, round(hold_s * 1000))
        try:
            reply: Any = await execute(self._client, "EVALSHA", _SHA, len(keys), *keys, *args)
        except NoScriptError:
            reply = await execute(self._client, "EVAL", SCRIPT, len(keys), *keys, *args)
        return int(reply[0]), int(reply[1])


class BestEffort:
    """Spends for a live connector: a call that fails costs the connector nothing but that call, and its requests go on as without it."""

    def __init__(
        self, budget: RequestBudget, *, belongs: Callable[[], bool] = lambda: True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`belongs`: whether the venue's answers are known to belong on this tape. Until then nothing is written there."""
        self._budget = budget
        self._belongs = belongs
        self._clock = clock
        self._uncounted: dict[str, int] = {}
        """Limit → what was spent and could not be counted yet."""
        self._away_until = 0.0
        self.failures = 0
        """Calls that failed."""

    async def spend(self, limit: RequestLimit, weight: int) -> float:
        """As `RequestBudget.spend`; 0 while the server is away."""
        if not self._belongs():
            self._uncounted[limit.name] = self._uncounted.get(limit.name, 0) + weight
            return 0.0
        if self._clock() < self._away_until:
            return 0.0
        try:
            async with asyncio.timeout(WITHIN_S):
                return await self._budget.spend(limit, weight + self._uncounted.pop(limit.name, 0))
        except UNAVAILABLE:
            self._failed()
            return 0.0

    async def hold(self, limit: RequestLimit, seconds: float) -> None:
        """As `RequestBudget.hold`, if the server can be reached."""
        if not self._belongs():
            return
        try:
            async with asyncio.timeout(WITHIN_S):
                await self._budget.hold(limit, seconds)
        except UNAVAILABLE:
            self._failed()

    def _failed(self) -> None:
        self.failures += 1
        self._away_until = self._clock() + AWAY_S
