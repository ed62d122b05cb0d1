"""Bitget's sockets: requests, their answers, and the way of a frame to what reads its topic; of both generations, v2 and v3.

Quirks  the ping is the text `ping`, answered by the text `pong`; without it the venue closes after two minutes, however much it sends.
        Each part of a request is acknowledged alone, and answers have no id. A wrong product is acknowledged and stays silent. v3 repeats
        what it refuses in JSON within a text only. A subscription of liquidations names a product, not a symbol
Speed   frames of one topic begin alike, up to their `data`: the beginning finds the reader, which decodes the frame in one pass
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from crosstape_connector.errors import FRAME_ERRORS, FrameError, UnknownFrame
from crosstape_connector.venues.bitget import figures, stream
from crosstape_connector.venues.bitget.stream import MakeReader, Reader
from crosstape_connector.venues.bitget.values import OURS, PRODUCTS, SHIFTED, SPOT, SPOT_PRODUCT, VENUES, product_of
from crosstape_connector.venues.messages import Ack, Heartbeat, Output, Rejected
from crosstape_connector.venues.spec import Request, Symbols, Verb, lookup

PONG: Final = b"pong"
DATA: Final = b',"data":'
CANDLE: Final = "candle"
LIQUIDATIONS: Final = "liquidation"
ACTIONS: Final = {"snapshot": True, "update": False}
OTHERS: Final = frozenset({"account", "positions", "orders", "auction", "index-price"})
"""Channels that the documents name and that hold nothing for the tape."""
MOST: Final = 65_536
"""Beginnings that are remembered: far more than a connection has topics."""
READERS: Final[Mapping[str, MakeReader]] = {
    "trade": stream.trade_reader,
    "publicTrade": stream.trade_reader,
    "books1": stream.quote_reader,
    "ticker": figures.ticker_reader,
}
"""Channels of both generations whose data are of one instrument, besides books and candles."""
_encode = msgspec.json.encode


class Arg(msgspec.Struct, frozen=True, gc=False):
    product: str = msgspec.field(name="instType", default="")
    channel: str = ""
    topic: str = ""
    inst: str = msgspec.field(name="instId", default="")
    symbol: str = ""
    interval: str = ""

    @property
    def name(self) -> str:
        """The channel, by its name of v2 where both have it."""
        return f"{CANDLE}{self.interval}" if self.topic == "kline" else self.channel or self.topic


class Frame(msgspec.Struct, frozen=True, gc=False):
    action: str = ""
    arg: Arg | None = None
    data: msgspec.Raw = msgspec.Raw(b"")
    event: str = ""
    code: int | str = ""
    msg: str = ""


_frame = msgspec.json.Decoder(Frame).decode
_arg = msgspec.json.Decoder(Arg).decode


class Parser:
    """Frames of one connection, of either generation, for the products of one of our venues."""

    __slots__ = ("_books", "_numbered", "_readers", "_symbols", "_venue")

    def __init__(self, symbols: Symbols, venue: str, *, numbered: bool = True) -> None:
        """`numbered`: frames of books have numbers, which those of recordings from before 2025 lack."""
        self._symbols = symbols
        self._numbered = numbered
        self._venue = venue
        self._readers: dict[bytes, Reader] = {}
        self._books: dict[str, str] = {}  # symbol → the channel that gives its book here, where a recording has several

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `spec.Parser`."""
        at = data.find(DATA)
        reader = self._readers.get(data[:at])
        if reader is not None:
            return reader(data, received_ts)
        if data == PONG:
            return (Heartbeat(),)
        frame = _frame(data)
        if frame.event:
            return self._reply(frame)
        if frame.arg is None:
            raise FrameError("data without a topic") if frame.data else UnknownFrame("neither data nor a reply")
        reader = self._reader(frame.action, frame.arg)
        if at > 0 and len(self._readers) < MOST and _begins(data[:at], frame):
            self._readers[data[:at]] = reader
        return reader(data, received_ts)

    def _reader(self, action: str, arg: Arg) -> Reader:
        """Return what reads a topic's data. Raises `UnknownFrame` and `UnknownSymbol`."""
        channel, product, symbol = arg.name, arg.product.upper(), arg.symbol or arg.inst
        if VENUES.get(product, self._venue) != self._venue or channel in OTHERS:
            return stream.ignored  # a recording may have spot and futures on one connection
        is_first, is_new = ACTIONS.get(action), bool(arg.topic)
        if is_first is None or product not in VENUES:
            raise UnknownFrame(f"{action[:20]} of {product[:20]}")
        if channel == LIQUIDATIONS:
            return figures.liquidation_reader(self._symbols, product)
        if channel.startswith(CANDLE):
            return self._candle_reader(channel.removeprefix(CANDLE), symbol, is_first=is_first, is_new=is_new)
        make = READERS.get(channel)
        if make is None and channel not in (stream.BOOK, *stream.COMPLETE):
            raise UnknownFrame(f"channel {channel[:40]}")
        instrument = lookup(self._symbols, symbol)
        if self._venue != SPOT and product_of(symbol) != product:
            raise UnknownFrame(f"{symbol[:40]} in {product}")
        if make is not None:
            return make(instrument, is_first=is_first, is_new=is_new)
        if channel == stream.BOOK:
            if self._books.get(symbol) != channel:
                self._books[symbol] = channel
                self._readers.clear()  # complete books of the same instrument are not read any more
            return stream.book_reader(instrument, is_first=is_first, is_new=is_new, numbered=self._numbered)
        if self._books.setdefault(symbol, channel) != channel:
            return stream.ignored
        return stream.complete_reader(instrument, is_new=is_new)

    def _candle_reader(self, interval: str, symbol: str, *, is_first: bool, is_new: bool) -> Reader:
        timeframe = OURS.get(interval)
        if timeframe is None:
            if interval in SHIFTED:
                return stream.ignored
            raise UnknownFrame(f"candles of {interval[:20]!r}")
        return figures.candle_reader(lookup(self._symbols, symbol), timeframe, is_first=is_first, is_new=is_new)

    def _reply(self, frame: Frame) -> Sequence[Output]:
        arg = frame.arg or _named_in(frame.msg)
        symbols = () if arg is None or not (arg.symbol or arg.inst) else (arg.symbol or arg.inst,)
        channel = None if arg is None else arg.name
        if frame.event == "error":
            return (Rejected(f"{frame.code} {frame.msg}".strip() or "refused without a reason", None, channel, symbols),)
        if frame.event not in ("subscribe", "unsubscribe") or arg is None:
            raise UnknownFrame(f"event {frame.event[:40]!r}")
        if VENUES.get(arg.product.upper()) != self._venue:
            return ()
        return (Ack(None, channel, symbols, frame.event == "unsubscribe"),)


