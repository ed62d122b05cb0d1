"""What a venue gives of its past by REST, as values: by what trades and candles are asked for, how far back, and what requests weigh."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias
from urllib.parse import parse_qs

import msgspec

from crosstape_connector.venues.messages import CandleSnapshot, TradeSnapshot
from crosstape_schemas import Instrument


class RestLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of the venue on the REST requests of one address: which it counts, and what each weighs."""

    name: str
    """All processes that share the limit use the same name: `binance`, `bitfinex.trades`."""
    capacity: int
    """What requests may weigh together in any window."""
    window_s: float
    """Length of the window, in seconds."""

    prefix: str = ""
    """The limit counts the requests whose path begins so; the first limit of a venue that counts a request is the only one."""
    weights: Mapping[str, int | Mapping[int, int]] = {}
    """Path without its query → what a request weighs, or what it weighs by the query's `limit` (up to here → so much); others weigh 1."""

    def weight(self, path: str) -> int:
        """Return what a request for this path and query weighs."""
        place, _, query = path.partition("?")
        weight = self.weights.get(place, 1)
        if isinstance(weight, int):
            return weight
        limit = parse_qs(query).get("limit", [""])[0]
        asked = int(limit) if limit.isdecimal() else 0
        return next((weighs for most, weighs in weight.items() if asked <= most), max(weight.values()))


class PastSource(msgspec.Struct, frozen=True, kw_only=True):
    """What all sources of the past have."""

    rest: str = "rest"
    """The key of the address in `Venue.rest_urls`."""
    page: int
    """Rows in an answer at most."""
    note: str = ""
    """What a user should know of it, as a sentence without its full stop, for the reference of the venues."""


class Trades(PastSource, frozen=True, kw_only=True):
    """What all sources of past trades have."""

    parse: Callable[[bytes, Instrument, int], TradeSnapshot]
    """As `TradeSource.parse`."""
    reach_s: float = 0.0
    """How far back the venue goes, in seconds; 0: to the first trade."""


class TradesById(Trades, frozen=True, kw_only=True):
    """Trades from an id on. The first id of a time is found by looking at some pages: ids grow with time."""

    path: Callable[[str, int], str]
    """(their symbol, an id) → path and query."""
    newest: Callable[[str], str]
    """Their symbol → path and query of the newest trades."""
    cursor: Literal["from", "below", "either"] = "from"
    """What the id in a path is. `from`: the first one wanted; `below`: the page ends before it; `either`: nobody says, so that the first
    answers show it."""
    spacing: int = 1
    """By how much ids grow from one trade to the next when the market is busy: more than 1 where they are made of the time. Used where
    pages end before an id."""


class TradesByTime(Trades, frozen=True, kw_only=True):
    """Trades from a time on. Several may have the same time: each page begins at the time at which the one before ended."""

    path: Callable[[str, int, int], str]
    """(their symbol, from, to, ns) → path and query of the first trades from then on. The page may begin earlier and end later."""
    unit_ns: int
    """The venue's unit of time: the least by which one can go on."""


class TradesOfSpan(Trades, frozen=True, kw_only=True):
    """All trades of the last hour, day …, in one answer."""

    spans: Mapping[int, Callable[[str], str]]
    """Seconds up to now → (their symbol → path and query), shortest first."""


PastTrades: TypeAlias = TradesById | TradesByTime | TradesOfSpan


class PastCandles(PastSource, frozen=True, kw_only=True):
    """Past candles of a range."""

    path: Callable[[str, str, int, int], str]
    """(their symbol, our timeframe, `open_ts` of the first and of the last one wanted, ns) → path and query.

    Never more than `page` intervals. The answer may have others, too, and those two need not be in it: a range is asked for with an
    interval more on both sides.
    """
    parse: Callable[[bytes, Instrument, str, int], CandleSnapshot]
    """As `CandleSource.parse`."""
    timeframes: tuple[str, ...]
    """Our timeframes that can be had, on our grid."""
    reach_intervals: int = 0
    """How many intervals the venue goes back; 0: to the first trade."""
    window_s: float = 0.0
    """The longest range that one request may name, in seconds; 0: any."""
    empty: Literal["flat", "none", "untrue"]
    """Of an interval without trades: a flat row, no row, or a row at a price that the venue had not yet seen, which is left out."""
