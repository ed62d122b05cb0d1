"""Reads the recorded history for answers that go further back than the streams. Few reads at a time, each within a deadline.

What is on a stream comes from there; of the history, only what came before the stream's first entry. So nothing comes twice. A page of
trades of the history ends at a place of its own: `TIME-NUMBER`, with the time in ns, where an id of the bus has ms. Within the history,
trades are in the order of the time when they were made.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import structlog
from aiohttp import web

from crosstape.bus.client.call import execute
from crosstape.errors import HistoryError
from crosstape.history.border import check_tape
from crosstape.history.query import Query
from crosstape.history.store import Store
from crosstape_gateway.errors import RequestError
from crosstape_gateway.hub.item import parse_id
from crosstape_gateway.parts import PARTS
from crosstape_gateway.rest import bus
from crosstape_gateway.rest.bars import FoundBars
from crosstape_gateway.rest.entries import Range, Row, decode_head
from crosstape_schemas.timeframes import close_of

if TYPE_CHECKING:
    import pyarrow as pa

READS: Final = 2
"""Requests that read the history at the same time: each may hold some 100,000 rows in memory."""
DEADLINE_S: Final = 3.0
"""Longest time for all that one request asks the history."""
RETRY_S: Final = 2.0
AHEAD_NS: Final = 70 * 10**9
"""How much later than the moment when it came onto the tape a trade may have been made, by the venue's clock."""
LATE_NS: Final = 300 * 10**9
"""How much earlier than it came onto the tape a trade may have been made to be found behind an id."""
MOST_ROWS: Final = 50_000
"""Rows that are read for one page at most, to find those that are not on the stream."""
OLDEST_NS: Final = 10**17
"""What is larger is a time in ns, and no id of the bus."""
SINCE_MS: Final = 1_500_000_000_000
"""2017: a border is written as ms since then, in 41 bits, so that a place has room for two numbers of 11 bits."""
LATEST: Final = ((1 << 41) - 1 + SINCE_MS, 0)
"""The border where the stream has no entry."""
FEW: Final = (1 << 11) - 1


PLACES: Final = web.AppKey("places_of_history", asyncio.Semaphore)

TAPES: Final = web.AppKey("tapes_of_history", set[str])
"""Ids of tapes whose history this is."""

log = structlog.get_logger(__name__)


class Place(NamedTuple):
    """Where a page of the history ended."""

    ts: int
    """Of its oldest trade, ns."""
    sent: int
    """How many trades of this moment were sent, the newest of them first; `FEW`: all that are."""
    border: tuple[int, int]
    """The id with which the stream began: only what came before it is in these pages."""

    @classmethod
    def parse(cls, before: str) -> Place | None:
        """Returns the place; None for an id of the bus."""
        first, _, second = before.partition("-")
        if not first or int(first) < OLDEST_NS:
            return None
        rest, sent = divmod(int(second or 0), FEW + 1)
        ms, number = divmod(rest, FEW + 1)
        return cls(int(first), sent, (ms + SINCE_MS, number))

    @property
    def text(self) -> str:
        """What an answer says as `before`."""
        ms, number = self.border
        if number > FEW:  # then some of this ms may come twice
            ms, number = ms + 1, 0
        ms = min(max(ms, SINCE_MS), LATEST[0]) - SINCE_MS
        return f"{self.ts}-{(ms * (FEW + 1) + number) * (FEW + 1) + min(self.sent, FEW)}"


class FoundTrades(NamedTuple):
    """Trades of the history, oldest first."""

    rows: list[bytes]
    more: bool
    before: str
    """Where the page before them ends; empty: there are none."""


