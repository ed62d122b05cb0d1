"""The two scripts that run on the server, and what they answer. Each is atomic: a reader sees all of a batch or nothing of it.

Neither raises once it has written: an error halfway would leave a part on the tape that a retry would write again. So what can fail for
one stream alone (its name holds another type, its channel is forbidden) is caught, left out and reported; what fails for all (no memory,
a replica) fails at the first write, before anything is done, and is raised.
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
  if #epoch > #ARGV[1] or (#epoch == #ARGV[1] and epoch > ARGV[1]) then return {epoch, batch} end -- as numbers: too large for Lua's
  if batch > 1 then -- more than a claim: what of the spool was in flight then, only this tells
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

LOOK: Final = """
-- KEYS: per stream: stream, hash of last values. ARGV: 1 if values are wanted, else 0
-- answers per stream: {its last id (also of an entry that is gone), or '' if there is no such key, or '!' if it is no stream;
--   id of its first entry or ''; its length; how many were ever added, or -1 where the server does not say; last values; its last entry}
local answers = {}
for k = 1, #KEYS, 2 do
  local info = redis.pcall('XINFO', 'STREAM', KEYS[k])
  local answer = {'', '', 0, 0, {}, {}}
  if info.err then
    if string.match(info.err, 'WRONGTYPE') then answer[1] = '!'
    elseif not string.match(info.err, 'no such key') then return info end
  else
    answer[4] = -1
    for i = 1, #info, 2 do
      local name, value = info[i], info[i + 1]
      if name == 'last-generated-id' then answer[1] = value
      elseif name == 'first-entry' then answer[2] = value and value[1] or ''
      elseif name == 'length' then answer[3] = value
      elseif name == 'entries-added' then answer[4] = value end
    end
    if ARGV[1] == '1' then answer[6] = redis.call('XREVRANGE', KEYS[k], '+', '-', 'COUNT', 1) end
  end
  local last = ARGV[1] == '1' and redis.pcall('HVALS', KEYS[k + 1]) or {}
  if not last.err then answer[5] = last
  elseif not string.match(last.err, 'WRONGTYPE') then return last end
  answers[#answers + 1] = answer
end
return answers
"""

CATCH_UP: Final = """
-- KEYS: streams, first those that catch up. ARGV: how many do, count, then per stream the id that was read last
-- answers {per stream that catches up {id of its first entry or '', its last id, how many were ever added or -1}, what XREAD answers}:
-- of one moment
local places, read = {}, {'XREAD', 'COUNT', ARGV[2], 'STREAMS'}
for k = 1, tonumber(ARGV[1]) do
  local place, info = {'', '', -1}, redis.pcall('XINFO', 'STREAM', KEYS[k])
  for i = 1, info.err and 0 or #info, 2 do
    local name, value = info[i], info[i + 1]
    if name == 'first-entry' then place[1] = value and value[1] or ''
    elseif name == 'last-generated-id' then place[2] = value
    elseif name == 'entries-added' then place[3] = value end
  end
  places[k] = place
end
for k = 1, #KEYS do read[4 + k], read[4 + #KEYS + k] = KEYS[k], ARGV[2 + k] end
return {places, redis.call(unpack(read)) or {}}
"""


class Failure(msgspec.Struct, frozen=True):
    """One group of a written batch of which not all could be done."""

    group: int
    written: int
    """How many of its entries are on the stream: they come before those that are not."""
    reason: str


class Written(msgspec.Struct, frozen=True):
    """The batch is on the tape, but for these."""

    failures: tuple[Failure, ...] = ()


class Refused(msgspec.Struct, frozen=True):
    """Nothing was written: the cursor stands here. The same epoch and our number or more: it was written before."""

    epoch: bytes
    batch: int


_WHOLE: Final = Written()


def parse_write(reply: int | list[bytes | int]) -> Written | Refused:
    """The meaning of what `WRITE` answered."""
    match reply:
        case int():
            return _WHOLE
        case [bytes() as epoch, int(batch)]:
            return Refused(epoch, batch)
        case _:
            parts = iter(reply)
            return Written(
                tuple(
                    Failure(int(group), int(written), reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason))
                    for group, written, reason in zip(parts, parts, parts, strict=True)
                )
            )
