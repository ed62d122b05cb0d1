"""Reads the recorded events of an instrument from a store in the order in which they came to the tape, and audits them.

A store gives rows by the time of the event. Most rows came to the tape within moments of that, but a trade that was fetched later, or a
gap, came long after its time. So rows are read slice by slice, and those that came later wait for their turn. What needs memory is one
slice, and the rows that wait.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from contextlib import aclosing
from heapq import heapify, heappop
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import msgspec

from crosstape.history.batch import Source
from crosstape.history.query import Query
from crosstape.history.store import Store
from crosstape_recorder.audit.composites import CompositeAudit
from crosstape_recorder.audit.findings import Audit
from crosstape_recorder.audit.instrument import InstrumentAudit
from crosstape_recorder.audit.rules import MS, SECOND, Rules
from crosstape_schemas import VENUE_WIDE, Cbbo, Event, decode
from crosstape_schemas.instruments import COMPOSITE

if TYPE_CHECKING:
    import pyarrow as pa

SLICE_NS: Final = 600 * SECOND
AHEAD_NS: Final = 120 * SECOND
"""The time of an event is at most this much later than its id: a venue's clock counts up to 60 s ahead of ours."""
RECENT_NS: Final = 600 * SECOND
"""Quotes, books and signs of life are read from this long before the audit on."""
DAY_NS: Final = 86_400 * SECOND
INPUTS: Final = ("trade", "quote", "book", "status", "gap")
COMPUTED: Final = {"cbbo": 1, "depth": 2, "edge": 3, "bar": 4}
"""Computed kinds, in the order in which those of one id are taken: behind all inputs."""
AUDITED: Final = ("cbbo", "window", "bar", "depth", "edge")
"""What can be audited."""
_NEEDS: Final = {
    "cbbo": {"quote", "book", "status", "cbbo"},
    "window": {"trade", "gap", "status", "quote", "book", "cbbo"},
    "bar": {"trade", "gap", "bar"},
    "depth": {"book", "status", "quote", "cbbo", "depth"},
    "edge": {"book", "quote", "cbbo", "edge"},
}


class Entry(NamedTuple):
    """One row, in the order of ids: inputs before what was computed."""

    ms: int
    rank: int
    n: int
    order: int
    data: bytes
    by_recorder: bool


class _Source(NamedTuple):
    """Rows that are read: of one kind and instrument, from some time before the audit on."""

    kind: str
    instrument: str
    before_ns: int


class Span(msgspec.Struct, frozen=True):
    """What is audited: events that came to the tape in `[from_ts, to_ts)`."""

    from_ts: int
    to_ts: int


async def audit(store: Store, instruments: Iterable[str], span: Span, rules: Rules, kinds: Collection[str] = AUDITED) -> Audit:
    """Audit these instruments. `kinds`: those of `AUDITED` that are wanted. Raises `HistoryError`."""
    total = Audit()
    for name in instruments:
        is_composite = name.endswith(COMPOSITE)
        found = await (_composite(store, name, span, rules) if is_composite else _instrument(store, name, span, rules, kinds))
        total.add(found.only(kinds))
    return total


async def instruments_of(store: Store, span: Span) -> list[str]:
    """Return the instruments of which something computed was recorded. Raises `HistoryError`."""
    found: set[str] = set()
    for kind in ("cbbo", "bar"):
        query = Query(kind=kind, from_ts=span.from_ts, to_ts=span.to_ts, newest_revisions=False)
        async for table in store.read(query):
            found.update(cast("list[str]", table.column("instrument").unique().to_pylist()))
    return sorted(found)


async def _instrument(store: Store, name: str, span: Span, rules: Rules, kinds: Collection[str]) -> Audit:
    found = Audit()
    needed = set().union(*(_NEEDS[kind] for kind in kinds))
    past_ns = rules.past_ns(span.from_ts)
    before = {"trade": past_ns, "gap": past_ns + DAY_NS, "status": DAY_NS, "quote": RECENT_NS, "book": RECENT_NS}
    sources = [_Source(kind, name, before.get(kind, 0)) for kind in (*INPUTS, *COMPUTED) if kind in needed]
    if "status" in needed:
        sources.append(_Source("status", VENUE_WIDE, RECENT_NS))
    if "gap" in needed:
        sources.append(_Source("gap", VENUE_WIDE, past_ns + DAY_NS))
    one = InstrumentAudit(name, rules, found, audited_from_ts=span.from_ts)
    one.known_from(span.from_ts - past_ns)
    await _take_all(store, sources, span, one)
    return found


