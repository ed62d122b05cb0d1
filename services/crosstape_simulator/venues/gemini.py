"""Gemini spot: the frames, requests and REST answers of its WebSocket of 2026, and the table of all that the simulator knows of it.

Docs    https://developer.gemini.com/websocket/introduction, https://docs.gemini.com/rest/market-data
Quirks  frames do not name their stream; times are ns; a change of a book begins with the last id of the one before, and the complete book
        has one id; there is no ticker, and candles are by REST alone: the newest, whatever is asked for
Assumed, as no documentation says it: what one stream that does not exist does to a request (all of it is refused), most errors' texts.
Not simulated: books of some levels, a connection that does not ask for complete books, event contracts, the socket before this one
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from crosstape_simulator.market.grid import grid
from crosstape_simulator.market.history import Candle, MarketData, asked_times, integer
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.market.market import Pair
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.server.feed import Feed, Source
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.rewriting import UpdateIds, unix_times

DECIMALS: Final = {"BTC": (2, 8), "ETH": (2, 6), "SOL": (3, 6), "XRP": (5, 6), "DOGE": (5, 6)}
PAIRS: Final = (*((base, "USD") for base in DECIMALS), ("BTC", "USDT"), ("ETH", "USDT"))
Levels = Iterable[tuple[int, int]]
"""(price in ticks, size in lots)."""
KINDS: Final = {"trade": frozenset({"trade"}), "bookTicker": frozenset({"quote"}), "depth": frozenset({"book"})}
WINDOWS: Final = {"1m": 1_440, "5m": 2_015, "15m": 1_343, "30m": 1_439, "1hr": 1_463}
"""Interval → candles in an answer."""
ABOUT: Final = re.compile(r"/v[12]/(trades|book|candles)/([^/]+)(?:/([^/]+))?/?")
PAGE: Final = 500
ERRORS: Final = {400: "Bad Request", 404: "EndpointNotFound", 429: "RateLimit"}


def _refusal(status: int, reason: str) -> dict[str, str]:
    word = ERRORS.get(status, "System")
    return {"result": "error", "reason": word, "message": reason or f"The request was refused with {status}"}


UNKNOWN: Final = answer(_refusal(400, "Supplied value is not a valid symbol."), 400)
NO_PATH: Final = answer(_refusal(404, ""), 404)
INSTRUMENT_LIST: Final = spec.InstrumentList(
    path="/v1/symbols/details/all", rows=(), symbol="symbol", base="base_currency", tick="quote_increment", lot="tick_size",
    unlisted=lambda base: {"symbol": f"{base}USDT", "base_currency": base, "quote_currency": "USDT"}, names=str.upper,
)  # fmt: skip


def _topic(stream: str) -> tuple[str, str]:
    symbol, _, channel = stream.partition("@")
    return channel, symbol.lower()


def _classify(payload: bytes) -> spec.FrameInfo:
    """By its fields, as no frame names its stream."""
    frame = msgspec.json.decode(payload, type=dict[str, Any])
    if "id" in frame:
        return spec.FrameInfo(spec.Role.REPLY)
    channel = "depth" if frame.get("e") == "depthUpdate" else "trade" if "t" in frame else "bookTicker"
    return spec.FrameInfo(spec.Role.DATA, ((channel, str(frame.get("s"))),))


def _asked(request: dict[str, Any]) -> spec.Request | None:
    match request:
        case {"method": str(method), "params": [*streams]} if method.lower() in ("subscribe", "unsubscribe"):
            return spec.Request(method.lower() == "subscribe", tuple(_topic(str(stream)) for stream in streams), request)
    return None


def _reply(request: Mapping[str, Any], status: int, **more: object) -> bytes:
    return kit.encoded({"id": request.get("id"), "status": status, **more})


def _refuse(request: spec.Request, bad: object) -> tuple[list[bytes], spec.Request | None]:
    return [_reply(request.body, 400, error={"code": -1013, "msg": "Invalid stream"})], None


def _acknowledge(request: spec.Request) -> list[bytes]:
    return [_reply(request.body, 200)]


def _other(request: dict[str, Any] | None) -> bytes:
    if request is not None and str(request.get("method")).lower() == "ping":
        return _reply(request, 200)
    return _reply(request or {}, 400, error={"code": -1013, "msg": "Invalid request"})


def _feed(source: Source, options: spec.Options) -> Feed:
    return kit.RequestFeed(source, KINDS, asked=_asked, acknowledge=_acknowledge, refuse=_refuse, other=_other)


def _trades(symbol: kit.Symbol, trades: kit.Trades) -> Iterator[str]:
    for ts, fill in trades:
        numbers = f'"p":"{symbol.price(fill.price)}","q":"{symbol.size(fill.size)}","m":{str(not fill.buyer_takes).lower()}'
        yield f'{{"E":{ts},"s":"{symbol.name}","t":{fill.trade_id},{numbers}}}'


def _quote(symbol: kit.Symbol, ts: int) -> str:
    best, last = symbol.best, symbol.pair.last
    bid = f'"b":"{symbol.price(best.bid)}","B":"{symbol.size(best.bid_size)}"'
    ask = f'"a":"{symbol.price(best.ask)}","A":"{symbol.size(best.ask_size)}"'
    traded = f'"c":"{symbol.price(last.price)}","C":"{symbol.size(last.size)}"'
    return f'{{"u":{symbol.number},"E":{ts},"s":"{symbol.name}",{bid},{ask},{traded}}}'


def _depth(symbol: kit.Symbol, ts: int, ids: tuple[int, int], bids: Levels, asks: Levels) -> str:
    numbers = f'"U":{ids[0]},"u":{ids[1]}'
    return f'{{"e":"depthUpdate","E":{ts},"s":"{symbol.name}",{numbers},"b":[{symbol.rows(bids)}],"a":[{symbol.rows(asks)}]}}'


def _delta(symbol: kit.Symbol, delta: kit.Delta, ts: int) -> str:
    """It begins with the last id of the one before."""
    return _depth(symbol, ts, (delta.first - 1, delta.last), delta.side(bid=True), delta.side(bid=False))


def _book(symbol: kit.Symbol, ts: int) -> str:
    """The complete book."""
    return _depth(symbol, ts, (symbol.number, symbol.number), symbol.pair.bids.levels(), symbol.pair.asks.levels())


def _delta_channel(feed: Feed, symbol: kit.Symbol, topic: Topic, write: Any) -> kit.DeltaChannel:
    return kit.DeltaChannel(feed, symbol, topic, write, first=_book)


class GeminiMarket(kit.StreamMarket):
    """Gemini's streams and REST side. Every change of a book has a number."""

    streams = (("trade", kit.TradeChannel, _trades), ("bookTicker", kit.QuoteChannel, _quote), ("depth", _delta_channel, _delta))
    feed, every_ns, burst_s, busy = _feed, 10_000_000, 60.0, answer(_refusal(429, ""), 429)

    def symbol(self, pair: Pair, start_ts: int) -> kit.Symbol:
        """Numbers that grow over restarts, too."""
        return kit.Symbol(pair, number=start_ts // 1_000_000 * 8)

    def number(self, symbol: str) -> int | None:
        """The number of the newest change of a symbol's book."""
        return self.listed[symbol].number

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Instruments, trades, best prices, candles."""
        if path == INSTRUMENT_LIST.path:
            return answer([_row(symbol) for symbol in self.listed.values()])
        if path == "/v1/symbols":
            return answer(list(self.listed))
        return _history(self, path, query, now) or NO_PATH


def _row(symbol: kit.Symbol) -> dict[str, object]:
    one = symbol.pair.listing
    names = {"symbol": one.symbol.upper(), "base_currency": one.base, "quote_currency": one.quote}
    steps = {"tick_size": float(symbol.size(1)), "quote_increment": float(symbol.price(1)), "min_order_size": "0.00001"}
    return {**names, **steps, "status": "open", "wrap_enabled": False, "product_type": "spot", "contract_type": "vanilla"}


def _history(data: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    """Trades, best prices and candles of a symbol, up to its newest trade; None: the path is about something else."""
    found = ABOUT.fullmatch(path)
    if found is None:
        return None
    name = found[2].lower()
    history, top = data.history(name), data.top(name)
    if history is None:
        return UNKNOWN
    if found[1] == "trades":
        limit, since = integer(query.get("limit_trades"), 50), integer(query.get("since_tid"), -1)
        if limit is None or since is None or not 0 < limit <= PAGE:
            return answer(_refusal(400, "Bad limit_trades or since_tid"), 400)
        trades = history.newest(limit) if since < 0 else history.since(since + 1, limit)
        rows = [
            {"timestamp": one.ts // 10**9, "timestampms": one.ts // 10**6, "tid": one.trade_id, "price": one.price, "amount": one.size,
             "exchange": "gemini", "type": "buy" if one.buyer_takes else "sell"}
            for one in reversed(trades)
        ]  # fmt: skip
        return answer(rows)
    if found[1] == "book":
        if top is None:
            return UNKNOWN
        sides = {"bids": top.bid, "asks": top.ask}
        filler = str(now // 10**9)
        return answer({side: [{"price": best[0], "amount": best[1], "timestamp": filler}] if best else [] for side, best in sides.items()})
    if found[3] not in WINDOWS:
        return answer(_refusal(400, "Supplied value is not a valid time frame"), 400)
    length, until = grid(found[3].replace("hr", "h")), now if history.last_ts is None else history.last_ts
    rows_ = data.candles(name, length, flat=True, times=asked_times(length, WINDOWS[found[3]], None, until)) or []
    return Answer(b"[%s]" % ",".join(_candle(one) for one in reversed(rows_[-WINDOWS[found[3]] :])).encode())


def _candle(one: Candle) -> str:
    return f"[{one.open_ts // 10**6},{one.open},{one.high},{one.low},{one.close},{one.volume}]"


VENUE: Final = spec.SimulatedVenue(
    id="gemini",
    title="Gemini",
    listings=tuple(Listing("gemini", f"{base}{quote}".lower(), base, quote, *DECIMALS[base]) for base, quote in PAIRS),
    options={"requests_per_s": 2.0},
    dialects=(spec.Dialect(path="/", prefixes=("/",), feed=_feed, classify=_classify, asked=_asked, refuse=_refuse),),
    market=GeminiMarket,
    rest=spec.RestRules(
        history=_history,
        unknown=UNKNOWN,
        refusal=_refusal,
        lists=(INSTRUMENT_LIST,),
        halted={"halt": {"status": "closed"}, "cancel_only": {"status": "cancel_only"}, "delisted": {"status": "closed"}},
    ),
    kinds=KINDS,
    fields={"trade": ("p", "q"), "quote": ("b|a", "B|A")},
    shift=unix_times("E", "timestamp", "timestampms"),
    ids=UpdateIds("U", "u"),
    maintenance="",
)
