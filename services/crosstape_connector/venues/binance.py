"""Binance, spot: trades, best bid and ask, book, 24 h ticker.

Wire    wss://stream.binance.com:9443/stream, JSON text wrapped as {"stream": name, "data": frame}; frames without the wrapper are read too
Docs    https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
Quirks  `bookTicker` has neither a type nor a time, and `b` is a number's text in one frame and a list in the other: decode by stream name;
        `m` true: the buyer was the maker, so the taker sold; times are ms, or µs if the URL asks for it; unknown streams are acknowledged
        like good ones; block trades are not in `trade`, and are not taken from `blockTrade` either
Book    updates are numbered `U` … `u`; the snapshot comes by REST. It is cut at 1,000 levels a side (weight 50 of the 6,000 a minute; 5,000
        levels would cost 250, and a start with 30 instruments more than a minute); when the market leaves that range it is renewed
"""

# ruff: noqa: D101 (the wire's structs are documented by the venue)
from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from crosstape_connector.errors import FrameError, UnknownFrame, UnknownSymbol
from crosstape_connector.venue import (
    Ack,
    BookRule,
    BookSnapshot,
    BookUpdate,
    ConnectLimit,
    Endpoint,
    Heartbeat,
    InstrumentSource,
    Output,
    Rejected,
    Request,
    Rotate,
    SnapshotSource,
    Symbols,
    Venue,
    Verdict,
)
from crosstape_connector.wire import LIMIT, ZERO, Serial, Stamp, epoch_ns, finite, positive, side
from crosstape_schemas import Instrument, Quote, Side, Ticker, Trade, spot

ID: Final = "binance"
LEVELS: Final = 1_000
KNOWN: Final = re.compile(
    r"kline_\w+(@[+]\d\d:\d\d)?|miniTicker|avgPrice|referencePrice|blockTrade|ticker_\w+|depth(5|10|20)(@100ms|@1000ms)?|arr"
)
"""Streams that the documents name and that hold nothing for the tape (a partial depth frame does not even name its symbol)."""
KNOWN_TYPES: Final = frozenset({"kline", "24hrMiniTicker", "avgPrice", "referencePrice", "blockTrade", "1hTicker", "4hTicker", "1dTicker"})

Route = Callable[[msgspec.Raw, int], Sequence[Output]]


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What every frame of a combined stream is in; both are empty in anything else."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


class RawTrade(msgspec.Struct, frozen=True, gc=False):
    t: Serial
    p: Decimal
    q: Decimal
    T: Stamp
    m: bool


class RawAggTrade(msgspec.Struct, frozen=True, gc=False):
    a: Serial
    p: Decimal
    q: Decimal
    T: Stamp
    m: bool


class RawBookTicker(msgspec.Struct, frozen=True, gc=False):
    b: Decimal
    B: Decimal
    a: Decimal
    A: Decimal


class RawDepth(msgspec.Struct, frozen=True, gc=False):
    E: Stamp
    U: Serial
    u: Serial
    b: tuple[tuple[Decimal, Decimal], ...]
    a: tuple[tuple[Decimal, Decimal], ...]


class RawTicker(msgspec.Struct, frozen=True, gc=False):
    E: Stamp
    c: Decimal
    o: Decimal
    h: Decimal
    l: Decimal  # noqa: E741
    v: Decimal
    q: Decimal
    p: Decimal


class RawError(msgspec.Struct, frozen=True):
    msg: str = ""


class Plain(msgspec.Struct, frozen=True):
    """A frame outside a stream's wrapper: a reply, or data of a raw stream."""

    e: str | msgspec.UnsetType = msgspec.UNSET
    s: str = ""
    id: int | str | msgspec.UnsetType | None = msgspec.UNSET
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: RawError | None = None
    code: int | None = None
    msg: str = ""
    u: int | None = None
    last_update_id: int | None = msgspec.field(default=None, name="lastUpdateId")


