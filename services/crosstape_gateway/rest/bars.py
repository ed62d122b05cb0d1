"""Reads bars and candles: the newest revision of each, in order of their time."""

from __future__ import annotations

import heapq
from typing import Final, NamedTuple

import msgspec

from crosstape_gateway.parts import Parts
from crosstape_gateway.rest.entries import PAGE, READ_ENTRIES, SKEW_MS, Range, backwards


class _Bar(msgspec.Struct, frozen=True, gc=False):
    venue: str
    open_ts: int
    closed: bool = False
    revision: int = 0


class FoundBars(NamedTuple):
    """The bars of a range."""

    rows: list[bytes]
    """JSON as it is on the tape, by `open_ts`."""
    more: bool
    """Whether the tape has older ones in the range."""


_decode: Final = msgspec.json.Decoder(_Bar).decode


async def newest_bars(parts: Parts, stream: str, wanted: Range) -> FoundBars:
    """Returns the newest bars of one venue whose `open_ts` is in the range, `limit` at most, each as its newest revision says.

    A bar comes again with each change, and its revisions may come behind later bars. But none is on the tape before its `open_ts`: so
    reading goes back from the newest entry to the time at which the oldest bar of the answer opened.
    """
    found: dict[int, tuple[bool, int, bytes]] = {}
    newest: list[int] = []  # a heap of the greatest `limit` + 1 times
    read = 0
    oldest = Range(limit=1, from_ts=wanted.from_ts).oldest_id
    venue = wanted.venue.encode()
    async for entry_id, data in backwards(parts, stream, "+", oldest, PAGE):
        read += 1
        if len(newest) > wanted.limit and int(entry_id.partition(b"-")[0]) < newest[0] // 1_000_000 - SKEW_MS:
            break
        if venue not in data:  # most entries need not be decoded to find that they are another venue's
            continue
        try:
            bar = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if bar.venue != wanted.venue:
            continue
        if (wanted.from_ts is not None and bar.open_ts < wanted.from_ts) or (wanted.to_ts is not None and bar.open_ts >= wanted.to_ts):
            continue
        before = found.get(bar.open_ts)
        if before is None:
            if len(newest) <= wanted.limit:
                heapq.heappush(newest, bar.open_ts)
            elif bar.open_ts > newest[0]:
                del found[heapq.heapreplace(newest, bar.open_ts)]
            else:
                continue  # older than all that are wanted
        if before is None or (bar.closed, bar.revision) > before[:2]:
            found[bar.open_ts] = (bar.closed, bar.revision, data)
    wanted_ts = sorted(found)[-wanted.limit :]
    return FoundBars([found[open_ts][2] for open_ts in wanted_ts], len(found) > wanted.limit or read >= READ_ENTRIES)
