"""Hyperliquid's frames as structs, and their decoders. What they mean, `stream` says."""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

import msgspec

from crosstape_connector.venues.hyperliquid.values import RawCandle, RawLevel, Tid
from crosstape_connector.venues.parsing.numbers import Unchecked
from crosstape_connector.venues.parsing.wire import Stamp


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    coin: str
    side: str
    px: Unchecked
    sz: Unchecked
    time: Stamp
    tid: Tid


class RawTop(msgspec.Struct, frozen=True, gc=False):
    coin: str
    time: Stamp
    bbo: list[RawLevel | None]


class RawBook(msgspec.Struct, frozen=True, gc=False):
    coin: str
    time: Stamp
    levels: tuple[list[RawLevel], list[RawLevel]]
    fast: bool = False


class RawContext(msgspec.Struct, frozen=True, gc=False):
    mark: str | None = msgspec.field(name="markPx", default=None)
    oracle: str | None = msgspec.field(name="oraclePx", default=None)
    funding: str | None = None
    interest: str | None = msgspec.field(name="openInterest", default=None)
    open: str | None = msgspec.field(name="prevDayPx", default=None)
    base_volume: str | None = msgspec.field(name="dayBaseVlm", default=None)
    quote_volume: str | None = msgspec.field(name="dayNtlVlm", default=None)


class RawFigures(msgspec.Struct, frozen=True, gc=False):
    coin: str
    ctx: RawContext


class TradesFrame(msgspec.Struct, frozen=True, gc=False, tag_field="channel", tag="trades"):
    data: list[RawTrade]


class QuoteFrame(msgspec.Struct, frozen=True, gc=False, tag_field="channel", tag="bbo"):
    data: RawTop


class BookFrame(msgspec.Struct, frozen=True, gc=False, tag_field="channel", tag="l2Book"):
    data: RawBook


class CandleFrame(msgspec.Struct, frozen=True, gc=False, tag_field="channel", tag="candle"):
    data: RawCandle


class FiguresFrame(msgspec.Struct, frozen=True, gc=False, tag_field="channel", tag="activeAssetCtx"):
    data: RawFigures


class SpotFiguresFrame(msgspec.Struct, frozen=True, gc=False, tag_field="channel", tag="activeSpotAssetCtx"):
    data: RawFigures


class AnyFrame(msgspec.Struct, frozen=True):
    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class Named(msgspec.Struct, frozen=True):
    coin: str = ""
    s: str = ""
    i: str = ""


class Subscription(msgspec.Struct, frozen=True):
    type: str
    coin: str = ""
    interval: str = ""


class Answer(msgspec.Struct, frozen=True):
    method: str
    subscription: Subscription


Frame = TradesFrame | QuoteFrame | BookFrame | CandleFrame | FiguresFrame | SpotFiguresFrame
decode_frame = msgspec.json.Decoder(Frame).decode
decode_any = msgspec.json.Decoder(AnyFrame).decode
decode_named = msgspec.json.Decoder(Named).decode
decode_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
decode_trade = msgspec.json.Decoder(RawTrade).decode
decode_answer = msgspec.json.Decoder(Answer).decode
decode_subscription = msgspec.json.Decoder(Subscription).decode
decode_text = msgspec.json.Decoder(str).decode