_envelope = msgspec.json.Decoder(Envelope).decode
_trade = msgspec.json.Decoder(RawTrade).decode
_agg_trade = msgspec.json.Decoder(RawAggTrade).decode
_book_ticker = msgspec.json.Decoder(RawBookTicker).decode
_depth = msgspec.json.Decoder(RawDepth).decode
_ticker = msgspec.json.Decoder(RawTicker).decode
_plain = msgspec.json.Decoder(Plain).decode
_encode = msgspec.json.encode
BUY: Final = Side.BUY
SELL: Final = Side.SELL


def trade_route(instrument: str) -> Route:
    """`trade`: one execution a frame."""

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        t = _trade(raw)
        if not positive(t.p, t.q):
            raise FrameError(f"trade {t.t} of {instrument}: {t.q} at {t.p}")
        return (Trade(ID, instrument, epoch_ns(t.T), received_ts, t.p, t.q, SELL if t.m else BUY, str(t.t)),)

    return route


def agg_trade_route(instrument: str) -> Route:
    """`aggTrade`: the executions of one taker order at one price, with a numbering of their own."""

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        t = _agg_trade(raw)
        if not positive(t.p, t.q):
            raise FrameError(f"aggregate trade {t.a} of {instrument}: {t.q} at {t.p}")
        return (Trade(ID, instrument, epoch_ns(t.T), received_ts, t.p, t.q, SELL if t.m else BUY, str(t.a)),)

    return route


def quote_route(instrument: str) -> Route:
    """`bookTicker`: best bid and ask at each change, without a time."""

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        q = _book_ticker(raw)
        try:
            if ZERO < q.b <= q.a < LIMIT and ZERO < q.B < LIMIT and ZERO < q.A < LIMIT:
                return (Quote(ID, instrument, None, received_ts, q.b, q.B, q.a, q.A),)
        except ArithmeticError as exc:
            raise FrameError(f"quote of {instrument}: {q}") from exc
        return (Quote(ID, instrument, None, received_ts, *side(q.b, q.B), *side(q.a, q.A)),)

    return route


def depth_route(instrument: str) -> Route:
    """`depth`: changed levels, numbered."""

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        d = _depth(raw)
        return (BookUpdate(instrument, epoch_ns(d.E), received_ts, d.b, d.a, d.U, d.u),)

    return route


