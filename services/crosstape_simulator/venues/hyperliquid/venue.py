"""Hyperliquid, perpetuals and spot: frames, requests and REST answers, and the tables of all that the simulator knows of them.

Docs    https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api
Quirks  one topic a request; an unknown coin ends the connection, without a word; each subscription of trades is answered with past ones,
        which nothing marks; `tid` is a hash, in no order; books are complete, and sent at a pace whether they have changed or not; nothing
        says that a candle is over; a contract's figures have no time. The server closes a connection on which it has sent nothing for a
        minute. By REST all is a POST to `/info`
Assumed, as no documentation says it: that a book follows its subscription at once. Not simulated: books of twenty levels, other intervals
of books, builders' contracts, `allMids`, limits of the socket
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

import msgspec

from crosstape_simulator.formats import NS
from crosstape_simulator.market.grid import Grid, grid
from crosstape_simulator.market.history import MarketData, Top, Traded, asked_times, integer
from crosstape_simulator.market.listings import PRICES, Listing
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed, Source
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.hyperliquid import frames
from crosstape_simulator.venues.hyperliquid.frames import MS
from crosstape_simulator.venues.rewriting import unix_times

PACE_NS: Final = NS // 2
"""How often a book is sent."""
IDLE_S: Final = 60.0
"""A client to which nothing was sent for so long is cut (s)."""
CANDLES_MAX: Final = 5_000
KINDS: Final = {
    "trades": frozenset({"trade"}),
    "bbo": frozenset({"quote"}),
    "l2Book": frozenset({"book"}),
    "activeAssetCtx": frozenset({"ticker", "mark", "funding", "open_interest"}),
    **dict.fromkeys(frames.CANDLES, frozenset({"candle"})),
}
ERRORS: Final = {422: "Failed to deserialize the JSON body into the target type", 429: "rate limited"}
UNKNOWN: Final = Answer(b"null", 500)
_TIMES: Final = unix_times("time", "t", "T", "startTime", "endTime")
DECIMALS: Final = {"BTC": (1, 5), "ETH": (2, 4), "SOL": (3, 2), "XRP": (4, 0)}
TOKENS: Final = {"USDC": 0, "BTC": 197, "ETH": 221, "SOL": 254, "XRP": 300}
NAMES: Final = {"BTC": "UBTC", "ETH": "UETH", "SOL": "USOL"}
PAIRS: Final = {"BTC": 142, "ETH": 151, "SOL": 156, "XRP": 200}
"""Base asset → the index of its pair on spot."""


def _channel(made: Mapping[str, Any]) -> str:
    interval = made.get("interval")
    return f"candle_{interval}" if interval is not None else str(made.get("type"))


def _classify(payload: bytes) -> spec.FrameInfo:
    made = msgspec.json.decode(payload, type=dict[str, Any])
    channel, data = str(made.get("channel")), made.get("data")
    if channel in ("pong", "error", "subscriptionResponse", "post"):
        return spec.FrameInfo(spec.Role.FREE if channel == "pong" else spec.Role.REPLY)
    if channel == "trades":
        return spec.FrameInfo(spec.Role.DATA, tuple({("trades", row["coin"]) for row in data or ()}))
    if not isinstance(data, dict):
        return spec.FrameInfo(spec.Role.FREE)
    if channel == "candle":
        return spec.FrameInfo(spec.Role.DATA, ((f"candle_{data['i']}", data["s"]),))
    return spec.FrameInfo(spec.Role.DATA, ((channel.replace("Spot", ""), str(data.get("coin"))),))


def _asked(request: dict[str, Any]) -> spec.Request | None:
    match request:
        case {"method": "subscribe" | "unsubscribe" as verb, "subscription": {"type": str(), "coin": str(coin)} as made}:
            return spec.Request(verb == "subscribe", ((_channel(made), coin),), request)
    return None


def _acknowledge(request: spec.Request) -> list[bytes]:
    defaults = {"nSigFigs": None, "mantissa": None, "fast": False} if request.topics[0][0] == "l2Book" else {}
    made = {**request.body, "subscription": {**defaults, **request.body["subscription"]}}
    return [kit.encoded({"channel": "subscriptionResponse", "data": made})]


def _other(request: dict[str, Any] | None) -> bytes:
    if (request or {}).get("method") == "ping":
        return b'{"channel":"pong"}'
    return _error(request)


def _error(request: object) -> bytes:
    text = msgspec.json.encode(request).decode()
    return kit.encoded({"channel": "error", "data": f"Error parsing JSON into valid websocket request: {text}"})


def _refuse(request: spec.Request, bad: Collection[Topic]) -> tuple[list[bytes], spec.Request | None]:
    return [_error(request.body)], None


class HyperliquidFeed(kit.RequestFeed):
    """Ends the connection of a client that subscribes an unknown coin, and of one to which nothing was sent for a minute."""

    def __init__(self, source: Source, options: spec.Options) -> None:
        super().__init__(source, KINDS, asked=_asked, acknowledge=_acknowledge, refuse=_refuse, other=_other)
        self._idle_s = options["idle_s"]
        self._heard: dict[Connection, tuple[int, float]] = {}  # frames sent so far, and when that was found (monotonic seconds)

    def receive(self, connection: Connection, text: str) -> None:
        """Answer a request about a known coin."""
        try:
            asked = _asked(msgspec.json.decode(text, type=dict[str, Any]))
        except msgspec.MsgspecError:
            asked = None
        if asked is not None and asked.topics[0][0] in KINDS and not self.source.lists(asked.topics[0][1]):
            connection.cut()
            return
        super().receive(connection, text)

    def close(self, connection: Connection) -> None:
        """Forget a client that has gone."""
        super().close(connection)
        self._heard.pop(connection, None)

    def second(self, now: int) -> None:
        """Cut the clients to which nothing was sent for too long."""
        super().second(now)
        clock = time.monotonic()
        for connection in tuple(self.connections):
            sent, since = self._heard.setdefault(connection, (connection.sent, clock))
            if sent != connection.sent:
                self._heard[connection] = connection.sent, clock
            elif clock - since > self._idle_s:
                connection.cut()


class HyperliquidMarket(kit.StreamMarket):
    """Hyperliquid's channels and REST side."""

    feed, busy = HyperliquidFeed, Answer(b'"rate limited"', 429)
    list_path: ClassVar[str]

    def __init__(self, pairs: Iterable[Any], start_ts: int, options: spec.Options) -> None:
        self._past = int(options["history"])
        super().__init__(pairs, start_ts, options)

    def channels(self, feed: Feed, symbol: kit.Symbol) -> Iterable[kit.Channel]:
        """All that there is of one coin."""
        name = symbol.name
        yield frames.Trades(feed, symbol, self._past)
        yield kit.QuoteChannel(feed, symbol, ("bbo", name), frames.quote, first=frames.quote)
        yield kit.ValueChannel(feed, symbol, ("l2Book", name), frames.book, every_ns=PACE_NS, first=frames.book)
        yield kit.ValueChannel(feed, symbol, ("activeAssetCtx", name), frames.figures, every_ns=NS, first=frames.figures)
        grids: dict[Topic, Grid] = {(channel, name): grid(interval) for channel, interval in frames.CANDLES.items()}
        yield kit.CandleChannel(feed, symbol, grids, frames.candle)

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Instruments, best prices, trades and candles."""
        return self.listing() if path == self.list_path else _history(self, path, query, now) or UNKNOWN

    def listing(self) -> Answer:
        """The list of instruments."""
        raise NotImplementedError


class PerpetualMarket(HyperliquidMarket):
    """Perpetuals: of the venue's own market and of one builder without any."""

    list_path = "/info/allPerpMetas"

    def listing(self) -> Answer:
        """The list of instruments."""
        rows: list[dict[str, object]] = [
            {"szDecimals": one.pair.listing.size_decimals, "name": name, "maxLeverage": 40, "marginTableId": 54}
            for name, one in self.listed.items()
        ]
        return answer([{"universe": rows, "collateralToken": 0}, {"universe": [], "collateralToken": 360}])