async def older_trades(request: web.Request, instrument: str, wanted: Range, border: str, need: int) -> FoundTrades:
    """Returns the newest `need` trades of the history that came before the stream's entry `border` (empty: the stream has none), and
    before the place that `wanted.before` may name. Raises `RequestError` (503) if the history cannot be read in time.
    """
    place = Place.parse(wanted.before)
    limit_id = place.border if place else parse_id(border) if border else LATEST
    to_ts = place.ts + (place.sent < FEW) if place else limit_id[0] * 1_000_000 + AHEAD_NS if border else None
    if wanted.to_ts is not None:
        to_ts = wanted.to_ts if to_ts is None else min(to_ts, wanted.to_ts)
    query = Query(kind="trade", instrument=instrument, venue=wanted.venue or None, from_ts=wanted.from_ts, to_ts=to_ts)
    if query.from_ts is not None and to_ts is not None and query.from_ts >= to_ts:
        return FoundTrades([], False, "")
    limit = need + 1 + (place.sent if place else 0)
    async with _asking(request) as store:
        while True:
            rows = await _read(store, msgspec.structs.replace(query, limit=limit))
            older = [row for row in rows if _is_before(row, limit_id)]
            if place:
                at = [row for row in older if row.ts == place.ts]
                older = older[: len(older) - min(len(at), place.sent)]
            if len(older) > need or len(rows) < limit:
                break
            if limit < MOST_ROWS:
                limit = min(MOST_ROWS, 4 * limit)
                continue
            if older:
                break
            next_ts = rows[0].ts + 1  # all of them are on the stream, or were sent: go on before them
            query = msgspec.structs.replace(query, to_ts=next_ts if next_ts != query.to_ts else rows[0].ts)
    page = older[len(older) - need :] if need < len(older) else older
    if not page:
        return FoundTrades([], len(older) > need, "")
    sent = sum(row.ts == page[0].ts for row in page) + (place.sent if place and place.ts == page[0].ts else 0)
    more = len(older) > need or len(rows) >= limit
    return FoundTrades([row.data for row in page], more, Place(page[0].ts, sent, limit_id).text)


async def next_trades(request: web.Request, instrument: str, wanted: Range, border: str) -> list[Row]:
    """Returns trades of the history behind the id `wanted.after` and before the stream's first entry, in the order of the tape: the oldest,
    `limit` and one at most. One that was made more than five minutes before it came onto the tape is not found here.
    """
    after, end = parse_id(wanted.after), parse_id(border) if border else LATEST
    from_ts = max(after[0] * 1_000_000 - LATE_NS, wanted.from_ts or 0)
    to_ts = end[0] * 1_000_000 + AHEAD_NS if wanted.to_ts is None else wanted.to_ts
    if after >= end or from_ts >= to_ts:
        return []
    query = Query(kind="trade", instrument=instrument, venue=wanted.venue or None, from_ts=from_ts, to_ts=to_ts)
    found: list[_Row] = []

    def is_enough(rows: list[_Row]) -> bool:
        found.extend(row for row in rows if row.source == "tape" and after < (row.id_ms, row.id_n) < end)
        if len(found) <= wanted.limit or not rows:
            return False
        last_ms = sorted(row.id_ms for row in found)[wanted.limit]
        return rows[-1].ts > last_ms * 1_000_000 + AHEAD_NS

    async with _asking(request) as store:
        await _read(store, query, is_enough)
    found.sort(key=lambda row: (row.id_ms, row.id_n))
    return [Row(f"{row.id_ms}-{row.id_n}", decode_head(row.data), row.data) for row in found[: wanted.limit + 1]]


