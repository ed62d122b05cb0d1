"""What pagers have in common: which rows are wanted, what an answer brought. Pure: no clock, no requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol, TypeVar

import msgspec

from crosstape_connector.venues.messages import CandleSnapshot, TradeSnapshot
from crosstape_schemas import Candle, Trade

SLACK_NS: Final = 1_000_000_000
"""Trades are looked for so far beyond a range: the times of a venue's ids go back a little now and then."""

Answer = TypeVar("Answer", TradeSnapshot, CandleSnapshot, contravariant=True)  # noqa: PLC0105  # the name of what it is


class Range(msgspec.Struct, frozen=True):
    """The rows whose time is in `[from_ts, to_ts)`, ns since the epoch."""

    from_ts: int
    to_ts: int


class Brought(msgspec.Struct, frozen=True):
    """The rows of one answer that are wanted, oldest first."""

    rows: Sequence[Trade | Candle]
    complete_to_ts: int
    """Everything before this time has been fetched, as far as the venue has it."""
    refused: int = 0
    """Rows that could not be used: unreadable, or candles that begin when none of ours does."""


class Pager(Protocol[Answer]):
    """Says what to ask for next, and learns from each answer."""

    @property
    def path(self) -> str | None:
        """Path and query of the next request; None: all that the venue has was fetched."""
        ...

    @property
    def crowded(self) -> int:
        """Moments with more trades than an answer holds, of a venue that is asked by time: some of these are missing."""
        ...

    def accept(self, answer: Answer, asked_ts: int) -> Brought:
        """Return what an answer to `path` brought; `asked_ts`: our clock before the request. Raises `PastFailed` if it cannot go on."""
        ...


def time_of(trade: Trade) -> int:
    """Return when a trade was made. Past trades have a time; one that has none is of the time at which it was fetched."""
    return trade.received_ts if trade.venue_ts is None else trade.venue_ts


def within(trades: Iterable[Trade], wanted: Range) -> list[Trade]:
    """Return the trades of a range, oldest first, those of one time by id."""
    return sorted(
        (one for one in trades if wanted.from_ts <= time_of(one) < wanted.to_ts), key=lambda one: (time_of(one), int(one.trade_id))
    )
