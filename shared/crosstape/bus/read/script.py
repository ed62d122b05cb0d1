"""The two scripts by which a reader asks the server: what it has of many streams, or bells, and their entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from crosstape.bus.client.call import Client, execute
from crosstape.bus.read.bell import Bell
from crosstape.bus.read.followed import FollowedStream, StreamInfo
from crosstape_schemas import AnyEvent, Bar, Candle, decode

LOOK_STREAMS: Final = 64
"""Streams in one look at most: each may bring a last value of every venue."""

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


async def look(client: Client, streams: Sequence[FollowedStream], *, values: bool) -> list[StreamInfo | None]:
    """Ask what the server has of each stream now; None for a key that is no stream. `values`: with the last values and the last entry.

    Raises one of `call.UNAVAILABLE`.
    """
    infos: list[StreamInfo | None] = []
    for start in range(0, len(streams), LOOK_STREAMS):
        part = streams[start : start + LOOK_STREAMS]
        keys = [key for stream in part for key in (stream.key, stream.last_key)]
        answer = await execute(client, "EVAL", LOOK, len(keys), *keys, int(values))
        for stream, (last_id, first_id, length, added, last, newest) in zip(part, answer, strict=True):
            if last_id == b"!":
                infos.append(None)
                continue
            in_time = sorted(_events(last), key=lambda value: _moment(value[0]))
            infos.append(
                StreamInfo(
                    last_id,
                    first_id,
                    max(0, added - length) if added >= 0 else None,
                    added,
                    [(event, data) for event, data in in_time if stream.only_venue in {"", event.venue}],
                    [event for event, _ in _events([fields[1] for _, fields in newest if len(fields) > 1])],
                )
            )
    return infos


async def look_for_bells(client: Client, bells: Sequence[Bell]) -> list[bytes | None]:
    """Ask for the id of each bell's last entry, empty where it has never rung; None for a key that is no stream.

    Raises one of `call.UNAVAILABLE`.
    """
    places: list[bytes | None] = []
    for start in range(0, len(bells), LOOK_STREAMS):
        keys = [key for bell in bells[start : start + LOOK_STREAMS] for key in (bell.key, bell.key)]
        answer = await execute(client, "EVAL", LOOK, len(keys), *keys, 0)
        places += [None if last_id == b"!" else last_id for last_id, *_ in answer]
    return places


def _moment(event: AnyEvent) -> tuple[int, int]:
    """Sorts last values. A late candle or bar comes before the newest one, also if it was received after it: it is a revision."""
    return event.open_ts if isinstance(event, Candle | Bar) else 0, event.received_ts


def _events(values: Sequence[bytes]) -> list[tuple[AnyEvent, bytes]]:
    events: list[tuple[AnyEvent, bytes]] = []
    for value in values:
        try:
            events.append((decode(value), value))
        except msgspec.MsgspecError:
            continue  # not an event of ours; it is counted when it is read
    return events
