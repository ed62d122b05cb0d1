"""The frames of HTX's contracts, and their decoders."""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from crosstape_connector.venues.htx.values import Frame, Rows, TimedFrame
from crosstape_connector.venues.parsing.wire import Serial, Stamp


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    id: Serial
    ts: Stamp
    amount: Decimal
    price: Decimal
    direction: str


class RawTop(msgspec.Struct, frozen=True, gc=False):
    ts: Stamp
    bid: tuple[Decimal, Decimal] | None = None
    ask: tuple[Decimal, Decimal] | None = None


class RawDay(msgspec.Struct, frozen=True, gc=False):
    vol: Decimal
    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    close: Decimal | None = None
    amount: Decimal | None = None
    turnover: Decimal | None = msgspec.field(name="trade_turnover", default=None)


class RawClose(msgspec.Struct, frozen=True, gc=False):
    close: str


class RawNamed(msgspec.Struct, frozen=True):
    code: str = msgspec.field(name="contract_code", default="")


class RawHeartbeat(msgspec.Struct, frozen=True):
    heartbeat: int


decode_trades: Final = msgspec.json.Decoder(Frame[Rows[RawTrade]]).decode
decode_trade: Final = msgspec.json.Decoder(RawTrade).decode
decode_top: Final = msgspec.json.Decoder(Frame[RawTop]).decode
decode_day: Final = msgspec.json.Decoder(TimedFrame[RawDay]).decode
decode_close: Final = msgspec.json.Decoder(TimedFrame[RawClose]).decode
decode_raws: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
decode_named: Final = msgspec.json.Decoder(RawNamed).decode
decode_heartbeat: Final = msgspec.json.Decoder(RawHeartbeat).decode
