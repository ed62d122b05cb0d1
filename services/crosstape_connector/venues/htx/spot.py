"""HTX spot: what the frames of its two sockets become.

Trades  `tradeId` grows by one per symbol (63 of 63 steps of a recording of 2021-04). The `id` of a row has 24 to 27 digits, is deprecated
        and not unique: it is not read. Rows come newest first. The first frame after subscribing is the last trade from before
Books   `mbp`, joined to a book on request: see `books`. One side may be missing, or both be empty: that advances the numbers
Quotes  `quoteTime` 0: there is no valid quote. `seqId` may be missing
Day     `amount` is in base units, `vol` in quote units, of the last 24 hours
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import ClassVar, Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError
from crosstape_connector.venues.htx import books, frames, markets
from crosstape_connector.venues.htx.books import Asking, JoinedBook
from crosstape_connector.venues.htx.frames import Route
from crosstape_connector.venues.htx.values import SIDES, SPOT, TIMEFRAMES, Frame, RawCandle, TimedFrame, checked
from crosstape_connector.venues.messages import Odd, Output, unreadable
from crosstape_connector.venues.parsing.rows import readable, rows_decoder
from crosstape_connector.venues.parsing.wire import Serial, Stamp, epoch_ns, finite, positive, shown, side
from crosstape_connector.venues.spec import Request, Symbols
from crosstape_schemas import Instrument, Quote, Ticker, Trade

DEPTHS: Final = (5, 150, 400)
"""Levels a side of `mbp`; with 20 there are only some pairs."""
OTHERS: Final = re.compile(r"kline\.(1day|1week|1mon|1year)|depth\.(step[1-5]|percent10)|overview|etp")


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    number: Serial = msgspec.field(name="tradeId")
    ts: Stamp
    amount: Decimal
    price: Decimal
    direction: str


class RawTop(msgspec.Struct, frozen=True, gc=False):
    time: Stamp = msgspec.field(name="quoteTime")
    bid: Decimal | None = None
    bid_size: Decimal | None = msgspec.field(name="bidSize", default=None)
    ask: Decimal | None = None
    ask_size: Decimal | None = msgspec.field(name="askSize", default=None)


class RawDay(msgspec.Struct, frozen=True, gc=False):
    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    close: Decimal | None = None
    amount: Decimal | None = None
    vol: Decimal | None = None


class RawSymbolDay(RawDay, frozen=True, gc=False, kw_only=True):
    symbol: str


class DaysFrame(msgspec.Struct, frozen=True, gc=False):
    ts: Stamp
    data: list[msgspec.Raw]


_top = msgspec.json.Decoder(Frame[RawTop]).decode
_day = msgspec.json.Decoder(TimedFrame[RawDay]).decode
_days = rows_decoder(DaysFrame, 2)
_symbol_day = msgspec.json.Decoder(RawSymbolDay).decode


def trade_route(parser: frames.Parser, instrument: Instrument, topic: str) -> Route:
    """`trade.detail`."""
    name = instrument.name

    def made(row: RawTrade, received_ts: int, odd: list[Odd], is_first: bool) -> Trade:
        if not positive(row.price, row.amount):
            raise FrameError(f"trade {row.number} of {name}: {shown(row.amount)} at {shown(row.price)}")
        taker = SIDES.get(row.direction)
        return Trade(SPOT, name, epoch_ns(row.ts), received_ts, row.price, row.amount, taker, str(row.number), is_first)

    return markets.trade_route(name, RawTrade, made, are_numbered=True)


def quote_route(parser: frames.Parser, instrument: Instrument, topic: str) -> Route:
    """`bbo`: the best bid and ask, at each change."""
    name = instrument.name

    def route(data: bytes, received_ts: int) -> Sequence[Output]:
        try:
            q = _top(data).tick
            checked(data)
            if not q.time:
                raise FrameError("a quote without a time")
            return (Quote(SPOT, name, epoch_ns(q.time), received_ts, *best(q.bid, q.bid_size), *best(q.ask, q.ask_size)),)
        except FRAME_ERRORS as exc:
            return unreadable("quote", name, received_ts, exc)

    return route


def best(price: Decimal | None, size: Decimal | None) -> tuple[Decimal, Decimal] | tuple[None, None]:
    """Return one side of a quote; nulls if it is empty. Raises `FrameError`."""
    if price is None or size is None:
        return None, None
    finite(price, size)
    return side(price, size)


def ticker(name: str, day: RawDay, ts: int, received_ts: int) -> Ticker:
    """Return the figures of 24 hours. Raises `FrameError`."""
    finite(day.close, day.open, day.high, day.low, day.amount, day.vol)
    return Ticker(SPOT, name, epoch_ns(ts), received_ts, day.close, day.open, day.high, day.low, day.amount, day.vol)


def ticker_route(parser: frames.Parser, instrument: Instrument, topic: str) -> Route:
    """`ticker`, and `detail`, which is the same without quotes: rolling 24 h."""
    name = instrument.name

    def route(data: bytes, received_ts: int) -> Sequence[Output]:
        try:
            frame = _day(data)
            checked(data)
            return (ticker(name, frame.tick, frame.ts, received_ts),)
        except FRAME_ERRORS as exc:
            return unreadable("ticker", name, received_ts, exc)

    return route


def figures(parser: frames.Parser, instrument: Instrument, raw: RawCandle, what: str) -> markets.Figures:
    """Of a candle: `amount` is in base units, `vol` in quote units."""
    return (), (raw.amount, raw.vol), raw.count


def joined(parser: Parser, instrument: Instrument, topic: str) -> Route:
    """`mbp.150` …: see `books`."""
    made = parser.joining[topic] = JoinedBook(parser.asking, instrument, topic)
    return made


class Parser(frames.Parser):
    """Frames of one connection to either socket."""

    __slots__ = ("_again", "asking", "joining")
    channels: ClassVar = {
        "trade.detail": trade_route,
        "bbo": quote_route,
        "ticker": ticker_route,
        "detail": ticker_route,
        **markets.candle_routes(TIMEFRAMES, figures),
        **{f"mbp.{depth}": books.of_books(joined) for depth in (5, 20, 150, 400)},
        **{f"mbp.refresh.{depth}": books.of_books(books.complete) for depth in (5, 10, 20)},
        "depth.step0": books.of_books(books.complete),
    }
    others = OTHERS

    def __init__(self, symbols: Symbols) -> None:
        super().__init__(symbols)
        self.asking = Asking()
        self.joining: dict[str, JoinedBook] = {}
        """Topic of `mbp` → its route."""
        self._again: set[str] = set()
        """Topics of `mbp` that were subscribed before: perhaps because the market is quiet, so that no change is waited for."""

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`. With any frame it may be time to ask for a book."""
        outputs = super().__call__(data, received_ts)
        asked = self.asking.due(received_ts)
        return [*outputs, *asked] if asked else outputs

    def _route(self, topic: bytes) -> Route:
        return self._days if topic == b"market.tickers" else super()._route(topic)

    def _days(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """`market.tickers`: the day of all symbols."""
        frame, odd = _days(data), list[Odd]()

        def read(raw: msgspec.Raw) -> Ticker | None:
            checked(bytes(raw), 0)
            row = _symbol_day(raw)
            one = self._symbols.get(row.symbol)
            return None if one is None else ticker(one.name, row, frame.ts, received_ts)

        found = readable(frame.data, read, "tickers", odd)
        return [*(one for one in found if one is not None), *odd]

    def subscribed(self, topic: str, received_ts: int) -> Sequence[Output]:
        """A book is asked for with its first change; of a quiet market, after a while."""
        if ".mbp." in topic and ".refresh." not in topic and topic not in self.joining and topic.split(".")[1] in self._symbols:
            self._route(topic.encode())
            self.asking.want(topic, received_ts + (0 if topic in self._again else books.QUIET_NS))
        return ()

    def unsubscribed(self, topic: str) -> Sequence[Output]:
        """The book begins again with the next subscription."""
        if self.joining.pop(topic, None) is not None:
            self._again.add(topic)
        self.asking.has(topic)
        return ()

    def replied(self, frame: frames.Envelope, received_ts: int) -> Sequence[Output]:
        """A book that was asked for; of one that is not subscribed any more, nothing."""
        book = self.joining.get(frame.rep)
        ts = frame.ts if isinstance(frame.ts, int) else None
        return () if book is None else book.answered(frame.data, ts, received_ts)


def topic_of(symbol: str, request: Request) -> str:
    """Return the topic of a subscription."""
    depth = f".{request.depth}" if request.channel == "mbp" else ""
    return f"market.{symbol}.{request.channel}{depth}"


request: Final[Callable[..., bytes]] = frames.market_request(topic_of, lambda request: {})
