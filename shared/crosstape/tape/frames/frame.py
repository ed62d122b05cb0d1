"""Makes a DataFrame of events: which columns, of which library."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, overload

from crosstape.errors import FrameError
from crosstape.settings.words import nearest
from crosstape.tape.frames.columns import columns_of
from crosstape.tape.frames.digits import Decimals, fit
from crosstape_schemas import KIND_OF, KINDS, Event

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

Library: TypeAlias = Literal["polars", "pandas"]

_INSTALL: Final[dict[str, str]] = {
    "polars": "pip install 'crosstape[frames]', or in a clone of it pip install '.[frames]'",
    "pandas": "pip install pandas pyarrow",
}
_DECIMALS: Final = ("exact", "float")


@overload
def frame_of(
    events: Sequence[Event], kind: str | None = None, *, library: Literal["polars"] = "polars", decimals: Decimals = "exact"
) -> pl.DataFrame: ...
@overload
def frame_of(
    events: Sequence[Event], kind: str | None = None, *, library: Literal["pandas"], decimals: Decimals = "exact"
) -> pd.DataFrame: ...
@overload
def frame_of(
    events: Sequence[Event], kind: str | None = None, *, library: Library, decimals: Decimals = "exact"
) -> pl.DataFrame | pd.DataFrame: ...
def frame_of(
    events: Sequence[Event], kind: str | None = None, *, library: Library = "polars", decimals: Decimals = "exact"
) -> pl.DataFrame | pd.DataFrame:
    """Returns a DataFrame with one row for each event and one column for each field. All events must be of one kind.

    `kind`: the kind of the events, as `trade` or `bar:1m`. Only an empty sequence needs it: the frame then has the same columns.

    Columns have the names of the fields. `…_ts` are UTC datetimes of ns; other integers (`epoch`, `seq`, `…_ns`) are integers; words such
    as `taker` and `state` are text. Nested fields:

    - `bids` and `asks` of books and deltas: lists of structs (price, size); of `depth`: (price, size, venues), where `venues` is a list of
      (venue, size).
    - `legs`, `sweeps`, `rates` and `parts`: lists of structs with the fields of each; `bid_venues` and `ask_venues`: lists of text.
    - `vwap` of a consolidated quote: four columns for each window, `vwap_1m_price`, `vwap_1m_volume`, `vwap_1m_trades` and
      `vwap_1m_complete`. The windows are those of the events; without events, those of the default settings.
    - `buy`, `sell`, `buy_book` and `sell_book` of an edge: structs (kind, epoch, seq), null where the field is.

    With `decimals="exact"` no digit is lost:

    - polars: `Decimal(38, 18)`, or another scale where a value needs it. Sums, differences, minima and maxima are exact, and an overflow
      raises. **Products** have the greater scale of the two factors, and are rounded to it: 18 decimals hold the product of a price and a
      size; where columns have more, cast them to a higher scale first. Means, rolling and exponential ones included, are floats. Put
      frames of different scales together with `how="vertical_relaxed"`: `"vertical"` rounds to the scale of the first.
    - pandas: Arrow `decimal128` with as many digits as the column needs. Sums, differences and products are exact; a product that needs
      more than 38 digits raises `pyarrow.ArrowInvalid`. Means and quotients are rounded to a fixed number of decimals; `rolling` gives
      floats; `cumsum` and `resample().ohlc()` do not know the type. Frames of different digits put together give a column of
      `decimal.Decimal` objects, exact, too.

    With `decimals="float"` prices and sizes are 64-bit floats, rounded to about 16 digits: what most libraries of indicators expect. No
    other function of crosstape turns a price into a float.

    Integers, text and flags of pandas are `Int64`, `string` and `boolean`, lists and structs are Arrow's; times are `datetime64[ns, UTC]`.

    Raises `FrameError`: the events are of several kinds, or of another one than `kind`; `kind` is missing or unknown; the library is not
    installed (the text says how to install it); a column needs more than 38 digits (the text names it), or holds NaN or an infinity.
    """
    if library not in _INSTALL:
        raise FrameError(f'library must be "polars" or "pandas", not {library!r:.50}')
    if decimals not in _DECIMALS:
        raise FrameError(f'decimals must be "exact" or "float", not {decimals!r:.50}')
    cls = _type_of(events, kind)
    build = _builder(library)
    fitted = []
    for column in columns_of(cls, events):
        sized, values = fit(column.name, column.node, list(map(column.read, events)), decimals)
        fitted.append((column.name, sized, values))
    frame: pl.DataFrame | pd.DataFrame = build(fitted)
    return frame


def _type_of(events: Sequence[Event], kind: str | None) -> type[Event]:
    """Returns the type that all events have."""
    expected = None if kind is None else _type_named(kind)
    found = set(map(type, events))
    if foreign := sorted(cls.__name__ for cls in found - KIND_OF.keys()):
        raise FrameError(f"a frame is made of events, and among these is a {foreign[0]}")
    if len(found) > 1:
        raise FrameError(f"a frame holds events of one kind, and these are {', '.join(sorted(KIND_OF[cls] for cls in found))}")
    cls = next(iter(found), expected)
    if cls is None:
        raise FrameError('without events, the kind says which columns the frame has: frame_of([], "trade")')
    if expected not in (None, cls):
        raise FrameError(f"the events are of the kind {KIND_OF[cls]}, not {kind}")
    return cls


def _type_named(kind: str) -> type[Event]:
    name = kind.partition(":")[0]
    if name not in KINDS:
        near = nearest(name, KINDS)
        hint = f"did you mean {near}?" if near else f"kinds are {', '.join(KINDS)}"
        raise FrameError(f"{kind!r:.50} is no kind of event; {hint}")
    return KINDS[name]


def _builder(library: Library) -> Any:
    """Returns the function that makes a frame of fitted columns. Raises `FrameError` if the library is not installed."""
    try:
        module = importlib.import_module(f"crosstape.tape.frames.{library}_frame")
    except ModuleNotFoundError as exc:
        raise FrameError(f"DataFrames of {library} need {exc.name}, which is not installed: {_INSTALL[library]}") from exc
    return getattr(module, f"{library}_frame")
