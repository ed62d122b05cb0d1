"""Reads the rows of a frame back as plain Python: times are ns, decimals are Decimal, a null is None."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pandas as pd
import polars as pl

from crosstape_schemas import Event

NAMES = {2: ("price", "size"), 3: ("price", "size", "venues")}


def rows(frame: pl.DataFrame | pd.DataFrame) -> list[dict[str, Any]]:
    """Every row, as a dict."""
    if isinstance(frame, pl.DataFrame):
        return frame.with_columns(pl.col(name).cast(_without_times(dtype)) for name, dtype in frame.schema.items()).to_dicts()
    columns = {name: [_plain(value) for value in frame[name]] for name in frame.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _without_times(dtype: Any) -> Any:
    """The same type with integers for times: as a datetime of Python, polars gives only µs."""
    match dtype:
        case pl.Datetime():
            return pl.Int64()
        case pl.List():
            return pl.List(_without_times(dtype.inner))
        case pl.Struct():
            return pl.Struct({field.name: _without_times(field.dtype) for field in dtype.fields})
        case _:
            return dtype


def _plain(value: Any) -> Any:
    match value:
        case list():
            return [_plain(part) for part in value]
        case dict():
            return {name: _plain(part) for name, part in value.items()}
        case pd.Timestamp():
            return value.value
        case _:
            return None if value is pd.NA or value is pd.NaT or value is None else value


def expected(event: Event) -> dict[str, Any]:
    """The row of an event, written by hand from the docstring of `frame_of`."""
    return dict(_expected(event))


def _expected(event: Event) -> Iterator[tuple[str, Any]]:
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if name == "vwap":
            for window, vwap in value.items():
                for part in vwap.__struct_fields__:
                    yield f"vwap_{window}_{part}", getattr(vwap, part)
        else:
            yield name, _value(value)


def _value(value: Any) -> Any:
    match value:
        case msgspec.Struct():
            return {name: _value(getattr(value, name)) for name in value.__struct_fields__}
        case (str(), Decimal()):
            return dict(zip(("venue", "size"), value, strict=True))
        case tuple() if value and not isinstance(value[0], tuple | str | msgspec.Struct):
            return {name: _value(part) for name, part in zip(NAMES[len(value)], value, strict=True)}
        case tuple():
            return [_value(part) for part in value]
        case _:
            return value
