"""A venue on loopback that does what a test tells it: answers, refuses, keeps silent, stalls, cuts, or sends what it likes.

Its wire format is its own and small. To the venue: `{"op": "subscribe" | "unsubscribe", "channel", "symbols", "id"}`, and
`{"op": "ping", "id"}`. From it: `{"ack": id, "channel", "symbols"}`, `{"error": reason, "id", "symbol"}` (both may be absent),
`{"pong": id}`, `{"ping": n}` (to be answered), `{"welcome": seconds between pings}`, `{"bye": reason}`, and data with
`ch`: `trades`, `quotes`, `book`, `marks` (mark price and funding), `interest`, `liquidations`, and `candles_1m` with rows of an open in
minutes, a close, a volume and whether it is closed. `POST /grant` gives a token for one connection to `/ws/granted`.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Literal

import msgspec
from aiohttp import WSMsgType, web

from crosstape_connector.errors import UnknownFrame, UnknownSymbol
from crosstape_connector.venues.messages import (
    Ack,
    BookSnapshot,
    BookUpdate,
    CandleSnapshot,
    Heartbeat,
    Output,
    Rejected,
    Reply,
    Rotate,
    TradeSnapshot,
    Welcome,
)
from crosstape_connector.venues.spec import (
    BookRule,
    CandleRules,
    CandleSource,
    Endpoint,
    Grant,
    GrantSource,
    InstrumentSource,
    Parser,
    PolledSource,
    QuoteSource,
    Request,
    SnapshotSource,
    Symbols,
    TradeSource,
    Venue,
    Verb,
    Verdict,
    candle_channels,
)
from crosstape_schemas import Candle, Funding, Instrument, Level, Liquidation, Mark, OpenInterest, Quote, Side, Trade
from crosstape_schemas.timeframes import LENGTHS, close_of

ID = "fake"
T0 = 1_700_000_000_000
"""The venue's clock, ms."""


class Raw(msgspec.Struct):
    """Any frame."""

    ch: str | None = None
    s: str = ""
    i: int = 0
    t: int = T0
    p: Decimal = Decimal(0)
    q: Decimal = Decimal(0)
    b: list[Level] = []
    a: list[Level] = []
    c: list[tuple[int, Decimal, Decimal, bool]] = []
    snap: bool = False
    ack: int | None = None
    unsubscribed: bool = False
    handle: str = ""
    error: str | None = None
    full: bool = False
    id: int | None = None
    channel: str | None = None
    symbols: tuple[str, ...] = ()
    symbol: str | None = None
    hb: int | None = None
    ping: int | None = None
    pong: int | None = None
    bye: str | None = None
    welcome: float | None = None


_decode = msgspec.json.Decoder(Raw).decode
TIMEFRAMES = {"1m": "1m", "5m": "5m"}


def rows_of(name: str, timeframe: str, rows: Sequence[tuple[int, Decimal, Decimal, bool]], received_ts: int) -> tuple[Candle, ...]:
    """Rows of (number of the interval since the epoch, price, volume, closed) → candles with one price."""
    return tuple(
        candle(name, number, volume, price=price, timeframe=timeframe, at=received_ts, closed=closed)
        for number, price, volume, closed in rows
    )


def candle(
    name: str, number: int, volume: object, *, price: object = 1, timeframe: str = "1m", at: int = 0, closed: bool = False
) -> Candle:
    """The candle of the interval with this number, in which all trades had one price. `at`: when it was received."""
    open_ts, one = number * LENGTHS[timeframe], Decimal(str(price))
    close_ts = close_of(timeframe, open_ts)
    return Candle(ID, name, None, at, timeframe, open_ts, close_ts, one, one, one, one, Decimal(str(volume)), closed=closed)


