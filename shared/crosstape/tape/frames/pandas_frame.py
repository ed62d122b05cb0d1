"""Makes a pandas DataFrame of fitted columns, by Arrow. Imported only when pandas is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from crosstape.tape.frames.columns import Leaf
from crosstape.tape.frames.digits import Digits, Float, Sized, SizedList, SizedRecord

_LEAVES: Final[dict[Leaf, pa.DataType]] = {
    Leaf.TIME: pa.timestamp("ns", "UTC"),
    Leaf.INTEGER: pa.int64(),
    Leaf.TEXT: pa.string(),
    Leaf.FLAG: pa.bool_(),
}
_PANDAS: Final[dict[pa.DataType, Any]] = {pa.int64(): pd.Int64Dtype(), pa.string(): pd.StringDtype(), pa.bool_(): pd.BooleanDtype()}
"""pandas' own types that hold nulls without becoming floats. Times and floats are NumPy's."""


def pandas_frame(columns: Iterable[tuple[str, Sized, Sequence[Any]]]) -> pd.DataFrame:
    """Returns a frame of these columns: name, type, values."""
    made = {name: pa.array(values, _arrow(sized)) for name, sized, values in columns}
    frame: pd.DataFrame = pa.table(made).to_pandas(types_mapper=_mapped)
    return frame


def _arrow(sized: Sized) -> pa.DataType:
    """A decimal gets no more digits than it needs: Arrow makes room for a product by adding the digits of both factors."""
    match sized:
        case Digits(whole, scale):
            return pa.decimal128(max(1, whole + scale), scale)
        case Float():
            return pa.float64()
        case SizedList(item):
            return pa.list_(_arrow(item))
        case SizedRecord(fields):
            return pa.struct([(name, _arrow(one)) for name, one in fields])
        case Leaf():
            return _LEAVES[sized]


def _mapped(arrow: pa.DataType) -> Any:
    """Returns pandas' type for an Arrow type; None: NumPy's."""
    return pd.ArrowDtype(arrow) if pa.types.is_decimal(arrow) or pa.types.is_nested(arrow) else _PANDAS.get(arrow)
