"""The rows of one commit: events of one kind as columns, the same for every store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec


class Source(StrEnum):
    """Where a row of the history comes from."""

    TAPE = "tape"  # read from a stream of the tape
    REST = "rest"  # fetched from the venue by `backfill` or `repair`; it counts only if no row of the tape has the same trade or candle
    RECORDER = "recorder"  # a gap that the recorder itself reports: entries that left the tape before it had read them


class Batch(msgspec.Struct):
    """Rows of one kind, in columns of one length. `columns.columns_of(kind)` names and types the columns of each kind.

    Values are as they are in the event's JSON: decimals as the tape's text, times and numbers as int, enumerations as text, None for null.
    """

    kind: str
    """A tag of `crosstape_schemas.KINDS`: `trade`, and `candle` or `bar` for all timeframes."""
    columns: Mapping[str, Sequence[object]]
    """Column → values, without `d`. Integers are an `array` of 64 bits where none is null; texts may be `Lines`."""
    data: Sequence[bytes]
    """The events' JSON, byte for byte."""
    exact: list[bool]
    """Whether the columns alone give an event back byte for byte. If not, or with `keep = "events"`, a store keeps `data` as column `d`."""

    def __len__(self) -> int:
        return len(self.data)
