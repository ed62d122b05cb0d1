"""What the sockets of HTX share: gzip frames, requests and their answers, two dialects, pings that a client must answer.

Docs    https://www.htx.com/en-us/opend/newApiPages/
Quirks  one topic a request; an answer repeats its id and its topic; numbers are in Java's spelling on spot (`9.2E-4`, `716.0`)
Assumed, as no documentation says it: that a subscription of best prices is answered with them
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from crosstape_simulator.formats import NS
from crosstape_simulator.market.grid import Grid, grid
from crosstape_simulator.market.history import Candle, MarketData, asked_times, integer
from crosstape_simulator.market.market import Pair
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed, Source, decode_object
from crosstape_simulator.server.manners import GZIP, ServerPings
from crosstape_simulator.server.rate_limit import Bucket
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.archetypes.market import KeptSnapshots
from crosstape_simulator.venues.rewriting import unix_times

MS: Final = 1_000_000
TIMEFRAMES: Final = {"1min": "1m", "5min": "5m", "15min": "15m", "30min": "30m", "60min": "1h", "4hour": "4h"}
CANDLES: Final = {f"kline.{theirs}": ours for theirs, ours in TIMEFRAMES.items()}
CANDLES_MAX: Final = 2_000
OPTIONS: Final = {"ping_s": 5.0, "pong_within_s": 20.0, "requests_per_s": 80.0, "old_snapshot_every": 4.0}
"""`old_snapshot_every`: which request for a book gets one that may be a second old."""
STAMP: Final = 1_767_225_600_000
_TIMES: Final = unix_times("ts", "quoteTime", "created_at", "funding_time", "settlement_time")
_OPENS: Final = re.compile(rb'"id":(\d{10}),"open":')
MARKET_PINGS: Final = ServerPings(
    text=lambda now: f'{{"ping":{now // MS}}}', is_answer=lambda text: text.startswith('{"pong":'), within_s=20.0
)
NOTIFICATION_PINGS: Final = ServerPings(
    text=lambda now: f'{{"op":"ping","ts":"{now // MS}"}}', is_answer=lambda text: text.startswith('{"op":"pong"'), within_s=20.0
)

exact: Final = msgspec.json.Decoder(dict[str, Any], float_hook=str).decode
"""A frame whose numbers with a decimal are text."""


def shift(payload: bytes, ns: int) -> bytes:
    """The frame with all its times later by `ns`; a candle's `id` is its beginning."""
    return _TIMES(_OPENS.sub(lambda found: b'"id":%d,"open":' % (int(found[1]) + ns // NS), payload), ns)


def java(text: str) -> str:
    """A number as Java writes it: with a decimal, and below 0.001 and from 10,000,000 on with an exponent."""
    number = Decimal(text)
    if not number:
        return "0.0"
    if Decimal("0.001") <= number < 10_000_000:
        return text if "." in text else f"{text}.0"
    digits = "".join(map(str, number.as_tuple().digits)).rstrip("0") or "0"
    return f"{digits[0]}.{digits[1:] or '0'}E{number.adjusted()}"


def named(text: str) -> Topic:
    """`market.btcusdt.mbp.150`, `public.BTC-USDT.funding_rate` → (channel, symbol)."""
    _, _, rest = text.partition(".")
    symbol, _, channel = rest.partition(".")
    return channel, symbol


def frame(topic: Topic, tick: str, ts: int) -> str:
    """A frame with data of a market."""
    return f'{{"ch":"market.{topic[1]}.{topic[0]}","ts":{ts // MS},"tick":{{{tick}}}}}'


def notification(topic: Topic, row: str, ts: int) -> str:
    """A notification with one row."""
    return f'{{"op":"notify","topic":"public.{topic[1]}.{topic[0]}","ts":{ts // MS},"data":[{{{row}}}]}}'


def classify(payload: bytes) -> spec.FrameInfo:
    """What a frame is: data, also a book that was asked for, have a topic."""
    made = msgspec.json.decode(payload, type=dict[str, Any])
    text = made.get("ch") or made.get("rep") or (made.get("topic") if made.get("op") == "notify" else None)
    if text:
        return spec.FrameInfo(spec.Role.DATA, (named(str(text)),))
    return spec.FrameInfo(spec.Role.FREE if "ping" in made or made.get("op") == "ping" else spec.Role.REPLY)


def asked(request: dict[str, Any]) -> spec.Request | None:
    """What a request asks for. A book of contracts without its `data_type` is another topic, which is not simulated."""
    match request:
        case {"sub": str(text)} | {"unsub": str(text)}:
            channel, symbol = named(text)
            is_whole = channel.endswith("high_freq") and request.get("data_type") != "incremental"
            return spec.Request("sub" in request, ((f"{channel} complete" if is_whole else channel, symbol),), request)
        case {"op": "sub" | "unsub" as verb, "topic": str(text)}:
            return spec.Request(verb == "sub", (named(text),), request)
    return None


def acknowledge(request: spec.Request) -> list[bytes]:
    """One acknowledgement a request, with its topic."""
    body = request.body
    if "op" in body:
        return [kit.encoded({"op": body["op"], "cid": body.get("cid"), "topic": body["topic"], "ts": STAMP, "err-code": 0})]
    done, text = ("subbed", body["sub"]) if request.subscribe else ("unsubbed", body["unsub"])
    return [kit.encoded({"id": body.get("id"), "status": "ok", done: text, "ts": STAMP})]


def refused(request: spec.Request) -> list[bytes]:
    """The answer to a request for a topic that does not exist."""
    body = request.body
    if "op" in body:
        about = {"op": body["op"], "cid": body.get("cid"), "topic": body["topic"], "ts": STAMP}
        return [kit.encoded({**about, "err-code": 2011, "err-msg": "the contract does not exist"})]
    return [error(body, f"invalid topic {body.get('sub') or body.get('unsub')}")]


def error(request: Mapping[str, Any], text: str) -> bytes:
    """The answer to what is no good."""
    return kit.encoded({"status": "error", "ts": STAMP, "id": request.get("id", ""), "err-code": "bad-request", "err-msg": text})


def refuse(request: spec.Request, bad: Collection[Topic]) -> tuple[list[bytes], spec.Request | None]:
    """All of it: there is one topic."""
    return refused(request), None


class HtxFeed(kit.RequestFeed):
    """One endpoint. `req` is answered with a book, where `books` makes one."""

    def __init__(self, source: Source, channels: Collection[str]) -> None:
        super().__init__(
            source,
            channels,
            asked=asked,
            acknowledge=acknowledge,
            refuse=refuse,
            other=lambda request: error(request or {}, "invalid request" if request else "not json, is not json string"),
            symbol=lambda topic: "" if topic == ("contract_info", "*") else topic[1],
        )
        self.books: Callable[[Topic], str | None] = lambda topic: None
        """Topic → the book's JSON; None: there is none now."""

    def receive(self, connection: Connection, text: str) -> None:
        """Answer a request for a book; all else as usual."""
        request = decode_object(text)
        wanted = None if request is None else request.get("req")
        if request is None or not isinstance(wanted, str):
            super().receive(connection, text)
            return
        about = f'{{"id":{msgspec.json.encode(request.get("id")).decode()},"status":"ok","ts":{self.now // MS},"rep":"{wanted}"'
        connection.send(f'{about},"data":{self.books(named(wanted)) or "null"}}}'.encode())


def dialect(name: str, path: str, channels: Collection[str], *, pings: ServerPings = MARKET_PINGS) -> spec.Dialect:
    """The table of an endpoint."""
    return spec.Dialect(
        name=name, path=path, prefixes=(path,), feed=lambda source, options: HtxFeed(source, channels), classify=classify, asked=asked,
        refuse=refuse, binary=GZIP, pings=pings,
    )  # fmt: skip


class HtxMarket(kit.ChannelMarket):
    """Symbols on several endpoints, and the REST side."""

    dialects: tuple[spec.Dialect, ...]
    every_ns = 100_000_000

    def __init__(self, pairs: Iterable[Pair], start_ts: int, options: spec.Options) -> None:
        super().__init__([kit.Symbol(pair, number=start_ts // MS * 8) for pair in pairs], start_ts)
        for one in self.dialects:
            self.add_feed(one.name, lambda source, one=one: one.feed(source, options), kit.SymbolSource(self.listed, start_ts))  # type: ignore[misc]
        channels = [self.add_channel(channel) for symbol in self.listed.values() for channel in self.channels(symbol)]
        self.add_timer(self.every_ns, channels, (start_ts // self.every_ns + 1) * self.every_ns)
        self.snapshots = KeptSnapshots(self.listed, int(options["old_snapshot_every"]))
        self._bucket = Bucket(options["requests_per_s"], options["requests_per_s"])

    def channels(self, symbol: kit.Symbol) -> Iterable[kit.Channel]:
        """All that the venue sends of one symbol, on all endpoints."""
        raise NotImplementedError

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The answer to a REST request."""
        raise NotImplementedError

    def candles_of(self, feed: Feed, symbol: kit.Symbol, write: Callable[..., str]) -> kit.Channel:
        """Candles of all timeframes."""
        grids: dict[Topic, Grid] = {(channel, symbol.name): grid(ours) for channel, ours in CANDLES.items()}
        return kit.CandleChannel(feed, symbol, grids, write, every_ns=500_000_000)

    def number(self, symbol: str) -> int:
        """The number of the newest change of a book."""
        return self.listed[symbol].number

    def answer(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The REST side, as often as may be asked."""
        return self.rest(path, query, now) if self._bucket.allows(now) else BUSY

    def flush(self, ts: int) -> None:
        """Flush what is due; once a second keep the books for old answers."""
        super().flush(ts)
        if ts % NS == 0:
            self.snapshots.keep()


def refusal(status: int, reason: str) -> dict[str, object]:
    """The JSON of an error by REST."""
    usual = {404: "invalid symbol", 418: "banned", 429: "too many requests"}.get(status, "invalid parameter")
    return {"ts": STAMP, "status": "error", "err-code": "invalid-parameter", "err-msg": reason or usual, "data": None}


UNKNOWN: Final = answer(refusal(404, ""))
BUSY: Final = answer(refusal(429, ""), 429)


def found(data: str, now: int, *, key: str = "data") -> Answer:
    """An answer with data, as JSON: of numbers no digit is lost."""
    return Answer(f'{{"status":"ok","ts":{now // MS},"{key}":{data}}}'.encode())


def candles(data: MarketData, symbol: str, query: Mapping[str, str]) -> list[Candle] | None:
    """The candles that a query asks for, oldest first: the newest, or from `from` to `to` (s); None: the symbol or timeframe is unknown."""
    if query.get("period") not in TIMEFRAMES:
        return None
    where = grid(TIMEFRAMES[query["period"]])
    limit = min(integer(query.get("size"), 150) or 150, CANDLES_MAX)
    start, end = (integer(query.get(name), -1) for name in ("from", "to"))
    bounds = [None if one is None or one < 0 else one * NS for one in (start, end)]
    made = data.candles(symbol, where, flat=True, times=asked_times(where, limit, *bounds))
    if made is None:
        return None
    wanted = [one for one in made if (bounds[0] or 0) <= one.open_ts <= (bounds[1] if bounds[1] is not None else 1 << 62)]
    return wanted[-limit:] if bounds[0] is None else wanted[:limit]
