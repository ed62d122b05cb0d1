"""Events for tests of stores, and batches of them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final, Literal

from crosstape.history import text_events
from crosstape.history.arrow import events_of
from crosstape.history.batch import Batch, Source
from crosstape.history.columns import BatchBuilder
from crosstape.history.query import Query
from crosstape.history.store import Store
from crosstape_schemas import KIND_OF, Candle, Event, Side, Trade, encode, stamp

NOON: Final = 1_796_040_000 * 10**9
"""2026-11-30 12:00 UTC."""
SECOND: Final = 10**9
MINUTE: Final = 60 * SECOND
DAY: Final = 86_400 * SECOND


def trade(number: int, ts: int | None = None, **fields: Any) -> Trade:
    """A trade of BTC-USDT at kraken, one a second from `NOON` on; its id is its number."""
    moment = NOON + number * SECOND if ts is None else ts
    given: dict[str, Any] = {
        "venue": "kraken",
        "instrument": "BTC-USDT",
        "price": Decimal("67000.10") + number,
        "size": Decimal("0.250"),
        "taker": Side.BUY,
    }
    return Trade(**(given | {"venue_ts": moment, "received_ts": moment + 5_000_000, "trade_id": str(number)} | fields))


def candle(number: int, **fields: Any) -> Candle:
    """A closed candle of one minute, one a minute from `NOON` on."""
    open_ts = NOON + number * MINUTE
    prices = {"open": Decimal("1.50"), "high": Decimal(2), "low": Decimal(1), "close": Decimal("1.750"), "volume": Decimal("10.0")}
    times = {"venue_ts": None, "received_ts": open_ts + MINUTE + SECOND, "open_ts": open_ts, "close_ts": open_ts + MINUTE}
    given: dict[str, Any] = {"venue": "kraken", "instrument": "BTC-USDT", "timeframe": "1m", "closed": True}
    return Candle(**(given | prices | times | fields))


def batch(
    events: Iterable[Event],
    *,
    first_ms: int = 1_000,
    first_seq: int = 1,
    source: Source = Source.TAPE,
    keep: Literal["columns", "events"] = "columns",
) -> Batch:
    """The events as they came from one stream: ids from `FIRST_MS-0` on, one a ms, epoch 7 and `seq` from `first_seq` on.

    Those from REST have neither, as `backfill` writes them, and all the id of the moment when they were fetched.
    """
    builder: BatchBuilder | None = None
    for index, event in enumerate(events):
        is_rest = source is Source.REST
        data = encode(event) if is_rest else stamp(event, 7, first_seq + index)
        builder = builder or BatchBuilder(KIND_OF[type(event)], keep)
        builder.add(first_ms if is_rest else first_ms + index, 0, text_events.decode(data), data, source)
    assert builder is not None
    return builder.build()


async def read(store: Store, query: Query) -> list[bytes]:
    """The JSON of all rows of a query."""
    return [data async for table in store.read(query) for data in events_of(table)]


async def ids(store: Store, query: Query) -> list[str]:
    """The ids of the trades of a query, in order."""
    return [value async for table in store.read(query) for value in table.column("trade_id").to_pylist()]
