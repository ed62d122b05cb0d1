"""Deribit's frames as structs, their decoders, and the names of channels. What frames mean, `stream` says."""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from decimal import Decimal
from typing import Final, Generic, TypeVar

import msgspec

from crosstape_connector.venues.parsing.wire import Serial, Stamp

CANDLES: Final = "chart.trades"
T = TypeVar("T")
NOTHING: Final = msgspec.Raw(b"null")


class RawQuote(msgspec.Struct, frozen=True, gc=False):
    timestamp: Stamp
    bid: Decimal | None = msgspec.field(name="best_bid_price")
    bid_size: Decimal | None = msgspec.field(name="best_bid_amount")
    ask: Decimal | None = msgspec.field(name="best_ask_price")
    ask_size: Decimal | None = msgspec.field(name="best_ask_amount")


Level = tuple[str, Decimal, Decimal]
"""What is done, price, amount."""
Grouped = tuple[Decimal, Decimal]
"""Price and amount, in a book of some levels."""


class RawBook(msgspec.Struct, Generic[T], frozen=True, gc=False):
    timestamp: Stamp
    change_id: Serial
    bids: list[T]
    asks: list[T]
    type: str = ""
    prev_change_id: Serial | None = None


class RawStats(msgspec.Struct, frozen=True, gc=False):
    high: Decimal | None = None
    low: Decimal | None = None
    volume: Decimal | None = None
    volume_usd: Decimal | None = None
    volume_notional: Decimal | None = None


class RawTicker(msgspec.Struct, frozen=True, gc=False):
    timestamp: Stamp
    last_price: Decimal | None = None
    mark_price: Decimal | None = None
    index_price: Decimal | None = None
    open_interest: Decimal | None = None
    current_funding: Decimal | None = None
    stats: RawStats = RawStats()


class RawPerpetual(msgspec.Struct, frozen=True, gc=False):
    timestamp: Stamp
    interest: Decimal


class RawCandle(msgspec.Struct, frozen=True, gc=False):
    tick: Stamp
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    cost: Decimal


class Params(msgspec.Struct, Generic[T], frozen=True, gc=False):
    channel: str
    data: T


class Frame(msgspec.Struct, Generic[T], frozen=True, gc=False):
    params: Params[T]


class AnyParams(msgspec.Struct, frozen=True):
    channel: str = ""
    type: str = ""
    data: msgspec.Raw = NOTHING


class RawError(msgspec.Struct, frozen=True):
    code: int = 0
    message: str = ""


class AnyFrame(msgspec.Struct, frozen=True):
    method: str = ""
    params: AnyParams = AnyParams()
    id: int | str | None = None
    result: msgspec.Raw = NOTHING
    error: RawError | None = None


decode_any = msgspec.json.Decoder(AnyFrame).decode
decode_perpetual = msgspec.json.Decoder(RawPerpetual).decode
decode_names = msgspec.json.Decoder(list[str]).decode


def split(name: str) -> tuple[str, str]:
    """Return the channel, as the venue's table calls it, and the symbol: `book.BTC-PERPETUAL.100ms` → `book.100ms`, `BTC-PERPETUAL`."""
    kind, _, rest = name.partition(".")
    if kind == "chart":
        kind, _, rest = CANDLES, "", rest.partition(".")[2]
    symbol, _, interval = rest.partition(".")
    return f"{kind}.{interval}" if interval else kind, symbol


def joined(channel: str, symbol: str) -> str:
    """Return the venue's name of a subscription."""
    kind, _, interval = channel.rpartition(".")
    return f"{kind}.{symbol}.{interval}" if kind else f"{channel}.{symbol}"
