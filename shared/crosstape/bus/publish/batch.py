"""A batch: numbered and encoded entries of several streams, as one call of the script that writes them, and what the script answers.

A reader sees all of a batch or nothing of it. The script never raises once it has written: an error halfway would leave a part on the tape
that a retry would write again. What can fail for one stream alone (its name holds another type, its channel is forbidden) is caught, left
out and reported. What fails for all streams (no memory, a replica) fails at the first write, before anything is done, and is raised.

Only this module knows the order of the script's keys and arguments.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import msgspec

from crosstape.bus.client.raw_connection import pack, unpack
from crosstape.bus.publish.stream import Stream
from crosstape_schemas import Event, stamp

BATCH_BYTES: Final = 1 << 20
"""A batch is closed after the stream that takes it past this size: long deltas must not make one call of many megabytes."""

TRIM_EVERY: Final = 16
"""A stream is trimmed with the entries that have the numbers 1, 17, 33 …: the server can only remove many entries at once anyway."""

BELL_NAMES: Final = 256
"""A bell's entry names this many streams at most; a batch that writes more of a kind rings for all of them, `*`. See `Keys.bell`."""

BELL_LENGTH: Final = 1_000
"""How many entries a bell keeps, about."""

WRITE: Final = """
-- KEYS: cursor, registry, then per group: stream, hash of last values, bell (the cursor for none)
-- ARGV: epoch, batch, the batch it follows, 1 to publish every entry, position in the spool or '',
--       then per group: longest length or '' to trim nothing, 1 if new, count, pairs, pairs of (field, entry), entries
local call = redis.call
local found = call('HMGET', KEYS[1], 'epoch', 'batch')
local epoch, batch, number = found[1] or '', tonumber(found[2]) or 0, tonumber(ARGV[2])
local cursor = {'batch', ARGV[2]}
if ARGV[5] ~= '' then
  cursor[3], cursor[4] = 'spool', ARGV[5]
end
if epoch ~= ARGV[1] then
  if #epoch > #ARGV[1] or (#epoch == #ARGV[1] and epoch > ARGV[1]) then return {epoch, batch} end -- as text: too large for Lua's numbers
  local parts = {'epoch', ARGV[1]}
  if batch > 1 then -- more than a claim: only this shows which entries of the spool were in flight then
    parts = {'epoch', ARGV[1], 'prior_epoch', epoch, 'prior_batch', batch}
  end
  for _, part in ipairs(parts) do cursor[#cursor + 1] = part end
  batch = 0
end
if batch >= number or batch ~= tonumber(ARGV[3]) then return {epoch, batch} end

local every, key, last_key, max_length, first, last, pairs_at, pairs_n, done = ARGV[4] == '1'
local function append(from, heard)
  for i = from, last do
    local d = ARGV[i]
    if max_length ~= '' and (i == last or i % 100 == 0) then -- one trim removes a bounded count: a long group needs several
      call('XADD', key, 'MAXLEN', '~', max_length, '*', 'd', d)
    else
      call('XADD', key, '*', 'd', d)
    end
    done = i
    if heard then heard = call('PUBLISH', key, d) > 0 or every end -- nobody can subscribe before the script ends
  end
  for i = pairs_at, pairs_at + 2 * pairs_n - 1, 2 do
    call('HSET', last_key, ARGV[i], ARGV[first + ARGV[i + 1] - 1])
  end
end

local bells, names, failures, at = {}, {}, {}, 6
for k = 3, #KEYS, 3 do
  key, last_key, max_length = KEYS[k], KEYS[k + 1], ARGV[at]
  pairs_n, pairs_at = tonumber(ARGV[at + 3]), at + 4
  first = pairs_at + 2 * pairs_n
  last = first + ARGV[at + 2] - 1
  done = first - 1
  local ok, failure = pcall(append, first, true)
  if not ok then
    local text = type(failure) == 'table' and failure.err or tostring(failure)
    local code = string.match(text, '^[%-@]?(%u+)') or ''
    if #bells == 0 and done < first and code ~= 'WRONGTYPE' then return {err = text} end
    if done >= first then pcall(append, done + 1, false) end
    failures[#failures + 1] = (k - 3) / 3
    failures[#failures + 1] = done - first + 1
    failures[#failures + 1] = text
  end
  if done >= first then
    local bell = KEYS[k + 2]
    local rung = names[bell]
    if rung then
      rung[#rung + 1] = key
    else
      bells[#bells + 1], names[bell] = bell, {key}
    end
    if ARGV[at + 1] == '1' then redis.pcall('SADD', KEYS[2], key) end
  end
  at = last + 1
end
for i = 1, #bells do
  local bell, rung = bells[i], names[bells[i]]
  if bell ~= KEYS[1] then
    redis.pcall('XADD', bell, 'MAXLEN', '~', BELL_LENGTH, '*', 's', #rung > BELL_NAMES and '*' or table.concat(rung, ' '))
  end
end
call('HSET', KEYS[1], unpack(cursor))
if #failures > 0 then return failures end
return 1
""".replace("BELL_NAMES", str(BELL_NAMES)).replace("BELL_LENGTH", str(BELL_LENGTH))

