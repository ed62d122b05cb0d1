"""The script that writes a batch on the server: its arguments, its text and its answers. A reader sees all of a batch or nothing of it.

The script never raises once it has written: an error halfway would leave a part on the tape that a retry would write again. What can fail
for one stream alone (its name holds another type, its channel is forbidden) is caught, left out and reported. What fails for all streams
(no memory, a replica) fails at the first write, before anything is done, and is raised.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

WRITE: Final = """
-- KEYS: cursor, registry, then per group: stream, hash of last values
-- ARGV: epoch, batch, the batch it follows, position in the spool or '',
--       then per group: longest length, 1 if new, count, pairs, pairs of (field, entry), entries
local call = redis.call
local found = call('HMGET', KEYS[1], 'epoch', 'batch')
local epoch, batch, number = found[1] or '', tonumber(found[2]) or 0, tonumber(ARGV[2])
local cursor = {'epoch', ARGV[1], 'batch', ARGV[2]}
if ARGV[4] ~= '' then
  cursor[5], cursor[6] = 'spool', ARGV[4]
end
if epoch ~= ARGV[1] then
  if #epoch > #ARGV[1] or (#epoch == #ARGV[1] and epoch > ARGV[1]) then return {epoch, batch} end -- as text: too large for Lua's numbers
  if batch > 1 then -- more than a claim: only this shows which entries of the spool were in flight then
    for _, part in ipairs({'prior_epoch', epoch, 'prior_batch', batch}) do cursor[#cursor + 1] = part end
  end
  batch = 0
end
if batch >= number or batch ~= tonumber(ARGV[3]) then return {epoch, batch} end

local key, last_key, max_length, first, last, pairs_at, pairs_n, done
local function append()
  for i = first, last do
    local d = ARGV[i]
    call('XADD', key, 'MAXLEN', '~', max_length, '*', 'd', d)
    done = i
    call('PUBLISH', key, d)
  end
  for i = pairs_at, pairs_at + 2 * pairs_n - 1, 2 do
    call('HSET', last_key, ARGV[i], ARGV[first + tonumber(ARGV[i + 1]) - 1])
  end
end
local function append_unheard()
  for i = done + 1, last do
    call('XADD', key, 'MAXLEN', '~', max_length, '*', 'd', ARGV[i])
    done = i
  end
end

local new, failures, at, any = {}, {}, 5, false
for k = 3, #KEYS, 2 do
  key, last_key, max_length = KEYS[k], KEYS[k + 1], ARGV[at]
  pairs_n, pairs_at = tonumber(ARGV[at + 3]), at + 4
  first = pairs_at + 2 * pairs_n
  last = first + tonumber(ARGV[at + 2]) - 1
  done = first - 1
  local ok, failure = pcall(append)
  if not ok then
    local text = type(failure) == 'table' and failure.err or tostring(failure)
    local code = string.match(text, '^[%-@]?(%u+)') or ''
    if not any and done < first and code ~= 'WRONGTYPE' then return {err = text} end
    if done >= first then pcall(append_unheard) end
    failures[#failures + 1] = (k - 3) / 2
    failures[#failures + 1] = done - first + 1
    failures[#failures + 1] = text
  end
  if done >= first then
    any = true
    if ARGV[at + 1] == '1' then new[#new + 1] = key end
  end
  at = last + 1
end
for _, name in ipairs(new) do redis.pcall('SADD', KEYS[2], name) end
call('HSET', KEYS[1], unpack(cursor))
if #failures > 0 then return failures end
return 1
"""

WRITE_SHA: Final = hashlib.sha1(WRITE.encode(), usedforsecurity=False).hexdigest()


_FOLLOWS: Final = 2
"""Index of the number of the batch before, in ARGV counted from 0."""


class WriteCall:
    """The keys and arguments of one call of `WRITE`, in the script's order. Only this class and the script know that order."""

    __slots__ = ("args", "keys")

    def __init__(self, *, cursor: bytes, registry: bytes, epoch: bytes, number: int, position: bytes) -> None:
        """`position`: of the spool once this batch is written; empty: it stays as it is."""
        self.keys = [cursor, registry]
        self.args = [epoch, b"%d" % number, b"", position]

    def add_group(
        self, stream: bytes, last_key: bytes, max_length: bytes, *, new: bool, last_pairs: list[bytes], entries: list[bytes]
    ) -> int:
        """Append the entries of one stream. Returns where they are, for `entries`. `new`: the stream is not in the registry yet."""
        args = self.args
        self.keys += (stream, last_key)
        args += (max_length, b"1" if new else b"0", b"%d" % len(entries), b"%d" % (len(last_pairs) // 2), *last_pairs)
        at = len(args)
        args += entries
        return at

    def entries(self, at: int, count: int) -> list[bytes]:
        """The entries of one group."""
        return self.args[at : at + count]

    def set_previous(self, number: int) -> None:
        """Name the batch that must be the last one on the server for this one to be written."""
        self.args[_FOLLOWS] = b"%d" % number


class GroupFailure(msgspec.Struct, frozen=True):
    """A group of a written batch of which not all entries could be written."""

    group: int
    """Index of the group."""
    written: int
    """How many of its entries are on the stream. They come before those that are not."""
    reason: str


class BatchWritten(msgspec.Struct, frozen=True):
    """The batch is on the tape, except for what failed."""

    failures: tuple[GroupFailure, ...] = ()


class BatchRefused(msgspec.Struct, frozen=True):
    """Nothing was written, because the cursor is here. With our epoch and our number or more, the batch was written before."""

    epoch: bytes
    batch: int


_NO_FAILURE: Final = BatchWritten()


def parse_write(reply: int | list[bytes | int]) -> BatchWritten | BatchRefused:
    """Returns what an answer of `WRITE` means."""
    match reply:
        case int():
            return _NO_FAILURE
        case [bytes() as epoch, int(batch)]:
            return BatchRefused(epoch, batch)
        case _:
            parts = iter(reply)
            return BatchWritten(
                tuple(
                    GroupFailure(int(group), int(written), reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason))
                    for group, written, reason in zip(parts, parts, parts, strict=True)
                )
            )
