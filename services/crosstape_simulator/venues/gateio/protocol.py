"""Gate's WebSocket protocol, the market that spot and futures are, and what their REST answers have in common.

Docs    https://www.gate.com/docs/developers/apiv4/ws/en/, …/futures/ws/en/
Quirks  a request for books is acknowledged whatever it names; a book that the connection has already is refused ("Alert sub"); any other
        request with an unknown pair is refused as a whole. An answer repeats id and payload
Topics  (channel, symbol); of books (channel, symbol, depth), of candles the timeframe is in the channel: `spot.candlesticks_1m`
Assumed, as no documentation says it: that a refused request subscribes none of its pairs. Not simulated: the window of 50 or 400 levels
(books are complete), frames that only move the number on, books by `order_book_update` and `order_book`
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, ClassVar, Final

import msgspec

from crosstape_simulator.formats import NS
from crosstape_simulator.market.grid import Grid, grid
from crosstape_simulator.market.history import Candle, MarketData, asked_times, integer
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed, Source, decode_object
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.rewriting import UpdateIds, unix_times

MS: Final = 1_000_000
DEPTHS: Final = ("50", "400")
TIMEFRAMES: Final = ("1m", "5m", "15m", "30m", "1h", "4h", "8h", "1d")
GRIDS: Final = {name: grid(name) for name in TIMEFRAMES} | {"1w": grid("1w"), "30d": grid("1M")}
"""Their timeframes → ours, by REST."""
OPTIONS: Final = {"requests_per_s": 20.0, "silence_s": 30.0}
SHIFT: Final = unix_times("time", "time_ms", "t", "create_time", "create_time_ms", "current", "update", "funding_next_apply")
IDS: Final = UpdateIds("U", "u")
MAINTENANCE: Final = "`…system` frames of the type `upgrade`, before connections end"
_SILENT: Final = ".obu"
_NO_FLAG: Final = 3
"""One of so many candles ends without its flag."""
_USUAL: Final = {404: "NOT_FOUND", 429: "TOO_MANY_REQUESTS", 451: "FORBIDDEN", 403: "FORBIDDEN"}


def frame(channel: str, result: str, ts: int, event: str = "update") -> str:
    """A frame with data. `result`: its JSON."""
    return f'{{"time":{ts // NS},"time_ms":{ts // MS},"channel":"{channel}","event":"{event}","result":{result}}}'


def asked(request: dict[str, Any]) -> spec.Request | None:
    """`{"time", "id", "channel", "event": "subscribe", "payload": […]}`."""
    match request:
        case {"channel": str(channel), "event": "subscribe" | "unsubscribe" as verb, "payload": [*words]}:
            return spec.Request(verb == "subscribe", _topics(channel, [str(word) for word in words]), request)
    return None


def _topics(channel: str, words: list[str]) -> tuple[Topic, ...]:
    if channel.endswith(_SILENT):
        return tuple((channel, *word.removeprefix("ob.").rsplit(".", 1)) for word in words)
    if channel.endswith(".candlesticks"):
        return tuple((f"{channel}_{words[0]}", symbol) for symbol in words[1:])
    return tuple((channel, symbol) for symbol in words)


def _reply(request: Mapping[str, Any], now: int, error: tuple[int, str] | None = None) -> bytes:
    about = {key: request[key] for key in ("id", "channel", "event", "payload") if key in request}
    failed = {} if error is None else {"error": {"code": error[0], "message": error[1]}}
    return kit.encoded({"time": now // NS, "time_ms": now // MS, **about, **failed, "result": {"status": "fail" if error else "success"}})


class GateFeed(kit.RequestFeed):
    """Refuses a book that the connection has already; answers all else as usual."""

    def __init__(self, source: Source, market: str, channels: Collection[str]) -> None:
        """`market`: `spot` or `futures`."""
        super().__init__(
            source,
            channels,
            asked=asked,
            acknowledge=lambda request: [_reply(request.body, self.now)],
            refuse=lambda request, bad: refuse(request, bad, self.now),
            other=lambda request: self._pong_or_error(request or {}),
            announcement=frame(f"{market}.system", '{"type":"upgrade","msg":"Please reconnect."}', 0).encode(),
            symbol=lambda topic: "" if topic[0].endswith(_SILENT) else topic[1],
        )
        self._pongs = f"{market}.pong"

    def receive(self, connection: Connection, text: str) -> None:
        """See `kit.RequestFeed.receive`."""
        request = decode_object(text)
        wanted = None if request is None else asked(request)
        if wanted is not None and wanted.subscribe and wanted.topics and wanted.topics[0][0].endswith(_SILENT):
            had = [topic for topic in wanted.topics if topic in connection.topics]
            if had:
                connection.send(_reply(wanted.body, self.now, (2, f"Alert sub ob.{'.'.join(had[0][1:])}")))
                return
        super().receive(connection, text)

    def _pong_or_error(self, request: Mapping[str, Any]) -> bytes:
        if str(request.get("channel")).endswith(".ping"):
            now = {"time": self.now // NS, "time_ms": self.now // MS}
            return kit.encoded({**now, "conn_id": "simulated", "channel": self._pongs, "event": "", "result": None})
        return _reply(request, self.now, (1, "request message need json scheme"))


def refuse(request: spec.Request, bad: Collection[Topic], now: int = 0) -> tuple[list[bytes], spec.Request | None]:
    """All of it."""
    name = next(iter(bad), ("", ""))[1]
    return [_reply(request.body, now, (2, f"unknown currency pair: {name}"))], None


def classify(payload: bytes) -> spec.FrameInfo:
    """What a frame is: data have rows that name their symbol."""
    made = msgspec.json.decode(payload, type=dict[str, Any])
    channel, event = str(made.get("channel")), made.get("event")
    if event in ("subscribe", "unsubscribe") or channel.endswith((".pong", ".system")):
        return spec.FrameInfo(spec.Role.FREE if channel.endswith(".system") else spec.Role.REPLY)
    rows = made["result"] if isinstance(made.get("result"), list) else [made.get("result")]
    return spec.FrameInfo(spec.Role.DATA, tuple(_topic(channel, row) for row in rows if isinstance(row, dict)))


def _topic(channel: str, row: Mapping[str, Any]) -> Topic:
    if "n" in row:
        interval, _, symbol = str(row["n"]).partition("_")
        return f"{channel}_{interval}", symbol
    symbol = str(row.get("currency_pair") or row.get("contract") or row.get("s"))
    return (channel, *symbol.removeprefix("ob.").rsplit(".", 1)) if channel.endswith(_SILENT) else (channel, symbol)


def dialect(market: str, path: str, channels: Collection[str]) -> spec.Dialect:
    """The only endpoint of a venue."""
    return spec.Dialect(
        path=path,
        prefixes=(path.rstrip("/"),),
        feed=lambda source, options: GateFeed(source, market, channels),
        classify=classify,
        asked=asked,
        refuse=refuse,
    )


def refusal(status: int, reason: str) -> dict[str, str]:
    """The JSON of an error."""
    return {"label": _USUAL.get(status, "INVALID_PARAM_VALUE"), "message": reason or "Request refused."}


UNKNOWN: Final = answer({"label": "INVALID_CURRENCY_PAIR", "message": "Invalid currency pair"}, 400)
BUSY: Final = answer(refusal(429, ""), 429, {"X-Gate-RateLimit-Requests-Remain": "0"})


class Book(kit.DeltaChannel):
    """A full book for a new client, then changes, whose numbers follow it without an overlap."""

    def first(self, connection: Connection, topic: Topic, ts: int) -> None:
        """Send the full book, after all clients got what was gathered."""
        self.flush(ts)
        super().first(connection, topic, ts)


class GateMarket(kit.StreamMarket):
    """One market: `market` is what its channels' names begin with."""

    market: ClassVar[str]
    burst_s = 10.0
    busy = BUSY

    def channels(self, feed: Feed, symbol: kit.Symbol) -> Iterable[kit.Channel]:
        """Books of both depths, and candles; then what the streams' table has."""
        for depth in DEPTHS:
            topic = (f"{self.market}.obu", symbol.name, depth)
            yield Book(feed, symbol, topic, self._delta(depth), first=self._full(depth))
        grids: dict[Topic, Grid] = {(f"{self.market}.candlesticks_{name}", symbol.name): GRIDS[name] for name in TIMEFRAMES}
        yield kit.CandleChannel(feed, symbol, grids, self.candle, flag=True, empty="flat", every_ns=2 * NS)
        yield from super().channels(feed, symbol)

    def number(self, symbol: str) -> int:
        """The number of the newest change of a symbol's book."""
        return self.listed[symbol].number

    def symbol(self, pair: Any, start_ts: int) -> kit.Symbol:
        """Numbers begin where those of a real venue might."""
        return kit.Symbol(pair, number=start_ts // MS * 8)

    def candle(self, symbol: kit.Symbol, topic: Topic, candle: Candle, is_over: bool, ts: int) -> str:
        """Write a candle."""
        raise NotImplementedError

    def _full(self, depth: str) -> Any:
        def write(symbol: kit.Symbol, ts: int) -> str:
            about = f'"t":{ts // MS},"full":true,"s":"ob.{symbol.name}.{depth}","u":{symbol.number}'
            bids, asks = symbol.pair.bids.levels(), symbol.pair.asks.levels()
            return frame(f"{self.market}.obu", f'{{{about},"b":[{_rows(symbol, bids)}],"a":[{_rows(symbol, asks)}]}}', ts)

        return write

    def _delta(self, depth: str) -> Any:
        def write(symbol: kit.Symbol, delta: kit.Delta, ts: int) -> str:
            about = f'"t":{ts // MS},"s":"ob.{symbol.name}.{depth}","U":{delta.first},"u":{delta.last}'
            sides = [(name, rows) for name, bid in (("b", True), ("a", False)) if (rows := _rows(symbol, delta.side(bid=bid)))]
            return frame(f"{self.market}.obu", f"{{{about}{''.join(f',{chr(34)}{name}{chr(34)}:[{rows}]' for name, rows in sides)}}}", ts)

        return write


def _rows(symbol: kit.Symbol, levels: Iterable[tuple[int, int]]) -> str:
    return ",".join([f'["{symbol.short_price(price)}","{symbol.short_size(size)}"]' for price, size in levels])


def closing(candle: Candle, *, is_over: bool) -> str:
    """The field that says whether a candle is over, which sometimes never says it."""
    return "true" if is_over and candle.open_ts // NS // 60 % _NO_FLAG else "false"


def candles(
    data: MarketData, symbol: str, query: Mapping[str, str], now: int, *, most: int, write: Callable[[Candle], object]
) -> Answer | None:
    """The answer with the candles that a query asks for, oldest first; None: the symbol is unknown."""
    where, start, end = GRIDS.get(query.get("interval", "")), integer(query.get("from"), 0), integer(query.get("to"), now // NS)
    if where is None or start is None or end is None or (where.length_s and (end - start) // where.length_s >= most):
        return answer(refusal(400, f"Candlestick range too broad. Maximum {most} data points are allowed per request"), 400)
    found = data.candles(symbol, where, flat=True, times=asked_times(where, most, start * NS, end * NS))
    return None if found is None else answer([write(one) for one in found if start <= one.open_ts // NS <= end])


def shift_query(query: Mapping[str, str], ns: int) -> Mapping[str, str]:
    """The query with its times earlier by `ns`."""
    return {name: str(int(text) - ns // NS) if name in ("from", "to") and text.isdecimal() else text for name, text in query.items()}
