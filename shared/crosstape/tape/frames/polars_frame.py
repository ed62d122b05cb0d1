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
    if isinstance(sized, Digits):  # text is read several times as fast as objects of Python, and as exactly
        return pl.Series(name, [None if value is None else format(value, "f") for value in values], pl.String()).cast(_dtype(sized))
    return pl.Series(name, values, _dtype(sized))


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
