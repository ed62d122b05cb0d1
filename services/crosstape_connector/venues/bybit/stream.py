"""Bybit's trades, quotes, books and liquidations, of all categories.

Sizes   base units; of inverse contracts US dollars, whose base units depend on the price (`parsing.contracts`)
Times   `T` and `cts` are the matching engine's, `ts` the sender's; frames of 2023 have no `cts`
Quirks  trades: `S` is the taker's side; ids are numbers that grow on spot, UUIDs elsewhere; block trades (`BT`) and those of retail orders
        (`RPI`) are trades, and may be off the visible book. The quote: `orderbook.1`, complete in each frame, and sent again every three
        seconds with the same `u` if nothing has changed; until 2025-03 it had changes, too. `allLiquidation`: `S` is the side of the
        position, so that a forced order is on the other; `p` is the bankruptcy price
Book    `u` counts the frames of a topic by one from the snapshot on; 1: the service has begun again, and the frame is a snapshot. `seq`
        is shared by depths and jumps. Levels that leave the depth are removed by a size of 0
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError, NotANumber
from crosstape_connector.venues.bybit.frames import Route
from crosstape_connector.venues.messages import (
    BookSnapshot,
    BookUpdate,
    Odd,
    Output,
    RepeatedQuote,
    Unreadable,
    unread,
    unreadable,
)
from crosstape_connector.venues.parsing.contracts import base_level, base_size, is_in_base_units
from crosstape_connector.venues.parsing.numbers import BACKSLASH, Unchecked, are_amounts, are_four_amounts, figure, known_price, number
from crosstape_connector.venues.parsing.rows import readable, rows_decoder
from crosstape_connector.venues.parsing.wire import (
    MICROSECONDS,
    Serial,
    Stamp,
    amounts_of_side,
    epoch_ns,
    side_of,
    trade_amounts,
    trade_numbers,
)
from crosstape_connector.venues.spec import Verdict
from crosstape_schemas import AnyNumber, Instrument, Level, Liquidation, Quote, Side, Trade

SIDES: Final = {"Buy": Side.BUY, "Sell": Side.SELL}
FORCED: Final = {"Buy": Side.SELL, "Sell": Side.BUY}
"""Side of a liquidated position → side of the order that closes it."""
LONGEST_ID: Final = 64
RESTARTED: Final = 1
"""The `u` of a snapshot after a restart of the service."""
Rows = list[tuple[str, str]]
_INTEGER: Final = re.compile(r"0|[1-9][0-9]{0,18}").fullmatch
_DIGITS: Final = 19
_MOST: Final = str(2**63 - 1)
"""Compared as text, which has `_DIGITS` digits."""


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    T: Stamp
    S: str
    v: Unchecked
    p: Unchecked
    i: str


class TradeFrame(msgspec.Struct, frozen=True, gc=False):
    data: list[RawTrade]


class RawBook(msgspec.Struct, frozen=True, gc=False):
    b: Rows
    a: Rows
    u: Serial


class BookFrame(msgspec.Struct, frozen=True, gc=False):
    type: str
    ts: Stamp
    data: RawBook
    cts: Stamp | None = None

    @property
    def made_ts(self) -> int:
        """When the matching engine made it, or else when it was sent (ns)."""
        return epoch_ns(self.ts if self.cts is None else self.cts)


class RawForced(msgspec.Struct, frozen=True, gc=False):
    T: Stamp
    S: str
    v: str
    p: str


class RawOldForced(msgspec.Struct, frozen=True, gc=False):
    T: Stamp = msgspec.field(name="updatedTime")
    S: str = msgspec.field(name="side")
    v: str = msgspec.field(name="size")
    p: str = msgspec.field(name="price")


class OldForcedFrame(msgspec.Struct, frozen=True, gc=False):
    data: RawOldForced


class RawRows(msgspec.Struct, frozen=True, gc=False):
    data: list[msgspec.Raw]


_trades = msgspec.json.Decoder(TradeFrame).decode
_trade = msgspec.json.Decoder(RawTrade).decode
_book = msgspec.json.Decoder(BookFrame).decode
_forced = msgspec.json.Decoder(RawForced).decode
_old_forced = msgspec.json.Decoder(OldForcedFrame).decode
raw_rows: Final = rows_decoder(RawRows, 2)


def is_number(trade_id: str) -> bool:
    """Whether a trade id is one of spot: a decimal integer below 2^63."""
    return _INTEGER(trade_id) is not None and (len(trade_id) < _DIGITS or trade_id <= _MOST)


def is_unique(trade_id: str) -> bool:
    """Whether a trade id can be one of contracts: any printable text, such as a UUID."""
    return 0 < len(trade_id) <= LONGEST_ID and trade_id.isascii() and trade_id.isprintable()


def trade_route(is_id: Callable[[str], bool]) -> Callable[[Instrument], Route]:
    """`publicTrade`: executions as they are made, up to 1,024 a frame; none are sent again on subscribing. `is_id`: what an id may be."""

    def make(instrument: Instrument) -> Route:
        venue, name, in_base_units = instrument.venue, instrument.name, is_in_base_units(instrument)

        def read(t: RawTrade, received_ts: int) -> Trade[AnyNumber]:
            if not is_id(t.i):
                raise FrameError(f"not the id of a trade: {t.i[:LONGEST_ID]!r}")
            if in_base_units:
                price, size = (t.p, t.v) if are_amounts(f"{t.p} {t.v}") else trade_amounts(t.p, t.v, f"trade {t.i} of {name}")
                return Trade(venue, name, epoch_ns(t.T), received_ts, price, size, SIDES.get(t.S), t.i)
            numbers = trade_numbers(t.p, t.v, f"trade {t.i} of {name}")
            return Trade(
                venue, name, epoch_ns(t.T), received_ts, numbers[0], base_size(instrument, numbers[1], numbers[0]), SIDES.get(t.S), t.i
            )

        def route(data: bytes, received_ts: int) -> Sequence[Output]:
            try:
                rows = _trades(data).data
                if len(rows) == 1:
                    t = rows[0]
                    price, size = t.p, t.v
                    if in_base_units and are_amounts(f"{price} {size}") and is_id(t.i):  # `read`, without its call
                        made_ts = t.T * 1_000_000 if t.T < MICROSECONDS else t.T * 1_000
                        return (Trade(venue, name, made_ts, received_ts, price, size, SIDES.get(t.S), t.i),)
                return [read(row, received_ts) for row in rows]
            except FRAME_ERRORS:
                odd: list[Odd] = []
                good = readable(raw_rows(data).data, lambda raw: read(_trade(raw), received_ts), f"trade of {name}", odd)
                return [*good, *odd, *([Unreadable("trade", name, received_ts)] if odd else [])]

        return route

    return make


class QuoteRoute:
    """`orderbook.1`: the best bid and ask. Its frames are snapshots; changes of old recordings are applied to the snapshot before."""

    __slots__ = ("_in_base_units", "_instrument", "_rows", "_sides", "_u")

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._in_base_units = is_in_base_units(instrument)
        self._u = -1
        self._rows: tuple[Rows, Rows] = [], []
        self._sides: tuple[dict[str, str], dict[str, str]] | None = None

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `frames.Route`."""
        name = self._instrument.name
        try:
            frame = _book(data)
            raw = frame.data
            b, a, is_repeated = raw.b, raw.a, False
            if frame.type == "delta" and raw.u != RESTARTED:
                b, a = self._changed(raw)
            else:
                is_repeated = raw.u == self._u and (b, a) == self._rows
                self._sides = None
                self._rows = b, a
            self._u = raw.u
            quote = self._quote(b, a, frame.made_ts, received_ts)
        except (msgspec.ValidationError, FrameError, ArithmeticError) as exc:
            self._u, self._rows, self._sides = -1, ([], []), None
            return unreadable("quote", name, received_ts, exc)
        except msgspec.MsgspecError:
            self._u, self._rows, self._sides = -1, ([], []), None
            raise
        return (RepeatedQuote(quote),) if is_repeated else (quote,)

    def _quote(self, b: Rows, a: Rows, made_ts: int, received_ts: int) -> Quote[AnyNumber]:
        key = self._instrument.venue, self._instrument.name, made_ts, received_ts
        if self._in_base_units:
            if b and a:
                (bid, bid_size), (ask, ask_size) = b[0], a[0]
                if are_four_amounts(f"{bid} {bid_size} {ask} {ask_size}"):
                    return Quote(*key, Unchecked(bid), Unchecked(bid_size), Unchecked(ask), Unchecked(ask_size))
            return Quote(*key, *(amounts_of_side(*b[0]) if b else (None, None)), *(amounts_of_side(*a[0]) if a else (None, None)))
        return Quote(*key, *self._base(b), *self._base(a))

    def _base(self, rows: Rows) -> tuple[Decimal, Decimal] | tuple[None, None]:
        price, size = side_of(*rows[0]) if rows else (None, None)
        return (None, None) if price is None or size is None else (price, base_size(self._instrument, size, price))

    def _changed(self, raw: RawBook) -> tuple[Rows, Rows]:
        """Return the best level of each side after a change. Raises `FrameError` if it does not follow the frame before."""
        if raw.u != self._u + 1:
            raise FrameError(f"a change {raw.u} after {self._u}")
        sides = self._sides = self._sides or (dict(self._rows[0]), dict(self._rows[1]))
        for side, rows in zip(sides, (raw.b, raw.a), strict=True):
            for price, size in rows:
                if figure(size):
                    side[price] = size
                else:
                    side.pop(price, None)
        bids, asks = sides
        return sorted(bids.items(), key=_price, reverse=True)[:1], sorted(asks.items(), key=_price)[:1]


