"""BingX perpetuals: their frames and REST answers, and the table of all that the simulator knows of them.

Quirks  trades come as lists without ids, newest first, and a subscription is answered with past ones; `incrDepth` begins with `all` levels,
        and its numbers jump; complete books have no number; `T` of a candle is its beginning; sizes by REST are base units in `…Coin` only
Assumed, as no documentation says it: that the first list of trades is of the past (`history` of the options; 0: there is none)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from crosstape_simulator.formats import fixed, plain
from crosstape_simulator.market.grid import Grid, grid
from crosstape_simulator.market.history import Candle, MarketData, Traded, integer
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.market.market import Pair
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed, Source
from crosstape_simulator.server.manners import GZIP
from crosstape_simulator.server.rest import Answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.archetypes.channels import Write
from crosstape_simulator.venues.bingx import protocol
from crosstape_simulator.venues.bingx.protocol import MS

ID: Final = "bingx_swap"
DECIMALS: Final = {"BTC": (1, 4), "ETH": (2, 2), "SOL": (3, 2), "XRP": (4, 1)}
TIMEFRAMES: Final = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w", "1M")
CANDLES: Final = {f"kline_{name}": name for name in TIMEFRAMES}
LEVELS: Final = 1_024
DATED: Final = (*(f"depth{depth}" for depth in protocol.DEPTHS[1:]),)
KINDS: Final = {
    "trade": frozenset({"trade"}),
    "depth5": frozenset({"quote"}),
    "bookTicker": frozenset({"quote"}),
    "incrDepth": frozenset({"book"}),
    "ticker": frozenset({"ticker"}),
    "markPrice": frozenset({"mark"}),
    **dict.fromkeys(DATED, frozenset({"book"})),
    **dict.fromkeys(CANDLES, frozenset({"candle"})),
}
CONTRACTS, TRADES = "/openApi/swap/v2/quote/contracts", "/openApi/swap/v2/quote/trades"
DEPTH, KLINES = "/openApi/swap/v2/quote/depth", "/openApi/swap/v3/quote/klines"
FUNDING, INTEREST = "/openApi/swap/v2/quote/premiumIndex", "/openApi/swap/v2/quote/openInterest"
INSTRUMENT_LIST: Final = spec.InstrumentList(
    path=CONTRACTS, rows=("data",), symbol="symbol", base="asset", tick="pricePrecision", lot="quantityPrecision",
    unlisted=lambda base: {"symbol": f"{base}-USDT", "asset": base, "currency": "USDT"},
)  # fmt: skip


def _rows(symbol: kit.Symbol, trades: kit.Trades) -> str:
    rows = [
        f'{{"q":"{symbol.size(fill.size)}","p":"{symbol.price(fill.price)}","T":{ts // MS},"m":{"false" if fill.buyer_takes else "true"},'
        f'"s":"{symbol.name}"}}'
        for ts, fill in reversed(trades)
    ]
    return protocol.frame(("trade", symbol.name), f"[{','.join(rows)}]", 0, stamp="")


def _trades(symbol: kit.Symbol, trades: kit.Trades) -> Iterator[str]:
    yield _rows(symbol, trades)


class Trades(kit.TradeChannel):
    """Trades, gathered. A new client gets past ones first, without those that are still gathered: these come to all clients."""

    def __init__(self, feed: Feed, symbol: kit.Symbol, past: int) -> None:
        super().__init__(feed, symbol, ("trade", symbol.name), _trades, gathers=True)
        self._past = past

    def first(self, connection: Connection, topic: Topic, ts: int) -> None:
        """Send the newest trades that were sent to others."""
        recent = list(self.symbol.pair.recent)
        sent = recent[: max(0, len(recent) - len(self._gathered))]
        past = sent[-self._past :] if self._past else []
        if past:
            self.feed.send_data(connection, topic, _rows(self.symbol, past), ts)


class ChangedBook(kit.DeltaChannel):
    """`incrDepth`: `all` levels for a new client, then what has changed. Numbers grow by as many changes as there were."""

    def __init__(self, feed: Feed, symbol: kit.Symbol) -> None:
        super().__init__(feed, symbol, ("incrDepth", symbol.name), _changes)

    def first(self, connection: Connection, topic: Topic, ts: int) -> None:
        """Send `all` levels, after all clients got what was gathered: the next change has a later number."""
        self.flush(ts)
        pair, symbol = self.symbol.pair, self.symbol
        sides = f'"bids":[{symbol.rows(pair.bids.levels(LEVELS))}],"asks":[{symbol.rows(pair.asks.levels(LEVELS))}]'
        data = f'{{"action":"all","lastUpdateId":{symbol.number},"time":{ts // MS},{sides}}}'
        self.feed.send_data(connection, topic, protocol.frame(topic, data, ts, stamp=""), ts)


def _changes(symbol: kit.Symbol, delta: kit.Delta, ts: int) -> str:
    sides = (f'"{name}":{protocol.levels(symbol, delta.side(bid=bid))}' for name, bid in (("bids", True), ("asks", False)))
    data = f'{{"action":"update","lastUpdateId":{delta.last},"time":{ts // MS},{",".join(sides)}}}'
    return protocol.frame(("incrDepth", symbol.name), data, ts, stamp="")


def _book(depth: int) -> Write:
    def write(symbol: kit.Symbol, ts: int) -> str:
        return protocol.frame((f"depth{depth}", symbol.name), f"{{{protocol.book(symbol, depth)}}}", ts, stamp="ts")

    return write


def _quote(symbol: kit.Symbol, ts: int) -> str:
    best, ms = symbol.best, ts // MS
    bid = f'"b":"{symbol.price(best.bid)}","B":"{symbol.size(best.bid_size)}"'
    ask = f'"a":"{symbol.price(best.ask)}","A":"{symbol.size(best.ask_size)}"'
    data = f'{{"e":"bookTicker","u":{symbol.number},"E":{ms},"T":{ms},"s":"{symbol.name}",{bid},{ask}}}'
    return protocol.frame(("bookTicker", symbol.name), data, ts, stamp="")


def _ticker(symbol: kit.Symbol, ts: int) -> str:
    day, pair, ms = symbol.day, symbol.pair, ts // MS
    prices = f'"c":"{day["last"]}","L":"{symbol.size(pair.last.size)}","h":"{day["high"]}","l":"{day["low"]}","o":"{day["open"]}"'
    moves = f'"p":"{symbol.price(pair.last.price - pair.open)}","P":"0.00","v":"{symbol.size(pair.volume)}","q":"1.50"'
    best = f'"A":"{day["ask"]}","a":"11.3115","B":"{day["bid"]}","b":"6.4426"'
    data = f'{{"e":"24hTicker","E":{ms},"s":"{symbol.name}",{prices},{moves},"O":{ms - 171_000},"C":{ms},{best}}}'
    return protocol.frame(("ticker", symbol.name), data, ts, stamp="")


def _mark(symbol: kit.Symbol, ts: int) -> str:
    data = f'{{"e":"markPriceUpdate","E":{symbol.figures.ts // MS},"s":"{symbol.name}","p":"{symbol.price(symbol.figures.mark_price)}"}}'
    return protocol.frame(("markPrice", symbol.name), data, ts, stamp="")


def _candle(symbol: kit.Symbol, topic: Topic, candle: Candle, is_over: bool, ts: int) -> str:
    prices = f'"c":"{candle.close}","o":"{candle.open}","h":"{candle.high}","l":"{candle.low}"'
    row = f'{{{prices},"v":"{candle.volume}","T":{candle.open_ts // MS}}}'
    return protocol.frame(topic, f"[{row}]", ts, stamp="", more=f',"s":"{symbol.name}"')


def _feed(source: Source, options: spec.Options) -> Feed:
    return protocol.BingxFeed(source, KINDS, options, is_swap=True)


class SwapMarket(kit.StreamMarket):
    """BingX's channels of perpetuals, and their REST side."""

    feed, busy = _feed, protocol.BUSY

    def __init__(self, pairs: Iterable[Pair], start_ts: int, options: Mapping[str, float]) -> None:
        self._past = int(options["history"])
        super().__init__(pairs, start_ts, options)

    def channels(self, feed: Feed, symbol: kit.Symbol) -> Iterable[kit.Channel]:
        """All that there is of one contract."""
        yield Trades(feed, symbol, self._past)
        yield ChangedBook(feed, symbol)
        for depth in protocol.DEPTHS:
            yield protocol.CompleteBook(feed, symbol, (f"depth{depth}", symbol.name), _book(depth))
        yield kit.QuoteChannel(feed, symbol, ("bookTicker", symbol.name), _quote)
        yield kit.TickerChannel(feed, symbol, ("ticker", symbol.name), _ticker, gathers=True, every_ns=1_000_000_000)
        yield kit.ValueChannel(feed, symbol, ("markPrice", symbol.name), _mark, every_ns=1_000_000_000)
        grids: dict[Topic, Grid] = {(channel, symbol.name): grid(timeframe) for channel, timeframe in CANDLES.items()}
        yield kit.CandleChannel(feed, symbol, grids, _candle, every_ns=1_000_000_000)

    def number(self, symbol: str) -> int:
        """`lastUpdateId` of a book."""
        return self.listed[symbol].number

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Instruments, funding, open interest; best prices, trades and candles."""
        if path == CONTRACTS:
            return protocol.found([_row(symbol) for symbol in self.listed.values()])
        symbol = self.listed.get(query.get("symbol", ""))
        if path == FUNDING and "symbol" not in query:
            return protocol.found([_funding(one) for one in self.listed.values()])
        if path == FUNDING and symbol is not None:
            return protocol.found(_funding(symbol))
        if path == INTEREST and symbol is not None:
            value = symbol.figures.open_interest * symbol.figures.mark_price
            digits = symbol.pair.listing.price_decimals + symbol.pair.listing.size_decimals
            row = {"openInterest": fixed(value, digits), "symbol": symbol.name, "time": symbol.figures.ts // MS}
            return protocol.found(row)
        return history(self, path, query, now) or protocol.UNKNOWN


def _funding(symbol: kit.Symbol) -> dict[str, object]:
    now = symbol.figures
    prices = {"markPrice": symbol.price(now.mark_price), "indexPrice": symbol.price(now.index_price)}
    next_ms = None if now.next_ts is None else now.next_ts // MS
    rate = {"lastFundingRate": symbol.rate(now.rate), "nextFundingTime": next_ms}
    return {"symbol": symbol.name, **prices, **rate, "fundingIntervalHours": symbol.pair.listing.funding_s // 3_600}


def _row(symbol: kit.Symbol) -> dict[str, object]:
    one = symbol.pair.listing
    names = {"contractId": "100", "symbol": one.symbol, "asset": one.base, "currency": one.quote}
    digits = {"quantityPrecision": one.size_decimals, "pricePrecision": one.price_decimals}
    return {**names, **digits, "size": "0", "status": 1, "apiStateOpen": "true", "apiStateClose": "true", "offTime": 0}


def history(data: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    """Trades without ids, best prices and candles; None: the path is about something else."""
    symbol = query.get("symbol", "")
    if path == TRADES and (known := data.history(symbol)) is not None:
        limit = integer(query.get("limit"), 500) or 500
        rows = [
            {"time": one.ts // MS, "isBuyerMaker": not one.buyer_takes, "price": one.price, "qty": one.size}
            for one in reversed(known.newest(min(limit, 1_000)))
        ]
        return protocol.found(rows)
    if path == DEPTH and (top := data.top(symbol)) is not None:
        bids, asks = ([list(one)] if one else [] for one in (top.bid, top.ask))
        return protocol.found({"T": now // MS, "bids": bids, "asks": asks, "bidsCoin": bids, "asksCoin": asks})
    if (
        path == KLINES
        and query.get("interval") in TIMEFRAMES
        and (wanted := protocol.candles(data, symbol, grid(query["interval"]), query)) is not None
    ):
        return protocol.found(
            [
                {"open": one.open, "close": one.close, "high": one.high, "low": one.low, "volume": one.volume, "time": one.open_ts // MS}
                for one in reversed(wanted)
            ]
        )
    return None


def _recorded_trades(payload: bytes) -> Iterator[tuple[str, Traded]]:
    made = msgspec.json.decode(payload, type=dict[str, Any])
    for index, raw in enumerate(reversed(made["data"])):
        number = int(raw["T"]) * 1_000 + index
        yield raw["s"], Traded(number, int(raw["T"]) * MS, plain(raw["p"]), plain(raw["q"]), str(raw["m"]).lower() == "false")


VENUE: Final = spec.SimulatedVenue(
    id=ID,
    title="BingX perpetuals",
    listings=tuple(
        Listing(ID, f"{base}-USDT", base, "USDT", *decimals, contract_size="1", funding_s=14_400 if base == "XRP" else 28_800)
        for base, decimals in DECIMALS.items()
    ),
    options=protocol.OPTIONS,
    dialects=(
        spec.Dialect(
            path="/swap-market",
            prefixes=("/swap-market",),
            feed=_feed,
            classify=protocol.classify,
            asked=protocol.asked,
            refuse=lambda request, bad: ([protocol.refused(request, is_swap=True)], None),
            binary=GZIP,
            pings=protocol.SWAP_PINGS,
        ),
    ),
    market=SwapMarket,
    rest=spec.RestRules(
        history=history,
        unknown=protocol.UNKNOWN,
        refusal=protocol.refusal,
        statuses=frozenset({200, 418}),
        lists=(INSTRUMENT_LIST,),
        halted={"halt": {"status": 25}, "offline": {"status": 0}, "delisted": {"status": 0}},
    ),
    recorded=spec.RecordedRules(trades={"trade": _recorded_trades}),
    kinds=KINDS,
    fields={"trade": ("p", "q"), "ticker": ("[chl]", "v"), "candle": ("[ohlc]", "v"), "mark": ("p", "p")},
    rows={"quote": rb'\[(?P<price>"[0-9.]+"),(?P<size>"[0-9.]+")\]'},
    shift=protocol.shift,
    maintenance="BingX announces none on its sockets",
)
