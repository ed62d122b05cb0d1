"""Bitfinex, the data: what the synthetic market's moves look like on its channels and in its REST answers.

Docs    https://docs.bitfinex.com/reference/ws-public-books and its neighbours
Quirks  numbers as JavaScript writes them; the close of a candle before its high; no candle for an interval without trades; the sizes of a
        ticker are sums of 25 levels
Assumed the pace of checksums, tickers and of a trade's second message; that a liquidation's trigger and its execution are of one moment
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from crosstape_simulator.formats import NS, fixed
from crosstape_simulator.market.grid import THURSDAYS, grid
from crosstape_simulator.market.history import Candle
from crosstape_simulator.market.market import Pair
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.server.rate_limit import Bucket
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues.archetypes import CandleChannel, LiquidationChannel, Symbol, TickerChannel, Trades, ValueChannel
from crosstape_simulator.venues.archetypes.market import ChannelMarket, SymbolSource
from crosstape_simulator.venues.bitfinex import rest
from crosstape_simulator.venues.bitfinex.channels import LevelChannel, TwiceChannel, js
from crosstape_simulator.venues.bitfinex.frames import LIQUIDATIONS
from crosstape_simulator.venues.bitfinex.protocol import LENGTHS, BitfinexFeed
from crosstape_simulator.venues.spec import Options

PERPETUAL: Final = "F0"
SUMMED: Final = 25
"""Levels of which a ticker sums the sizes."""
TICKER_NS: Final = 15 * NS
AGAIN_EVERY_NS: Final = 100_000_000
GRIDS: Final = {
    **{name: grid(name) for name in ("1m", "5m", "15m", "30m", "1h", "3h", "6h", "12h", "1M")},
    "1D": grid("1d"), "1W": grid("1w"), "7D": THURSDAYS,
}  # fmt: skip
"""The venue's timeframes."""


class BitfinexMarket(ChannelMarket):
    """Bitfinex's channels and REST side."""

    def __init__(self, pairs: Sequence[Pair], start_ts: int, options: Options) -> None:
        """`options`: requests a minute of each kind by REST (0: no limit), how often a checksum is sent, and those of the feed."""
        super().__init__([Symbol(pair) for pair in pairs], start_ts)
        source = SymbolSource(self.listed, start_ts)
        self._feed = BitfinexFeed(source, options)
        self.add_feed("", lambda _: self._feed, source)
        books: list[LevelChannel] = []
        for symbol in self.listed.values():
            name = symbol.name
            books.append(LevelChannel(self._feed, symbol, {("book", name, length): int(length) for length in LENGTHS}))
            trades = TwiceChannel(self._feed, symbol, ("trades", name))
            ticker = TickerChannel(
                self._feed, symbol, ("ticker", name), _ticker, gathers=True, trades_only=False, every_ns=TICKER_NS, first=_ticker
            )
            topics: dict[Topic, str] = {("candles", name, timeframe): timeframe for timeframe in GRIDS}
            candles = CandleChannel(
                self._feed, symbol, {topic: GRIDS[timeframe] for topic, timeframe in topics.items()}, _candle, snapshot=_candles
            )
            paced = [trades, ticker, candles]
            for channel in (books[-1], *paced):
                self.add_channel(channel)
            self.add_timer(AGAIN_EVERY_NS, paced, _next(start_ts, AGAIN_EVERY_NS))
            if symbol.pair.listing.is_contract:
                status = ValueChannel(self._feed, symbol, ("deriv", name), _status, every_ns=NS, first=_status)
                self.add_channel(status)
                self.add_timer(NS, [status], _next(start_ts, NS))
                self.add_channel(LiquidationChannel(self._feed, symbol, LIQUIDATIONS, _liquidations))
        pace = round(options["checksum_every_s"] * NS)
        self.add_timer(pace, books, _next(start_ts, pace))
        self._buckets = {kind: Bucket(options[f"{kind}_per_minute"] / 60, options[f"{kind}_per_minute"]) for kind in rest.KINDS}

    def answer(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The REST side: lists, the venue's state, trades, candles, the best level of a book."""
        kind = next((kind for kind in rest.KINDS if path.startswith(f"/v2/{kind}")), None)
        if kind is not None and not self._buckets[kind].allows(now):
            return answer({"error": "ERR_RATE_LIMIT"}, 429)
        if path == "/v2/platform/status":
            return answer([int(self._feed.system == "online")])
        if path.startswith("/v2/conf/"):
            return rest.lists(path, self.listed)
        return rest.pair_answer(self, path, query, now) or rest.UNKNOWN


def _next(ts: int, every: int) -> int:
    return (ts // every + 1) * every


def _sum(symbol: Symbol, side: list[tuple[int, int]]) -> str:
    return js(symbol.size(sum(size for _, size in side)))


def _ticker(symbol: Symbol, ts: int) -> str:
    pair, best = symbol.pair, symbol.best
    bids, asks = pair.bids.levels(SUMMED), pair.asks.levels(SUMMED)
    change = pair.last.price - pair.open
    sides = f"{js(symbol.price(best.bid))},{_sum(symbol, bids)},{js(symbol.price(best.ask))},{_sum(symbol, asks)}"
    moved = f"{'-' if change < 0 else ''}{js(symbol.price(abs(change)))},{js(fixed(change * 1_000_000 // pair.open, 6))}"
    day = f"{js(symbol.price(pair.last.price))},{js(symbol.size(pair.volume))},{js(symbol.price(pair.high))},{js(symbol.price(pair.low))}"
    return f"[{sides},{moved},{day},null]"


def _candle(symbol: Symbol, topic: Topic, candle: Candle, is_over: bool, ts: int) -> str:
    return rest.candle_row(candle)


def _candles(symbol: Symbol, topic: Topic, candles: Sequence[Candle], ts: int) -> str:
    return f"[{','.join(rest.candle_row(one) for one in reversed(candles))}]"


def _status(symbol: Symbol, ts: int) -> str:
    now = symbol.figures
    last, index, mark = (js(symbol.price(price)) for price in (symbol.pair.last.price, now.index_price, now.mark_price))
    next_ms = (now.next_ts or 0) // 1_000_000
    funding = f"{next_ms},{js(symbol.rate(now.rate // 2))},{ts // NS % 28_800},null,{js(symbol.rate(now.rate))}"
    tail = f"null,null,{mark},null,null,{js(symbol.size(now.open_interest))},null,null,null,0.0005,0.0025"
    return f"[{now.ts // 1_000_000},null,{last},{index},null,62210384.95685668,null,{funding},{tail}]"


def _liquidations(symbol: Symbol, trades: Trades) -> Iterator[str]:
    """The trigger of each, then its execution. A forced sale closes a long position, whose amount is positive."""
    for ts, fill in trades:
        sign = "-" if fill.buyer_takes else ""
        amount, price = f"{sign}{js(symbol.size(fill.size))}", js(symbol.price(fill.price))
        for is_match in (0, 1):
            state = f"null,{is_match},{is_match},null,{price}"
            yield f'[["pos",{fill.trade_id},{ts // 1_000_000},null,"{symbol.name}",{amount},{price},{state}]]'