def parser(symbols: Symbols) -> Parser:
    """The fake's frames."""

    def parse(data: bytes, received_ts: int) -> Sequence[Output]:
        raw = _decode(data)
        if raw.ch is not None:
            if raw.s not in symbols:
                raise UnknownSymbol(raw.s)
            name, ts = symbols[raw.s].name, raw.t * 1_000_000
            match raw.ch:
                case "trades":
                    return (Trade(ID, name, ts, received_ts, raw.p, raw.q, Side.BUY, str(raw.i)),)
                case "quotes":
                    return (Quote(ID, name, ts, received_ts, *raw.b[0], *raw.a[0]),)
                case "book" if raw.snap:
                    return (BookSnapshot(name, ts, received_ts, raw.b, raw.a, raw.i),)
                case "book":
                    return (BookUpdate(name, ts, received_ts, raw.b, raw.a, raw.i, raw.i),)
                case "marks":
                    return (Mark(ID, name, ts, received_ts, raw.p), Funding(ID, name, ts, received_ts, raw.q, 28_800))
                case "interest":
                    return (OpenInterest(ID, name, ts, received_ts, raw.q),)
                case "liquidations":
                    return (Liquidation(ID, name, ts, received_ts, Side.SELL, raw.p, raw.q),)
                case channel if channel.startswith("candles_"):
                    candles = rows_of(name, channel.removeprefix("candles_"), raw.c, received_ts)
                    return (CandleSnapshot(name, candles[0].timeframe, received_ts, candles),) if raw.snap else candles
                case other:
                    raise UnknownFrame(other)
        if raw.ack is not None:
            return (Ack(raw.ack or None, raw.channel, raw.symbols, raw.unsubscribed, raw.handle),)
        if raw.error is not None:
            return (Rejected(raw.error, raw.id, raw.channel, () if raw.symbol is None else (raw.symbol,), raw.full),)
        if raw.ping is not None:
            return (Reply(b'{"pong":%d}' % raw.ping),)
        if raw.welcome is not None:
            return (Welcome(raw.welcome or None),)
        if raw.bye is not None:
            return (Rotate(raw.bye),)
        if raw.hb is not None or raw.pong is not None:
            return (Heartbeat(),)
        raise UnknownFrame("nothing known in it")

    return parse


def request(verb: Verb, wanted: Request) -> bytes:
    """A message that subscribes or unsubscribes."""
    text = {"op": verb, "channel": wanted.channel, "symbols": wanted.symbols, "id": wanted.request_id}
    return json.dumps(text | ({"handles": wanted.handles} if wanted.handles else {})).encode()


CHANNELS = {
    "trade": "trades",
    "quote": "quotes",
    "book": "book",
    "delta": "book",
    "ticker": "tickers",
    "mark": "marks",
    "funding": "marks",
    "open_interest": "interest",
    "liquidation": "liquidations",
    **candle_channels("candles_{}", TIMEFRAMES),
}


def endpoint(name: str = "main", channels: dict[str, str] | None = None, **options: Any) -> Endpoint:
    """Return an endpoint with short times and without limits; `options` change it."""
    defaults: dict[str, Any] = {"requests_per_s": 1e9, "connects_per_s": 1e9, "silence_s": 20.0}
    return Endpoint(
        name=name,
        url=f"ws://192.0.2.1/{name}",
        channels=channels or CHANNELS,
        parser=parser,
        request=request,
        **defaults | options,
    )


class GrantAnswer(msgspec.Struct):
    """The answer to a request for a grant."""

    token: str
    url: str
    ping: float | None = None


def parse_grant(body: bytes) -> Grant:
    """A grant whose token must be sent with a name for the connection."""
    raw = msgspec.json.decode(body, type=GrantAnswer)
    return Grant(raw.url, {"token": raw.token, "connectId": "{id}"}, raw.ping)


GRANT = GrantSource(rest="api", path="/grant", parse=parse_grant)