def _price(row: tuple[str, str]) -> Decimal:
    return figure(row[0])


def book_route(instrument: Instrument, depth: int) -> Route:
    """`orderbook.DEPTH`: a snapshot, then changed levels; a snapshot at any time replaces the book."""
    name, in_base_units = instrument.name, is_in_base_units(instrument)

    def levels(rows: Rows) -> list[Level]:
        if in_base_units:
            return [(known_price(price), number(size)) for price, size in rows]
        return [base_level(instrument, known_price(price), number(size)) for price, size in rows]

    def route(data: bytes, received_ts: int) -> Sequence[Output]:
        try:
            frame = _book(data)
            raw = frame.data
            bids, asks = levels(raw.b), levels(raw.a)
            if (not data.isascii() or BACKSLASH in data) and not all(p.isascii() and s.isascii() for p, s in (*raw.b, *raw.a)):
                raise NotANumber("digits that are not ASCII")
            if frame.type == "snapshot" or raw.u == RESTARTED:
                return (BookSnapshot(name, frame.made_ts, received_ts, bids, asks, raw.u, depth=depth),)
            if frame.type == "delta":
                return (BookUpdate(name, frame.made_ts, received_ts, bids, asks, raw.u, raw.u),)
            raise FrameError(f"neither snapshot nor delta: {frame.type[:20]!r}")
        except (msgspec.ValidationError, FrameError, ArithmeticError) as exc:
            return Odd("book", f"{name}: {exc}"), unread(name, received_ts)

    return route


