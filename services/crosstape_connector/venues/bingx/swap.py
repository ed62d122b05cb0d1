"""BingX USDT- and USDC-margined perpetuals, WebSocket: trades and marks, and the table of its channels.

Trades  a frame is a list, newest first, without ids. An id is made of the time: `T` × 1,000, or the one after the id before where that is
        later. So the trades of one millisecond are numbered in their order, rows that are equal are different trades, and ids ascend. A
        list may hold earlier trades, too, perhaps the first after a subscription (the documents do not say it). Those that came on this
        connection are known by their content; those from before it are numbered by their times alone, so that one which was published
        from another connection gets the id that it had, and is dropped by it
Quotes  the best levels of `depth5`, which is complete in each frame: `bookTicker` can be 22 minutes old (see `routes`). It also checks a
        book that is built from changes: where both differ for a second, neither is called live
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import ClassVar, Final, NamedTuple

import msgspec

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.venues.bingx import candles, frames, routes
from crosstape_connector.venues.bingx.frames import Frame, Route, TopicRoute
from crosstape_connector.venues.messages import Odd, Output, Unreadable, unreadable
from crosstape_connector.venues.parsing.numbers import LIMIT, figure
from crosstape_connector.venues.parsing.rows import readable
from crosstape_connector.venues.parsing.wire import ZERO, Stamp, epoch_ns, side_of, trade_numbers
from crosstape_schemas import Instrument, Mark, Quote, Trade

ID: Final = "bingx_swap"
IDS_PER_MS: Final = 1_000
KEPT: Final = 2_000
"""Trades of an instrument that a connection remembers, to know them again."""
Key = tuple[int, str, str, bool]
"""Time, price, size, whether the buyer is the maker: trades that are equal in these may be several."""
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


class Row(NamedTuple):
    """One trade that can be read."""

    raw: RawTrade
    price: Decimal
    size: Decimal

    @property
    def made_ms(self) -> int:
        """Its time in ms."""
        return self.raw.T


_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_trade = msgspec.json.Decoder(RawTrade, strict=False).decode  # numbers and flags may be text
_top = msgspec.json.Decoder(RawTop).decode
_mark = msgspec.json.Decoder(RawMark).decode


class Trades(TopicRoute):
    """`trade`: a list of executions, newest first."""

    __slots__ = ("_is_first", "_kept", "_name", "_newest_ms", "_next", "_seen", "_since_ms")

    def __init__(self, instrument: Instrument) -> None:
        self._name = instrument.name
        self._is_first = True
        self._since_ms: int | None = None  # time of the oldest trade in the first list of this connection
        self._newest_ms = 0
        self._next = 0
        self._kept: deque[Key] = deque()
        self._seen: Counter[Key] = Counter()  # how many of each are in `_kept`

    def restart(self) -> None:
        """Expect a list that may hold earlier trades."""
        self._is_first = True

    def __call__(self, frame: Frame, received_ts: int) -> Sequence[Output]:
        """Oldest first. Rows that cannot be read are odd, and have no id."""
        found: list[Output] = []
        rows = self._rows(frame.data, received_ts, found)
        if not rows:
            return found
        goes_back = self._is_first or self._newest_ms > rows[0].made_ms
        again: Counter[Key] = Counter()
        since_ms, by_time = self._since_ms, 0
        for raw, price, size in rows:
            key = raw.T, raw.p, raw.q, raw.m
            if goes_back:
                again[key] += 1
                if again[key] <= self._seen[key]:
                    continue
            made_ms = raw.T
            if since_ms is None or made_ms < since_ms:
                number = max(made_ms * IDS_PER_MS, by_time)
                by_time = number + 1
            else:
                number = max(made_ms * IDS_PER_MS, self._next)
            self._next = max(self._next, number + 1)
            self._keep(key)
            venue_ts = epoch_ns(made_ms)
            is_past = goes_back and venue_ts < received_ts - PAST_NS
            found.append(Trade(ID, self._name, venue_ts, received_ts, price, size, routes.TAKER[raw.m], str(number), is_past))
        self._since_ms = rows[0].made_ms if since_ms is None else since_ms
        self._newest_ms = max(self._newest_ms, rows[-1].made_ms)
        self._is_first = False
        return found

    def lost(self, received_ts: int) -> Sequence[Output]:
        """A trade is missing, and no id shows it."""
        return (Unreadable("trade", self._name, received_ts),)

    def _rows(self, data: msgspec.Raw, received_ts: int, found: list[Output]) -> list[Row]:
        """Return the rows that can be read, oldest first; the others are added to `found`."""
        odd: list[Odd] = []
        rows = readable(_raws(data), self._read, f"trade of {self._name}", odd)
        found += odd
        if odd:
            found += self.lost(received_ts)
        rows.reverse()
        rows.sort(key=lambda row: row.made_ms)
        return rows

    def _read(self, row: msgspec.Raw) -> Row:
        raw = _trade(row)
        return Row(raw, *trade_numbers(raw.p, raw.q, f"trade of {self._name} at {raw.T}"))

    def _keep(self, key: Key) -> None:
        self._kept.append(key)
        self._seen[key] += 1
        if len(self._kept) > KEPT:
            oldest = self._kept.popleft()
            self._seen[oldest] -= 1
            if not self._seen[oldest]:
                del self._seen[oldest]


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
