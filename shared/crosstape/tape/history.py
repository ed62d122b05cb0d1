"""Reads the past from the streams, as far back as the server keeps it."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from typing import Final, Generic, TypeAlias, TypeVar

import msgspec

from crosstape.bus import Missed, Start
from crosstape.bus.client.call import UNAVAILABLE, execute_raw
from crosstape.bus.client.reasons import place, reason
from crosstape.bus.read.followed import FollowedStream, StreamInfo, parse_id
from crosstape.bus.read.script import look
from crosstape.errors import BusError
from crosstape.log import get_log
from crosstape.tape.connection import TapeConnection
from crosstape.tape.numbering import BackwardNumbering
from crosstape.tape.selection import VENUE_KINDS, Selection
from crosstape_schemas import AnyEvent, Bar, Candle, Event, decode

E = TypeVar("E", bound=Event)
Moment: TypeAlias = int | dt.datetime
"""ns since the epoch UTC, or a datetime with a time zone."""

PAGE: Final = 1_000
"""Entries in one answer of the server: it does nothing else meanwhile, here for about half a millisecond."""
FIRST_PAGE: Final = 100
"""Entries in the first answer at least, where a limit needs few."""
SKEW_MS: Final = 10_000
"""How far a producer's clock may be ahead of the server's."""
LATE_MS: Final = 300_000
"""How late an event may come onto the tape to be found with `to_ts`."""
_MIN_TS: Final = 10**17
"""1973: a smaller number is no time in ns."""
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

log = get_log(__name__)


class History(list[E], Generic[E]):
    """Events of the past, oldest first, and what is known to be missing among them. A list."""

    def __init__(self, events: list[E], *, trimmed: bool = False, more: bool = False, missed: tuple[Missed, ...] = ()) -> None:
        super().__init__(events)
        self.trimmed: bool = trimmed
        """Whether the tape does not go back as far as was asked: the server keeps a number of entries of each stream (`bus.max_len`).

        With a recorded history: whether that begins later, or lacks what left the streams unread. Of recorded candles and bars the
        beginning is known with `from_ts` only.
        """
        self.more: bool = more
        """Whether there are older ones in the range, left out by `limit`."""
        self.missed: tuple[Missed, ...] = missed
        """Events within the range that are not on the tape, by their numbers.

        With a recorded history: those that the recorder reported as missed, and those that are missing since; `count` is None where it is
        not known. What was fetched later in their place is not subtracted, and what a venue did not send has no numbers: `crosstape gaps`
        says all that is missing.
        """

    def __repr__(self) -> str:
        return f"History({super().__repr__()}, trimmed={self.trimmed}, more={self.more}, missed={self.missed})"


class Range(msgspec.Struct, frozen=True):
    """Which events are wanted, by `received_ts`; of candles and bars by `open_ts`. ns; None: no bound."""

    from_ts: int | None
    to_ts: int | None
    limit: int | None

    def has(self, ts: int) -> bool:
        """Whether a time is within."""
        return (self.from_ts is None or ts >= self.from_ts) and (self.to_ts is None or ts < self.to_ts)

    @property
    def oldest_id(self) -> str:
        """The id before which no wanted entry is."""
        return "-" if self.from_ts is None else str(max(0, self.from_ts // 1_000_000 - SKEW_MS))


def range_of(from_ts: Moment | None, to_ts: Moment | None, limit: int | None) -> Range:
    """Returns the range. Raises `ValueError` for a time that is none in ns, an empty range, or a limit below one."""
    begin, end = _ns("from_ts", from_ts), _ns("to_ts", to_ts)
    if begin is not None and end is not None and begin >= end:
        raise ValueError(f"from_ts = {begin} is not before to_ts = {end}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit = {limit}: it is at least 1")
    return Range(begin, end, limit)


async def history_of(connection: TapeConnection, selection: Selection, wanted: Range) -> History[AnyEvent]:
    """Returns the newest events of the range. Raises `BusError`, `SettingsError`, `ValueError`. Warns of what the tape does not have."""
    if not selection.is_open:
        (stream,) = selection.streams(connection.keys)
    elif selection.kind in VENUE_KINDS and selection.venue is not None:
        stream = connection.keys.venue(selection.venue)
    else:
        raise ValueError(f"{selection.kind}: the history of one instrument is read at a time")
    info = await info_of(connection, stream)
    if not info.id:
        await _warn_of_absent(connection, selection)
        return History([])
    bars = issubclass(selection.cls, Candle | Bar)
    reading = _Bars(selection, wanted) if bars else _Events(selection, wanted)
    newest = "+" if wanted.to_ts is None or bars else str(wanted.to_ts // 1_000_000 + LATE_MS)
    numbering = BackwardNumbering(stream) if bars else BackwardNumbering(stream, wanted.from_ts, wanted.to_ts)
    foreign = 0
    stopped = False
    count = PAGE if bars or wanted.limit is None else max(FIRST_PAGE, wanted.limit + 1)
    async for page in pages(connection, stream, newest, wanted.oldest_id, count):
        for _, fields in page:
            try:
                (_, data) = fields
                event = decode(data)
            except (ValueError, msgspec.MsgspecError):
                foreign += 1
                continue
            of_venue = selection.venue in (None, event.venue)
            if of_venue and numbering.check(event) and selection.wants(event):  # a venue's statuses and gaps have one numbering
                reading.add(event)
                if reading.is_full:
                    break
        if reading.is_enough(parse_id(page[-1][0])[0]):
            stopped = True
            break
    if foreign:
        log.warning("tape.foreign", stream=stream, entries=foreign)
    events, more = reading.result()
    if not events:
        await _warn_of_absent(connection, selection)
    trimmed = not stopped and await _is_trimmed(connection, stream, info, numbering, wanted)
    return History(events, trimmed=trimmed, more=more, missed=tuple(numbering.missed()))


class _Events:
    """Gathers events, newest first."""

    def __init__(self, selection: Selection, wanted: Range) -> None:
        self._wanted = wanted
        self._found: list[AnyEvent] = []

    def add(self, event: AnyEvent) -> None:
        if self._wanted.has(event.received_ts):
            self._found.append(event)

    @property
    def is_full(self) -> bool:
        return self._wanted.limit is not None and len(self._found) > self._wanted.limit

    def is_enough(self, _oldest_ms: int) -> bool:
        return self.is_full

    def result(self) -> tuple[list[AnyEvent], bool]:
        limit = self._wanted.limit
        return self._found[:limit][::-1], limit is not None and len(self._found) > limit


class _Bars:
    """Gathers candles or bars, the newest revision of each. None is on the tape before its `open_ts`; a revision may come much later."""

    def __init__(self, selection: Selection, wanted: Range) -> None:
        self._wanted = wanted
        self._found: dict[tuple[int, str], Candle | Bar] = {}
        self.is_full = False

    def add(self, event: AnyEvent) -> None:
        assert isinstance(event, Candle | Bar)
        if not self._wanted.has(event.open_ts):
            return
        key = (event.open_ts, event.venue)
        before = self._found.get(key)
        if before is None or (event.closed, event.revision) > (before.closed, before.revision):
            self._found[key] = event

    def is_enough(self, oldest_ms: int) -> bool:
        limit = self._wanted.limit
        if limit is None or len(self._found) <= limit:
            return False
        last_open_ts, _ = sorted(self._found)[-limit - 1]
        return oldest_ms < last_open_ts // 1_000_000 - SKEW_MS

    def result(self) -> tuple[list[AnyEvent], bool]:
        keys = sorted(self._found)
        limit = self._wanted.limit
        more = limit is not None and len(keys) > limit
        return [self._found[key] for key in (keys if limit is None else keys[-limit:])], more


async def pages(
    connection: TapeConnection, stream: str, newest: str, oldest: str, count: int
) -> AsyncIterator[list[tuple[bytes, list[bytes]]]]:
    """Yields entries from the newest back to the oldest, first about `count`. Raises `BusError`."""
    while True:
        count = min(count, PAGE)
        try:
            page = await execute_raw(connection.client, "XREVRANGE", stream, newest, oldest, "COUNT", count, key=stream.encode())
        except UNAVAILABLE as exc:
            raise BusError(f"the bus {place(connection.client)} cannot be asked: {reason(exc)}") from exc
        if page:
            yield page
        if len(page) < count:
            return
        newest, count = f"({page[-1][0].decode()}", PAGE


async def info_of(connection: TapeConnection, stream: str) -> StreamInfo:
    """Returns what the server says of a stream. Raises `BusError`."""
    try:
        (info,) = await look(connection.client, [FollowedStream(stream, Start.NOW, connection.keys)], values=False)
    except UNAVAILABLE as exc:
        raise BusError(f"the bus {place(connection.client)} cannot be asked: {reason(exc)}") from exc
    if info is None:
        raise BusError(f"{stream}: the key is no stream")
    return info


async def _warn_of_absent(connection: TapeConnection, selection: Selection) -> None:
    for name in selection.instruments:
        await connection.warn_of_absent(selection.kind, name, selection.venue)


async def _is_trimmed(connection: TapeConnection, stream: str, before: StreamInfo, numbering: BackwardNumbering, wanted: Range) -> bool:
    """Whether entries of the range are gone, after all was read that there is: also those that were removed while we read."""
    after = await info_of(connection, stream)
    if parse_id(after.id) < parse_id(before.id):  # the server lost its data while we read
        return True
    return (numbering.begins_later if after.removed is None else after.removed > 0) and _begins_after(after, wanted)


def _begins_after(info: StreamInfo, wanted: Range) -> bool:
    """Whether the stream begins after the range does; a stream without entries begins after its last one."""
    if wanted.from_ts is None:
        return True
    first_ms, _ = parse_id(info.first or info.id)
    return first_ms > wanted.from_ts // 1_000_000


def _ns(name: str, moment: Moment | None) -> int | None:
    """Returns ns since the epoch. Raises `ValueError` or `TypeError`."""
    if moment is None or (isinstance(moment, int) and (moment >= _MIN_TS or moment == 0)):
        return moment
    if isinstance(moment, int):
        raise ValueError(f"{name} = {moment}: times are in ns since the epoch, as time.time_ns() has them")
    if not isinstance(moment, dt.datetime):
        raise TypeError(f"{name} is ns since the epoch or a datetime, not {moment!r:.40}")
    if moment.tzinfo is None:
        raise ValueError(f"{name} = {moment}: it needs a time zone, as in datetime.now(UTC)")
    return (moment - _EPOCH) // dt.timedelta(microseconds=1) * 1_000
