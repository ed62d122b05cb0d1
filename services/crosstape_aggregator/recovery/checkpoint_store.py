"""Where a share's checkpoint is: on the server, so that whichever instance takes the share finds it."""

from __future__ import annotations

from typing import Final, NamedTuple

import structlog

from crosstape.bus import Client
from crosstape.bus.client.call import execute
from crosstape_schemas import Keys

KEPT_S: Final = 2 * 86_400
"""A checkpoint that nobody renews is gone after so long: no window reaches back to it any more."""

SAVE: Final = """
-- KEYS: checkpoint, cursor of the share's producer, the tape's identity. ARGV: epoch, moment (ns), state, life in s
-- answers '' if it is written, else the newer epoch that has claimed the share, or written before
local call = redis.call
for _, key in ipairs({KEYS[2], KEYS[1]}) do
  local found = call('HGET', key, 'epoch') or ''
  if #found > #ARGV[1] or (#found == #ARGV[1] and found > ARGV[1]) then return found end -- as numbers: too large for Lua's
end
call('HSET', KEYS[1], 'epoch', ARGV[1], 'at', ARGV[2], 'state', ARGV[3], 'tape', call('HGET', KEYS[3], 'id') or '')
call('EXPIRE', KEYS[1], ARGV[4])
return ''
"""


log = structlog.get_logger(__name__)


class StoredCheckpoint(NamedTuple):
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
        self._identity = keys.identity()
        self._epoch = epoch

    async def load(self) -> StoredCheckpoint | None:
        """What is there, unless it was made for another tape. Raises one of `call.UNAVAILABLE`."""
        at, state, tape = await execute(self._client, "HMGET", self._key, "at", "state", "tape")
        if state is None:
            return None
        if tape and tape != await execute(self._client, "HGET", self._identity, "id"):
            log.warning("checkpoint.of_another_tape", key=self._key, of_tape=tape.decode(errors="replace"))
            return None
        return StoredCheckpoint(int(at) if at is not None and at.isdigit() else 0, state)

    async def save(self, at: int, state: bytes) -> bool:
        """Put it there, in place of the one before; False, and nothing is done, if another has claimed the share since we did.

        Raises one of `call.UNAVAILABLE`.
        """
        return not await execute(self._client, "EVAL", SAVE, 3, self._key, self._cursor, self._identity, self._epoch, at, state, KEPT_S)
