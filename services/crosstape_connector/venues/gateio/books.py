"""Gate's books on the stream (`obu`): a full one first, then changes in which each number follows the one before.

Quirks  the stream's name says pair and depth: `ob.BTC_USDT.50`. Sizes are texts, of contracts also integers. A frame without levels still
        moves the number on. A full book may come at any time, and replaces the one before. Levels of a change stand in any order; one that
        leaves the depth is sent with size 0
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from decimal import Context
from typing import Final

import msgspec

from crosstape_connector.errors import FrameError, NotANumber
from crosstape_connector.venues.gateio.connection import Envelope, Head
from crosstape_connector.venues.gateio.values import MS
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, Output
from crosstape_connector.venues.parsing.contracts import base_size
from crosstape_connector.venues.parsing.numbers import known_price, number
from crosstape_connector.venues.parsing.wire import ZERO, Serial, Stamp
from crosstape_connector.venues.spec import Symbols, Verdict, lookup
from crosstape_schemas import Instrument, Level

DEPTHS: Final = (50, 400)
"""Levels a side: every 20 ms, and every 100 ms."""
Row = tuple[str, str | int]
"""Price and size of a level."""
Rows = Sequence[Row]
_multiply: Final = Context(prec=100).multiply


class RawBook(msgspec.Struct, frozen=True, gc=False):
    t: Stamp
    s: str
    u: Serial
    U: Serial | None = None
    full: bool = False
    b: list[Row] | None = None
    a: list[Row] | None = None


class Books:
    """The streams of one connection. Of an instrument that has two, as a recording may, the one that speaks first is its book."""

    __slots__ = ("_depths", "_streams", "_symbols")

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._streams: dict[str, tuple[Instrument, int]] = {}
        self._depths: dict[str, int] = {}  # by symbol

    def read(self, raw: RawBook, frame: Head | Envelope, received_ts: int) -> Sequence[Output]:
        """A full book, or the changes since the frame before."""
        instrument, depth = self._streams.get(raw.s) or self._meet(raw.s)
        if not depth:
            return ()
        bids, asks = levels(instrument, raw.b or ()), levels(instrument, raw.a or ())
        if type(frame) is Envelope:  # not plain ASCII, or refused already
            check_digits(*(raw.b or ()), *(raw.a or ()))
        if raw.full:
            return (BookSnapshot(instrument.name, raw.t * MS, received_ts, bids, asks, raw.u, depth=depth),)
        if raw.U is None:
            raise FrameError(f"changes of {raw.s!r} without their first number")
        return (BookUpdate(instrument.name, raw.t * MS, received_ts, bids, asks, raw.U, raw.u),)

    def _meet(self, stream: str) -> tuple[Instrument, int]:
        """Return the instrument and the depth of a new stream; 0: the book is another stream's."""
        kind, _, rest = stream.partition(".")
        symbol, _, depth = rest.rpartition(".")
        if kind != "ob" or not depth.isdecimal() or len(depth) > 4:
            raise FrameError(f"not a stream of a book: {stream[:80]!r}")
        instrument = lookup(self._symbols, symbol)
        is_first = self._depths.setdefault(symbol, int(depth)) == int(depth)
        found = self._streams[stream] = instrument, int(depth) if is_first else 0
        return found


def levels(instrument: Instrument, rows: Rows) -> list[Level]:
    """Return levels with sizes in base units; what is no size is left to the book's own check. Raises `ArithmeticError` for no number."""
    unit = instrument.contract_size
    if instrument.inverse:
        made = [(known_price(price), number(size)) for price, size in rows]
        return [(price, base_size(instrument, size, price) if price > ZERO and size else size) for price, size in made]
    if unit == 1:
        return [(known_price(price), number(size)) for price, size in rows]
    return [(known_price(price), _multiply(number(size), unit)) for price, size in rows]


def check_digits(*rows: Row) -> None:
    """Raise `NotANumber` for levels whose digits are not ASCII."""
    if not all(price.isascii() and str(size).isascii() for price, size in rows):
        raise NotANumber("digits that are not ASCII")


def follows(update: BookUpdate, sequence: int) -> Verdict:
    """Whether changes follow that number: they begin with the next one."""
    if update.first == sequence + 1:
        return Verdict.APPLY
    return Verdict.SKIP if update.last is not None and update.last <= sequence else Verdict.BREAK
