"""Coinbase's Exchange dialect: flat frames, told apart by `type`.

Quirks  of a match `side` is the maker's, of a ticker the taker's (not read); acknowledgements call channels by other names than they were
        asked for by; a book's time may be that of the year 1
Book    nothing is numbered: a change that cannot be read spoils its book, or every book of the connection if it does not name one, and
        nothing else would show it
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Sequence
from typing import Final, assert_never

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, JSON_ERRORS, FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.venues.coinbase.products import Products
from crosstape_connector.venues.coinbase.sequence_break import Breaks
from crosstape_connector.venues.coinbase.values import ID, TAKER, by_side, hides_best, level, moment, number, refused
from crosstape_connector.venues.messages import Ack, BookSnapshot, BookUpdate, Heartbeat, LastTrade, Odd, Output, unread, unreadable
from crosstape_connector.venues.parsing.rows import mended, rows_decoder
from crosstape_connector.venues.parsing.wire import Serial, known_ns, trade_numbers
from crosstape_connector.venues.spec import Request, Symbols, Verb
from crosstape_schemas import Ticker, Trade

SIDES: Final = ("buy", ("sell",))


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


class SnapshotFrame(msgspec.Struct, frozen=True, tag="snapshot"):
    product_id: str
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    time: str | None = None


class L2UpdateFrame(msgspec.Struct, frozen=True, gc=False, tag="l2update"):
    product_id: str
    changes: list[tuple[str, str, str]]
    time: str | None = None


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


Frame = (
    MatchFrame
    | LastMatchFrame
    | TickerFrame
    | HeartbeatFrame
    | SnapshotFrame
    | L2UpdateFrame
    | SubscriptionsFrame
    | ErrorFrame
    | StatusFrame
)
_ROW_DEPTH: Final = 2
"""Brackets around a product's status, or a level."""
TYPES: Final = frozenset({"match", "last_match", "ticker", "heartbeat", "snapshot", "l2update", "subscriptions", "error", "status"})
OTHER_TYPES: Final = frozenset({"received", "open", "done", "change", "activate", "auction", "rfq_match", "balance", "level3"})
"""Of channels that hold orders, auctions and balances: known, and nothing for the tape."""
CHANNEL_ALIASES: Final = {"level2_50": "level2_batch", "ticker_1000": "ticker_batch"}
"""What acknowledgements call a channel → what it was asked for as."""

_frame = msgspec.json.Decoder(Frame).decode
_typed = rows_decoder(TypedFrame, _ROW_DEPTH)
_encode = msgspec.json.encode


class Parser:
    """Frames of one connection. Nothing in it is numbered but the trades."""

    __slots__ = ("_breaks", "_products", "_times")

    def __init__(self, symbols: Symbols) -> None:
        self._products = Products(symbols)
        self._breaks = Breaks()
        self._times: dict[str, int] = {}  # newest time of each book: its next one may be that of the year 1

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `venue.Parser`. After a change of a book that could not be read, and names no book, all books are suspect."""
        try:
            outputs = self._parse(data, received_ts)
        except UnknownSymbol:
            raise
        except FRAME_ERRORS:
            if b"l2update" in data:
                self._breaks.found(received_ts, None)
            raise
        return self._breaks.told_before(outputs)

    def _parse(self, data: bytes, received_ts: int) -> list[Output]:
        try:
            frame = _frame(data)
        except msgspec.ValidationError as exc:
            kind = (typed := _typed(data)).type
            if kind == "l2update" and (instrument := self._products.get(typed.product_id)) is not None:
                return [Odd("book"), unread(instrument, received_ts)]
            if kind == "ticker" and (instrument := self._products.get(typed.product_id)) is not None:
                return [*unreadable("ticker", instrument, received_ts, exc)]
            if kind in TYPES:
                raise
            if kind in OTHER_TYPES:
                return []
            raise UnknownFrame(f"type {kind!r}") from None
        except JSON_ERRORS as exc:
            try:
                return self._parse(mended(data, _ROW_DEPTH), received_ts)
            except UnknownSymbol:  # it may be what cannot be read of a name that we know
                raise exc from None
        match frame:
            case L2UpdateFrame():
                return self._update(frame, received_ts)
            case MatchFrame():
                return self._match(frame, received_ts, replayed=False)
            case TickerFrame():
                return self._ticker(frame, received_ts)
            case HeartbeatFrame(product_id=product, last_trade_id=trade_id, time=time):
                return [Heartbeat(), LastTrade(self._products[product], known_ns(time), received_ts, trade_id)]
            case LastMatchFrame():
                return self._match(frame, received_ts, replayed=True)
            case SnapshotFrame():
                return self._snapshot(frame, received_ts)
            case SubscriptionsFrame(channels=channels):
                return [Ack(channel=CHANNEL_ALIASES.get(c.name, c.name), symbols=self._products.asked(c.product_ids)) for c in channels]
            case ErrorFrame(message=message, reason=reason):
                return [refused(message, reason)]
            case StatusFrame(products=rows):
                return self._products.statuses(rows, received_ts)
            case _:
                assert_never(frame)

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

    def _snapshot(self, raw: SnapshotFrame, received_ts: int) -> list[Output]:
        instrument = self._products[raw.product_id]
        outputs: list[Output] = []
        rows = [*(("buy", *row) for row in raw.bids), *(("sell", *row) for row in raw.asks)]
        bids, asks, is_all = by_side([(word, level(price, size)) for word, price, size in rows], SIDES, outputs)
        if not is_all and hides_best(rows, SIDES, bids, asks):
            return [*outputs, unread(instrument, received_ts)]
        venue_ts = self._time(instrument, raw.time, outputs)
        self._breaks.book(instrument)
        outputs.append(BookSnapshot(instrument, venue_ts, received_ts, bids, asks))
        return outputs

    def _update(self, raw: L2UpdateFrame, received_ts: int) -> list[Output]:
        instrument = self._products[raw.product_id]
        outputs: list[Output] = []
        try:
            bids, asks, is_all = by_side([(word, level(price, size)) for word, price, size in raw.changes], SIDES, outputs)
        except FrameError:
            return [Odd("side"), unread(instrument, received_ts)]
        venue_ts = self._time(instrument, raw.time, outputs)
        outputs.append(BookUpdate(instrument, venue_ts, received_ts, bids, asks) if is_all else unread(instrument, received_ts))
        return outputs

    def _time(self, instrument: str, text: str | None, outputs: list[Output]) -> int | None:
        """A book's time; that of the frame before where it cannot be."""
        found = moment(text, outputs)
        if found is None:
            return self._times.get(instrument)
        self._times[instrument] = found
        return found


def request(verb: Verb, request: Request) -> bytes:
    """With the trades come heartbeats of each product, which name its newest trade."""
    names = ["matches", "heartbeat"] if request.channel == "matches" else [request.channel]
    return _encode({"type": verb, "product_ids": request.symbols, "channels": names})
