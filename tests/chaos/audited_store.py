"""Audits a store, and changes single recorded inputs on the way to see that the audit finds each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final, cast

import pyarrow as pa

from crosstape.history.arrow import events_of
from crosstape.history.opening import open_store
from crosstape.history.query import Query
from crosstape.history.store import Store
from crosstape.settings import Settings
from crosstape_recorder.audit.findings import Audit
from crosstape_recorder.audit.reading import Span, audit
from crosstape_recorder.audit.rules import Rules
from crosstape_schemas import Book, Cbbo, Depth, Quote, Trade, decode

INSTRUMENT: Final = "BTC-USDT"
AROUND_NS: Final = 20_000_000_000
NOTHING: Final[Mapping[str, str]] = {}

Change = Callable[[dict[str, Any]], None]


async def audited(settings: Settings, from_ts: int, to_ts: int) -> Audit:
    """Audit all that was recorded in this time."""
    span = Span(from_ts, to_ts)
    async with open_store(settings, NOTHING) as store:
        return await audit(store, span, Rules.of(settings.aggregator))


class Changed:
    """A store in which one recorded event is another one."""

    def __init__(self, store: Store, venue: str, kind: str, number: tuple[int, int], change: Change) -> None:
        """`number`: epoch and `seq` of the event."""
        self.changed = 0
        self._store = store
        self._venue = venue
        self._kind = kind
        self._number = number
        self._change = change

    async def read(self, query: Query) -> AsyncIterator[pa.Table]:
        """Yield the rows as the store has them, but for one."""
        async for table in self._store.read(query):
            yield self._with_change(table) if query.kind == self._kind and query.instrument == INSTRUMENT else table

    def _with_change(self, table: pa.Table) -> pa.Table:
        data = list(events_of(table))
        for index, text in enumerate(data):
            event = json.loads(text)
            if (event["venue"], event["epoch"], event["seq"]) == (self._venue, *self._number):
                self._change(event)
                data[index] = json.dumps(event, separators=(",", ":")).encode()
                self.changed += 1
        at = table.schema.get_field_index("d")
        return table.set_column(at, table.schema.field(at), pa.array([text.decode() for text in data], pa.string()))


async def found_changes(settings: Settings, from_ts: int, to_ts: int) -> dict[str, bool]:
    """Change a price of a quote, a size of a trade, and a level of a book, that were used. Returns which of them the audit finds."""
    middle = (from_ts + to_ts) // 2
    span = Span(middle - AROUND_NS, middle + AROUND_NS)
    found: dict[str, bool] = {}
    async with open_store(settings, NOTHING) as store:
        for name, (venue, kind, number, change) in (await _targets(store, middle)).items():
            changed = Changed(store, venue, kind, number, change)
            result = await audit(cast("Store", changed), span, Rules.of(settings.aggregator), instrument=INSTRUMENT)
            found[name] = changed.changed > 0 and result.differs.total() > 0
    return found


async def _targets(store: Store, ts: int) -> dict[str, tuple[str, str, tuple[int, int], Change]]:
    """Return inputs that something was computed from, and how to change each."""
    targets: dict[str, tuple[str, str, tuple[int, int], Change]] = {}
    for event in await _events(store, "cbbo", ts):
        if isinstance(event, Cbbo):
            for leg in event.legs:
                if leg.excluded is None and leg.kind == "quote" and leg.bid_price is not None:
                    targets.setdefault("quote", (leg.venue, "quote", (leg.epoch, leg.seq), _price))
    for event in await _events(store, "depth", ts):
        if isinstance(event, Depth):
            for part in event.legs:
                if part.excluded is None and part.seq:
                    targets.setdefault("book", (part.venue, "book", (part.epoch, part.seq), _level))
    for event in await _events(store, "trade", ts):
        if isinstance(event, Trade):
            targets.setdefault("trade", (event.venue, "trade", (event.epoch, event.seq), _size))
    assert targets.keys() == {"quote", "book", "trade"}, "there was nothing to change"
    return targets


async def _events(store: Store, kind: str, ts: int) -> Sequence[Cbbo | Depth | Trade | Quote | Book | object]:
    found: list[object] = []
    query = Query(kind=kind, instrument=INSTRUMENT, from_ts=ts - AROUND_NS // 4, to_ts=ts + AROUND_NS // 4)
    async for table in store.read(query):
        found += [decode(data) for data in events_of(table)]
    return found


def _price(event: dict[str, Any]) -> None:
    event["bid_price"] = _other(event["bid_price"])


def _size(event: dict[str, Any]) -> None:
    event["size"] = _other(event["size"])


def _level(event: dict[str, Any]) -> None:
    event["bids"][0][1] = _other(event["bids"][0][1])


def _other(number: str) -> str:
    """Return a number that differs in its last digit."""
    return number[:-1] + ("2" if number[-1] == "1" else "1")
