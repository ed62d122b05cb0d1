"""Reads recorded events from a store in the order in which they came to the tape, and audits them.

A store gives rows by the time of the event. Most rows came to the tape within moments of that, but a trade that was fetched later, or a
gap, came long after its time. So rows are read slice by slice, and those that came later wait for their turn. What needs memory is one
slice, and the rows that wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Collection, Sequence
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
from crosstape_schemas import VENUE_WIDE, Cbbo, Event, Gap, decode
from crosstape_schemas.instruments import COMPOSITE

if TYPE_CHECKING:
    import pyarrow as pa

SLICE_NS: Final = 60 * SECOND
"""The first slice; others are so long that each has about `SLICE_ROWS` rows …"""
MOST_NS: Final = 3_600 * SECOND
SLICE_ROWS: Final = 50_000
PAST_NS: Final = 6 * 3_600 * SECOND
"""… but those of the past, of which only few kinds are read."""
AHEAD_NS: Final = 120 * SECOND
"""The time of an event is at most this much later than its id: a venue's clock counts up to 60 s ahead of ours."""
RECENT_NS: Final = 600 * SECOND
"""Quotes, books, signs of life and what composites are made of are read from this long before the audit on."""
DAY_NS: Final = 86_400 * SECOND
HOUR_NS: Final = 3_600 * SECOND
KEPT: Final = 20_000
"""Venue-wide events that are kept for instruments that appear later."""
INPUTS: Final = ("trade", "quote", "book", "status", "gap")
COMPUTED: Final = {"cbbo": 1, "depth": 3, "edge": 5, "bar": 6}
"""Computed kinds, in the order in which those of one id are taken, behind all inputs. The numbers between are for composites."""
AUDITED: Final = ("cbbo", "window", "bar", "depth", "edge")
"""What can be audited."""
_NEEDS: Final = {
    "cbbo": {"quote", "book", "status", "cbbo"},
    "window": {"trade", "gap", "status", "quote", "book", "cbbo"},
    "bar": {"trade", "gap", "bar"},
    "depth": {"book", "status", "quote", "cbbo", "depth"},
    "edge": {"book", "quote", "cbbo", "edge"},
}


class Span(msgspec.Struct, frozen=True):
    """What is audited: events that came to the tape in `[from_ts, to_ts)`, ns."""

    from_ts: int
    to_ts: int


class RowSource(NamedTuple):
    """Rows to read: of one kind, of one instrument or (None) of all, from some time before the audit on."""

    kind: str
    instrument: str | None
    before_ns: int


class Entry(NamedTuple):
    """One row, in the order of ids: inputs before what was computed."""

    ms: int
    rank: int
    n: int
    order: int
    data: bytes
    by_recorder: bool


def needed(instrument: str | None, kinds: Collection[str]) -> set[str]:
    """Return the kinds of the history that an audit reads."""
    if instrument is not None and instrument.endswith(COMPOSITE):
        return {"cbbo", "depth"}
    return set().union(*(_NEEDS[kind] for kind in kinds))


async def audit(store: Store, span: Span, rules: Rules, *, instrument: str | None = None, kinds: Collection[str] = AUDITED) -> Audit:
    """Audit one instrument, or all that were recorded. `kinds`: those of `AUDITED` that are wanted. Raises `HistoryError`."""
    found = Instruments(span, rules, instrument)
    if instrument is not None and instrument.endswith(COMPOSITE):
        sources = await _composite(store, instrument, span)
    else:
        sources = _sources(span, rules, instrument, kinds)
    async with aclosing(entries(store, sources, span)) as rows:
        async for row in rows:
            found.take(row)
    return found.done().only(kinds)


class Instruments:
    """Passes events on to the audits of their instruments."""

    def __init__(self, span: Span, rules: Rules, only: str | None = None) -> None:
        self._span = span
        self._rules = rules
        self._only = only
        self._known_from = span.from_ts - rules.past_ns(span.from_ts)
        self._instruments: dict[str, InstrumentAudit] = {}
        self._composites: dict[str, CompositeAudit] = {}
        self._audits: dict[str, Audit] = {}
        self._venue_wide: deque[tuple[int, int, Event]] = deque(maxlen=KEPT)
        for name in rules.parts if only is None else ():
            self._composite(name)

    def take(self, row: Entry) -> None:
        """Take the next row."""
        event: Event = decode(row.data)
        name = event.instrument
        if row.by_recorder and isinstance(event, Gap) and event.repaired:  # by REST: the bars that a repair revised may be complete
            self._instrument(name).take(row.ms, row.n, event)
        elif row.by_recorder:  # a gap: entries that left the tape before they were recorded
            for one in self._instruments.values() if name == VENUE_WIDE else [self._instrument(name)]:
                one.known_from(event.received_ts)
        elif name == VENUE_WIDE:
            self._venue_wide.append((row.ms, row.n, event))
            for one in self._instruments.values():
                one.take(row.ms, row.n, event)
        else:
            if name.endswith(COMPOSITE):
                self._composite(name)
            elif self._only is None or self._only == name:
                self._instrument(name).take(row.ms, row.n, event)
            for composite in self._composites.values():
                composite.take(row.ms, row.n, event)

    def done(self) -> Audit:
        """Finish: no row follows. Returns what was found."""
        for one in self._instruments.values():
            one.done()
        found = Audit()
        for name in sorted(self._audits):
            found.add(self._audits[name])
        return found

    def _instrument(self, name: str) -> InstrumentAudit:
        found = self._instruments.get(name)
        if found is None:
            found = self._instruments[name] = InstrumentAudit(name, self._rules, self._audit(name), audited_from_ts=self._span.from_ts)
            found.known_from(self._known_from)
            for ms, n, event in self._venue_wide:
                found.take(ms, n, event)
        return found

    def _composite(self, name: str) -> None:
        if name not in self._composites and self._only in {None, name}:
            self._composites[name] = CompositeAudit(name, self._rules, self._audit(name), audited_from_ts=self._span.from_ts)

    def _audit(self, name: str) -> Audit:
        return self._audits.setdefault(name, Audit())


