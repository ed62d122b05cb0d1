"""Defines which rows of the history are wanted."""

from __future__ import annotations

import msgspec


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows are wanted: those of one kind whose `ts` is in the range `[from_ts, to_ts)`.

    `ts` is the event's own time (see `columns`): of a trade when it was made, of a candle or bar its `open_ts`, of a computed event its
    `ts`, of a gap its `from_ts`, of all others `received_ts`. ns since the epoch.
    """

    kind: str
    """A tag of `crosstape_schemas.KINDS`."""
    instrument: str | None = None
    """None: all."""
    venue: str | None = None
    """None: all."""
    timeframe: str | None = None
    """Of candles and bars; None: all."""
    from_ts: int | None = None
    to_ts: int | None = None
    limit: int | None = None
    """The newest of them, at most so many."""
    newest_revisions: bool = True
    """Of candles and bars: the highest revision of each venue, timeframe and `open_ts` only. False: all that were recorded."""
