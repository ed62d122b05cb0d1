"""Binance spot, the data: what the synthetic market's moves look like on its streams and in its REST answers.

Docs    https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams, …/rest-api
Quirks  `m` says that the buyer was the maker; bookTicker has no time; a REST book may be older than the stream
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from crosstape_simulator.formats import NS, fixed
from crosstape_simulator.market.market import Fill, Move, Pair
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues.archetypes.channels import Channel, Delta, DeltaChannel, QuoteChannel, TickerChannel, TradeChannel, Trades
from crosstape_simulator.venues.archetypes.market import StreamMarket
from crosstape_simulator.venues.archetypes.symbols import Symbol
from crosstape_simulator.venues.binance import klines, rest
from crosstape_simulator.venues.binance.protocol import BinanceFeed
from crosstape_simulator.venues.binance.weights import Weights
from crosstape_simulator.venues.spec import Options

DECIMALS: Final = 8
"""Decimals of all prices and sizes."""

_DAY_MS: Final = 86_400_000


class _Aggregates(Channel):
    """`aggTrade`: one order takes each price once, so that each fill is an aggregate of its own."""

    trades_only = True

    def __init__(self, feed: Feed, symbol: Symbol) -> None:
        super().__init__(feed, symbol, (f"{symbol.name.lower()}@aggTrade",))
        self._id = symbol.pair.trade_id

    def apply(self, move: Move) -> None:
        """Count all, send what is wanted."""
        for fill in move.fills:
            self._id += 1
            if self.wanted:
                self.publish(_aggregate(self.symbol, self._id, fill, move.ts // 1_000_000), move.ts)


class BinanceMarket(StreamMarket):
    """Binance's streams and REST side."""

    feed = BinanceFeed
    weight_max = 6000
    """What requests of one minute may weigh together."""
    depth_weights = ((100, 5), (500, 25), (1000, 50), (5000, 250))
    """(levels at most, weight)."""

    def __init__(self, pairs: Sequence[Pair], start_ts: int, options: Options) -> None:
        """`options`: `old_snapshot_every` (0: no snapshot is old), and those of the feed."""
        super().__init__(pairs, start_ts, options)
        self.source.any_symbol = True
        self.weights = Weights(self.weight_max)

    def symbol(self, pair: Pair, start_ts: int) -> Symbol:
        """With the usual number of decimals; update ids go on over restarts."""
        return Symbol(pair, decimals=DECIMALS, number=start_ts // 1_000_000 * 8)

    def channels(self, feed: Feed, symbol: Symbol) -> Iterable[Channel]:
        """All streams of a symbol."""
        low = symbol.name.lower()
        return (
            TradeChannel(feed, symbol, (f"{low}@trade",), _trades),
            _Aggregates(feed, symbol),
            QuoteChannel(feed, symbol, (f"{low}@bookTicker",), _quote),
            DeltaChannel(feed, symbol, (f"{low}@depth@100ms",), _delta),
            DeltaChannel(feed, symbol, (f"{low}@depth",), _delta, every_ns=NS),
            TickerChannel(feed, symbol, (f"{low}@ticker",), _ticker, gathers=True, trades_only=False, every_ns=NS),
            klines.channel(feed, symbol, klines.SECONDS, NS),
            klines.channel(feed, symbol, klines.GRIDS, klines.SPOT_NS),
        )

    def number(self, symbol: str) -> int | None:
        """The newest update id of a symbol's book: `u` of the frame that shows it."""
        return self.listed[symbol].number

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The REST side: ping, time, exchangeInfo, depth, trades, best prices."""
        if (refused := self.weights.count(self.weight(path, query), now)) is not None:
            return refused
        made = rest.answer(self, path, query) or self._answer(path, query, now)
        return Answer(made.body, made.status, {"X-MBX-USED-WEIGHT-1M": str(self.weights.used), "X-MBX-USED-WEIGHT": str(self.weights.used)})

    def weight(self, path: str, query: Mapping[str, str]) -> int:
        """What a request weighs."""
        match path:
            case "/api/v3/exchangeInfo":
                return 20
            case rest.DEPTH:
                limit = int(query.get("limit", "100")) if query.get("limit", "100").isdecimal() else 100
                return next((weight for most, weight in self.depth_weights if limit <= most), self.depth_weights[-1][1])
            case "/api/v3/klines":
                return 2
            case _:
                return rest.weight(path, query) or 1

    def _answer(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        match path:
            case "/api/v3/ping":
                return Answer(b"{}")
            case "/api/v3/time":
                return Answer(b'{"serverTime":%d}' % (now // 1_000_000))
            case "/api/v3/exchangeInfo":
                return self._exchange_info(query, now)
            case rest.DEPTH:
                symbol, limit = query.get("symbol", ""), query.get("limit", "100")
                if not symbol or not limit.isdecimal() or not int(limit):
                    name = "symbol" if not symbol else "limit"
                    return rest.refused(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
                return self._depth(symbol, min(int(limit), 5000))
            case "/api/v3/klines":
                return self._klines(query)
            case _:
                return Answer(b'{"code":-1000,"msg":"Not found"}', 404)

    def _klines(self, query: Mapping[str, str]) -> Answer:
        symbol = self.listed.get(query.get("symbol", ""))
        if symbol is None:
            return rest.refused(-1121, "Invalid symbol.")
        found = klines.answer(self, query, symbol, {**klines.SECONDS, **klines.GRIDS}, most=1_000)
        return found or rest.refused(-1120, "Invalid interval.")

    def _depth(self, name: str, limit: int) -> Answer:
        symbol = self.listed.get(name)
        if symbol is None:
            return rest.refused(-1121, "Invalid symbol.")
        update_id, bids, asks = self.snapshots.answer(name, limit)
        return Answer(f'{{"lastUpdateId":{update_id},"bids":[{symbol.rows(bids)}],"asks":[{symbol.rows(asks)}]}}'.encode())

    def _exchange_info(self, query: Mapping[str, str], now: int) -> Answer:
        wanted = list(self.listed)
        try:
            if "symbols" in query:
                wanted = msgspec.json.decode(query["symbols"], type=list[str])
            elif "symbol" in query:
                wanted = [query["symbol"]]
        except msgspec.MsgspecError:
            return rest.refused(-1100, "Illegal characters found in parameter 'symbols'.")
        if not set(wanted) <= self.listed.keys():
            return rest.refused(-1121, "Invalid symbol.")
        rows = [_row(self.listed[symbol]) for symbol in wanted]
        limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": self.weight_max}]
        body = {"timezone": "UTC", "serverTime": now // 1_000_000, "rateLimits": limits, "exchangeFilters": [], "symbols": rows}
        return answer(body)


def _trades(symbol: Symbol, trades: Trades) -> Iterator[str]:
    for ts, fill in trades:
        ms, maker = ts // 1_000_000, "false" if fill.buyer_takes else "true"
        what = f'"t":{fill.trade_id},"p":"{symbol.price(fill.price)}","q":"{symbol.size(fill.size)}"'
        yield f'{{"e":"trade","E":{ms},"s":"{symbol.name}",{what},"T":{ms},"m":{maker},"M":true}}'


def _aggregate(symbol: Symbol, number: int, fill: Fill, ms: int) -> str:
    what = f'"a":{number},"p":"{symbol.price(fill.price)}","q":"{symbol.size(fill.size)}","f":{fill.trade_id},"l":{fill.trade_id}'
    maker = "false" if fill.buyer_takes else "true"
    return f'{{"e":"aggTrade","E":{ms},"s":"{symbol.name}",{what},"T":{ms},"m":{maker},"M":true}}'


def _quote(symbol: Symbol, ts: int) -> str:
    best = symbol.best
    bid = f'"b":"{symbol.price(best.bid)}","B":"{symbol.size(best.bid_size)}"'
    ask = f'"a":"{symbol.price(best.ask)}","A":"{symbol.size(best.ask_size)}"'
    return f'{{"u":{symbol.number},"s":"{symbol.name}",{bid},{ask}}}'


def _delta(symbol: Symbol, delta: Delta, ts: int) -> str:
    bids, asks = symbol.rows(delta.side(bid=True)), symbol.rows(delta.side(bid=False))
    what = f'"U":{delta.first},"u":{delta.last},"b":[{bids}],"a":[{asks}]'
    return f'{{"e":"depthUpdate","E":{ts // 1_000_000},"s":"{symbol.name}",{what}}}'


def _ticker(symbol: Symbol, ts: int) -> str:
    pair, ms, best, last = symbol.pair, ts // 1_000_000, symbol.best, symbol.pair.last
    change = last.price - pair.open
    prices = {
        "p": symbol.price(change),
        "P": fixed(change * 100_000 // pair.open, 3),
        "w": symbol.price(pair.turnover // pair.volume),
        "x": symbol.price(pair.open),
        "c": symbol.price(last.price),
        "Q": symbol.size(last.size),
        "b": symbol.price(best.bid),
        "B": symbol.size(best.bid_size),
        "a": symbol.price(best.ask),
        "A": symbol.size(best.ask_size),
        "o": symbol.price(pair.open),
        "h": symbol.price(pair.high),
        "l": symbol.price(pair.low),
        "v": symbol.size(pair.volume),
        "q": fixed(pair.turnover * 10**DECIMALS // 10 ** (pair.listing.price_decimals + pair.listing.size_decimals), DECIMALS),
    }
    texts = ",".join([f'"{name}":"{value}"' for name, value in prices.items()])
    ids = f'"F":{pair.first_id},"L":{last.trade_id},"n":{last.trade_id - pair.first_id + 1}'
    return f'{{"e":"24hrTicker","E":{ms},"s":"{symbol.name}",{texts},"O":{ms - _DAY_MS},"C":{ms},{ids}}}'


def _row(symbol: Symbol) -> dict[str, object]:
    listing = symbol.pair.listing
    tick, step = symbol.price(1), symbol.size(1)
    return {
        "symbol": listing.symbol,
        "status": "TRADING",
        "baseAsset": listing.base,
        "baseAssetPrecision": DECIMALS,
        "quoteAsset": listing.quote,
        "quotePrecision": DECIMALS,
        "quoteAssetPrecision": DECIMALS,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": True,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "9000.00000000", "stepSize": step},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True},
        ],
        "permissions": [],
        "permissionSets": [["SPOT", "MARGIN"]],
    }
