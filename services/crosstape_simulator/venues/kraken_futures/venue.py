"""Kraken Futures, WebSocket v1: its frames, requests and REST answers, and the table of all that the simulator knows of it.

Docs    https://docs.kraken.com/api/docs/futures-api/websocket/book, https://docs.kraken.com/api/docs/futures-api/trading/market-data
Quirks  numbers are JSON numbers; a greeting comes first; one acknowledgement a product; one level of a book a frame, each with its own
        number; forced trades are trades of another type; there are no candles on the stream; errors by REST may come with 200
Assumed, as no documentation says it: that a request with an unknown product is refused as a whole, that intervals
        without trades have flat candles. Not simulated: `ticker_lite`, past trades by REST, a ticker that comes with the subscription
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from crosstape_simulator.formats import NS
from crosstape_simulator.market.grid import grid
from crosstape_simulator.market.history import Candle, MarketData, Top, asked_times, integer
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.market.market import Pair
from crosstape_simulator.server.connection import Connection
from crosstape_simulator.server.feed import Feed, Source
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.kraken_futures import frames
from crosstape_simulator.venues.kraken_futures.frames import MS
from crosstape_simulator.venues.rewriting import UpdateIds, iso_times, unix_times

HOUR_S: Final = 3_600
EXPIRY: Final = 1_798_214_400 * NS
"""2026-12-25, 16:00 UTC."""
INVERSE: Final = {"BTC": 1, "ETH": 2, "XRP": 4}
"""Decimals of prices of contracts of one dollar."""
LINEAR: Final = {"BTC": (0, 4), "ETH": (1, 3), "SOL": (2, 2), "DOGE": (5, 0)}
"""Decimals of prices and sizes of contracts of one base unit."""
WORD: Final = "LINEAR"
OLD_NAMES: Final = {"BTC": "XBT"}
KINDS: Final = {
    "trade": frozenset({"trade", "liquidation"}),
    "book": frozenset({"book", "quote"}),
    "ticker": frozenset({"ticker", "mark", "funding", "open_interest"}),
}
HEARTBEAT: Final = ("heartbeat", "")
GREETING: Final = b'{"event":"info","version":1}'
INSTRUMENTS: Final = "/derivatives/api/v3/instruments"
TICKERS: Final = "/derivatives/api/v3/tickers"
CHART: Final = re.compile(r"/api/charts/v1/trade/([^/]+)/(1m|5m|15m|30m|1h|4h|12h|1d)/?")
CANDLES_MAX: Final = 2_000
ERRORS: Final = {200: "apiLimitExceeded", 404: "notFound", 429: "apiLimitExceeded"}


def _refusal(status: int, reason: str) -> dict[str, str]:
    return {"result": "error", "error": reason or ERRORS.get(status, "Unavailable")}


UNKNOWN: Final = answer(_refusal(404, ""), 404)
INSTRUMENT_LIST: Final = spec.InstrumentList(
    path=INSTRUMENTS, rows=("instruments",), symbol="symbol", base="base", tick="tickSize", lot="contractSize", status="tradeable",
    unlisted=lambda base: {"symbol": f"PF_{base}USDT", "type": "flexible_futures", "base": base, "quote": "USDT"},
)  # fmt: skip


def _classify(payload: bytes) -> spec.FrameInfo:
    frame = msgspec.json.decode(payload, type=dict[str, Any])
    if "event" in frame:
        return spec.FrameInfo(spec.Role.REPLY)
    feed = str(frame.get("feed"))
    if feed == "heartbeat":
        return spec.FrameInfo(spec.Role.FREE)
    return spec.FrameInfo(spec.Role.DATA, ((feed.removesuffix("_snapshot"), str(frame.get("product_id"))),))


def _asked(request: dict[str, Any]) -> spec.Request | None:
    match request:
        case {"event": "subscribe" | "unsubscribe" as verb, "feed": "heartbeat"}:
            return spec.Request(verb == "subscribe", (HEARTBEAT,), request)
        case {"event": "subscribe" | "unsubscribe" as verb, "feed": str(feed), "product_ids": [*products]}:
            return spec.Request(verb == "subscribe", tuple((feed, str(product).upper()) for product in products), request)
    return None


def _error(text: str) -> bytes:
    return kit.encoded({"event": "error", "message": text})


def _refuse(request: spec.Request, bad: object) -> tuple[list[bytes], spec.Request | None]:
    return [_error("Invalid product id")], None


def _acknowledge(request: spec.Request) -> list[bytes]:
    event = "subscribed" if request.subscribe else "unsubscribed"
    return [
        kit.encoded({"event": event, "feed": feed, **({"product_ids": [product]} if product else {})}) for feed, product in request.topics
    ]


def _other(request: dict[str, Any] | None) -> bytes:
    return _error("Invalid feed" if request else "Json Error")


class KrakenFuturesFeed(kit.RequestFeed):
    """Greets its clients, and sends a heartbeat each second to those who have subscribed it."""

    def open(self, connection: Connection, path: str, query: Mapping[str, str]) -> None:
        """Greet the client."""
        super().open(connection, path, query)
        connection.send(self.source.greeting() or GREETING)

    def second(self, now: int) -> None:
        """Send heartbeats."""
        super().second(now)
        if self.source.beats():
            self.publish(HEARTBEAT, b'{"feed":"heartbeat","time":%d}' % (now // MS))


def _feed(source: Source, options: spec.Options) -> Feed:
    channels = (*KINDS, HEARTBEAT[0])
    return KrakenFuturesFeed(source, channels, asked=_asked, acknowledge=_acknowledge, refuse=_refuse, other=_other)


def _ticker_channel(feed: Feed, symbol: kit.Symbol, topic: tuple[str, ...], write: Any) -> kit.ValueChannel:
    return kit.ValueChannel(feed, symbol, topic, write, every_ns=NS)


def _trade_channel(feed: Feed, symbol: kit.Symbol, topic: tuple[str, ...], write: Any) -> kit.TradeChannel:
    return kit.TradeChannel(feed, symbol, topic, write, first=frames.newest)


def _book_channel(feed: Feed, symbol: kit.Symbol, topic: tuple[str, ...], write: Any) -> frames.Changes:
    return frames.Changes(feed, symbol, topic, first=write)


class KrakenFuturesMarket(kit.StreamMarket):
    """Its feeds and REST side. Every change of a book has a number."""

    streams = (("trade", _trade_channel, frames.trades), ("book", _book_channel, frames.book), ("ticker", _ticker_channel, frames.ticker))
    feed, burst_s, busy = _feed, 10.0, answer(_refusal(429, ""), 429)

    def symbol(self, pair: Pair, start_ts: int) -> kit.Symbol:
        """Numbers that grow over restarts, too."""
        return kit.Symbol(pair, number=start_ts // MS * 8)

    def number(self, symbol: str) -> int | None:
        """The number of the newest change of a symbol's book."""
        return self.listed[symbol].number

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Contracts, best prices, candles."""
        if path == INSTRUMENTS:
            rows = ",".join(_row(symbol) for symbol in self.listed.values())
            return Answer(f'{{"result":"success","instruments":[{rows}]}}'.encode())
        return _history(self, path, query, now) or UNKNOWN


def _row(symbol: kit.Symbol) -> str:
    one = symbol.pair.listing
    names = {"symbol": one.symbol, "type": "futures_inverse" if one.inverse else "flexible_futures", "base": one.base, "quote": one.quote}
    ends = {} if one.expiry is None else {"lastTradingTime": "2026-12-25T16:00:00.000Z"}
    more = {"tradeable": True, "postOnly": False, "contractValueTradePrecision": one.size_decimals, "pair": f"{one.base}:{one.quote}"}
    steps = f'"tickSize":{symbol.short_price(1)},"contractSize":{one.contract_size}'
    return f"{kit.encoded(names | ends | more).decode()[:-1]},{steps}}}"


def _history(data: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    """Best prices of all contracts, and candles of one; None: the path is about something else."""
    if path == TICKERS:
        tops = [(symbol, top) for symbol in data.symbols() if (top := data.top(symbol)) is not None]
        rows = ",".join(f'{{"symbol":"{symbol}",{_top(top)},"suspended":false}}' for symbol, top in tops)
        time = iso_times(b'"2000-01-01T00:00:00.000Z"', now // MS * MS - 946_684_800 * NS).decode()
        return Answer(f'{{"result":"success","tickers":[{rows}],"serverTime":{time}}}'.encode())
    found = CHART.fullmatch(path)
    if found is None:
        return None
    length, start, end = grid(found[2]), integer(query.get("from"), 0), integer(query.get("to"), 1 << 33)
    if start is None or end is None:
        return answer({"errors": ["invalid range"]}, 400)
    times = asked_times(length, CANDLES_MAX + 1, start * NS, end * NS)
    made = data.candles(found[1], length, flat=True, times=times)
    if made is None:
        return UNKNOWN
    rows_ = [one for one in made if start <= one.open_ts // NS <= end]
    more = str(len(rows_) > CANDLES_MAX).lower()
    return Answer(f'{{"candles":[{",".join(map(_candle, rows_[:CANDLES_MAX]))}],"more_candles":{more}}}'.encode())


def _top(top: Top) -> str:
    (bid, bid_size), (ask, ask_size) = top.bid or ("0", "0"), top.ask or ("0", "0")
    return f'"bid":{bid},"bidSize":{bid_size},"ask":{ask},"askSize":{ask_size}'


def _candle(one: Candle) -> str:
    prices = f'"open":"{one.open}","high":"{one.high}","low":"{one.low}","close":"{one.close}"'
    return f'{{"time":{one.open_ts // MS},{prices},"volume":"{one.volume}"}}'


def _listing(base: str, expiry: int | None = None) -> Listing:
    prefix, day = ("PI", "") if expiry is None else ("FI", "_261225")
    symbol = f"{prefix}_{OLD_NAMES.get(base, base)}USD{day}"
    return Listing(
        "kraken_futures", symbol, base, "USD", INVERSE[base], 0, "1", inverse=True, expiry=expiry, funding_s=HOUR_S, one_level=True
    )


VENUE: Final = spec.SimulatedVenue(
    id="kraken_futures",
    title="Kraken Futures",
    listings=(
        *map(_listing, INVERSE),
        _listing("BTC", EXPIRY),
        *(
            Listing(
                "kraken_futures",
                f"PF_{OLD_NAMES.get(base, base)}USD",
                base,
                "USD",
                *decimals,
                "1",
                funding_s=HOUR_S,
                word=WORD,
                one_level=True,
            )
            for base, decimals in LINEAR.items()
        ),
    ),
    options={"requests_per_s": 10.0},
    dialects=(
        spec.Dialect(
            path="/ws/v1", prefixes=("/ws/v1",), feed=_feed, classify=_classify, asked=_asked, refuse=_refuse, acknowledges_each=True
        ),
    ),
    market=KrakenFuturesMarket,
    rest=spec.RestRules(
        history=_history,
        unknown=UNKNOWN,
        refusal=_refusal,
        statuses=frozenset({200}),
        lists=(INSTRUMENT_LIST,),
        halted={"halt": {"tradeable": False}, "delisted": {"tradeable": False}},
    ),
    recorded=spec.RecordedRules(is_greeting=lambda payload: b'"info"' in payload),
    kinds=KINDS,
    fields={
        "trade": ("price", "qty"),
        "liquidation": ("price", "qty"),
        "book": ("price", "qty"),
        "ticker": ("last", "volume"),
        "mark": ("markPrice", "index"),
        "funding": ("relative_funding_rate", "relative_funding_rate"),
        "open_interest": ("openInterest", "openInterest"),
    },
    shift=unix_times("time", "timestamp", "next_funding_rate_time"),
    shift_answer=lambda payload, ns: unix_times("time")(iso_times(payload, ns), ns),
    ids=UpdateIds("seq"),
    maintenance="",
)