async def with_recorded_bars(request: web.Request, query: Query, wanted: Range, found: FoundBars) -> FoundBars:
    """Returns bars or candles of the stream and of the history: of each the newest revision. Those of the stream alone if the history
    cannot be read; then it says that there are more.
    """
    times = [_decode(data).open_ts for data in found.rows]
    from_ts = wanted.from_ts
    if found.more and len(times) >= wanted.limit:
        if query.timeframe is None or all(close_of(query.timeframe, open_ts) == after for open_ts, after in pairwise(times)):
            return found
        from_ts = times[0]  # those that are missing between them may have been fetched
    if request.app[PARTS].store is None:
        return found
    limit = wanted.limit + 1
    query = msgspec.structs.replace(query, venue=wanted.venue or None, from_ts=from_ts, to_ts=wanted.to_ts, limit=limit)
    try:
        async with _asking(request) as store:
            rows = await _read(store, query)
    except RequestError as exc:
        if not found.rows:
            raise
        log.warning("gateway.history_away", reason=str(exc))
        return FoundBars(found.rows, True)
    best: dict[int, tuple[tuple[bool, int, bool], bytes]] = {}
    for data, on_tape in (*((row.data, row.source == "tape") for row in rows), *((data, True) for data in found.rows)):
        bar = _decode(data)
        rank = (bar.closed, bar.revision, on_tape)
        if bar.open_ts not in best or rank >= best[bar.open_ts][0]:
            best[bar.open_ts] = rank, data
    ordered = [best[open_ts][1] for open_ts in sorted(best)]
    return FoundBars(ordered[-wanted.limit :], found.more or len(ordered) > wanted.limit)


async def first_entry(request: web.Request, stream: str) -> str:
    """Returns the id of a stream's first entry; empty: it has none."""
    entries = await bus.page_after(request.app[PARTS], stream, "0-0", 1)
    return entries[0][0].decode() if entries else ""


class _Row(NamedTuple):
    ts: int
    id_ms: int
    id_n: int
    source: str
    data: bytes


class _Bar(msgspec.Struct, frozen=True, gc=False):
    open_ts: int
    closed: bool = False
    revision: int = 0


_decode: Final = msgspec.json.Decoder(_Bar).decode


@contextlib.asynccontextmanager
async def _asking(request: web.Request) -> AsyncIterator[Store]:
    """Surrounds all that one request asks the history: one of `READS` places is its own. Raises `RequestError` (503)."""
    store = request.app[PARTS].store
    assert store is not None
    try:
        async with asyncio.timeout(DEADLINE_S), request.app[PLACES]:
            await _check(request, store)
            yield store
    except TimeoutError:
        text = "the recorded history did not answer in time: ask for less"
        raise RequestError(503, "history_slow", text, retry_after_s=RETRY_S) from None
    except HistoryError as exc:
        log.warning("gateway.history_failed", reason=str(exc))
        raise RequestError(503, "history_away", "the recorded history cannot be read at the moment", retry_after_s=RETRY_S) from exc


async def _check(request: web.Request, store: Store) -> None:
    """Check that the history is that of this tape, whose identity changes when the server loses all. Raises as `_asking`."""
    parts, known = request.app[PARTS], request.app[TAPES]
    async with bus.reading(parts):
        found = await execute(parts.client, "HGET", parts.keys.identity(), "id")
    tape_id = found.decode(errors="replace") if isinstance(found, bytes) else ""
    if tape_id not in known:
        await check_tape(store, tape_id)
        known.add(tape_id)


async def _read(store: Store, query: Query, is_enough: Callable[[list[_Row]], bool] = lambda _: False) -> list[_Row]:
    rows: list[_Row] = []
    async for table in store.read(query):
        part = await asyncio.to_thread(_rows, table)
        rows += part
        if is_enough(part):
            break
    return rows


def _is_before(row: _Row, border: tuple[int, int]) -> bool:
    """Whether a row is older than the stream: it left it, or it was fetched and made before."""
    return (row.id_ms, row.id_n) < border if row.source == "tape" else row.ts < border[0] * 1_000_000


def _rows(table: pa.Table) -> list[_Row]:
    from crosstape.history.arrow import events_of  # noqa: PLC0415 - it needs an extra

    columns: Any = [table[name].to_pylist() for name in ("ts", "id_ms", "id_n", "source")]
    return [_Row(*row) for row in zip(*columns, events_of(table), strict=True)]
