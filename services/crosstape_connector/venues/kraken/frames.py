"""The frames of Kraken's WebSocket v2, and their decoders. Numbers are JSON numbers whose digits matter."""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec

from crosstape_connector.venues.kraken.candles import RawCandle
from crosstape_connector.venues.kraken.candles import decode_row as decode_candle
from crosstape_connector.venues.parsing.rows import rows_decoder
from crosstape_connector.venues.parsing.wire import Serial


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    side: str
    price: Decimal
    qty: Decimal
    trade_id: Serial
    timestamp: str


class RawTicker(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    bid: Decimal
    bid_qty: Decimal
    ask: Decimal
    ask_qty: Decimal
    last: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    volume: Decimal | None = None
    change: Decimal | None = None
    timestamp: str | None = None


class QuoteRow(msgspec.Struct, frozen=True):
    """The quote of a ticker row whose other figures cannot be read."""

    symbol: str
    bid: msgspec.Raw
    bid_qty: msgspec.Raw
    ask: msgspec.Raw
    ask_qty: msgspec.Raw
    timestamp: str | None = None


class RawLevel(msgspec.Struct, frozen=True, gc=False):
    price: Decimal
    qty: Decimal


class RawBook(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    bids: list[RawLevel]
    asks: list[RawLevel]
    checksum: int | None = None
    timestamp: str | None = None


class Named(msgspec.Struct, frozen=True):
    """The symbol of a row in which nothing else can be read."""

    symbol: str


class RawStatus(msgspec.Struct, frozen=True):
    system: str


class TradeFrame(msgspec.Struct, frozen=True, tag_field="channel", tag="trade"):
    type: str
    data: list[RawTrade]


class TickerFrame(msgspec.Struct, frozen=True, tag_field="channel", tag="ticker"):
    type: str
    data: list[RawTicker]


class BookFrame(msgspec.Struct, frozen=True, tag_field="channel", tag="book"):
    type: str
    data: list[RawBook]


class StatusFrame(msgspec.Struct, frozen=True, tag_field="channel", tag="status"):
    data: list[RawStatus]


class HeartbeatFrame(msgspec.Struct, frozen=True, tag_field="channel", tag="heartbeat"):
    pass


class OhlcFrame(msgspec.Struct, frozen=True, tag_field="channel", tag="ohlc"):
    type: str
    data: list[RawCandle]
    timestamp: str | None = None


class InstrumentFrame(msgspec.Struct, frozen=True, tag_field="channel", tag="instrument"):
    pass


class Level3Frame(msgspec.Struct, frozen=True, tag_field="channel", tag="level3"):
    pass


Frame = TradeFrame | TickerFrame | BookFrame | StatusFrame | HeartbeatFrame | OhlcFrame | InstrumentFrame | Level3Frame


class RowsFrame(msgspec.Struct, frozen=True):
    """A frame in which a row cannot be read: each is decoded apart."""

    channel: str
    data: list[msgspec.Raw]
    type: str = ""
    timestamp: str | None = None


class RawResult(msgspec.Struct, frozen=True):
    channel: str | None = None
    symbol: str | None = None
    depth: int | None = None
    interval: int | None = None


class ReplyFrame(msgspec.Struct, frozen=True):
    """A reply, or a complaint."""

    channel: str | None = None
    method: str | None = None
    req_id: int | None = None
    success: bool | None = None
    result: RawResult | None = None
    symbol: str | None = None
    error: str | None = None
    complaint: str | None = msgspec.field(default=None, name="Error")


ROW_DEPTH: Final = 2
"""Brackets around a row."""
CHANNELS: Final = frozenset({"trade", "ticker", "book", "status", "heartbeat", "ohlc", "instrument", "level3"})
decode_frame = msgspec.json.Decoder(Frame).decode
decode_reply = rows_decoder(ReplyFrame, ROW_DEPTH)
decode_rows = rows_decoder(RowsFrame, ROW_DEPTH)
decode_quote_row = msgspec.json.Decoder(QuoteRow).decode
decode_number = msgspec.json.Decoder(Decimal).decode
decode_named = msgspec.json.Decoder(Named).decode
DECODE_ROW: Final[dict[str, Callable[[msgspec.Raw], Any]]] = {
    "trade": msgspec.json.Decoder(RawTrade).decode,
    "ticker": msgspec.json.Decoder(RawTicker).decode,
    "book": msgspec.json.Decoder(RawBook).decode,
    "status": msgspec.json.Decoder(RawStatus).decode,
    "ohlc": decode_candle,
}
"""Channel → the decoder of one of its rows."""
