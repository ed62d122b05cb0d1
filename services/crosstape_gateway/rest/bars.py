"""Reads bars and candles: the newest revision of each, in order of their time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from contextlib import aclosing
from typing import Final, NamedTuple

import msgspec

from crosstape_gateway.parts import Parts
from crosstape_gateway.rest.closed_bars import ClosedBar
from crosstape_gateway.rest.entries import PAGE, SKEW_MS, Budget, Range, backwards, decoded, is_event


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


async def newest_bars(parts: Parts, stream: str, wanted: Range, kept: Iterable[tuple[int, ClosedBar]] = ()) -> FoundBars:
    """Returns the newest bars of one venue whose `open_ts` is in the range, `limit` at most, each as its newest revision says.

    A bar comes again with each change, and its revisions may come behind later bars. But none is on the tape before its `open_ts`: so
    reading goes back from the newest entry to the time at which the oldest bar of the answer opened. Bars that are `kept` count like those
    on the tape.
    """
    newest = _NewestBars(wanted)
    oldest = Range(limit=1, from_ts=wanted.from_ts).oldest_id
    budget = Budget()
    async with aclosing(backwards(parts, stream, ("+", oldest), PAGE, budget)) as entries:
        async for entry_id, data in entries:
            if newest.is_complete(int(entry_id.partition(b"-")[0])):
                break
            newest.add(data)
    for open_ts, bar in kept:
        newest.add_bar(open_ts, (True, bar.revision, bar.data))
    rows = newest.rows()
    return FoundBars(rows[-wanted.limit :], len(rows) > wanted.limit or budget.cut)


class _NewestBars:
    """Keeps the `limit` + 1 bars that opened last: one more, to know whether there are more."""

    def __init__(self, wanted: Range) -> None:
        self._wanted = wanted
        self._venue = wanted.venue.encode()
        self._found: dict[int, tuple[bool, int, bytes]] = {}
        self._times: list[int] = []
        """A heap of their `open_ts`."""

    def is_complete(self, written_ms: int) -> bool:
        """Whether no bar that was written before this time, by the bus's clock, can be one of them."""
        return len(self._times) > self._wanted.limit and written_ms < self._times[0] // 1_000_000 - SKEW_MS

    def add(self, data: bytes) -> None:
        """Apply an event. Those that are newer on the tape come first."""
        if self._venue not in data:  # most entries need not be decoded to find that they are another venue's
            return
        bar = decoded(_decode, data)
        if bar is None:
            return
        if bar.venue == self._wanted.venue and self._is_newer(bar.open_ts, (bar.closed, bar.revision)) and is_event(data):
            self.add_bar(bar.open_ts, (bar.closed, bar.revision, data))

    def add_bar(self, open_ts: int, bar: tuple[bool, int, bytes]) -> None:
        """Apply a bar of the venue: whether it is closed, its revision, its JSON."""
        if self._is_newer(open_ts, bar[:2]) and (open_ts in self._found or self._has_place(open_ts)):
            self._found[open_ts] = bar

    def rows(self) -> list[bytes]:
        """Returns their JSON by `open_ts`, one more than `limit` if there are more."""
        return [self._found[open_ts][2] for open_ts in sorted(self._found)]

    def _is_newer(self, open_ts: int, revision: tuple[bool, int]) -> bool:
        """Whether a bar is in the range and says more than what is known."""
        wanted, before = self._wanted, self._found.get(open_ts)
        if open_ts < (wanted.from_ts or 0) or (wanted.to_ts is not None and open_ts >= wanted.to_ts):
            return False
        return before is None or revision > before[:2]

    def _has_place(self, open_ts: int) -> bool:
        if len(self._times) <= self._wanted.limit:
            heapq.heappush(self._times, open_ts)
        elif open_ts > self._times[0]:
            del self._found[heapq.heapreplace(self._times, open_ts)]
        else:
            return False
        return True
