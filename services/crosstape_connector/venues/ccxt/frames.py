"""The frames between the bridge and the parser: the library's results as JSON, one a frame. Both sides use these structs, and captures
hold them.

Numbers are texts where the library has the exchange's text, else JSON numbers: the shortest that mean the same binary number.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

Value = Decimal | None
"""A number that the library may not have."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """One trade."""

    price: Any
    amount: Any
    id: str | None = None
    ns: int | None = None
    """When it was made, ns since the epoch."""
    side: str | None = None


class Trades(msgspec.Struct, frozen=True, tag_field="t", tag="trades"):
    """Trades, oldest first."""

    s: str
    """The symbol."""
    since: int
    """When the stream was subscribed, ns since the epoch: what was traded before was replayed."""
    rows: list[msgspec.Raw]


class Book(msgspec.Struct, frozen=True, tag_field="t", tag="book"):
    """The best levels of a book, as they were when it changed."""

    s: str
    bids: list[tuple[Decimal, Decimal]]
    asks: list[tuple[Decimal, Decimal]]
    timestamp: int | None = None


class BidAsk(msgspec.Struct, frozen=True, tag_field="t", tag="bidsasks", rename="camel"):
    """Best bid and ask."""

    s: str
    bid: Value = None
    bid_volume: Value = None
    ask: Value = None
    ask_volume: Value = None
    timestamp: int | None = None


class Ticker(msgspec.Struct, frozen=True, tag_field="t", tag="ticker", rename="camel"):
    """Rolling 24 hours."""

    s: str
    last: Value = None
    open: Value = None
    high: Value = None
    low: Value = None
    base_volume: Value = None
    quote_volume: Value = None
    change: Value = None
    timestamp: int | None = None


class Candles(msgspec.Struct, frozen=True, tag_field="t", tag="ohlcv"):
    """Candles, oldest first; each `[ms, open, high, low, close, volume]`."""

    s: str
    timeframe: str
    rows: list[tuple[int, Decimal, Decimal, Decimal, Decimal, Decimal]]


class Ready(msgspec.Struct, frozen=True, tag_field="t", tag="ready"):
    """A request was carried out."""

    channel: str
    symbols: tuple[str, ...]
    subscribed: bool = True
    id: int | None = None


class Refused(msgspec.Struct, frozen=True, tag_field="t", tag="refused"):
    """A stream cannot be had, or has failed too often."""

    channel: str
    symbol: str
    reason: str


class Broken(msgspec.Struct, frozen=True, tag_field="t", tag="broken"):
    """Data of these symbols may be missing from a stream that goes on."""

    channel: str
    symbols: tuple[str, ...]
    reason: str


class Bad(msgspec.Struct, frozen=True, tag_field="t", tag="bad"):
    """The library could not handle a frame of the exchange."""

    error: str
    frame: str
    """The beginning of that frame."""


class Alive(msgspec.Struct, frozen=True, tag_field="t", tag="alive"):
    """The exchange has sent something since the frame of this kind before."""


Frame = Trades | Book | BidAsk | Ticker | Candles | Ready | Refused | Broken | Bad | Alive


class Order(msgspec.Struct, frozen=True):
    """A request to the bridge."""

    op: str
    """`subscribe` or `unsubscribe`."""
    channel: str
    symbols: tuple[str, ...]
    id: int
    depth: int
