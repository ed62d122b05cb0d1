"""Reads the past from the recorded history and the streams together: each event once, whichever of them has it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from crosstape.bus import Missed
from crosstape.bus.read.followed import parse_id
from crosstape.errors import HistoryError
from crosstape.history.border import START, Border, border_of
from crosstape.history.opening import open_store
from crosstape.history.own_time import own_time
from crosstape.history.query import Query
from crosstape.history.store import Store
from crosstape.log import get_log
from crosstape.settings import RecorderSettings, Settings
from crosstape.tape.connection import TapeConnection
from crosstape.tape.history import PAGE, History, Range, info_of, pages
from crosstape.tape.numbering import BackwardNumbering
from crosstape.tape.selection import FRAMED, VENUE_KINDS, Selection
from crosstape_schemas import VENUE_WIDE, AnyEvent, Bar, Candle, Trade, decode

LATE_MS: Final = 300_000
"""How much later than their own time events come onto the tape. Where a limit is reached, the stream is read back so much further."""

log = get_log(__name__)


@contextlib.asynccontextmanager
async def recorded_store(where: str | RecorderSettings | Settings | None) -> AsyncIterator[Store | None]:
    """Opens the store of a tape for the length of the block; None: there is none.

    `where`: its address, or settings. Of `Settings`, the store counts if one is named (`recorder.store`) or the recorder is enabled.
    Raises as `open_store`.
    """
    match where:
        case Settings() if where.recorder.store or where.recorder.enabled:
            settings = where
        case RecorderSettings():
            settings = Settings(recorder=where)
        case str():
            settings = Settings(recorder=RecorderSettings(store=where))
        case _:
            yield None
            return
    async with open_store(settings) as store:
        yield store


async def joined_history(connection: TapeConnection, store: Store, selection: Selection, wanted: Range) -> History[AnyEvent]:
    """Returns the newest events of the range, by their own time. Raises `BusError`, `HistoryError`, `SettingsError`, `ValueError`."""
    if selection.is_open and not (selection.kind in VENUE_KINDS and selection.venue is not None):
        raise ValueError(f"{selection.kind}: the history of one instrument is read at a time")
    tag, _, timeframe = selection.kind.partition(":")
    instrument = VENUE_WIDE if selection.is_open else selection.instruments[0]
    stream = connection.keys.venue(selection.venue or "") if selection.is_open else next(iter(selection.streams(connection.keys)))
    query = Query(
        kind=tag, instrument=instrument, venue=selection.venue, timeframe=timeframe or None, from_ts=wanted.from_ts, to_ts=wanted.to_ts
    )
    await _check_tape(connection, store)
    border = await border_of(store, tag, stream)  # before the stream is read: what is committed meanwhile is on both
    newer = await _Newer.read(connection, stream, selection, wanted, border)
    found = newer.found
    older: list[_Found] = []
    limit = None if wanted.limit is None else wanted.limit + 1 + newer.hidden
    while not newer.is_enough:
        read = 0
        older = []
        async for table in store.read(msgspec.structs.replace(query, limit=limit)):
            read += len(table)
            older += _rows(border.recorded(table))
        if limit is None or read < limit or len(older) > newer.hidden + (wanted.limit or 0):
            break
        limit += limit + read - len(older)  # rows that were committed meanwhile have taken the places of older ones
    chosen = _merged(older, found)
    more = wanted.limit is not None and len(chosen) > wanted.limit
    chosen = chosen if wanted.limit is None else chosen[-wanted.limit :]
    if not chosen:
        await connection.warn_of_absent(selection.kind, instrument, selection.venue)
    trimmed = not more and not newer.is_enough and await _begins_later(store, query, border, newer, chosen)
    return History([one.event for one in chosen], trimmed=trimmed, more=more, missed=tuple(newer.missed))


class _Found(msgspec.Struct, frozen=True):
    ts: int
    id: tuple[int, int]
    event: AnyEvent
    fetched: bool = False


class _Newer:
    """What the stream has behind the border."""

    def __init__(self) -> None:
        self.found: list[_Found] = []
        self.missed: list[Missed] = []
        self.is_enough = False
        """Whether these alone are more than the limit, and nothing before them can be newer by its own time."""
        self.hidden = 0
        """How many rows of the store may be left out because these have them, too."""
        self.lost = False
        """Whether entries right behind the border are gone from the stream."""

    @classmethod
    async def read(cls, connection: TapeConnection, stream: str, selection: Selection, wanted: Range, border: Border) -> _Newer:
        newer = cls()
        info = await info_of(connection, stream)
        if not info.id:
            return newer
        numbering = BackwardNumbering(stream, wanted.from_ts, wanted.to_ts)
        oldest = "-" if border.id == START else f"({border.id[0]}-{border.id[1]}"
        foreign = 0
        async for page in pages(connection, stream, "+", oldest, PAGE):
            for entry_id, fields in page:
                try:
                    (_, data) = fields
                    event = decode(data)
                except (ValueError, msgspec.MsgspecError):
                    foreign += 1
                    continue
                if selection.venue not in (None, event.venue) or border.has(event.venue, event.epoch, event.seq):
                    continue
                if numbering.check(event) and selection.wants(event) and wanted.has(ts := own_time(event)):
                    newer.found.append(_Found(ts, parse_id(entry_id), event))
            if newer._is_enough(parse_id(page[-1][0])[0], wanted):
                newer.is_enough = True
                break
        if foreign:
            log.warning("tape.foreign", stream=stream, entries=foreign)
        newer.missed = [*numbering.missed()]
        if not newer.is_enough:
            newer.lost = any(
                seq > border.numbers[venue, epoch] + 1 for venue, epoch, seq in numbering.lowest() if (venue, epoch) in border.numbers
            ) or (border.id == START and numbering.begins_later)
            newer.missed = [*_at_border(stream, border, numbering, wanted), *newer.missed]
        newer.hidden = sum(isinstance(one.event, Trade | Candle | Bar) for one in newer.found)
        return newer

    def _is_enough(self, oldest_ms: int, wanted: Range) -> bool:
        if wanted.limit is None or len(self.found) <= wanted.limit:
            return False
        last_ts = sorted(one.ts for one in self.found)[-wanted.limit - 1]
        return oldest_ms < last_ts // 1_000_000 - LATE_MS


def _at_border(stream: str, border: Border, numbering: BackwardNumbering, wanted: Range) -> list[Missed]:
    """Return what is missing between the store and the stream: the recorder was not there in time, and will report it as a gap."""
    missed: list[Missed] = []
    for venue, epoch, seq in numbering.lowest():
        last = border.numbers.get((venue, epoch))
        if last is not None and seq > last + 1 and (wanted.from_ts is None or numbering.received_ts(venue, epoch) >= wanted.from_ts):
            missed.append(Missed(stream, venue, epoch, last + 1, seq - last - 1))
    return missed


def _rows(table: object) -> list[_Found]:
    from crosstape.history.arrow import events_of  # noqa: PLC0415 - it needs an extra

    keys = zip(*(table[name].to_pylist() for name in ("ts", "id_ms", "id_n", "source")), strict=True)  # type: ignore[index]
    return [
        _Found(ts, (ms, number), decode(data), source == "rest")
        for (ts, ms, number, source), data in zip(keys, events_of(table), strict=True)
    ]


def _merged(older: list[_Found], newer: list[_Found]) -> list[_Found]:
    """Return both in the order of their own time; of a candle the newest revision; without what was fetched and is on the stream, too."""
    if any(isinstance(one.event, Candle | Bar) for one in (*older, *newer)):
        best: dict[tuple[int, str], _Found] = {}
        for one in (*older, *newer):
            key = (one.ts, one.event.venue)
            if key not in best or _rank(one) >= _rank(best[key]):
                best[key] = one
        return sorted(best.values(), key=lambda one: (one.ts, one.event.venue))
    on_stream = {(one.event.venue, one.event.trade_id) for one in newer if isinstance(one.event, Trade) and one.event.trade_id}
    kept = [
        one for one in older if not (one.fetched and isinstance(one.event, Trade) and (one.event.venue, one.event.trade_id) in on_stream)
    ]
    return sorted([*kept, *newer], key=lambda one: (one.ts, one.id))


def _rank(one: _Found) -> tuple[bool, bool, int]:
    event = one.event
    assert isinstance(event, Candle | Bar)
    return event.closed, not one.fetched, event.revision


async def _begins_later(store: Store, query: Query, border: Border, newer: _Newer, chosen: list[_Found]) -> bool:
    """Whether neither the store nor the stream goes back as far as the range, or something between the two is gone."""
    if newer.lost:
        return True
    first: dict[tuple[str, int], int] = {}
    for one in chosen:
        key = (one.event.venue, one.event.epoch)
        first[key] = min(one.event.seq, first.get(key, one.event.seq))
    if border.id == START and not chosen:
        return False
    if query.from_ts is not None:
        before = msgspec.structs.replace(query, from_ts=None, to_ts=query.from_ts)
        if await store.last(before) is not None:
            return False
    return any(seq > 1 for seq in first.values()) and query.kind not in FRAMED


async def _check_tape(connection: TapeConnection, store: Store) -> None:
    """Raise `HistoryError` if the store is bound to another tape: its events must not get among those of this one."""
    tapes = await store.tapes()
    if not tapes:
        return
    found = await connection.call("HGET", connection.keys.identity(), "id")
    here = found.decode(errors="replace") if isinstance(found, bytes) else ""
    if here and here not in {one.id for one in tapes}:
        raise HistoryError("the recorded history is that of another tape: check recorder.store, or `Tape(history=…)`, and bus.url")