def ticker_route(instrument: str) -> Route:
    """`ticker`: rolling 24 h, once a second."""

    def route(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
        t = _ticker(raw)
        finite(t.c, t.o, t.h, t.l, t.v, t.q, t.p)
        return (Ticker(ID, instrument, epoch_ns(t.E), received_ts, t.c, t.o, t.h, t.l, t.v, t.q, t.p),)

    return route


def ignored(raw: msgspec.Raw, received_ts: int) -> Sequence[Output]:
    """A stream that holds nothing that is not taken from another."""
    return ()


ROUTES: Final[dict[str, Callable[[str], Route]]] = {
    "trade": trade_route,
    "aggTrade": agg_trade_route,
    "bookTicker": quote_route,
    "depth": depth_route,
    "depth@100ms": depth_route,
    "ticker": ticker_route,
}
TYPES: Final = {"trade": "trade", "aggTrade": "aggTrade", "depthUpdate": "depth", "24hrTicker": "ticker"}
"""Event type of a frame without wrapper → channel."""


class Parser:
    """Frames of one connection. It learns each stream's route with its first frame: the rest are one look-up away from their decoder."""

    __slots__ = ("_routes", "_symbols", "_trades")

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._routes: dict[str, Route] = {}
        self._trades: dict[str, str] = {}  # symbol → the first of trade and aggTrade that was seen: both would count each trade twice

    def __call__(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """See `venue.Parser`."""
        frame = _envelope(data)
        route = self._routes.get(frame.stream)
        if route is not None:
            return route(frame.data, received_ts)
        if not frame.stream:
            return self._unwrapped(data, received_ts)
        if frame.stream == "!serverShutdown":
            return (Rotate("the venue announced a shutdown"),)
        symbol, _, channel = frame.stream.partition("@")
        if channel not in ROUTES:
            if KNOWN.fullmatch(channel):
                return ()
            raise UnknownFrame(f"stream {frame.stream!r}")
        return self._route(frame.stream, symbol.upper(), channel)(frame.data, received_ts)

    def _route(self, stream: str, symbol: str, channel: str) -> Route:
        instrument = self._symbols.get(symbol)
        if instrument is None:
            raise UnknownSymbol(f"stream {stream!r}")
        if channel in ("trade", "aggTrade") and self._trades.setdefault(symbol, channel) != channel:
            route: Route = ignored
        else:
            route = ROUTES[channel](instrument)
        self._routes[stream] = route
        return route

    def _unwrapped(self, data: bytes, received_ts: int) -> Sequence[Output]:
        """A reply to a request, or a frame of a raw stream, whose type stands in it (or is told by its fields)."""
        frame = _plain(data)
        if frame.e is not msgspec.UNSET:
            if frame.e == "serverShutdown":
                return (Rotate("the venue announced a shutdown"),)
            channel = TYPES.get(frame.e)
            if channel is None:
                if frame.e in KNOWN_TYPES:
                    return ()
                raise UnknownFrame(f"type {frame.e!r}")
            return self._raw(frame.s, channel, data, received_ts)
        if frame.u is not None and frame.s:
            return self._raw(frame.s, "bookTicker", data, received_ts)
        if frame.last_update_id is not None:
            return ()
        return self._reply(frame)

    def _raw(self, symbol: str, channel: str, data: bytes, received_ts: int) -> Sequence[Output]:
        stream = f"{symbol.lower()}@{channel}"
        return (self._routes.get(stream) or self._route(stream, symbol, channel))(msgspec.Raw(data), received_ts)

    def _reply(self, frame: Plain) -> Sequence[Output]:
        request_id = frame.id if isinstance(frame.id, int) else None
        if frame.error is not None:
            return (Rejected(frame.error.msg, request_id),)
        if frame.code is not None:
            return (Rejected(frame.msg, request_id),)
        if frame.result is msgspec.UNSET:
            raise UnknownFrame("neither data nor a reply")
        return (Ack(request_id),) if bytes(frame.result) == b"null" else (Heartbeat(),)  # any other result answers our ping


def _request(method: str, request: Request) -> bytes:
    params = [f"{symbol.lower()}@{request.channel}" for symbol in request.symbols]
    return _encode({"method": method, "params": params, "id": request.request_id})


def subscribe(request: Request) -> bytes:
    """One message for all symbols; unknown ones are acknowledged all the same."""
    return _request("SUBSCRIBE", request)


def unsubscribe(request: Request) -> bytes:
    """As `subscribe`."""
    return _request("UNSUBSCRIBE", request)


def ping(request_id: int) -> bytes:
    """A question with a short answer, which shows that the session lives while a thin market is silent (43 s were seen)."""
    return _encode({"method": "GET_PROPERTY", "params": ["combined"], "id": request_id})


def chain(update: BookUpdate, sequence: int) -> Verdict:
    """Whether an update goes on from that number: the same rule for the first after a snapshot and for all later ones."""
    if update.first is None or update.last is None or update.first > sequence + 1:
        return Verdict.BREAK
    return Verdict.APPLY if update.last > sequence else Verdict.SKIP


class RestDepth(msgspec.Struct, frozen=True):
    last_update_id: Serial = msgspec.field(name="lastUpdateId")
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]


class RestFilter(msgspec.Struct, frozen=True):
    filter_type: str = msgspec.field(name="filterType")
    tick: Decimal | None = msgspec.field(name="tickSize", default=None)
    step: Decimal | None = msgspec.field(name="stepSize", default=None)


class RestSymbol(msgspec.Struct, frozen=True):
    symbol: str
    status: str
    base: str = msgspec.field(name="baseAsset")
    quote: str = msgspec.field(name="quoteAsset")
    is_spot: bool = msgspec.field(name="isSpotTradingAllowed", default=True)
    filters: tuple[RestFilter, ...] = ()


class RestExchangeInfo(msgspec.Struct, frozen=True):
    symbols: tuple[RestSymbol, ...]


class RestFault(msgspec.Struct, frozen=True):
    code: int
    msg: str = ""


_rest_depth = msgspec.json.Decoder(RestDepth).decode
_rest_info = msgspec.json.Decoder(RestExchangeInfo).decode
_rest_fault = msgspec.json.Decoder(RestFault).decode


def depth_path(symbol: str) -> str:
    """Path and query of a snapshot. Symbols may hold any letters."""
    return f"/api/v3/depth?symbol={quote(symbol)}&limit={LEVELS}"


def depth_symbol(url: str) -> str | None:
    """The symbol if the URL asks for a snapshot."""
    parts = urlsplit(url)
    return parse_qs(parts.query).get("symbol", [None])[0] if parts.path.endswith("/api/v3/depth") else None


def parse_depth(body: bytes, instrument: str, received_ts: int) -> BookSnapshot:
    """A snapshot; a side with as many levels as were asked for has more."""
    d = _rest_depth(body)
    partial = max(len(d.bids), len(d.asks)) >= LEVELS
    return BookSnapshot(instrument, None, received_ts, d.bids, d.asks, d.last_update_id, partial=partial)


def parse_instruments(body: bytes) -> list[Instrument]:
    """`exchangeInfo`: what may be traded spot."""
    found: list[Instrument] = []
    for row in _rest_info(body).symbols:
        if row.is_spot:
            tick = next((f.tick for f in row.filters if f.filter_type == "PRICE_FILTER"), None)
            step = next((f.step for f in row.filters if f.filter_type == "LOT_SIZE"), None)
            name = spot(row.base, row.quote)
            found.append(Instrument(name, ID, row.symbol, row.base, row.quote, tick, step, active=row.status == "TRADING"))
    return found


def rest_error(body: bytes) -> str | None:
    """`{"code": -1121, "msg": "Invalid symbol."}`; Binance sends it with a 4xx status, proxies do not always."""
    try:
        fault = _rest_fault(body)
    except msgspec.MsgspecError:
        return None
    return f"{fault.code} {fault.msg}"


VENUE: Final = Venue(
    id=ID,
    endpoints=(
        Endpoint(
            name="stream",
            url="wss://stream.binance.com:9443/stream",
            channels={"trade": "trade", "quote": "bookTicker", "book": "depth@100ms", "delta": "depth@100ms", "ticker": "ticker"},
            parser=Parser,
            subscribe=subscribe,
            unsubscribe=unsubscribe,
            ping=ping,
            ping_s=20.0,
            silence_s=60.0,
            topics=1_000,  # the venue's limit is 1,024 streams
            symbols_per_request=100,
            requests_per_s=3.0,  # of 5, which count pings and pongs too
            connects_per_s=0.5,
            lifetime_s=24 * 3600.0,
        ),
    ),
    rest_urls={"spot": "https://api.binance.com"},
    instruments=InstrumentSource(
        rest="spot",
        path="/api/v3/exchangeInfo?showPermissionSets=false",
        parse=parse_instruments,
        match=lambda url: urlsplit(url).path.endswith("/api/v3/exchangeInfo"),
    ),
    book=BookRule(
        snapshot="rest",
        bridges=chain,
        follows=chain,
        proof="update ids: each update begins where the one before ended; the first spans the REST snapshot's id; never crossed",
    ),
    snapshots=SnapshotSource(rest="spot", path=depth_path, parse=parse_depth, match=depth_symbol, per_minute=60),
    trade_ids="contiguous",
    connects=ConnectLimit(300, 300.0),
    rest_error=rest_error,
)
