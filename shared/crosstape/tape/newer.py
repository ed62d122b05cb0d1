"""Reads what a stream has behind the border of the recorded history."""

from __future__ import annotations

import heapq
from typing import Final

import msgspec

from crosstape.bus import Missed
from crosstape.bus.read.followed import parse_id
from crosstape.history.border import START, Border
from crosstape.history.own_time import own_time
from crosstape.log import get_log
from crosstape.tape.connection import TapeConnection
from crosstape.tape.history import PAGE, SKEW_MS, Range, info_of, pages
from crosstape.tape.numbering import BackwardNumbering
from crosstape.tape.selection import Selection
from crosstape_schemas import AnyEvent, Bar, Candle, decode

LATE_MS: Final = 300_000
"""How much later than their own time events come onto the tape. Where a limit is reached, the stream is read back so much further."""

log = get_log(__name__)


class Found(msgspec.Struct, frozen=True):
    """An event, with what decides its place."""

    ts: int
    id: tuple[int, int]
    event: AnyEvent
    fetched: bool = False


class Newer:
    """What the stream has behind the border."""

    def __init__(self) -> None:
        self.found: list[Found] = []
        self.missed: list[Missed] = []
        self.enough_ts: int | None = None
        """The own time of the oldest of them that is needed, where these alone are more than the limit; the border was not reached then."""
        self.lost = False
        """Whether entries right behind the border are gone from the stream."""
        self.trimmed = False
        """Whether some of those may be in the range."""

    @classmethod
    async def read(
        cls, connection: TapeConnection, stream: str, selection: Selection, wanted: Range, border: Border, *, whole: bool
    ) -> Newer:
        """Read the stream back to the border. `whole`: as far as there is something, because ids may have gone back."""
        newer = cls()
        info = await info_of(connection, stream)
        if not info.id:
            return newer
        began_again = parse_id(info.id) < border.id  # the server lost its data, and its clock is behind
        whole = whole or began_again or border.id == START
        numbering = BackwardNumbering(stream, wanted.from_ts, wanted.to_ts)
        foreign = first_ms = 0
        async for page in pages(connection, stream, "+", "-" if whole else f"({border.id[0]}-{border.id[1]}", PAGE):
            for raw_id, fields in page:
                try:
                    (_, data) = fields
                    event = decode(data)
                except (ValueError, msgspec.MsgspecError):
                    foreign += 1
                    continue
                entry_id = parse_id(raw_id)
                if selection.venue not in (None, event.venue) or border.has(event.venue, event.epoch, event.seq):
                    continue
                if entry_id <= border.id and not began_again and (event.venue, event.epoch) not in border.numbers:
                    continue
                if numbering.check(event) and selection.wants(event) and wanted.has(ts := own_time(event)):
                    newer.found.append(Found(ts, entry_id, event))
            first_ms, _ = parse_id(page[-1][0])
            newer.enough_ts = newer._enough(first_ms, wanted)
            if newer.enough_ts is not None:
                break
        if foreign:
            log.warning("tape.foreign", stream=stream, entries=foreign)
        newer.missed = [*numbering.missed()]
        if newer.enough_ts is None:
            newer._look_at_border(stream, border, numbering, wanted, first_ms)
        return newer

    def _enough(self, oldest_ms: int, wanted: Range) -> int | None:
        if wanted.limit is None or len(self.found) <= wanted.limit:
            return None
        framed = isinstance(self.found[0].event, Candle | Bar)  # of which each change is on the stream
        times = {(one.ts, one.event.venue) for one in self.found} if framed else [(one.ts, "") for one in self.found]
        if len(times) <= wanted.limit:
            return None
        last_ts, _ = heapq.nlargest(wanted.limit + 1, times)[-1]
        return last_ts if oldest_ms < last_ts // 1_000_000 - LATE_MS else None

    def _look_at_border(self, stream: str, border: Border, numbering: BackwardNumbering, wanted: Range, first_ms: int) -> None:
        """Note what is missing between the store and the stream: the recorder was not there in time, and will report it as a gap."""
        if border.id == START:
            self.lost = numbering.begins_later
            self.trimmed = self.lost and (wanted.from_ts is None or first_ms > wanted.from_ts // 1_000_000)
            return
        in_time = wanted.to_ts is None or border.id[0] - SKEW_MS < wanted.to_ts // 1_000_000
        for venue, epoch, seq in numbering.lowest():
            last = border.numbers.get((venue, epoch))
            if last is None or seq <= last + 1:
                continue
            self.lost = True
            if in_time and (wanted.from_ts is None or numbering.received_ts(venue, epoch) >= wanted.from_ts):
                self.trimmed = True
                self.missed.append(Missed(stream, venue, epoch, last + 1, seq - last - 1))
