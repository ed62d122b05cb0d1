"""Reads the past from the recorded history and the streams together: each event once, whichever of them has it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from crosstape.bus import Missed
from crosstape.errors import HistoryError
from crosstape.history.batch import Source
from crosstape.history.border import START, Border, border_of, check_tape
from crosstape.history.opening import open_store
from crosstape.history.own_time import own_time
from crosstape.history.query import Query
from crosstape.history.store import Store
from crosstape.log import get_log
from crosstape.settings import RecorderSettings, Settings
from crosstape.settings.load import load
from crosstape.tape.connection import TapeConnection
from crosstape.tape.history import History, Range
from crosstape.tape.last import last_by_venue
from crosstape.tape.newer import Found, Newer
from crosstape.tape.selection import VENUE_KINDS, Selection
from crosstape_schemas import VENUE_WIDE, AnyEvent, Bar, Candle, Gap, Trade, decode
from crosstape_schemas.timeframes import close_of, open_of

READS: Final = 3
"""How often a stream is read again at most, of which something is missing right behind the border."""
LONGEST_GAP_NS: Final = 31 * 86_400 * 10**9
"""Gaps that began earlier before the range are not looked for."""

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


@contextlib.asynccontextmanager
async def store_of_tape(history: str | RecorderSettings | None, *, found: bool) -> AsyncIterator[Store | None]:
    """Opens the store that a program names; with `found`, the one that the settings name. None: there is none.

    Raises as `recorded_store`. But a store of the settings that cannot be opened here is no reason not to read the streams.
    """
    async with contextlib.AsyncExitStack() as stack:
        store = None
        try:
            store = await stack.enter_async_context(recorded_store(load() if found else history))
        except HistoryError as exc:
            if not found:
                raise
            log.warning("tape.no_history", reason=str(exc), effect="history and frame go back as far as the streams do")
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
    found = await connection.call("HGET", connection.keys.identity(), "id")
    await check_tape(store, found.decode(errors="replace") if isinstance(found, bytes) else "")
    border, newer = await _read_newer(connection, store, stream, selection, wanted)
    if newer.enough_ts is not None:  # of the store only what was fetched, or came late, can be among them
        query = msgspec.structs.replace(query, from_ts=max(newer.enough_ts, wanted.from_ts or 0))
    if timeframe:
        newer.found += await _last_candles(connection, selection, wanted)
    limit = None if wanted.limit is None else wanted.limit + 1
    while True:
        rows, older = 0, []
        oldest_ts: int | None = None
        async for table in store.read(msgspec.structs.replace(query, limit=limit)):
            if len(table):
                oldest_ts = table["ts"][0].as_py() if oldest_ts is None else oldest_ts
                rows += len(table)
                older += await asyncio.to_thread(_rows, border.recorded(table))
        chosen = _merged(older, newer.found)
        more = wanted.limit is not None and len(chosen) > wanted.limit
        if limit is None or rows < limit or (wanted.limit and more and chosen[-wanted.limit - 1].ts > (oldest_ts or 0)):
            break
        limit *= 4  # rows that the stream has as well, or of one moment, have taken the places of older ones
    chosen = chosen if wanted.limit is None else chosen[-wanted.limit :]
    if not chosen:
        await connection.warn_of_absent(selection.kind, instrument, selection.venue)
    trimmed = not more and (newer.trimmed or await _begins_later(store, query, border, chosen))
    begin = chosen[0].ts if more else wanted.from_ts
    missed = dict.fromkeys([*await _reported(store, query, selection.kind, stream, begin), *newer.missed])
    return History([one.event for one in chosen], trimmed=trimmed, more=more, missed=tuple(missed))


async def _read_newer(connection: TapeConnection, store: Store, stream: str, selection: Selection, wanted: Range) -> tuple[Border, Newer]:
    """Return the border and what is behind it. What is recorded, and trimmed, while the stream is read is looked for again."""
    tag = selection.kind.partition(":")[0]
    border = await border_of(store, tag, stream)  # before the stream is read: what is committed meanwhile is on both
    newer = await Newer.read(connection, stream, selection, wanted, border, whole=False)
    for _ in range(READS):
        if not newer.lost:
            break
        border = await border_of(store, tag, stream)
        newer = await Newer.read(connection, stream, selection, wanted, border, whole=True)
    return border, newer


async def _last_candles(connection: TapeConnection, selection: Selection, wanted: Range) -> list[Found]:
    """Return the last candle of each venue. While it is open it is not recorded, and in a quiet market it is before the border."""
    found = await last_by_venue(connection, selection.kind, selection.instruments[0])
    return [
        Found(ts, (0, 0), event)
        for event in found.values()
        if selection.venue in (None, event.venue) and selection.wants(event) and wanted.has(ts := own_time(event))
    ]


async def _reported(store: Store, query: Query, kind: str, stream: str, from_ts: int | None) -> list[Missed]:
    """Return what the recorder could not read in time, by the gaps of the history that say so."""
    early = None if from_ts is None else max(0, from_ts - LONGEST_GAP_NS)
    gaps = Query(kind="gap", instrument=query.instrument, venue=query.venue, from_ts=early, to_ts=query.to_ts)
    missed: list[Missed] = []
    async for table in store.read(gaps):
        for one in _rows(table.filter([source == Source.RECORDER.value for source in table["source"].to_pylist()])):
            gap = one.event
            if isinstance(gap, Gap) and gap.kind == kind and (from_ts is None or gap.to_ts > from_ts):
                missed.append(Missed(stream, gap.venue, gap.epoch, gap.seq, gap.missed))
    return missed


def _rows(table: object) -> list[Found]:
    from crosstape.history.arrow import events_of  # noqa: PLC0415 - it needs an extra

    keys = zip(*(table[name].to_pylist() for name in ("ts", "id_ms", "id_n", "source")), strict=True)  # type: ignore[index]
    return [
        Found(ts, (ms, number), decode(data), source == "rest")
        for (ts, ms, number, source), data in zip(keys, events_of(table), strict=True)
    ]


def _merged(older: list[Found], newer: list[Found]) -> list[Found]:
    """Return both in the order of their own time; of a candle the newest revision; without what was fetched and is on the stream, too."""
    if any(isinstance(one.event, Candle | Bar) for one in (*older, *newer)):
        best: dict[tuple[int, str], Found] = {}
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


def _rank(one: Found) -> tuple[bool, int, bool]:
    """Return what makes a candle count, as in the store: what a venue has changed since was fetched as a later revision."""
    event = one.event
    assert isinstance(event, Candle | Bar)
    return event.closed, event.revision, not one.fetched


async def _begins_later(store: Store, query: Query, border: Border, chosen: list[Found]) -> bool:
    """Whether the store does not go back as far as the range."""
    if border.id == START:
        return False
    if query.from_ts is not None:
        before = msgspec.structs.replace(query, from_ts=None, to_ts=query.from_ts)
        if await store.last(before) is not None:
            return False
    if not chosen:
        return query.to_ts is not None and await store.last(msgspec.structs.replace(query, from_ts=query.to_ts, to_ts=None)) is not None
    if query.timeframe is not None:  # their numbers are those of each change
        return query.from_ts is not None and chosen[0].ts > close_of(query.timeframe, open_of(query.timeframe, query.from_ts - 1))
    first: dict[tuple[str, int], int] = {}
    for one in chosen:
        key = (one.event.venue, one.event.epoch)
        first[key] = min(one.event.seq, first.get(key, one.event.seq))
    return any(seq > 1 for seq in first.values())
