"""Leaves out rows that say what another row says, by the rule of `same_rows`: fetched ones that the tape has too, and earlier revisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from crosstape.history.batch import Source
from crosstape.history.same_rows import REVISED, SAME

_SEPARATOR: Final = "\x1f"


def columns_needed(kind: str) -> list[str]:
    """Returns the columns that `without_doubles` looks at in the neighbourhood."""
    versions = ["closed", "revision"] if kind in REVISED else []
    return list(dict.fromkeys(["ts", "id_ms", "id_n", "source", *SAME[kind], *versions]))


def has_rest(table: pa.Table) -> bool:
    """Whether rows are there that were fetched by REST."""
    return bool(pc.any(_is_rest(table)).as_py())


def without_doubles(table: pa.Table, kind: str, neighbourhood: pa.Table) -> pa.Table:
    """Returns the rows without those from REST that the tape has too; of a trade that was fetched twice, the row that was fetched first.

    `neighbourhood`: all rows, REST and tape, from `same_rows.MARGIN_NS` before the first to `MARGIN_NS` behind the last.
    """
    rest = _is_rest(table)
    tape = neighbourhood.filter(pc.invert(_is_rest(neighbourhood)))
    if "closed" in tape.column_names:  # of a candle that the tape has only while it was open, REST has the end
        tape = tape.filter(tape.column("closed"))
    version = ("revision",) if kind in REVISED else ()  # what a venue has changed since comes as a later revision
    hidden = pc.is_in(_joined(table, (*SAME[kind], *version)), value_set=pc.unique(_joined(tape, (*SAME[kind], *version))))
    if kind == "trade":
        first = _first_fetched(neighbourhood.filter(_is_rest(neighbourhood)))
        rows = _row_key(table)
        hidden = pc.or_(pc.or_(hidden, pc.invert(pc.is_in(rows, value_set=first))), pc.invert(_is_first(rows)))
        hidden = pc.and_(hidden, pc.not_equal(table.column("trade_id"), ""))  # without an id nobody knows which trade it is
    return table.filter(pc.invert(pc.and_(rest, hidden)))


def newest_revisions(table: pa.Table, kind: str) -> pa.Table:
    """Returns of each candle or bar the row that is valid: closed rather than open, then the highest revision, then what came last.

    Rows keep their order. All rows of one `ts` must be there.
    """
    ranked = table.select([*SAME[kind], "closed", "revision", "id_ms", "id_n"]).append_column("row", _positions(table))
    ranked = ranked.sort_by([(name, "ascending") for name in ("closed", "revision", "id_ms", "id_n", "row")])
    ranked = ranked.append_column("rank", _positions(table))
    best = ranked.group_by(list(SAME[kind])).aggregate([("rank", "max")]).column("rank_max")
    return table.take(_sorted(ranked.column("row").take(best)))


def _sorted(values: pa.ChunkedArray) -> pa.Array:
    one = values.combine_chunks()
    return one.take(pc.sort_indices(one))


def _first_fetched(rest: pa.Table) -> pa.Array:
    """Return the row keys of each trade as it was fetched first."""
    rest = rest.sort_by([("id_ms", "ascending"), ("id_n", "ascending"), ("ts", "ascending")])
    rows = pa.table({"key": _key(rest, "trade"), "row": _positions(rest)})
    return _row_key(rest.take(rows.group_by("key").aggregate([("row", "min")]).column("row_min")))


def _is_first(keys: pa.Array) -> pa.Array:
    """Return of each key whether it is the first of its value."""
    rows = pa.table({"key": keys, "row": pa.array(range(len(keys)), pa.int64())})
    first = rows.group_by("key").aggregate([("row", "min")]).column("row_min")
    return pc.is_in(rows.column("row"), value_set=first)


def _is_rest(table: pa.Table) -> pa.ChunkedArray:
    return pc.equal(table.column("source"), Source.REST.value)


def _key(table: pa.Table, kind: str) -> pa.ChunkedArray:
    """Return one text of the columns in which two rows of the same trade or candle agree."""
    return _joined(table, SAME[kind])


def _row_key(table: pa.Table) -> pa.ChunkedArray:
    return _joined(table, (*SAME["trade"], "id_ms", "id_n", "ts"))


def _joined(table: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(*(pc.cast(table.column(name), pa.string()) for name in names), _SEPARATOR)


def _positions(table: pa.Table) -> pa.Array:
    return pa.array(range(len(table)), pa.int64())
