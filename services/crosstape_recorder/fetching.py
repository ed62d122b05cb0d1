"""The seam to a venue's past by REST. The connector's package implements it; the command line puts both together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from crosstape_schemas import Candle, Trade


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What of the past is wanted: trades, or the candles of one timeframe, whose time is in `[from_ts, to_ts)`, ns since the epoch."""

    venue: str
    instrument: str
    from_ts: int
    to_ts: int
    timeframe: str | None = None
    """Of candles; None: trades are wanted."""


class Page(msgspec.Struct, frozen=True):
    """What one request brought, within the range that was wanted."""

    rows: Sequence[Trade | Candle]
    """In order of their time. A row may come again on a later page."""
    complete_to_ts: int
    """Everything from `Wanted.from_ts` to here has been fetched, as far as the venue has it: from where to go on."""
    requests: int = 1
    refused: int = 0
    """Rows that could not be used: unreadable, or candles that begin when none of ours does."""


class Fetch(Protocol):
    """Fetches the past of venues within their limits, beside live connectors."""

    def reach(self, wanted: Wanted) -> str:
        """Returns why the venue cannot give this (no such request, too long ago …), as a sentence; empty: it can."""
        ...

    def fetch(self, wanted: Wanted) -> AsyncIterator[Page]:
        """Yields pages in order of their time, until all that the venue has of it was fetched.

        Raises `HistoryError`, or an error of the connector for a venue that refuses.
        """
        ...
