"""Keeps closed bars for longer than the tape does, for `/api/bars` and the chart: those of all venues together.

A bar is on the tape with each change while it is open, several times a second and of each venue. So most entries are open bars, and a
stream of 20,000 entries reaches back for a quarter of an hour. What has closed is looked up every `LOOK_S`, long before it is trimmed; the
server leaves out all else, so that this costs little. Nothing is stored: a gateway knows what has closed since it started.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Final, NamedTuple

import msgspec
from aiohttp import web

from crosstape.bus.client.call import UNAVAILABLE, execute
from crosstape_gateway.hub.item import parse_id
from crosstape_gateway.parts import Parts
from crosstape_gateway.rest.bus import DEADLINE_S
from crosstape_gateway.rest.entries import decoded, is_event

LOOK_S: Final = 10.0
AT_ONCE: Final = 1_000
"""Entries in one call of the script at most: the server does nothing else during a call."""
OF_A_STREAM: Final = 1_500
"""Bars that are kept of one stream at most: a day of those of a minute. The oldest go."""
OF_ALL: Final = 100_000
"""Bars that are kept of all streams together, about 60 MB: each stream has an equal share."""

_CLOSED: Final = """
-- KEYS: a stream. ARGV: the id that was read last, or '' to begin at the end; count
-- answers {id of the first entry, id of the last one that was read, how many were read, then the closed bars of all venues together}
local newest = redis.pcall('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if newest.err or #newest == 0 then return {'', '', 0} end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1]
if ARGV[1] == '' then return {first, newest[1][1], 0} end
local entries = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
local answer = {first, #entries > 0 and entries[#entries][1] or '', #entries}
for i = 1, #entries do
  local data = entries[i][2][2]
  if data and string.find(data, '"venue":"consolidated"', 1, true) and string.find(data, '"closed":true', 1, true) then
    answer[#answer + 1] = data
  end
end
return answer
"""


class ClosedBar(NamedTuple):
    """One bar."""

    revision: int
    data: bytes


class _Bar(msgspec.Struct, frozen=True, gc=False):
    open_ts: int
    revision: int


class _Kept:
    """What is kept of one stream."""

    def __init__(self) -> None:
        self.read_id = ""
        self.bars: dict[int, ClosedBar] = {}  # by `open_ts`


_decode: Final = msgspec.json.Decoder(_Bar).decode


class ClosedBars:
    """The closed bars of all venues together that the tape has had since the gateway started. Bounded: see `OF_ALL`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._kept: dict[str, _Kept] = {}

    def of(self, stream: str) -> Iterable[tuple[int, ClosedBar]]:
        """Returns `open_ts` and bar of each that is kept of a stream, in no order."""
        kept = self._kept.get(stream)
        return kept.bars.items() if kept is not None else ()

    async def run(self) -> None:
        """Look until cancelled. An outage of the bus costs nothing as long as the streams still have what came since."""
        while True:
            with contextlib.suppress(*UNAVAILABLE):  # the hub logs that the bus is away
                await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Look what has closed since the last look. Raises one of `UNAVAILABLE`."""
        parts = self._parts
        streams = [parts.keys.stream(kind, name) for kind, name in parts.catalogue.streams if kind.startswith("bar:")]
        for stream in streams:
            kept = self._kept.setdefault(stream, _Kept())
            while await self._read(stream, kept):
                pass
            for open_ts in sorted(kept.bars)[: -min(OF_A_STREAM, OF_ALL // len(streams)) or None]:
                del kept.bars[open_ts]

    async def _read(self, stream: str, kept: _Kept) -> bool:
        """Read once. Returns whether there may be more."""
        async with asyncio.timeout(DEADLINE_S):
            first, last, count, *closed = await execute(self._parts.client, "EVAL", _CLOSED, 1, stream, kept.read_id, AT_ONCE)
        if kept.read_id and parse_id(first.decode()) > parse_id(kept.read_id):
            kept.bars.clear()  # entries that were not read may be gone: history has no holes
        kept.read_id = last.decode() or kept.read_id
        for data in closed:
            if (bar := decoded(_decode, data)) is None or not is_event(data):
                continue
            before = kept.bars.get(bar.open_ts)
            if before is None or bar.revision >= before.revision:
                kept.bars[bar.open_ts] = ClosedBar(bar.revision, data)
        return int(count) == AT_ONCE


async def keeping(app: web.Application) -> AsyncIterator[None]:
    """Runs `ClosedBars.run` while the application runs. A context of aiohttp."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(app[CLOSED_BARS].run(), name="gateway.closed_bars")
        yield
        task.cancel()


CLOSED_BARS: Final = web.AppKey("closed_bars", ClosedBars)
