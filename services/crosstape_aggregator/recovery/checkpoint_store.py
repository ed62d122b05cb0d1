"""Keeps a shard's checkpoint on the server, so that whichever instance serves the shard next finds it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

import structlog

from crosstape.bus import Client
from crosstape.bus.client.call import execute
from crosstape_aggregator.recovery.checkpoint import Fields
from crosstape_schemas import Keys

KEPT_S: Final = 2 * 86_400
"""The server deletes a checkpoint that was not written for this time: no window reaches back to it any more."""
FIELDS: Final = 256
"""Fields that one call reads; a chunk of a busy instrument has 5 kB."""

SAVE: Final = """
-- KEYS: checkpoint, cursor of the shard's producer, the tape's identity.
-- ARGV: epoch, life in s, number of fields to delete ('*': all), their names, then name and value of each field to write.
-- Answers '' if the checkpoint was written, else the newer epoch that has claimed the shard or written a checkpoint.
local call = redis.call
local checkpoint, cursor, identity = KEYS[1], KEYS[2], KEYS[3]
local epoch, life_s, deleted = ARGV[1], ARGV[2], ARGV[3]
for _, key in ipairs({cursor, checkpoint}) do
  local found = call('HGET', key, 'epoch') or ''
  if #found > #epoch or (#found == #epoch and found > epoch) then return found end -- they are too large for Lua's numbers
end
local first = 4
if deleted == '*' then
  call('DEL', checkpoint)
else
  first = first + deleted
  for at = 4, first - 1 do call('HDEL', checkpoint, ARGV[at]) end
end
for at = first, #ARGV, 2 do call('HSET', checkpoint, ARGV[at], ARGV[at + 1]) end
call('HSET', checkpoint, 'epoch', epoch, 'tape', call('HGET', identity, 'id') or '')
call('EXPIRE', checkpoint, life_s)
return ''
"""

OWN: Final = frozenset({"epoch", "tape", "at"})
"""Fields that belong to no instrument, but describe the checkpoint."""

log = structlog.get_logger(__name__)


class StoredCheckpoint(NamedTuple):
    """A checkpoint as read from the server."""

    at: int
    """The moment (ns since the epoch, by the writer's clock) up to which the streams of every instrument in it had been read."""
    fields: dict[str, bytes]


class CheckpointStore:
    """Reads and writes the checkpoint of one shard, for the instance that has claimed the shard's producer name with this epoch."""

    def __init__(self, client: Client, keys: Keys, producer: str, epoch: int) -> None:
        self._client = client
        self._key = keys.checkpoint(producer)
        self._cursor = keys.cursor(producer)
        self._identity = keys.identity()
        self._epoch = epoch

    async def load(self) -> StoredCheckpoint | None:
        """Read the checkpoint; None if there is none, or if it belongs to another tape. Raises one of `call.UNAVAILABLE`."""
        names: list[bytes] = await execute(self._client, "HKEYS", self._key)
        if not names:
            return None
        at, tape = await execute(self._client, "HMGET", self._key, "at", "tape")
        if tape and tape != await execute(self._client, "HGET", self._identity, "id"):
            log.warning("checkpoint.of_another_tape", key=self._key, of_tape=tape.decode(errors="replace"))
            return None
        fields: dict[str, bytes] = {}
        for start in range(0, len(names), FIELDS):
            some = names[start : start + FIELDS]
            values = await execute(self._client, "HMGET", self._key, *some)
            fields |= {name.decode(errors="replace"): value for name, value in zip(some, values, strict=True) if value is not None}
        return StoredCheckpoint(int(at) if at is not None and at.isdigit() else 0, {k: v for k, v in fields.items() if k not in OWN})

    async def save(self, changed: Fields, gone: Collection[str] = (), *, at: int | None = None, replace: bool = False) -> bool:
        """Write the changed fields and delete the fields `gone`, in one step. `replace`: delete all fields that are stored.

        `at` (ns, see `StoredCheckpoint`) is given with the last call of a checkpoint. Returns False, and writes nothing, if another
        instance has claimed the shard since. Raises one of `call.UNAVAILABLE`.
        """
        arguments: list[str | int | bytes] = ["*"] if replace else [len(gone), *gone]
        arguments += _names_and_values(changed)
        if at is not None:
            arguments += "at", at
        return not await execute(self._client, "EVAL", SAVE, 3, self._key, self._cursor, self._identity, self._epoch, KEPT_S, *arguments)


def _names_and_values(fields: Fields) -> Iterator[str | bytes]:
    """Yield the name and the value of each field, as HSET expects them."""
    for name, value in fields.items():
        yield name
        yield value