WRITE_SHA: Final = hashlib.sha1(WRITE.encode(), usedforsecurity=False).hexdigest()

BELLS: Final = slice(4, None, 3)
"""Where the bells are in a batch's `keys`."""

PREVIOUS: Final = 2
"""Index, in a batch's `args`, of `Head.previous`."""

EVERY: Final = 3
"""Index, in a batch's `args`, of `Head.every`."""


class Group:
    """Consecutive entries of one stream in one batch."""

    __slots__ = ("count", "entries_at", "first", "from_ts", "stream", "to_ts")

    def __init__(self, stream: Stream, first: int, chunk: list[Event], entries_at: int) -> None:
        """`first`: the number of the first entry. `entries_at`: its index in the batch's `args`."""
        self.stream = stream
        self.first = first
        self.count = len(chunk)
        self.from_ts = chunk[0].received_ts
        self.to_ts = chunk[-1].received_ts
        self.entries_at = entries_at


class Head(NamedTuple):
    """What may differ between two sendings of one batch."""

    previous: int
    """The number of the batch that must be the last one on the server for this one to be written."""
    rings: bool
    """Whether bells are rung."""
    every: bool
    """Whether each entry is published on its channel, though the server may say that nobody listens to it: see `Channels`."""


class Batch:
    """One script call. If it fails, it is sent again unchanged.

    Once it is sent, the call is kept as one object, as the server reads it. Few batches are ever asked for their entries again.
    """

    __slots__ = ("_packed", "args", "entries", "groups", "head", "keys", "number", "size", "spooled_to", "written_at")

    def __init__(self, number: int, *, cursor: bytes, registry: bytes, epoch: bytes, position: bytes = b"", spooled_to: int = 0) -> None:
        """`position`: the spool's position in the cursor once this batch is written; empty: the cursor keeps the one that it has."""
        self.number = number
        self.head: Head | None = None
        """The head of the call that was packed last."""
        self._packed = b""
        self.keys = [cursor, registry]
        self.args = [epoch, b"%d" % number, b"", b"", position]
        self.groups: list[Group] = []
        self.entries = 0
        """Count of the entries of all groups."""
        self.size = 0
        """Bytes of all entries."""
        self.spooled_to = spooled_to
        """Entries of the spool up to this count are on the tape once this batch is; 0 = it has none of them."""
        self.written_at = 0.0
        """When it was acknowledged, by the monotonic clock."""

    def add(self, stream: Stream, chunk: list[Event], epoch: int) -> None:
        """Number and encode these events, and add them as a group. Most of the cost of an entry is here."""
        first = stream.seq + 1
        entries = [stamp(event, epoch, seq) for seq, event in enumerate(chunk, first)]
        count = len(entries)
        stream.seq += count
        stream.numbered_ts = chunk[-1].received_ts
        pairs, args = stream.last_pairs(chunk), self.args
        self.keys += (stream.key, stream.last_key, stream.bell)
        trims = (1 - first) % TRIM_EVERY < count
        args += (stream.max_length if trims else b"", b"0" if stream.registered else b"1", b"%d" % count, b"%d" % (len(pairs) // 2), *pairs)
        self.groups.append(Group(stream, first, chunk, len(args)))
        args += entries
        self.entries += count
        self.size += sum(map(len, entries))

    def packed(self, head: Head) -> bytes:
        """Returns the call that writes this batch, by the script's name. No group can be added any more."""
        if head != self.head:
            keys, args = self._parts()
            args[PREVIOUS], args[EVERY] = b"%d" % head.previous, b"1" if head.every else b""
            if not head.rings:  # a key that the user may not write to would be refused with all of the batch
                keys[BELLS] = keys[:1] * len(self.groups)
            elif self.head is not None:
                keys[BELLS] = [group.stream.bell for group in self.groups]
            self._packed = pack(("EVALSHA", WRITE_SHA, len(keys), *keys, *args))
            self.head = head
            self.keys, self.args = [], []
        return self._packed

    def packed_with_script(self, head: Head) -> bytes:
        """The same as `packed`, with the whole script, for a server that does not know it."""
        self.packed(head)
        keys, args = self._parts()
        return pack(("EVAL", WRITE, len(keys), *keys, *args))

    def lossless_entries(self) -> list[bytes]:
        """Returns the lossless entries."""
        _, args = self._parts()
        found: list[bytes] = []
        for group in self.groups:
            found += group.stream.lossless(args[group.entries_at : group.entries_at + group.count])
        return found

    def _parts(self) -> tuple[list[bytes], list[bytes]]:
        """Returns the keys and arguments."""
        if not self._packed:
            return self.keys, self.args
        _, _, count, *parts = unpack(self._packed)
        return parts[: int(count)], parts[int(count) :]


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
    """Nothing was written: the cursor on the server is at this epoch and batch. If that is our batch or a later one of our epoch, the
    batch was written before.
    """

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
