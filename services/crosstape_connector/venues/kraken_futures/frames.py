"""The frames of Kraken Futures' WebSocket, and their decoders. Numbers are JSON numbers."""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

import msgspec

from crosstape_connector.errors import NotANumber
from crosstape_connector.venues.parsing.numbers import BACKSLASH, SPACE, check
from crosstape_connector.venues.parsing.wire import Serial, Stamp


class RawLevel(msgspec.Struct, frozen=True, gc=False):
    price: Decimal
    qty: Decimal


class BookFrame(msgspec.Struct, frozen=True, gc=False, tag_field="feed", tag="book"):
    product_id: str
    side: str
    seq: Serial
    price: Decimal
    qty: Decimal
    timestamp: Stamp


class SnapshotFrame(msgspec.Struct, frozen=True, gc=False, tag_field="feed", tag="book_snapshot"):
    product_id: str
    seq: Serial
    timestamp: Stamp
    bids: list[RawLevel]
    asks: list[RawLevel]


class TradeFrame(msgspec.Struct, frozen=True, gc=False, tag_field="feed", tag="trade"):
    product_id: str
    side: str
    seq: Serial
    time: Stamp
    qty: Decimal
    price: Decimal
    type: str = "fill"


class TradesFrame(msgspec.Struct, frozen=True, gc=False, tag_field="feed", tag="trade_snapshot"):
    product_id: str
    trades: list[msgspec.Raw]


class TickerFrame(msgspec.Struct, frozen=True, gc=False, tag_field="feed", tag="ticker"):
    product_id: str
    time: Stamp
    mark: Decimal | None = msgspec.field(name="markPrice", default=None)
    index: Decimal | None = None
    last: Decimal | None = None
    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    volume: Decimal | None = None
    turnover: Decimal | None = msgspec.field(name="volumeQuote", default=None)
    interest: Decimal | None = msgspec.field(name="openInterest", default=None)
    rate: Decimal | None = msgspec.field(name="relative_funding_rate", default=None)
    next_ms: Stamp | None = msgspec.field(name="next_funding_rate_time", default=None)


class HeartbeatFrame(msgspec.Struct, frozen=True, tag_field="feed", tag="heartbeat"):
    pass


class Head(msgspec.Struct, frozen=True):
    """A reply, or the parts that say what a frame is of, of one in which a value cannot be read."""

    event: str = ""
    feed: str = ""
    product_id: str = ""
    product_ids: tuple[str, ...] = ()
    message: str = ""


decode_frame = msgspec.json.Decoder(BookFrame | SnapshotFrame | TradeFrame | TradesFrame | TickerFrame | HeartbeatFrame).decode
decode_trade = msgspec.json.Decoder(TradeFrame).decode
decode_head = msgspec.json.Decoder(Head).decode
_text_number: Final = re.compile(
    rb'"(?:price|qty|markPrice|index|last|open|high|low|volume|volumeQuote|openInterest|relative_funding_rate)"\s*:\s*"'
).search
_PRICE, _SIZE = b'"price":"', b'"qty":"'


def check_level(data: bytes) -> None:
    """Raise `NotANumber` if the price or the size of a level or trade is a text, which `Decimal` may read: `"9_1"`."""
    if _PRICE in data or _SIZE in data or SPACE in data or BACKSLASH in data:
        check_numbers(data)


def check_numbers(data: bytes) -> None:
    """Raise `NotANumber` for a text where the venue writes a number."""
    if _text_number(data):
        raise NotANumber("text in place of a number")
    if BACKSLASH in data:
        check(data)