def instrument(symbol: str) -> Instrument:
    """Return the instrument of a symbol: `AAAUSD`, or `AAAUSDP` for a perpetual."""
    base, quote_asset, kind = symbol[:3], symbol[3:6], "-PERP" if symbol[6:] == "P" else ""
    return Instrument(f"{base}-{quote_asset}{kind}", ID, symbol, base, quote_asset)


def parse_instruments(body: bytes) -> list[Instrument]:
    """`{"AAAUSD": true}`: symbol → whether it trades."""
    listed: dict[str, bool] = msgspec.json.decode(body, type=dict[str, bool])
    return [msgspec.structs.replace(instrument(symbol), active=active) for symbol, active in listed.items()]


def parse_snapshot(body: bytes, instrument: Instrument, received_ts: int) -> BookSnapshot:
    """A book by REST."""
    raw = _decode(body)
    return BookSnapshot(instrument.name, None, received_ts, raw.b, raw.a, raw.i)


PAGE = 5
"""Trades in one answer of REST."""


def parse_trades(body: bytes, instrument: Instrument, received_ts: int) -> TradeSnapshot:
    """`[[id, ms], …]`: past trades by REST."""
    rows = msgspec.json.decode(body, type=list[tuple[int, int]])
    price, size = Decimal("10.50"), Decimal("1.0")
    trades = [Trade(ID, instrument.name, t * 1_000_000, received_ts, price, size, Side.BUY, str(number)) for number, t in rows]
    return TradeSnapshot(instrument.name, received_ts, tuple(trades))


def parse_quotes(body: bytes, symbols: Symbols, received_ts: int) -> list[Quote]:
    """`{"AAAUSD": [bid, ask]}`, as text."""
    rows = msgspec.json.decode(body, type=dict[str, tuple[Decimal, Decimal]])
    one = Decimal(1)
    return [Quote(ID, symbols[symbol].name, None, received_ts, bid, one, ask, one) for symbol, (bid, ask) in rows.items()]


TRADES = TradeSource(
    rest="api",
    path=lambda symbol, number, _: f"/trades?symbol={symbol}&from={number}",
    newest=lambda symbol: f"/trades?symbol={symbol}",
    parse=parse_trades,
    page=PAGE,
    per_minute=6000,
)


def parse_candles(body: bytes, instrument: Instrument, timeframe: str, received_ts: int) -> CandleSnapshot:
    """Rows as in frames."""
    rows = msgspec.json.decode(body, type=list[tuple[int, Decimal, Decimal, bool]])
    return CandleSnapshot(instrument.name, timeframe, received_ts, rows_of(instrument.name, timeframe, rows, received_ts))


CANDLES = CandleSource(
    rest="api",
    path=lambda symbol, timeframe, since_ts: f"/candles?symbol={symbol}&timeframe={timeframe}&from={since_ts // LENGTHS[timeframe]}",
    parse=parse_candles,
    page=PAGE,
    per_minute=6000,
)


def parse_interest(body: bytes, symbols: Symbols, received_ts: int) -> list[OpenInterest]:
    """`{"AAAUSD": "12"}`."""
    rows = msgspec.json.decode(body, type=dict[str, Decimal])
    return [OpenInterest(ID, symbols[symbol].name, None, received_ts, size) for symbol, size in rows.items()]


INTEREST = PolledSource(
    kinds=("open_interest",),
    rest="api",
    path=lambda symbols: f"/interest?symbols={','.join(symbols)}",
    parse=parse_interest,
    batch=2,
    interval_s=0.05,
    per_minute=6000,
)
QUOTES = QuoteSource(rest="api", path=lambda symbols: f"/quotes?symbols={','.join(symbols)}", parse=parse_quotes, batch=2, per_minute=6000)


def _follows(update: BookUpdate, sequence: int) -> Verdict:
    assert update.first is not None
    if update.first <= sequence:
        return Verdict.SKIP
    return Verdict.APPLY if update.first == sequence + 1 else Verdict.BREAK


