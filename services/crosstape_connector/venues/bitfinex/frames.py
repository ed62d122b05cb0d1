"""The frames of Bitfinex's WebSocket v2, and their decoders. Numbers are JSON numbers whose digits matter.

Data are arrays: `[chanId, payload]` or `[chanId, "te", payload]`, then the connection's number and the server's time in ms, as far as the
flags ask for them. All else are objects with `event`.
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from crosstape_connector.venues.parsing.numbers import known_price
from crosstape_connector.venues.parsing.wire import Serial, Stamp

NONE: Final = msgspec.Raw(b"")
ROW_DEPTH: Final = 2
"""Brackets around a row of a snapshot."""


class DataFrame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    chan: int
    what: msgspec.Raw
    first: msgspec.Raw = NONE
    second: msgspec.Raw = NONE
    third: msgspec.Raw = NONE


class RawLevel(msgspec.Struct, frozen=True, array_like=True, gc=False):
    price: Decimal
    count: int
    amount: Decimal


class PlainLevel(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """Its numbers are `int` and `Decimal`, unless they are something else."""

    price: Any
    count: Serial
    amount: Any


class ChangeFrame(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """One changed level of a book, which most frames are."""

    chan: int
    level: PlainLevel
    number: Serial | None = None
    mts: Stamp | None = None


class RawTrade(msgspec.Struct, frozen=True, array_like=True, gc=False):
    id: Serial
    mts: Stamp
    amount: Decimal
    price: Decimal


class RawTicker(msgspec.Struct, frozen=True, array_like=True, gc=False):
    bid: Decimal | None
    bid_size: Decimal | None
    ask: Decimal | None
    ask_size: Decimal | None
    change: Decimal | None
    change_relative: Decimal | None
    last: Decimal | None
    volume: Decimal | None
    high: Decimal | None
    low: Decimal | None


class RawCandle(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The close stands before the high."""

    mts: Stamp
    open: Decimal
    close: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal


class RawDerivative(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`deriv:` status. Older servers send fewer elements."""

    mts: Stamp
    _1: msgspec.Raw = NONE
    last: Decimal | None = None
    index: Decimal | None = None
    _4: msgspec.Raw = NONE
    insurance: msgspec.Raw = NONE
    _6: msgspec.Raw = NONE
    next_mts: Stamp | None = None
    accrued: Decimal | None = None
    step: msgspec.Raw = NONE
    _10: msgspec.Raw = NONE
    funding: Decimal | None = None
    _12: msgspec.Raw = NONE
    _13: msgspec.Raw = NONE
    mark: Decimal | None = None
    _15: msgspec.Raw = NONE
    _16: msgspec.Raw = NONE
    open_interest: Decimal | None = None


class RawLiquidation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    kind: str
    position: int
    mts: Decimal
    _3: msgspec.Raw
    symbol: str
    amount: Decimal
    base_price: Decimal
    _7: msgspec.Raw
    is_match: int
    is_market_sold: int | None
    _10: msgspec.Raw
    price: Decimal


class RawPlatform(msgspec.Struct, frozen=True):
    status: int


class EventFrame(msgspec.Struct, frozen=True):
    event: str
    channel: str = ""
    chan_id: int | None = msgspec.field(default=None, name="chanId")
    symbol: str = ""
    key: str = ""
    prec: str = ""
    len: str | int = ""
    sub_id: str | int = msgspec.field(default="", name="subId")
    code: int | None = None
    msg: str = ""
    version: int | None = None
    platform: RawPlatform | None = None
    flags: int | None = None
    status: str = ""

    @property
    def request_id(self) -> int | None:
        """The number of our request; None for an id that is not ours."""
        text = str(self.sub_id)
        return int(text) if text.isdecimal() and text.isascii() and len(text) < 20 else None

    @property
    def handle(self) -> str:
        """What the venue calls the subscription; empty if it does not say."""
        return "" if self.chan_id is None else str(self.chan_id)


decode_change = msgspec.json.Decoder(ChangeFrame, float_hook=known_price).decode
"""Raises one of `FRAME_ERRORS` or an `ArithmeticError`."""
decode_data = msgspec.json.Decoder(DataFrame).decode
decode_event = msgspec.json.Decoder(EventFrame).decode
decode_level = msgspec.json.Decoder(RawLevel).decode
decode_levels = msgspec.json.Decoder(list[RawLevel]).decode
decode_trade = msgspec.json.Decoder(RawTrade).decode
decode_trades = msgspec.json.Decoder(list[RawTrade]).decode
decode_ticker = msgspec.json.Decoder(RawTicker).decode
decode_candle = msgspec.json.Decoder(RawCandle).decode
decode_derivative = msgspec.json.Decoder(RawDerivative).decode
decode_liquidation = msgspec.json.Decoder(RawLiquidation).decode
decode_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode
decode_number = msgspec.json.Decoder(Serial).decode
decode_checksum = msgspec.json.Decoder(int).decode
