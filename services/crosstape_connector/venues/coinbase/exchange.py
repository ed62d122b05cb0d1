"""Coinbase's Exchange dialect: flat frames, whose `type` says what they are.

Quirks  of a match `side` is the maker's, of a ticker the taker's (not read); acknowledgements call channels by other names than they were
        asked for by; a book's time may be that of the year 1
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from typing import Final, assert_never

import msgspec

from crosstape_connector.errors import JSON_ERRORS, UnknownFrame, UnknownSymbol
from crosstape_connector.venues.coinbase.products import Products
from crosstape_connector.venues.coinbase.values import ID, TAKER, moment, number, refused
from crosstape_connector.venues.messages import Ack, Heartbeat, LastTrade, Output, unreadable
from crosstape_connector.venues.parsing.rows import mended, rows_decoder
from crosstape_connector.venues.parsing.wire import Serial, known_ns, trade_numbers
from crosstape_connector.venues.spec import Request, Symbols, Verb
from crosstape_schemas import Ticker, Trade


class Match(msgspec.Struct, frozen=True, gc=False):
    product_id: str
    trade_id: Serial
    price: str
    size: str
    side: str
    time: str


class MatchFrame(Match, frozen=True, gc=False, tag="match"):
    pass


class LastMatchFrame(Match, frozen=True, gc=False, tag="last_match"):
    pass


class TickerFrame(msgspec.Struct, frozen=True, gc=False, tag="ticker"):
    product_id: str
    price: str | None = None
    open_24h: str | None = None
    high_24h: str | None = None
    low_24h: str | None = None
    volume_24h: str | None = None
    time: str | None = None


class HeartbeatFrame(msgspec.Struct, frozen=True, tag="heartbeat"):
    product_id: str
    last_trade_id: Serial
    time: str


class ChannelProducts(msgspec.Struct, frozen=True):
    name: str
    product_ids: list[str] = []


class SubscriptionsFrame(msgspec.Struct, frozen=True, tag="subscriptions"):
    channels: list[ChannelProducts]


class ErrorFrame(msgspec.Struct, frozen=True, tag="error"):
    message: str = ""
    reason: str = ""


class StatusFrame(msgspec.Struct, frozen=True, tag="status"):
    products: list[msgspec.Raw]


class TypedFrame(msgspec.Struct, frozen=True):
    type: str
    product_id: str = ""


Frame = MatchFrame | LastMatchFrame | TickerFrame | HeartbeatFrame | SubscriptionsFrame | ErrorFrame | StatusFrame
ROW_DEPTH: Final = 2
"""Brackets around a product's status, or a level."""
TYPES: Final = frozenset({"match", "last_match", "ticker", "heartbeat", "subscriptions", "error", "status"})
OTHER_TYPES: Final = frozenset({"received", "open", "done", "change", "activate", "auction", "rfq_match", "balance", "level3"})
"""Of channels that hold orders, auctions and balances: known, and nothing for the tape."""
CHANNEL_ALIASES: Final = {"level2_50": "level2_batch", "ticker_1000": "ticker_batch"}
"""What acknowledgements call a channel → what it was asked for as."""

_frame = msgspec.json.Decoder(Frame).decode
decode_typed = rows_decoder(TypedFrame, ROW_DEPTH)
_encode = msgspec.json.encode


class Parser:
    """Frames of one connection. Nothing in it is numbered but the trades."""

    __slots__ = ("_products",)

    def __init__(self, symbols: Symbols) -> None:
        self._products = Products(symbols)

    def __call__(self, data: bytes, received_ts: int) -> list[Output]:
        """See `spec.Parser`."""
        try:
            frame = _frame(data)
        except msgspec.ValidationError as exc:
            return self.other(data, received_ts, exc)
        except JSON_ERRORS as exc:
            try:
                return Parser.__call__(self, mended(data, ROW_DEPTH), received_ts)
            except UnknownSymbol:  # it may be a name that we know, of which a part cannot be read
                raise exc from None
        match frame:
            case MatchFrame():
                return self._match(frame, received_ts, replayed=False)
            case TickerFrame():
                return self._ticker(frame, received_ts)
            case HeartbeatFrame(product_id=product, last_trade_id=trade_id, time=time):
                return [Heartbeat(), LastTrade(self._products[product], known_ns(time), received_ts, trade_id)]
            case LastMatchFrame():
                return self._match(frame, received_ts, replayed=True)
            case SubscriptionsFrame(channels=channels):
                return [Ack(channel=CHANNEL_ALIASES.get(c.name, c.name), symbols=self._products.asked(c.product_ids)) for c in channels]
            case ErrorFrame(message=message, reason=reason):
                return [refused(message, reason)]
            case StatusFrame(products=rows):
                return self._products.statuses(rows, received_ts)
            case _:
                assert_never(frame)

    def other(self, data: bytes, received_ts: int, refused: msgspec.ValidationError) -> list[Output]:
        """A frame of no type that is read here, or one that has not the form of its type: raises `refused` then."""
        frame = decode_typed(data)
        if frame.type == "ticker" and (instrument := self._products.get(frame.product_id)) is not None:
            return [*unreadable("ticker", instrument, received_ts, refused)]
        if frame.type in TYPES:
            raise refused
        if frame.type in OTHER_TYPES:
            return []
        raise UnknownFrame(f"type {frame.type!r}") from None

    def _match(self, raw: Match, received_ts: int, *, replayed: bool) -> list[Output]:
        """`last_match` is the trade before the subscription: it was published already, or it is the first that the tape knows."""
        price, size = trade_numbers(raw.price, raw.size, "a trade")
        outputs: list[Output] = []
        instrument, venue_ts, taker = self._products[raw.product_id], moment(raw.time, outputs), TAKER.get(raw.side)
        outputs.append(Trade(ID, instrument, venue_ts, received_ts, price, size, taker, str(raw.trade_id), replayed))
        return outputs

    def _ticker(self, raw: TickerFrame, received_ts: int) -> list[Output]:
        """The day's figures. Its best bid and ask are those of the last trade, not of now: no quote."""
        outputs: list[Output] = []
        venue_ts = moment(raw.time, outputs)
        outputs.append(
            Ticker(
                ID, self._products[raw.product_id], venue_ts, received_ts,
                number(raw.price), number(raw.open_24h), number(raw.high_24h), number(raw.low_24h), number(raw.volume_24h),
            )
        )  # fmt: skip
        return outputs


def request(verb: Verb, request: Request) -> bytes:
    """With the trades come heartbeats of each product, which name its newest trade."""
    names = ["matches", "heartbeat"] if request.channel == "matches" else [request.channel]
    return _encode({"type": verb, "product_ids": request.symbols, "channels": names})
