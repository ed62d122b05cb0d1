"""BingX USDT- and USDC-margined perpetuals, WebSocket: trades and marks, and the table of its channels.

Trades  a frame is a list, newest first, without ids. An id is made of the time: `T` × 1,000, or the one after the id before where that is
        later. So the trades of one millisecond are numbered in their order, rows that are equal are different trades, and ids ascend. The
        first list after a subscription may hold earlier trades, too (the documents do not say it): it is numbered by its times alone, so
        that a trade which was known on any connection gets the id that it had, and is published once
Quotes  the best levels of `depth5`, which is complete in each frame: `bookTicker` can be 22 minutes old (see `routes`). It also checks a
        book that is built from changes: where both differ for a second, neither is called live
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import ClassVar, Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.venues.bingx import candles, frames, routes
from crosstape_connector.venues.bingx.frames import Frame, Route, TopicRoute
from crosstape_connector.venues.messages import Odd, Output, unreadable
from crosstape_connector.venues.parsing.numbers import LIMIT, figure
from crosstape_connector.venues.parsing.rows import readable
from crosstape_connector.venues.parsing.wire import ZERO, Stamp, epoch_ns, side_of, trade_numbers
from crosstape_schemas import Instrument, Mark, Quote, Trade

ID: Final = "bingx_swap"
IDS_PER_MS: Final = 1_000
PAST_NS: Final = 5_000_000_000
"""A trade of the first list that is so old was not received live."""
QUOTES: Final = "depth5"
DEPTHS: Final = tuple(levels for levels in frames.COMPLETE if levels > 5)
"""Levels a side of complete books: five are the quote."""


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    p: str
    q: str
    T: Stamp
    m: bool


class RawTop(msgspec.Struct, frozen=True, gc=False):
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class RawMark(msgspec.Struct, frozen=True, gc=False):
    p: str
    E: Stamp


_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_trade = msgspec.json.Decoder(RawTrade, strict=False).decode  # numbers and flags may be text
_top = msgspec.json.Decoder(RawTop).decode
_mark = msgspec.json.Decoder(RawMark).decode


class Trades(TopicRoute):
    """`trade`: a list of executions, newest first."""

    __slots__ = ("_is_first", "_name", "_next")

    def __init__(self, instrument: Instrument) -> None:
        self._name = instrument.name
        self._next = 0
        self._is_first = True

    def restart(self) -> None:
        """Expect a list that may hold earlier trades."""
        self._is_first = True

    def __call__(self, frame: Frame, received_ts: int) -> Sequence[Output]:
        """Oldest first. Rows that cannot be read are odd, and have no id."""
        odd: list[Odd] = []
        rows = readable(_raws(frame.data), self._read, f"trade of {self._name}", odd)
        if odd and not rows:
            return odd
        rows.reverse()
        rows.sort(key=lambda row: row[0])
        is_first, self._is_first = self._is_first, False
        following = 0 if is_first else self._next
        found: list[Output] = [*odd]
        for made_ms, price, size, buyer_makes in rows:
            number = max(made_ms * IDS_PER_MS, following)
            following = number + 1
            venue_ts = epoch_ns(made_ms)
            is_past = is_first and venue_ts < received_ts - PAST_NS
            taker = routes.TAKER[buyer_makes]
            found.append(Trade(ID, self._name, venue_ts, received_ts, price, size, taker, str(number), is_past))
        self._next = max(self._next, following)
        return found

    def _read(self, row: msgspec.Raw) -> tuple[int, Decimal, Decimal, bool]:
        raw = _trade(row)
        return raw.T, *trade_numbers(raw.p, raw.q, f"trade of {self._name} at {raw.T}"), raw.m


def quote_route(instrument: Instrument) -> Route:
    """`depth5`: the best of five levels a side, in any order."""
    name = instrument.name

    def route(frame: Frame, received_ts: int) -> Sequence[Output]:
        try:
            raw = _top(frame.data)
            bids = [level for row in raw.bids if (level := side_of(*row))[0] is not None]
            asks = [level for row in raw.asks if (level := side_of(*row))[0] is not None]
        except FRAME_ERRORS as exc:
            return unreadable("quote", name, received_ts, exc)
        venue_ts = None if frame.ts is None else epoch_ns(frame.ts)
        return (Quote(ID, name, venue_ts, received_ts, *max(bids, default=(None, None)), *min(asks, default=(None, None))),)

    return route


def mark_route(instrument: Instrument) -> Route:
    """`markPrice`. The index is only to be had by REST."""
    name = instrument.name

    def route(frame: Frame, received_ts: int) -> Sequence[Output]:
        try:
            raw = _mark(frame.data)
            price = figure(raw.p)
        except FRAME_ERRORS as exc:
            return unreadable("mark", name, received_ts, exc)
        if not ZERO < price < LIMIT:
            return unreadable("mark", name, received_ts, f"a price of {raw.p}")
        return (Mark(ID, name, epoch_ns(raw.E), received_ts, price),)

    return route


class Parser(frames.Parser):
    """Frames of one connection."""

    __slots__ = ()
    channels: ClassVar[Mapping[str, Callable[[Instrument], Route]]] = {
        "trade": Trades,
        **{f"{QUOTES}{speed}": quote_route for speed in routes.SPEEDS},
        "bookTicker": routes.quote_route,
        "ticker": routes.ticker_route(has_turnover=False),
        "markPrice": mark_route,
        "incrDepth": routes.ChangedBook,
        **{f"depth{levels}{speed}": routes.CompleteBook for levels in DEPTHS for speed in routes.SPEEDS},
        **{f"kline_{theirs}": candles.swap_route(ours) for ours, theirs in candles.SWAP.items()},
    }