def fake(*endpoints: Endpoint, rest_books: bool = False, past: bool = False, **options: Any) -> Venue:
    """Return the venue's table. `past`: past trades and quotes are available by REST, too. `options` change it."""
    return Venue(
        id=ID,
        endpoints=endpoints or (endpoint(),),
        rest_urls={"api": "http://192.0.2.1"},
        instruments=InstrumentSource(rest="api", path="/instruments", parse=parse_instruments),
        book=BookRule(snapshot="rest" if rest_books else "stream", bridges=_follows if rest_books else None, follows=_follows),
        snapshots=SnapshotSource(
            rest="api", path=lambda symbol, levels: f"/depth?symbol={symbol}", parse=parse_snapshot,
            match=lambda url: url.partition("symbol=")[2] or None, per_minute=6000,
        )
        if rest_books
        else None,
        trades=TRADES if past else None,
        quotes=QUOTES if past else None,
        trade_ids="contiguous",
        **options,
    )  # fmt: skip


def candle_rules(first: Literal["snapshot", "none"]) -> CandleRules:
    """The rules of candles; `first`: how a feed begins."""
    return CandleRules(timeframes=TIMEFRAMES, open="first trade", empty="nothing", closed="next candle", volume="base units", first=first)


def trade(symbol: str, number: int, price: str = "10.50", t: int = T0) -> bytes:
    """A trade frame."""
    return json.dumps({"ch": "trades", "s": symbol, "i": number, "p": price, "q": "1.0", "t": t}).encode()


def candles(symbol: str, *rows: tuple[int, int], timeframe: str = "1m", snap: bool = False) -> bytes:
    """A frame of candles: the number of each interval, and its volume."""
    return json.dumps({"ch": f"candles_{timeframe}", "s": symbol, "snap": snap, "c": [candle_row(*row) for row in rows]}).encode()


def candle_row(number: int, volume: int) -> tuple[int, str, str, bool]:
    """A row of a frame or an answer."""
    return number, "1", str(volume), False


def quote(symbol: str, bid: str = "10.4", ask: str = "10.6") -> bytes:
    """A quote frame."""
    return json.dumps({"ch": "quotes", "s": symbol, "b": [[bid, "1"]], "a": [[ask, "2"]]}).encode()


def book(symbol: str, number: int, *, snap: bool = False, bid: str = "10.4", ask: str = "10.6") -> bytes:
    """A book frame."""
    return json.dumps({"ch": "book", "s": symbol, "i": number, "snap": snap, "b": [[bid, "1"]], "a": [[ask, "2"]]}).encode()


class Peer:
    """One connection, seen from the venue."""

    def __init__(self, path: str, query: Mapping[str, str], socket: web.WebSocketResponse) -> None:
        self.path = path
        self.query = query
        self.socket = socket
        self.requests: list[dict[str, Any]] = []
        self.subscribed: dict[tuple[str, str], str] = {}
        """(channel, symbol) → handle, of the subscriptions that were acknowledged."""
        self.close_code: int | None = None

    async def send(self, *frames: bytes) -> None:
        """Send text frames with these bytes."""
        for frame in frames:
            await self.socket.send_frame(frame, WSMsgType.TEXT)

    async def send_binary(self, *frames: bytes) -> None:
        """Send binary frames with these bytes."""
        for frame in frames:
            await self.socket.send_bytes(frame)

    def asked(self, op: str) -> list[tuple[str, str]]:
        """Return (channel, symbol) of all requests of this kind, in order."""
        return [(one["channel"], symbol) for one in self.requests if one.get("op") == op for symbol in one["symbols"]]

    def cut(self) -> None:
        """End the connection without a close frame."""
        assert self.socket._req is not None
        assert self.socket._req.transport is not None
        self.socket._req.transport.abort()