async def _composite(store: Store, name: str, span: Span, rules: Rules) -> Audit:
    found = Audit()
    parts, pairs = await _parts(store, name, span)
    sources = [_Source("cbbo", one, RECENT_NS) for one in dict.fromkeys([*parts, *pairs])]
    sources += [_Source("depth", one, RECENT_NS) for one in parts]
    sources += [_Source("cbbo", name, 0), _Source("depth", name, 0)]
    await _take_all(store, sources, span, CompositeAudit(name, rules, found, audited_from_ts=span.from_ts), last=name)
    return found


async def _parts(store: Store, name: str, span: Span) -> tuple[list[str], list[str]]:
    """Return the parts and the rate pairs that the composite names: they may be others after a change of the settings."""
    parts: dict[str, None] = {}
    pairs: dict[str, None] = {}
    async for table in store.read(Query(kind="cbbo", instrument=name, from_ts=span.from_ts, to_ts=span.to_ts)):
        for _, data in _rows(table)[:1]:
            event = decode(data)
            if isinstance(event, Cbbo):
                parts |= dict.fromkeys(part.instrument for part in event.parts)
                pairs |= dict.fromkeys(rate.instrument for rate in event.rates)
    return list(parts), list(pairs)


async def _take_all(store: Store, sources: Sequence[_Source], span: Span, one: InstrumentAudit | CompositeAudit, last: str = "") -> None:
    """Pass all rows on, in order. `last`: an instrument whose rows come behind those of others with the same id."""
    async with aclosing(entries(store, sources, span, last=last)) as found:
        async for entry in found:
            event: Event = decode(entry.data)
            if entry.by_recorder:
                one.known_from(event.received_ts)  # entries that left the tape before they were recorded
            else:
                one.take(entry.ms, entry.n, event)
    one.done()


async def entries(store: Store, sources: Sequence[_Source], span: Span, *, last: str = "") -> AsyncGenerator[Entry, None]:
    """Yield the rows of these sources that came to the tape before the end of the span, in the order of their ids."""
    waiting: list[Entry] = []
    count = 0
    end_ms = span.to_ts // MS
    begin = span.from_ts - max(source.before_ns for source in sources)
    end = span.to_ts + AHEAD_NS
    while begin < end:
        until = min(begin + SLICE_NS, end)
        for source in sources:
            first = max(begin, span.from_ts - source.before_ns)
            if first >= until:
                continue
            rank = COMPUTED.get(source.kind, 0) + (len(COMPUTED) if last and source.instrument == last else 0)
            query = Query(kind=source.kind, instrument=source.instrument, from_ts=first, to_ts=until, newest_revisions=False)
            async for table in store.read(query):
                for (ms, n, origin), data in _rows(table):
                    if ms < end_ms and origin != Source.REST:
                        count += 1
                        waiting.append(Entry(ms, rank, n, count, data, origin == Source.RECORDER))
        begin = until
        due_ms = (until - AHEAD_NS) // MS if until < end else end_ms
        heapify(waiting)
        while waiting and waiting[0].ms < due_ms:
            yield heappop(waiting)
    while waiting:
        yield heappop(waiting)


def _rows(table: pa.Table) -> list[tuple[tuple[int, int, str], bytes]]:
    from crosstape.history.arrow import events_of  # noqa: PLC0415 - it needs the extra `history`

    columns = (cast("list[object]", table.column(name).to_pylist()) for name in ("id_ms", "id_n", "source"))
    keys = cast("list[tuple[int, int, str]]", list(zip(*columns, strict=True)))
    return list(zip(keys, events_of(table), strict=True))
