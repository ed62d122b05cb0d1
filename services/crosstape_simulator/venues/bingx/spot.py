"""BingX spot: its frames and REST answers, and the table of all that the simulator knows of it.

Quirks  books are complete, numbered, and have their asks worst first; candle prices are binary floats; days by REST begin at 16:00 UTC
Not simulated: `incrDepth`, days and longer candles
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from crosstape_simulator.formats import plain
from crosstape_simulator.market.grid import Grid, grid
from crosstape_simulator.market.history import Candle, MarketData, Traded, integer
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.server.feed import Feed, Source
from crosstape_simulator.server.manners import GZIP
from crosstape_simulator.server.rest import Answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.archetypes.channels import Write
from crosstape_simulator.venues.bingx import protocol
from crosstape_simulator.venues.bingx.protocol import MS

ID: Final = "bingx"
DECIMALS: Final = {"BTC": (2, 6), "ETH": (2, 5), "SOL": (3, 3), "XRP": (4, 1)}
TIMEFRAMES: Final = {
    "1min": "1m", "3min": "3m", "5min": "5m", "15min": "15m", "30min": "30m",
    "60min": "1h", "2hour": "2h", "4hour": "4h", "6hour": "6h", "8hour": "8h", "12hour": "12h",
}  # fmt: skip
"""On the socket; REST has our names."""
CANDLES: Final = {f"kline_{theirs}": ours for theirs, ours in TIMEFRAMES.items()}
KINDS: Final = {
    "trade": frozenset({"trade"}),
    "bookTicker": frozenset({"quote"}),
    "ticker": frozenset({"ticker"}),
    **{f"depth{depth}": frozenset({"book"}) for depth in protocol.DEPTHS},
    **dict.fromkeys(CANDLES, frozenset({"candle"})),
}
SYMBOLS, TRADES = "/openApi/spot/v1/common/symbols", "/openApi/spot/v1/market/trades"
OLD_TRADES: Final = "/openApi/market/his/v1/trade"
QUOTES, KLINES, DEPTH = "/openApi/spot/v1/ticker/bookTicker", "/openApi/spot/v2/market/kline", "/openApi/spot/v1/market/depth"
DAY_MS: Final = 86_400_000
INSTRUMENT_LIST: Final = spec.InstrumentList(
    path=SYMBOLS, rows=("data", "symbols"), symbol="symbol", base="symbol", tick="tickSize", lot="stepSize",
    unlisted=lambda base: {"symbol": f"{base}-USDT"},
)  # fmt: skip


def _trades(symbol: kit.Symbol, trades: kit.Trades) -> Iterator[str]:
    for ts, fill in trades:
        numbers = f'"p":"{symbol.price(fill.price)}","q":"{symbol.size(fill.size)}","s":"{symbol.name}","t":"{fill.trade_id}"'
        maker = "false" if fill.buyer_takes else "true"
        data = f'{{"E":{ts // MS},"T":{ts // MS},"e":"trade","m":{maker},{numbers}}}'
        yield protocol.frame(("trade", symbol.name), data, ts, more=',"success":true')


def _quote(symbol: kit.Symbol, ts: int) -> str:
    best = symbol.best
    bid, ask = f'"b":"{symbol.price(best.bid)}","B":"{symbol.size(best.bid_size)}"', f'"a":"{symbol.price(best.ask)}"'
    data = f'{{{ask},"A":"{symbol.size(best.ask_size)}",{bid},"E":{ts // MS},"e":"bookTicker","s":"{symbol.name}"}}'
    return protocol.frame(("bookTicker", symbol.name), data, ts, stamp="", more=',"success":true')


def _ticker(symbol: kit.Symbol, ts: int) -> str:
    day, pair, ms = symbol.day, symbol.pair, ts // MS
    change = pair.last.price - pair.open
    prices = f'"o":{day["open"]},"h":{day["high"]},"l":{day["low"]},"c":{day["last"]},"v":{symbol.size(pair.volume)},"q":1.5'
    moves = f'"p":{symbol.price(change)},"P":"{change * 100 / pair.open:.2f}%","O":{ms - DAY_MS},"C":{ms}'
    best = f'"A":{day["ask"]},"a":0.00013099999999999999,"B":{day["bid"]},"b":9.293124'
    data = f'{{"e":"24hTicker","E":{ms},"s":"{symbol.name}",{moves},{prices},{best}}}'
    return protocol.frame(("ticker", symbol.name), data, ts)


def _candle(symbol: kit.Symbol, topic: Topic, candle: Candle, is_over: bool, ts: int) -> str:
    prices = f'"o":"{candle.open}","h":"{candle.high}","l":"{candle.low}","c":"{float(candle.close):.10f}"'
    volumes = f'"v":"{candle.volume}000000000000","q":"{candle.quote_volume}","n":{candle.trades}'
    times = f'"t":{candle.open_ts // MS},"T":{candle.close_ts // MS - 1}'
    data = f'{{"E":{ts // MS},"K":{{{times},{prices},{volumes},"i":"{topic[0].partition("_")[2]}","s":"{symbol.name}"}},"e":"kline"}}'
    return protocol.frame(topic, data, ts, stamp="", more=',"success":true')


def _feed(source: Source, options: spec.Options) -> Feed:
    return protocol.BingxFeed(source, KINDS, options, is_swap=False)


class SpotMarket(kit.StreamMarket):
    """BingX's spot channels and REST side. Books are numbered by the times of their changes."""

    feed, dated, busy = _feed, True, protocol.BUSY

    def channels(self, feed: Feed, symbol: kit.Symbol) -> Iterable[kit.Channel]:
        """Trades, quotes and tickers; books in all depths; candles."""
        yield kit.TradeChannel(feed, symbol, ("trade", symbol.name), _trades)
        yield kit.QuoteChannel(feed, symbol, ("bookTicker", symbol.name), _quote, first=_quote)
        yield kit.TickerChannel(feed, symbol, ("ticker", symbol.name), _ticker, gathers=True, every_ns=1_000_000_000)
        for depth in protocol.DEPTHS:
            yield protocol.CompleteBook(feed, symbol, (f"depth{depth}", symbol.name), self._book(depth))
        grids: dict[Topic, Grid] = {(channel, symbol.name): grid(timeframe) for channel, timeframe in CANDLES.items()}
        yield kit.CandleChannel(feed, symbol, grids, _candle, every_ns=1_000_000_000)

    def number(self, symbol: str) -> int:
        """`lastUpdateId` of a book."""
        return self.listed[symbol].number

    @staticmethod
    def _book(depth: int) -> Write:
        def write(symbol: kit.Symbol, ts: int) -> str:
            data = f'{{{protocol.book(symbol, depth)},"lastUpdateId":{symbol.number}}}'
            return protocol.frame((f"depth{depth}", symbol.name), data, symbol.number * 1_000, more=',"success":true')

        return write

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Instruments, books, trades, best prices, candles."""
        if path == SYMBOLS:
            return protocol.found({"symbols": [_row(symbol) for symbol in self.listed.values()]})
        symbol = self.listed.get(query.get("symbol", ""))
        if path == DEPTH and symbol is not None:
            return Answer(f'{{"code":0,"data":{{{protocol.book(symbol, 100)},"ts":{self.now // MS}}}}}'.encode())
        return history(self, path, query, now) or protocol.UNKNOWN


def _row(symbol: kit.Symbol) -> dict[str, object]:
    one = symbol.pair.listing
    tick, step = float(f"1e-{one.price_decimals}"), float(f"1e-{one.size_decimals}")
    return {
        "symbol": one.symbol,
        "status": 1,
        "tickSize": tick,
        "stepSize": step,
        "minNotional": 5,
        "apiStateBuy": True,
        "apiStateSell": True,
    }


def history(data: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    """Trades, best prices and candles, newest first; None: the path is about something else."""
    symbol = query.get("symbol", "")
    if path in (TRADES, OLD_TRADES) and (known := data.history(symbol)) is not None:
        limit = min(integer(query.get("limit"), 100) or 100, 500)
        chosen = known.newest(limit)
        if path == OLD_TRADES and (last := integer(query.get("fromId"), -1)) is not None and last >= 0:
            chosen = known.since(last, limit)
        rows = [
            f'{{"id":{one.trade_id},"price":{one.price},"qty":{one.size},"time":{one.ts // MS},'
            f'"buyerMaker":{"false" if one.buyer_takes else "true"}}}'
            for one in reversed(chosen)
        ]
        return Answer(f'{{"code":0,"timestamp":{now // MS},"data":[{",".join(rows)}]}}'.encode())
    if path == QUOTES and (top := data.top(symbol)) is not None:
        (bid, bid_size), (ask, ask_size) = (one or ("0", "0") for one in (top.bid, top.ask))
        prices = {"bidPrice": bid, "bidVolume": bid_size, "askPrice": ask, "askVolume": ask_size}
        return protocol.found([{"eventType": "bookTicker", "time": now // MS, "symbol": symbol, **prices}])
    if (
        path == KLINES
        and query.get("interval") in TIMEFRAMES.values()
        and (made := protocol.candles(data, symbol, grid(query["interval"]), query)) is not None
    ):
        wanted = made
        rows = [
            f"[{one.open_ts // MS},{one.open},{one.high},{one.low},{one.close},{one.volume},{one.close_ts // MS - 1},{one.quote_volume}]"
            for one in reversed(wanted)
        ]
        return Answer(f'{{"code":0,"timestamp":{now // MS},"data":[{",".join(rows)}]}}'.encode())
    return None


def _recorded_trade(payload: bytes) -> Iterator[tuple[str, Traded]]:
    made = msgspec.json.decode(payload, type=dict[str, Any])
    raw = made["data"]
    yield raw["s"], Traded(int(raw["t"]), int(raw["T"]) * MS, plain(raw["p"]), plain(raw["q"]), str(raw["m"]).lower() == "false")


VENUE: Final = spec.SimulatedVenue(
    id=ID,
    title="BingX",
    listings=tuple(Listing(ID, f"{base}-USDT", base, "USDT", *decimals) for base, decimals in DECIMALS.items()),
    options=protocol.OPTIONS,
    dialects=(
        spec.Dialect(
            path="/market",
            prefixes=("/market",),
            feed=_feed,
            classify=protocol.classify,
            asked=protocol.asked,
            refuse=lambda request, bad: ([protocol.refused(request, is_swap=False)], None),
            binary=GZIP,
            pings=protocol.SPOT_PINGS,
        ),
    ),
    market=SpotMarket,
    rest=spec.RestRules(
        history=history,
        unknown=protocol.UNKNOWN,
        refusal=protocol.refusal,
        statuses=frozenset({200, 418}),
        lists=(INSTRUMENT_LIST,),
        halted={"halt": {"status": 25}, "offline": {"status": 0}, "delisted": {"status": 30}},
    ),
    recorded=spec.RecordedRules(trades={"trade": _recorded_trade}),
    kinds=KINDS,
    fields={"trade": ("p", "q"), "quote": ("[ab]", "[AB]"), "ticker": ("[chl]", "v"), "candle": ("[ohlc]", "v")},
    shift=protocol.shift,
    maintenance="BingX announces none on its sockets",
)