def _sources(span: Span, rules: Rules, instrument: str | None, kinds: Collection[str]) -> list[RowSource]:
    wanted = needed(instrument, kinds)
    past_ns = rules.past_ns(span.from_ts)
    before = {"trade": past_ns, "gap": past_ns + DAY_NS, "status": HOUR_NS, "quote": RECENT_NS, "book": RECENT_NS}
    before |= {"cbbo": RECENT_NS, "depth": RECENT_NS, "edge": RECENT_NS, "bar": rules.bar_past_ns}
    sources = [RowSource(kind, instrument, before[kind]) for kind in (*INPUTS, *COMPUTED) if kind in wanted]
    if instrument is None:
        return sources
    venue_wide = {"status": RECENT_NS, "gap": past_ns + DAY_NS}
    return sources + [RowSource(kind, VENUE_WIDE, before_ns) for kind, before_ns in venue_wide.items() if kind in wanted]


async def _composite(store: Store, name: str, span: Span) -> list[RowSource]:
    """Return what a composite is made of, as its quotes name it: its settings may have been others."""
    names: dict[str, None] = {name: None}
    async for table in store.read(Query(kind="cbbo", instrument=name, from_ts=span.from_ts, to_ts=span.to_ts)):
        for row in _rows(table)[:1]:
            event = decode(row[1])
            if isinstance(event, Cbbo):
                names |= dict.fromkeys([part.instrument for part in event.parts] + [rate.instrument for rate in event.rates])
    return [RowSource(kind, one, RECENT_NS) for one in names for kind in ("cbbo", "depth")]


async def entries(store: Store, sources: Sequence[RowSource], span: Span) -> AsyncGenerator[Entry, None]:
    """Yield the rows of these sources that came to the tape before the end of the span, in the order of their ids."""
    waiting: list[Entry] = []
    end, end_ms = span.to_ts + AHEAD_NS, span.to_ts // MS
    begin = span.from_ts - max(source.before_ns for source in sources)
    recent, length_ns = span.from_ts - RECENT_NS, SLICE_NS
    while begin < end:
        until = min(begin + PAST_NS, recent) if begin < recent else min(begin + length_ns, end)
        count = len(waiting)
        for source in sources:
            waiting += await _slice(store, source, max(begin, span.from_ts - source.before_ns), until, end_ms)
        if begin >= recent:
            length_ns = round(min(MOST_NS, max(SECOND, length_ns * min(4.0, SLICE_ROWS / max(1, len(waiting) - count)))))
        begin = until
        due_ms = (until - AHEAD_NS) // MS
        heapify(waiting)
        while waiting and waiting[0].ms < due_ms:
            yield heappop(waiting)
    while waiting:
        yield heappop(waiting)


async def _slice(store: Store, source: RowSource, from_ts: int, to_ts: int, end_ms: int) -> list[Entry]:
    found: list[Entry] = []
    if from_ts >= to_ts:
        return found
    query = Query(kind=source.kind, instrument=source.instrument, from_ts=from_ts, to_ts=to_ts, newest_revisions=False)
    rank = COMPUTED.get(source.kind, 0)
    async for table in store.read(query):
        for (ms, n, origin, instrument), data in _rows(table):
            if ms < end_ms and origin != Source.REST:
                order = len(found)
                found.append(Entry(ms, rank + instrument.endswith(COMPOSITE), n, order, data, origin == Source.RECORDER))
    return found


def _rows(table: pa.Table) -> list[tuple[tuple[int, int, str, str], bytes]]:
    from crosstape.history.arrow import events_of  # noqa: PLC0415 - it needs the extra `history`

    columns = (cast("list[object]", table.column(name).to_pylist()) for name in ("id_ms", "id_n", "source", "instrument"))
    keys = cast("list[tuple[int, int, str, str]]", list(zip(*columns, strict=True)))
    return list(zip(keys, events_of(table), strict=True))
