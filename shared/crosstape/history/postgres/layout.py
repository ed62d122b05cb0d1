"""Names and defines the tables of a history in PostgreSQL. Pure: it returns SQL, and runs none.

`tapes` has the identities of the tapes that it is the history of. `commits` has one row for each kind: the number of its newest commit.
`marks` has one for each kind and stream. Each kind has a table of its own name, partitioned by UTC day of `ts`: `trade`, `trade_20261130`.
It has no primary key, which would cost 85 bytes a row and half of the rate: an entry is there once because marks and rows are committed
together.

Its rows are found by the smallest and largest instrument and `ts` of each group of pages (BRIN). An index of every row would cost the
server more than the rows themselves. Kinds with few rows have one of every row (`SMALL`).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import Final

from crosstape.history.batch import Source
from crosstape.history.columns import Column, ColumnType, columns_of
from crosstape.history.same_rows import REVISED, SAME
from crosstape_schemas import KINDS
from crosstape_schemas.timeframes import DAY

LEAST: Final = -(2**63)
MOST: Final = 2**63 - 1
"""What `bigint` holds."""
DATA: Final = "d"
"""The column of the event's JSON: `bytea`, since `text` cannot hold every byte that JSON may."""
SMALL: Final = REVISED | {"status", "gap"}
"""Kinds with few rows, which come in no order."""
PAGES: Final = 32
"""Pages of 8 KiB, about 1,700 trades, that are read or passed over together."""

# Any number of digits, and zeros behind the point, stay as they are in a `numeric` without precision.
_TYPES: Final = {
    ColumnType.INT: "bigint",
    ColumnType.DECIMAL: "numeric",
    ColumnType.TEXT: "text",
    ColumnType.WORD: "text",
    ColumnType.BOOL: "boolean",
}
_ALWAYS: Final = frozenset({"ts", "id_ms", "id_n", "source", "venue", "instrument"})
_EPOCH_DAY: Final = dt.date(1970, 1, 1).toordinal()
_PARTITION: Final = re.compile(r"(?P<kind>[a-z_]+)_(?P<date>\d{8})").fullmatch


def columns(kind: str) -> tuple[Column, ...]:
    """Returns the columns of a kind in the order of its table: numbers of eight bytes first, which leaves no space between them unused."""
    return tuple(sorted(columns_of(kind), key=lambda column: column.type is not ColumnType.INT))


def column_names(kind: str) -> list[str]:
    """Returns the names of all columns of a kind's table, `d` included, in its order."""
    return [*(column.name for column in columns(kind)), DATA]


def table(schema: str, kind: str) -> str:
    """Returns the name of a kind's table in SQL."""
    return f'"{schema}"."{kind}"'


def partition_name(kind: str, day: int) -> str:
    """Returns the name of the partition of one UTC day, counted from 1970-01-01."""
    return f"{kind}_{dt.date.fromordinal(_EPOCH_DAY + day):%Y%m%d}"


def partition(schema: str, kind: str, day: int) -> str:
    """Returns the same in SQL."""
    return f'"{schema}"."{partition_name(kind, day)}"'


def day_of(name: str) -> int | None:
    """Returns the day that a partition of this name is for; None: it is not one of ours."""
    match = _PARTITION(name)
    if match is None or match["kind"] not in KINDS:
        return None
    try:
        return dt.date.fromisoformat(match["date"]).toordinal() - _EPOCH_DAY
    except ValueError:
        return None


def days_of(times: Iterable[int]) -> set[int]:
    """Returns the UTC days, counted from 1970-01-01, that these times (ns) are in."""
    times = list(times)
    if not times:
        return set()
    first, last = min(times) // DAY, max(times) // DAY
    return {first, last} if last - first < 2 else {ts // DAY for ts in times}


def create_base(schema: str) -> list[str]:
    """Returns the statements that make the tables which all kinds share."""
    return [
        f'create table if not exists "{schema}".tapes (number integer primary key, id text not null, origin text not null)',
        f'create table if not exists "{schema}".commits (kind text primary key, number bigint not null)',
        f'create table if not exists "{schema}".marks '
        "(kind text, stream text, id text not null, numbers jsonb not null, primary key (kind, stream))",
    ]


def create_kind(schema: str, kind: str) -> list[str]:
    """Returns the statements that make a kind's table, without partitions."""
    name = table(schema, kind)
    described = [f'"{c.name}" {_TYPES[c.type]}{" not null" if c.name in _ALWAYS else ""}' for c in columns(kind)]
    statements = [
        f"create table if not exists {name} ({', '.join(described)}, {DATA} bytea) partition by range (ts)",
        f'create index if not exists "{kind}_instrument_ts" on {name} (instrument, ts)'
        if kind in SMALL
        else f'create index if not exists "{kind}_pages" on {name} using brin (instrument, ts) with (pages_per_range = {PAGES})',
    ]
    if kind in SAME:  # so that a reader knows at once that there are none in a range
        statements.append(f"create index if not exists \"{kind}_rest\" on {name} (instrument, ts) where source = '{Source.REST.value}'")
    return statements


def summarize(schema: str, kind: str, days: Iterable[int]) -> str | None:
    """Returns the statement that lets readers pass over the pages which were written last; None: the kind has no such index."""
    if kind in SMALL:
        return None
    names = ", ".join(f"to_regclass('{partition(schema, kind, day)}')" for day in sorted(days))
    return (
        "select brin_summarize_new_values(c.oid) from pg_index join pg_class c on c.oid = indexrelid join pg_am a on a.oid = relam "
        f"where indrelid in ({names}) and amname = 'brin' and pg_has_role(relowner, 'usage')"
    )


def add_columns(schema: str, kind: str, existing: Iterable[str]) -> list[str]:
    """Returns the statements that add to a kind's table the columns which an older version did not have."""
    names = set(existing)
    return [
        f'alter table {table(schema, kind)} add column if not exists "{column.name}" {_TYPES[column.type]}'
        for column in columns(kind)
        if column.name not in names
    ]


def create_partition(schema: str, kind: str, day: int) -> list[str]:
    """Returns the statements that make the partition of a day. Others read and write meanwhile; with `partition of` they would wait."""
    name = partition(schema, kind, day)
    # the first and the last day of 64 bits are not all there
    first = "minvalue" if day * DAY < LEAST else f"{day * DAY}"
    end = "maxvalue" if (day + 1) * DAY > MOST else f"{(day + 1) * DAY}"
    return [
        f"create table {name} (like {table(schema, kind)} including all)",
        f"alter table {table(schema, kind)} attach partition {name} for values from ({first}) to ({end})",
    ]
