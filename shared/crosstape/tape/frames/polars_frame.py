"""Makes a polars DataFrame of fitted columns. Imported only when polars is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import polars as pl

from crosstape.tape.frames.columns import Leaf
from crosstape.tape.frames.digits import MAX_DIGITS, Digits, Float, Sized, SizedList, SizedRecord

SCALE: Final = 18
"""Decimals of a column whose values need fewer. polars keeps the greater scale of two factors, and rounds a product to it: 18 hold the
product of a price and a size. It rounds silently, too, where frames of different scales are put together with `how="vertical"`."""
WHOLE: Final = 16
"""With more digits than these before the point, a column has only as many decimals as its values: sums need room, too."""

_LEAVES: Final[dict[Leaf, pl.DataType]] = {
    Leaf.TIME: pl.Datetime("ns", "UTC"),
    Leaf.INTEGER: pl.Int64(),
    Leaf.TEXT: pl.String(),
    Leaf.FLAG: pl.Boolean(),
}


def polars_frame(columns: Iterable[tuple[str, Sized, Sequence[Any]]]) -> pl.DataFrame:
    """Returns a frame of these columns: name, type, values."""
    return pl.DataFrame([_series(name, sized, values) for name, sized, values in columns])


def _series(name: str, sized: Sized, values: Sequence[Any]) -> pl.Series:
    """Nested values are made of flat columns, and decimals of text: polars reads objects of Python several times more slowly."""
    match sized:
        case Digits():
            return pl.Series(name, [None if value is None else format(value, "f") for value in values], pl.String()).cast(_dtype(sized))
        case SizedRecord(fields):
            return _structs(name, fields, values)
        case SizedList(item):
            return _lists(name, item, values)
        case _:
            return pl.Series(name, values, _dtype(sized))


def _structs(name: str, fields: Sequence[tuple[str, Sized]], values: Sequence[Any]) -> pl.Series:
    parts = [_series(part, sized, [None if value is None else value[part] for value in values]) for part, sized in fields]
    structs = pl.DataFrame(parts).to_struct(name)
    if None not in values:
        return structs
    there = pl.Series([value is not None for value in values], dtype=pl.Boolean())
    return pl.select(pl.when(there).then(structs).alias(name)).to_series()


def _lists(name: str, item: Sized, values: Sequence[Any]) -> pl.Series:
    """All items in one column, then gathered by the number of their row."""
    items = _series(name, item, [part for value in values for part in value or ()])
    rows = pl.Series("_row", [row for row, value in enumerate(values) for _ in value or ()], pl.UInt32())
    gathered = pl.DataFrame([rows, items]).group_by("_row", maintain_order=True).agg(name)
    every = pl.DataFrame(
        [pl.Series("_row", range(len(values)), pl.UInt32()), pl.Series("_there", [value is not None for value in values], pl.Boolean())]
    )
    lists = every.join(gathered, on="_row", how="left", maintain_order="left")
    empty = pl.Series([[]], dtype=_dtype(SizedList(item)))
    return lists.select(pl.when("_there").then(pl.col(name).fill_null(empty)).alias(name)).to_series()


def _dtype(sized: Sized) -> pl.DataType:
    match sized:
        case Digits(whole, scale):
            return pl.Decimal(MAX_DIGITS, scale if scale > SCALE or whole > WHOLE else SCALE)
        case Float():
            return pl.Float64()
        case SizedList(item):
            return pl.List(_dtype(item))
        case SizedRecord(fields):
            return pl.Struct({name: _dtype(one) for name, one in fields})
        case Leaf():
            return _LEAVES[sized]