def _begins(head: bytes, frame: Frame) -> bool:
    """Whether the beginning of a frame has all that says how it is read."""
    try:
        begun = _frame(head + b"}")
    except FRAME_ERRORS:
        return False
    return begun.action == frame.action and begun.arg == frame.arg


def _named_in(message: str) -> Arg | None:
    """Return the part of a request that an error of v3 repeats in its text."""
    try:
        return _arg(message[: message.rfind("}") + 1].encode())
    except FRAME_ERRORS:
        return None


def ping(request_id: int) -> bytes:
    """Return a ping, which is no JSON."""
    return b"ping"


def request(venue: str) -> Callable[[Verb, Request], bytes]:
    """Return what writes the requests of v2: a part for each symbol, which says its product."""

    def write(verb: Verb, asked: Request) -> bytes:
        args = [
            {"instType": SPOT_PRODUCT if venue == SPOT else product_of(symbol), "channel": asked.channel, "instId": symbol}
            for symbol in asked.symbols
        ]
        return _encode({"op": verb, "args": args})

    return write


def request_liquidations(verb: Verb, asked: Request) -> bytes:
    """Return the request of v3 for the liquidations of all contracts: a part for each product."""
    args = [{"instType": product.lower(), "topic": asked.channel} for product in PRODUCTS.values()]
    return _encode({"op": verb, "args": args})
