"""Writes the SQL of candles that are computed from recorded trades, and orders the trades at an interval's ends. Pure.

The server adds up in `numeric`, which is exact; intervals are integers of ns. Which of the trades of one moment is the first or the last is
decided here: by venue, `trade_id` as a number, `epoch`, `seq` (see docs/explanation/bars.md, method `bar/1`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import asyncpg
import pyarrow as pa

from crosstape.errors import HistoryError
from crosstape.history.postgres.selecting import Statement
from crosstape_schemas.timeframes import LENGTHS, SECOND, TIMEFRAMES, open_of

MAX_DIGITS: Final = 40
"""Digits of a `trade_id` that counts as a number, at most."""
# As the aggregator has it: a zero, NaN, or a number that is too large, too small or too long to compute with counts in no bar.
_LENGTHS: Final = ", ".join(f"length(btrim(replace(({number})::text, '.', ''), '0'))" for number in ("price", "size", "price * size"))
_USABLE: Final = (
    "price >= 1e-24 and price < 1e24 and size >= 1e-24 and size < 1e24 "
    # below 1e48 a product with no more digits behind the point has 96 at most
    f"and (scale(price) + scale(size) <= 48 or greatest({_LENGTHS}) <= 96)"
)
TRADE: Final = "ts, venue, trade_id, epoch, seq, price, size"
"""Columns of a trade that its candle is computed from."""
NUMBERS: Final = ("open", "high", "low", "close", "volume", "quote_volume")
SCHEMA: Final = pa.schema([("open_ts", pa.int64()), *((name, pa.string()) for name in NUMBERS), ("trades", pa.int64())])
"""Numbers are text: not rounded, in plain notation, without trailing zeros."""


def sums(trades: Statement, timeframe: str) -> Statement:
    """Returns a statement that adds up the trades of each interval: open_ts, the times of its first and last trade, and the sums.

    `trades`: selects `TRADE`. Raises `HistoryError` for a timeframe that is none of ours.
    """
    return trades.within(
        f"select {_open_ts(timeframe)} as open_ts, min(ts) as first_ts, max(ts) as last_ts, "
        "trim_scale(max(price))::text as high, trim_scale(min(price))::text as low, trim_scale(sum(size))::text as volume, "
        f"trim_scale(sum(price * size))::text as quote_volume, count(*) as trades from ({{0}}) as trades where {_USABLE} "
        "group by 1 order by 1"
    )


def at(trades: Statement, times: Iterable[int]) -> Statement:
    """Returns a statement that selects the usable trades of these moments. `trades`: selects `TRADE`."""
    return trades.within(
        "select ts, venue, trade_id, epoch, seq, trim_scale(price)::text as price "
        f"from unnest({{1}}::bigint[]) as moment join ({{0}}) as trades on ts = moment where {_USABLE}",
        sorted(times),
    )


def table_of(intervals: Iterable[asyncpg.Record], trades: Iterable[asyncpg.Record]) -> pa.Table:
    """Returns the candles of the rows of `sums` and of `at`, with the columns of `SCHEMA`."""
    ordered = sorted(trades, key=_rank)
    last = {trade["ts"]: trade["price"] for trade in ordered}
    first = {trade["ts"]: trade["price"] for trade in reversed(ordered)}
    rows = [{**row, "open": first[row["first_ts"]], "close": last[row["last_ts"]]} for row in intervals]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _rank(trade: asyncpg.Record) -> tuple[int, str, int, int, int]:
    """Return what orders the trades of one interval."""
    text = trade["trade_id"] or ""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else -1
    return trade["ts"], trade["venue"], number, trade["epoch"], trade["seq"]


def _open_ts(timeframe: str) -> str:
    """Return the SQL of the beginning of the interval that contains `ts`."""
    if timeframe not in TIMEFRAMES:
        raise HistoryError(f"there is no timeframe {timeframe!r:.50}; there are {', '.join(TIMEFRAMES)}")
    if timeframe not in LENGTHS:  # months; a whole number of seconds is exact in every step
        return f"extract(epoch from date_trunc('month', to_timestamp(ts / {SECOND}), 'UTC'))::bigint * {SECOND}"
    length = LENGTHS[timeframe]
    return f"ts - ((ts - {open_of(timeframe, 0)}) % {length} + {length}) % {length}"
