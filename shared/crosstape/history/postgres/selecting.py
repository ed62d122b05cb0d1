"""Writes the SQL that selects recorded rows. Pure: it returns SQL with its arguments, and runs none.

Names come from `columns_of` and `KINDS`; all values are arguments.
"""

from __future__ import annotations

from typing import Final

import msgspec

from crosstape.history.batch import Source
from crosstape.history.columns import ColumnType, columns_of
from crosstape.history.postgres import layout
from crosstape.history.query import Query
from crosstape.history.same_rows import MARGIN_NS, REVISED, SAME

LEAST: Final = layout.LEAST
MOST: Final = layout.MOST
IN_ORDER: Final = "order by ts, id_ms, id_n"
NEWEST_FIRST: Final = "order by ts desc, id_ms desc, id_n desc"
REST: Final = f"'{Source.REST.value}'"


class Statement(msgspec.Struct, frozen=True):
    """SQL, and its arguments $1, $2 …"""

    sql: str
    arguments: tuple[object, ...]

    def within(self, sql: str, *arguments: object) -> Statement:
        """Returns the statement `sql`, with this one in the place of `{0}`, and in those of `{1}` … the names of more arguments."""
        names = (f"${len(self.arguments) + number}" for number in range(1, len(arguments) + 1))
        return Statement(sql.format(self.sql, *names), (*self.arguments, *arguments))


def from_ts(query: Query) -> int:
    """Returns the beginning of the query's range, ns."""
    return LEAST if query.from_ts is None else query.from_ts


def to_ts(query: Query) -> int:
    """Returns the end of the query's range, ns, which is not in it."""
    return MOST + 1 if query.to_ts is None else query.to_ts


def where(query: Query, *, margin: int = 0) -> Statement:
    """Returns the conditions of a query: its range, extended by `margin` ns on both sides, and what it names."""
    arguments: list[object] = [*_bounds(query, margin)]
    conditions = ["ts >= $1", "ts <= $2"]
    for name in ("instrument", "venue", "timeframe"):
        value = getattr(query, name)
        if value is not None:
            arguments.append(value)
            conditions.append(f"{name} = ${len(arguments)}")
    return Statement(" and ".join(conditions), tuple(arguments))


def _bounds(query: Query, margin: int) -> tuple[int, int]:
    """Return the first and the last ns of the extended range, as integers of 64 bits. Of an empty one, the first is behind the last."""
    first, last = max(LEAST, from_ts(query) - margin), min(MOST, to_ts(query) - 1 + margin)
    return (first, last) if first <= last else (MOST, LEAST)


def any_rest(schema: str, query: Query) -> Statement:
    """Returns a statement that says whether there are rows from `Source.REST` in the range."""
    of = where(query)
    return Statement(f"select exists (select from {layout.table(schema, query.kind)} where {of.sql} and source = {REST})", of.arguments)


def rows(schema: str, query: Query, names: str, *, rest: bool) -> Statement:
    """Returns a statement that selects the rows of a query, in no order and without its limit.

    `names`: what to select of each. `rest`: whether there are rows by REST in the range, which a row of the tape may replace; costs more.
    """
    of = where(query)
    table = layout.table(schema, query.kind)
    source = f"{table} where {of.sql}"
    arguments = of.arguments
    if rest:
        margin = MARGIN_NS if query.kind == "trade" else 0
        arguments = (*arguments, *_bounds(query, margin))
        source = f"({_of_tape(table, of)} union all {_of_rest(table, query.kind, of)}) as once"
    if query.kind in REVISED and query.newest_revisions:
        key = "ts, venue, instrument, timeframe"
        source = f"(select distinct on ({key}) * from {source} order by {key}, closed desc, revision desc, id_ms desc, id_n desc) as newest"
    return Statement(f"select {names} from {source}", arguments)


def _of_tape(table: str, of: Statement) -> str:
    """Return the part of `rows` that does not come by REST."""
    return f"select * from {table} where {of.sql} and source <> {REST}"


def _of_rest(table: str, kind: str, of: Statement) -> str:
    """Return the part of `rows` that comes by REST: what no row of the tape has, and of trades that were fetched twice the first.

    A trade without an id is like no other.
    """
    fetched = f"select * from {table} where {of.sql} and source = {REST}"
    identity = SAME[kind]
    same = " and ".join(f"t.{name} = r.{name}" for name in identity)
    first, last = f"${len(of.arguments) + 1}", f"${len(of.arguments) + 2}"
    around = of.sql.replace("$1", first).replace("$2", last)  # the same conditions in the wider range
    # of a candle that the tape has only while it was open, REST has the end; what a venue has changed since comes as a later revision
    closed = " and t.closed and t.revision = r.revision" if kind in REVISED else ""
    missing = f"not exists (select from {table} t where {around} and source <> {REST} and {same}{closed})"
    if kind != "trade":
        return f"select * from ({fetched}) as r where {missing}"
    key = ", ".join(identity)
    near = f"select * from {table} where {around} and source = {REST} and trade_id <> ''"  # the first one may be outside of the range
    named = f"select distinct on ({key}) * from ({near}) as near order by {key}, id_ms, id_n, ts"
    return f"select * from (select * from ({named}) as first where {of.sql}) as r where {missing} union all {fetched} and trade_id = ''"


def names(kind: str, existing: set[str]) -> str:
    """Returns what is selected of each row: all columns of `columns_of` in their order, decimals as text, and `d`.

    A column that the table does not have, since an older version made it, is null.
    """
    selected: list[str] = []
    for column in columns_of(kind):
        if column.name not in existing:
            selected.append(f'null as "{column.name}"')
        elif column.type is ColumnType.DECIMAL:  # a driver would make a Decimal of it, and `1E+4` of 10000
            selected.append(f'"{column.name}"::text')
        else:
            selected.append(f'"{column.name}"')
    return ", ".join([*selected, layout.DATA])
