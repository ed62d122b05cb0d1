"""Writes fetched trades and candles into a store: those that it does not have, and candles whose figures the venue has changed.

Safe beside a recorder and beside another writer: a commit is made only if nobody has committed since the store was looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from crosstape.errors import HistoryError
from crosstape.history import text_events
from crosstape.history.batch import Batch, Source
from crosstape.history.columns import BatchBuilder
from crosstape.history.query import Query
from crosstape.history.same_rows import MARGIN_NS
from crosstape.history.store import Store
from crosstape_schemas import Candle, Trade, decode, encode
from crosstape_schemas.trade_time import counts_at

ATTEMPTS: Final = 1_000
"""How often a commit is tried that others come before."""

FIGURES: Final = ("open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume")
"""What two versions of a candle are compared by. What one of them does not have is not compared."""


class Written(msgspec.Struct, frozen=True):
    """What has become of some rows."""

    new: int = 0
    known: int = 0
    """The store had them."""
    revised: int = 0
    """Candles that the store had with other figures: the new ones were written as a revision."""
    number: int = 0
    """The newest commit, ours or another's."""

    def __add__(self, other: Written) -> Written:
        return Written(self.new + other.new, self.known + other.known, self.revised + other.revised, max(self.number, other.number))


class PastWriter:
    """Writes rows of one venue and instrument. One caller."""

    def __init__(self, store: Store, venue: str, instrument: str, timeframe: str | None) -> None:
        """`timeframe`: of candles; None: trades are written."""
        self._store = store
        self._kind = "trade" if timeframe is None else "candle"
        self._query = Query(kind=self._kind, venue=venue, instrument=instrument, timeframe=timeframe)

    async def write(self, rows: Sequence[Trade | Candle]) -> Written:
        """Write those of these rows that the store does not have; a row that comes twice counts once. Raises `HistoryError`.

        When it raises, they were written or not; written again, they count as known.
        """
        for _ in range(ATTEMPTS):
            number = (await self._store.position(self._kind)).number
            if not rows:
                return Written(number=number)
            fresh, revised = await self._unknown(rows)
            known = len(rows) - len(fresh)
            if not fresh:
                return Written(known=known, number=number)
            committed = await self._store.append(self._batch(fresh), {}, after=number)
            if committed is not None:
                return Written(len(fresh) - revised, known, revised, committed)
        raise HistoryError(f"no commit could be made in {ATTEMPTS} attempts: others commit all the time")

    async def number(self) -> int:
        """Return the number of the newest commit. Raises `HistoryError`."""
        return (await self._store.position(self._kind)).number

    async def _unknown(self, rows: Sequence[Trade | Candle]) -> tuple[list[Trade | Candle], int]:
        """Return the rows that are to be written, and how many of them are revisions."""
        times = [_time_of(one) for one in rows]
        margin = MARGIN_NS if self._kind == "trade" else 0
        query = msgspec.structs.replace(self._query, from_ts=max(0, min(times) - margin), to_ts=max(times) + margin + 1)
        if self._kind == "trade":
            ids: set[object] = set()
            async for table in self._store.read(query):
                ids.update(table.column("trade_id").to_pylist())
            by_id = {one.trade_id: one for one in rows if isinstance(one, Trade) and one.trade_id not in ids}
            return list(by_id.values()), 0
        return await self._changed_candles(query, [one for one in rows if isinstance(one, Candle)])

    async def _changed_candles(self, query: Query, rows: Sequence[Candle]) -> tuple[list[Trade | Candle], int]:
        from crosstape.history.arrow import events_of  # noqa: PLC0415  # only with a store is there pyarrow

        known: dict[int, Candle] = {}
        async for table in self._store.read(query):
            for data in events_of(table, "candle"):
                event = decode(data)
                if isinstance(event, Candle) and event.closed:
                    known[event.open_ts] = event
        fresh: dict[int, Trade | Candle] = {}
        revised: set[int] = set()
        for one in rows:
            before = known.get(one.open_ts)
            if before is None:
                fresh[one.open_ts] = one
            elif not _agree(before, one):
                fresh[one.open_ts] = msgspec.structs.replace(one, revision=before.revision + 1)
                revised.add(one.open_ts)
        return list(fresh.values()), len(revised)

    def _batch(self, rows: Iterable[Trade | Candle]) -> Batch:
        builder = BatchBuilder(self._kind)
        for number, one in enumerate(rows):
            data = encode(one)
            builder.add(one.received_ts // 1_000_000, number, text_events.decode(data), data, Source.REST)
        return builder.build()


def _time_of(row: Trade | Candle) -> int:
    return counts_at(row.venue_ts, row.received_ts) if isinstance(row, Trade) else row.open_ts


def _agree(one: Candle, other: Candle) -> bool:
    pairs = ((getattr(one, name), getattr(other, name)) for name in FIGURES)
    return all(a is None or b is None or a == b for a, b in pairs)
