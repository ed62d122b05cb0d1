"""What the sockets of BingX share: gzip frames, requests and their answers, signs of life that the server asks for.

Docs    https://bingx-api.github.io/docs-v3/
Quirks  one topic a request; answers repeat its id, not its topic; an error of spot has no id. A topic beyond the limit of a connection is
        refused with a code of its own. The server asks `Ping` as text on the swap, and in JSON on spot; it cuts who does not answer
Assumed, as no documentation says it: that a request for a topic which the client has already is acknowledged again; that a subscription of
books is answered with the book, and that books which have not changed are not sent
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from crosstape_simulator.formats import NS
from crosstape_simulator.market.grid import Grid
from crosstape_simulator.market.history import Candle, MarketData, asked_times, integer
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Source, decode_object
from crosstape_simulator.server.manners import ServerPings
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.rewriting import unix_times

MS: Final = 1_000_000
FULL: Final = 80403
TOPICS: Final = 200
DEPTHS: Final = (5, 10, 20, 50, 100)
CANDLES_MAX: Final = 1_440
OPTIONS: Final = {"topics": float(TOPICS), "ping_s": 5.0, "pong_within_s": 30.0, "requests_per_s": 50.0, "history": 20.0}
"""`history`: past trades that the swap sends on subscribing."""
ERRORS: Final = {404: (109425, "symbol does not exist"), 418: (100410, "banned"), 429: (100410, "rate limited")}
_TIMES: Final = unix_times("E", "T", "O", "C", "ts", "time", "timestamp", "nextFundingTime")
_OPENS: Final = re.compile(rb'"t":(\d{13})\b')


def named(text: str) -> Topic:
    """`BTC-USDT@trade` → (`trade`, `BTC-USDT`)."""
    symbol, _, channel = text.partition("@")
    return channel, symbol


def frame(topic: Topic, data: str, ts: int, *, stamp: str = "timestamp", more: str = "") -> str:
    """A frame with data: `stamp` is the name of its time (ms), empty for none."""
    sent = f',"{stamp}":{ts // MS}' if stamp else ""
    return f'{{"code":0,"dataType":"{topic[1]}@{topic[0]}"{sent}{more},"data":{data}}}'


def levels(symbol: kit.Symbol, side: list[tuple[int, int]]) -> str:
    """Rows, highest price first: of bids the best, of asks the worst."""
    return f"[{symbol.rows(sorted(side, reverse=True))}]"


def book(symbol: kit.Symbol, depth: int) -> str:
    """Both sides of a complete book."""
    bids, asks = symbol.pair.bids.levels(depth), symbol.pair.asks.levels(depth)
    return f'"bids":{levels(symbol, bids)},"asks":{levels(symbol, asks)}'


class CompleteBook(kit.BookChannel):
    """A complete book, sent at a pace if it has changed. A new client gets it at once."""

    def first(self, connection: Connection, topic: Topic, ts: int) -> None:
        """Send the book as it is."""
        self.feed.send_data(connection, topic, self._write(self.symbol, ts), ts)


def classify(payload: bytes) -> spec.FrameInfo:
    """What a frame is: data have a topic, answers an id or a code."""
    made = msgspec.json.decode(payload, type=dict[str, Any])
    if made.get("dataType"):
        return spec.FrameInfo(spec.Role.DATA, (named(str(made["dataType"])),))
    return spec.FrameInfo(spec.Role.FREE if "ping" in made else spec.Role.REPLY)


def asked(request: dict[str, Any]) -> spec.Request | None:
    """What a request asks for. A list of topics is ignored."""
    match request:
        case {"reqType": "sub" | "unsub" as verb, "dataType": str(text)}:
            return spec.Request(verb == "sub", (named(text),), request)
    return None


def refusal(status: int, reason: str) -> dict[str, object]:
    """The JSON of an error by REST."""
    code, usual = ERRORS.get(status, (100400, "bad argument"))
    return {"code": code, "msg": reason or usual, "data": {}}


UNKNOWN: Final = answer(refusal(404, ""))
BUSY: Final = answer(refusal(429, ""), 429)


def found(data: object) -> Answer:
    """An answer with data."""
    return answer({"code": 0, "msg": "", "data": data})


def shift(payload: bytes, ns: int) -> bytes:
    """The frame with all its times later by `ns`; `t` is the beginning of a candle, and the id of a trade, which stays."""
    later = _OPENS.sub(lambda found: b'"t":%d' % (int(found[1]) + ns // MS), payload)
    return _TIMES(later, ns)


class BingxFeed(kit.RequestFeed):
    """Subscribes as long as there is room."""

    def __init__(self, source: Source, channels: Collection[str], options: spec.Options, *, is_swap: bool) -> None:
        """`is_swap`: in which of the two forms answers are written."""
        super().__init__(
            source,
            channels,
            asked=asked,
            acknowledge=lambda request: [self._reply(request.body, 0, "" if is_swap else "SUCCESS")],
            refuse=self._refused,
            other=lambda request: self._reply(request or {}, 100400, "bad request"),
        )
        self._room = int(options["topics"])
        self._is_swap = is_swap

    def receive(self, connection: Connection, text: str) -> None:
        """Refuse a topic for which there is no room; answer all else as usual."""
        request = decode_object(text)
        wanted = None if request is None else asked(request)
        if wanted is not None and wanted.subscribe and wanted.topics[0] not in connection.topics and len(connection.topics) >= self._room:
            connection.send(self._reply(wanted.body, FULL, f"your topic num over max {self._room}"))
            return
        super().receive(connection, text)

    def _refused(self, request: spec.Request, bad: Collection[Topic]) -> tuple[list[bytes], spec.Request | None]:
        return [refused(request, is_swap=self._is_swap)], None

    def _reply(self, request: Mapping[str, Any], code: int, message: str) -> bytes:
        return reply(request, code, message, is_swap=self._is_swap)


def reply(request: Mapping[str, Any], code: int, message: str, *, is_swap: bool) -> bytes:
    """The answer to a request. An error of spot that is not about room has no id."""
    about: dict[str, Any] = {"id": request.get("id"), "code": code, "msg": message}
    if is_swap:
        return kit.encoded({**about, "dataType": "", "data": None})
    if code not in (0, FULL):
        del about["id"]
    return kit.encoded({**about, "timestamp": 1_767_225_600_000})


def refused(request: spec.Request, *, is_swap: bool) -> bytes:
    """The answer to a request for a topic that does not exist."""
    if is_swap:
        return reply(request.body, 80015, "dataType not support", is_swap=True)
    return reply(request.body, 100400, f"code:100400:{request.topics[0][0]} dataType is not supported", is_swap=False)


SWAP_PINGS: Final = ServerPings(text=lambda now: "Ping", is_answer=lambda text: text == "Pong")
SPOT_PINGS: Final = ServerPings(
    text=lambda now: f'{{"ping":"{now:x}","time":"{now // NS}"}}', is_answer=lambda text: text.startswith('{"pong":"')
)


def candles(data: MarketData, symbol: str, where: Grid, query: Mapping[str, str]) -> list[Candle] | None:
    """The candles between `startTime` and `endTime`, both included, oldest first; None: the symbol is unknown."""
    limit = min(integer(query.get("limit"), 500) or 500, CANDLES_MAX)
    start, end = (integer(query.get(name), -1) for name in ("startTime", "endTime"))
    bounds = [None if one is None or one < 0 else one * 1_000_000 for one in (start, end)]
    made = data.candles(symbol, where, times=asked_times(where, limit, *bounds))
    if made is None:
        return None
    wanted = [one for one in made if (bounds[0] or 0) <= one.open_ts <= (bounds[1] if bounds[1] is not None else 1 << 62)]
    return wanted[:limit]