class SpotMarket(HyperliquidMarket):
    """Spot."""

    list_path = "/info/spotMeta"

    def listing(self) -> Answer:
        """The list of instruments."""
        listed = {name: one.pair.listing for name, one in self.listed.items()}
        sizes = {one.base: one.size_decimals for one in listed.values()} | {"USDC": 8}
        tokens = [
            {"name": NAMES.get(base, base), "szDecimals": sizes.get(base, 8), "weiDecimals": 8, "index": _token(base)}
            for base in {**TOKENS, **sizes}
        ]
        rows: list[dict[str, object]] = [
            {"tokens": [_token(one.base), 0], "name": name, "index": _pair(one.base), "isCanonical": False} for name, one in listed.items()
        ]
        return answer({"universe": rows, "tokens": tokens})


def _history(data: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    coin = query.get("coin", "")
    if path == "/info/recentTrades" and (known := data.history(coin)) is not None:
        rows = [
            {"coin": coin, "side": "B" if bought else "A", "px": price, "sz": size, "time": ts // MS, "tid": frames.tid(number)}
            for number, ts, price, size, bought in reversed(known.newest(10))
        ]
        return answer(rows)
    if path == "/info/l2Book" and (top := data.top(coin)) is not None:
        sides = [[{"px": one[0], "sz": one[1], "n": 1}] if one else [] for one in (top.bid, top.ask)]
        return answer({"coin": coin, "time": now // MS, "levels": sides})
    interval, start, end = query.get("interval", ""), integer(query.get("startTime"), 0), integer(query.get("endTime"), now // MS)
    if path != "/info/candleSnapshot" or interval not in frames.INTERVALS or start is None or end is None:
        return None
    where = grid(interval)
    begin = where.interval(start * MS)[0]
    found = data.candles(coin, where, times=asked_times(where, CANDLES_MAX, begin, end * MS))
    candles: list[dict[str, object]] = [frames.row(coin, interval, one) for one in found or () if begin <= one.open_ts <= end * MS]
    return None if found is None else answer(candles[-CANDLES_MAX:])


def _posted(path: str, body: bytes) -> str | None:
    """`{"type": "l2Book", "coin": "BTC"}` → `/info/l2Book?coin=BTC`."""
    try:
        made = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None
    kind = made.pop("type", None)
    if path != "/info" or not isinstance(kind, str) or re.fullmatch("[A-Za-z0-9]+", kind) is None:
        return None
    fields = made.pop("req", made)
    return f"/info/{kind}?{urlencode(fields)}" if fields else f"/info/{kind}"


def _recorded_trades(payload: bytes) -> Iterator[tuple[str, Traded]]:
    for raw in msgspec.json.decode(payload, type=dict[str, Any])["data"]:
        yield raw["coin"], Traded(raw["tid"], raw["time"] * MS, raw["px"], raw["sz"], raw["side"] == "B")


def _recorded_top(payload: bytes) -> Top:
    best = [None if one is None else (one["px"], one["sz"]) for one in msgspec.json.decode(payload)["data"]["bbo"]]
    return Top(best[0], best[1])


def _pair(base: str) -> int:
    """The index of an asset's pair against USDC."""
    return PAIRS.get(base) or 300 + list(PRICES).index(base)


def _token(base: str) -> int:
    """The index of an asset's token."""
    return TOKENS[base] if base in TOKENS else 400 + list(PRICES).index(base)


def _shift_query(query: Mapping[str, str], ns: int) -> Mapping[str, str]:
    return {name: str(int(text) - ns // MS) if name.endswith("Time") and text.isdecimal() else text for name, text in query.items()}


def _venue(
    market: type[HyperliquidMarket], title: str, listings: Iterable[Listing], lists: spec.InstrumentList, halted: Any
) -> spec.SimulatedVenue:
    listed = tuple(listings)
    return spec.SimulatedVenue(
        id=listed[0].venue,
        title=title,
        listings=listed,
        symbol_of=lambda listing, base: f"@{_pair(base)}" if listing.symbol.startswith("@") else base,
        options={"requests_per_s": 10.0, "history": 30.0, "idle_s": IDLE_S},
        dialects=(spec.Dialect(path="/ws", prefixes=("/ws",), feed=HyperliquidFeed, classify=_classify, asked=_asked, refuse=_refuse),),
        market=market,
        rest=spec.RestRules(
            history=_history,
            unknown=UNKNOWN,
            refusal=lambda status, reason: reason or ERRORS.get(status, "refused"),
            lists=(lists,),
            halted=halted,
            posted=_posted,
            shift_query=_shift_query,
        ),
        recorded=spec.RecordedRules(trades={"trades": _recorded_trades}, tops={"bbo": _recorded_top}),
        kinds=KINDS,
        fields={
            "trade": ("px", "sz"),
            "quote": ("px", "sz"),
            "book": ("px", "sz"),
            "ticker": ("prevDayPx", "dayBaseVlm"),
            "candle": ("[ohlc]", "v"),
            "mark": ("markPx", "oraclePx"),
            "open_interest": ("openInterest", "openInterest"),
            "funding": ("funding", "funding"),
        },
        shift=_TIMES,
        maintenance="",
    )


PERPETUALS: Final = _venue(
    PerpetualMarket,
    "Hyperliquid perpetuals",
    (Listing("hyperliquid", base, base, "USDC", *decimals, contract_size="1", funding_s=3_600) for base, decimals in DECIMALS.items()),
    spec.InstrumentList(
        path=PerpetualMarket.list_path, rows=("0", "universe"), symbol="name", base="name", tick="szDecimals", lot="szDecimals",
        status="isDelisted", unlisted=lambda base: {"name": base},
    ),
    {"halt": {"isDelisted": True}, "delisted": {"isDelisted": True}},
)  # fmt: skip
SPOT: Final = _venue(
    SpotMarket,
    "Hyperliquid spot",
    (Listing("hyperliquid_spot", f"@{_pair(base)}", base, "USDC", *decimals) for base, decimals in DECIMALS.items()),
    spec.InstrumentList(
        path=SpotMarket.list_path, rows=("universe",), symbol="name", base="tokens", tick="index", lot="index",
        status="isCanonical", unlisted=lambda base: {"name": f"{base}/USDC", "tokens": [9_999, 0], "index": 9_999},
    ),
    {},
)  # fmt: skip