class FakeVenue:
    """The server. Its attributes control its behaviour, and may change while it runs."""

    def __init__(self) -> None:
        self.url = ""
        self.peers: list[Peer] = []
        self.acks = True
        self.names_refused = True
        """A refusal says which symbol it means, and of which request."""
        self.handles = False
        """Acknowledgements name a handle instead of the request's id, and an unsubscribe must name it."""
        self.room: Callable[[Peer], float] = lambda _peer: math.inf
        """Returns how many subscriptions a connection may have."""
        self.refused: dict[str, str] = {}
        """Symbol → reason: a request with this symbol fails for all its symbols."""
        self.cut_by: set[str] = set()
        """Symbols whose subscription ends the connection, without a word."""
        self.refuse_connections: list[web.Response] = []
        """Each is the answer to one attempt to connect."""
        self.grants: list[web.Response | None] = []
        """Each is the answer to one POST to `/grant`, None: hang; when empty: a token."""
        self.tokens: list[str] = []
        """The tokens that were granted. Each is good for one connection to `/ws/granted`."""
        self.on_grant: Callable[[], None] = lambda: None
        """Called after each grant."""
        self.unused: set[str] = set()
        """Those of them that no connection has used yet."""
        self.ping_s: float | None = None
        """How often a grant wants a ping."""
        self.welcome = b""
        """What a connection gets first; empty: nothing."""
        self.closed = False
        """No connection is accepted."""
        self.on_subscribe: Callable[[Peer, dict[str, Any]], Sequence[bytes]] = lambda _peer, _request: ()
        """Frames to send after the acknowledgement."""
        self.listed: dict[str, bool] = {"AAAUSD": True, "BBBUSD": True, "CCCUSD": True}
        self.answers: list[web.StreamResponse | None] = []
        """Each is the answer to one REST call, None: hang; when empty: what is right."""
        self.snapshots: Callable[[str], bytes] = lambda symbol: book(symbol, 100, snap=True)
        self.past: dict[str, list[int]] = {}
        """Symbol → ids of the trades that REST has, ascending; each was made at `T0` and as many ms as its id says."""
        self.quotes: dict[str, tuple[str, str]] = {}
        """Symbol → bid and ask, by REST."""
        self.candles: dict[str, list[tuple[int, int]]] = {}
        """Symbol → number of each interval and its volume, ascending: the candles that REST has."""
        self.interest: dict[str, str] = {}
        """Symbol → open interest, by REST."""
        self.calls: list[str] = []
        """Paths of REST calls."""
        self.ending = asyncio.Event()

    @property
    def peer(self) -> Peer:
        """The newest connection."""
        return self.peers[-1]

    async def socket(self, http: web.Request) -> web.StreamResponse:
        """A WebSocket."""
        if self.refuse_connections:
            return self.refuse_connections.pop(0)
        if self.closed:
            return web.Response(status=502)
        if http.path == "/ws/granted" and http.query.get("token") not in self.unused:
            return web.json_response({"code": 401, "msg": f"token {http.query.get('token')} is expired"}, status=401)
        self.unused.discard(http.query.get("token", ""))
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(http)
        peer = Peer(http.path, http.query, socket)
        self.peers.append(peer)
        if self.welcome:
            await peer.send(self.welcome)
        async for message in socket:
            wanted: dict[str, Any] = json.loads(message.data)
            peer.requests.append(wanted)
            if wanted.get("op") in ("subscribe", "unsubscribe"):
                await self._answer(peer, wanted)
        peer.close_code = socket.close_code
        return socket

    async def _answer(self, peer: Peer, wanted: dict[str, Any]) -> None:
        bad = next((symbol for symbol in wanted["symbols"] if symbol in self.refused), None)
        if bad is not None and wanted["op"] == "subscribe":
            named = {"id": wanted["id"], "symbol": bad, "channel": wanted["channel"]} if self.names_refused else {}
            await peer.send(json.dumps({"error": self.refused[bad], **named}).encode())
            if not self.names_refused:
                return
        good = [symbol for symbol in wanted["symbols"] if symbol not in self.refused]
        if wanted["op"] == "subscribe" and len(peer.subscribed) + len(good) > self.room(peer):
            await peer.send(json.dumps({"error": "no room", "id": wanted["id"], "full": True}).encode())
            return
        if self.cut_by.intersection(wanted["symbols"]):
            peer.cut()
            return
        if self.acks:
            await self._acknowledge(peer, wanted, good)
        if wanted["op"] == "subscribe":
            await peer.send(*self.on_subscribe(peer, wanted))

    async def _acknowledge(self, peer: Peer, wanted: dict[str, Any], good: list[str]) -> None:
        topics = [(wanted["channel"], symbol) for symbol in good]
        answer: dict[str, Any] = {"ack": wanted["id"], "channel": wanted["channel"], "symbols": good}
        if wanted["op"] == "subscribe":
            handle = f"#{sum(len(one.requests) for one in self.peers)}" if self.handles else ""
            peer.subscribed.update(dict.fromkeys(topics, handle))
            await peer.send(json.dumps(answer | ({"ack": 0, "handle": handle} if handle else {})).encode())
        elif self.handles:
            for handle in wanted["handles"]:
                peer.subscribed = {topic: known for topic, known in peer.subscribed.items() if known != handle}
                await peer.send(json.dumps({"ack": 0, "unsubscribed": True, "handle": handle}).encode())
        else:
            for topic in topics:
                peer.subscribed.pop(topic, None)
            await peer.send(json.dumps(answer | {"unsubscribed": True}).encode())

    async def grant(self, http: web.Request) -> web.StreamResponse:
        """A token for one connection, which has characters that a query must quote."""
        self.calls.append(http.path_qs)
        answer = self.grants.pop(0) if self.grants else web.Response()
        if answer is None:
            await self.ending.wait()
            return web.Response()
        if answer.body or answer.status != 200:
            return answer
        self.tokens.append(f"s3cret+{len(self.tokens)}/&==")
        self.unused.add(self.tokens[-1])
        self.on_grant()
        return web.json_response({"token": self.tokens[-1], "url": f"{self.url}/ws/granted".replace("http", "ws"), "ping": self.ping_s})

    async def rest(self, http: web.Request) -> web.StreamResponse:
        """A REST answer."""
        self.calls.append(http.path_qs)
        if self.answers:
            answer = self.answers.pop(0)
            if answer is None:
                await self.ending.wait()
                return web.Response()
            return answer
        if http.path == "/instruments":
            return web.json_response(self.listed)
        if http.path == "/trades":
            ids = self.past.get(http.query["symbol"], [])
            first = int(http.query.get("from", max(ids[-PAGE:], default=0) - PAGE + 1))
            return web.json_response([(number, T0 + number) for number in ids if number >= first][:PAGE])
        if http.path == "/candles":
            rows = [row for row in self.candles.get(http.query["symbol"], []) if row[0] >= int(http.query["from"])]
            return web.json_response([candle_row(*row) for row in rows][:PAGE])
        if http.path == "/interest":
            return web.json_response({one: self.interest[one] for one in http.query["symbols"].split(",") if one in self.interest})
        if http.path == "/quotes":
            return web.json_response({symbol: self.quotes[symbol] for symbol in http.query["symbols"].split(",")})
        return web.Response(body=self.snapshots(http.query["symbol"]))


@asynccontextmanager
async def serving(venue: FakeVenue | None = None) -> AsyncIterator[FakeVenue]:
    """The fake, listening; `url` has its address."""
    venue = venue or FakeVenue()
    app = web.Application()
    app.router.add_get("/ws/{name}", venue.socket)
    app.router.add_get("/{path:.*}", venue.rest)
    app.router.add_post("/grant", venue.grant)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        venue.url = f"http://{host}:{port}"
        yield venue
    finally:
        venue.ending.set()
        for peer in venue.peers:
            await peer.socket.close()
        await runner.cleanup()