def chain(update: BookUpdate, sequence: int) -> Verdict:
    """Whether a change follows that number: one that does not, older ones too, shows that the book is not the venue's any more."""
    return Verdict.APPLY if update.last == sequence + 1 else Verdict.BREAK


def liquidation_route(instrument: Instrument) -> Route:
    """`allLiquidation`: every forced order, twice a second."""

    def route(data: bytes, received_ts: int) -> Sequence[Output]:
        odd: list[Odd] = []
        rows = raw_rows(data).data
        good = readable(rows, lambda raw: _liquidation(instrument, _forced(raw), received_ts), f"liquidation of {instrument.name}", odd)
        return [*good, *odd]

    return route


def old_liquidation_route(instrument: Instrument) -> Route:
    """`liquidation`, which the venue ended in 2025: at most one a second."""
    return lambda data, received_ts: (_liquidation(instrument, _old_forced(data).data, received_ts),)


def _liquidation(instrument: Instrument, raw: RawForced | RawOldForced, received_ts: int) -> Liquidation:
    price, size = trade_numbers(raw.p, raw.v, f"liquidation of {instrument.name}")
    side = FORCED.get(raw.S)
    return Liquidation(instrument.venue, instrument.name, epoch_ns(raw.T), received_ts, side, price, base_size(instrument, size, price))
