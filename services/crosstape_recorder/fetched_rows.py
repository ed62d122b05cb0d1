"""Writes trades and candles that were fetched from venues to a store, without those that are there. It needs the extra `history`."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final

from crosstape.errors import HistoryError
from crosstape.history import text_events
from crosstape.history.batch import Batch, Source
from crosstape.history.columns import BatchBuilder
from crosstape.history.query import Query
from crosstape.history.store import Store
from crosstape_recorder.bars import counts_at
from crosstape_schemas import Candle, Event, Trade, encode

MARGIN_NS: Final = 60_000_000_000
"""Some venues give the time of a trade by REST in full seconds: a row of the same trade may be so far away."""
ATTEMPTS: Final = 100
"""How often a commit is tried while other processes commit the same kind: a recorder does, once a minute or faster."""
MS: Final = 1_000_000


async def write(store: Store, kind: str, events: Sequence[Trade | Candle], now_ts: int) -> int:
    """Writes those events of one kind that the store does not have, as one commit. Returns how many. `now_ts`: when they were fetched, ns.

    A trade is there if one with its id is; one without an id, if an equal one is. A candle is there if one of its interval with equal
    values is. Raises `HistoryError`; it can be called again then.
    """
    for _ in range(ATTEMPTS):
        if not events:
            return 0
        position = await store.position(kind)  # before it is read what is there: a commit since then makes ours fail
        there = await _there(store, kind, events)
        new: dict[Hashable, Trade | Candle] = {}
        for event in events:
            new.setdefault(_key(event), event)
        for key in there & new.keys():
            del new[key]
        if not new:
            return 0
        if await append(store, kind, list(new.values()), now_ts, source=Source.REST, after=position.number):
            return len(new)
    raise HistoryError(f"{kind}: other processes commit all the time; is more than one recorder writing to this store?")


async def append(store: Store, kind: str, events: Sequence[Event], now_ts: int, *, source: Source, after: int) -> bool:
    """Appends events of one kind that come from no stream. Returns False if another process has committed. Raises `HistoryError`."""
    batch = _batch(kind, events, now_ts, source)
    return await store.append(batch, {}, after=after) is not None


def _batch(kind: str, events: Sequence[Event], now_ts: int, source: Source) -> Batch:
    builder = BatchBuilder(kind)
    for number, event in enumerate(events):
        data = encode(event)
        builder.add(now_ts // MS, number, text_events.decode(data), data, source)
    batch = builder.build()
    if builder.refused:
        raise HistoryError(f"{kind}: a fetched row cannot be written: {builder.refused[0].reason}")
    return batch


def _key(event: Trade | Candle) -> Hashable:
    feed = event.venue, event.instrument
    if isinstance(event, Trade):
        return (*feed, event.trade_id) if event.trade_id else (*feed, event.venue_ts, event.price, event.size, event.taker)
    values = event.open, event.high, event.low, event.close, event.volume, event.quote_volume, event.trades, event.taker_buy_volume
    return (*feed, event.timeframe, event.open_ts, *values)


async def _there(store: Store, kind: str, events: Sequence[Trade | Candle]) -> set[Hashable]:
    """Return the keys of the events that the store has around these."""
    from crosstape.history.arrow import events_of  # noqa: PLC0415  # pyarrow is an extra
    from crosstape_schemas import decode  # noqa: PLC0415

    times = [event.open_ts if isinstance(event, Candle) else counts_at(event.venue_ts, event.received_ts) for event in events]
    found: set[Hashable] = set()
    for venue, instrument in {(event.venue, event.instrument) for event in events}:
        query = Query(
            kind=kind, venue=venue, instrument=instrument, newest_revisions=False,
            from_ts=max(0, min(times) - MARGIN_NS), to_ts=max(times) + MARGIN_NS + 1,
        )  # fmt: skip
        async for table in store.read(query):
            if kind == "trade" and all(isinstance(event, Trade) and event.trade_id for event in events):
                found.update((venue, instrument, trade_id) for trade_id in table.column("trade_id").to_pylist())
                continue
            for data in events_of(table):
                event = decode(data)
                if isinstance(event, Trade | Candle):
                    found.add(_key(event))
    return found
