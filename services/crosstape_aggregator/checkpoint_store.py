"""Where a share's checkpoint is: on the server, so that whichever instance takes the share finds it."""

from __future__ import annotations

from typing import Final, NamedTuple

from crosstape.bus import Client
from crosstape.bus.call import ask
from crosstape_schemas import Keys

KEPT_S: Final = 2 * 86_400
"""A checkpoint that nobody renews is gone after so long: no window reaches back to it any more."""

SAVE: Final = """
-- KEYS: checkpoint, cursor of the share's producer. ARGV: epoch, moment (ns), state, life in s
-- answers '' if it is written, else the newer epoch that has claimed the share, or written before
local call = redis.call
for _, key in ipairs({KEYS[2], KEYS[1]}) do
  local found = call('HGET', key, 'epoch') or ''
  if found > ARGV[1] then return found end
end
call('HSET', KEYS[1], 'epoch', ARGV[1], 'at', ARGV[2], 'state', ARGV[3])
call('EXPIRE', KEYS[1], ARGV[4])
return ''
"""


class Stored(NamedTuple):
    """A checkpoint as it was found."""

    at: int
    """When it was made: ns, by its maker's clock."""
    state: bytes


class CheckpointStore:
    """The checkpoint of one share, for the instance that has claimed its producer's name under this epoch."""

    def __init__(self, client: Client, keys: Keys, producer: str, epoch: int) -> None:
        self._client = client
        self._key = keys.checkpoint(producer)
        self._cursor = keys.cursor(producer)
        self._epoch = epoch

    async def load(self) -> Stored | None:
        """What is there. Raises one of `call.UNAVAILABLE`."""
        at, state = await ask(self._client, "HMGET", self._key, "at", "state")
        if state is None:
            return None
        return Stored(int(at) if at is not None and at.isdigit() else 0, state)

    async def save(self, at: int, state: bytes) -> bool:
        """Put it there, in place of the one before; False, and nothing is done, if another has claimed the share since we did.

        Raises one of `call.UNAVAILABLE`.
        """
        return not await ask(self._client, "EVAL", SAVE, 2, self._key, self._cursor, self._epoch, at, state, KEPT_S)
