"""Binance spot, the data: what the synthetic market's moves look like on its streams and in its REST answers.

Docs    https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams, …/rest-api
Quirks  `m` says that the buyer was the maker; bookTicker has no time; a REST book may be older than the stream
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from crosstape_simulator.formats import NS, fixed
from crosstape_simulator.market.history import Top, TradeHistory, history_of, top_of
from crosstape_simulator.market.market import Fill, Move, Pair
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues.binance import rest as binance_rest
from crosstape_simulator.venues.binance.protocol import BinanceFeed
from crosstape_simulator.venues.binance.rest import refused

DECIMALS: Final = 8
"""All prices and sizes are written with so many."""

FLUSH_NS: Final = 100_000_000
WEIGHT_MAX: Final = 6000
_DAY_MS: Final = 86_400_000
_DEPTH_WEIGHTS: Final = ((100, 5), (500, 25), (1000, 50), (5000, 250))


class _Book:
    """One symbol: its update ids, and what its diff streams have not told yet."""

    def __init__(self, pair: Pair, update_id: int) -> None:
        listing = pair.listing
        self.pair = pair
        self.symbol = listing.symbol
        self.update_id = update_id
        self.pads = ("0" * (DECIMALS - listing.price_decimals), "0" * (DECIMALS - listing.size_decimals))
        self.top = (0, 0, 0, 0)
        self.diffs = (_Diff(self, "@100ms"), _Diff(self, ""))
        self.aggregate_id = pair.trade_id
        self.moved = True
        self.asked = 0
        self.keep()
        low = self.symbol.lower()
        self.trades, self.aggregates, self.tops, self.tickers = f"{low}@trade", f"{low}@aggTrade", f"{low}@bookTicker", f"{low}@ticker"

    def keep(self) -> None:
        """Remember the book as it is, for a REST answer that will be a little old."""
        self.kept = (self.update_id, self.pair.bids.levels(), self.pair.asks.levels())

    def price(self, ticks: int) -> str:
        return fixed(ticks, self.pair.listing.price_decimals) + (self.pads[0] if self.pair.listing.price_decimals else "." + self.pads[0])

    def size(self, lots: int) -> str:
        return fixed(lots, self.pair.listing.size_decimals) + (self.pads[1] if self.pair.listing.size_decimals else "." + self.pads[1])

    def rows(self, levels: Sequence[tuple[int, int]]) -> str:
        return ",".join([f'["{self.price(price)}","{self.size(size)}"]' for price, size in levels])


class _Diff:
    """The changes that one diff stream of one symbol has gathered since its last frame."""

    def __init__(self, book: _Book, suffix: str) -> None:
        self.stream = f"{book.symbol.lower()}@depth{suffix}"
        self.first = book.update_id + 1
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}


class BinanceMarket:
    """The source of `BinanceFeed`'s data, and the REST side."""

    def __init__(self, pairs: Sequence[Pair], start_ts: int, *, old_snapshot_every: int, messages_per_s: int, ping_s: float) -> None:
        """Every `old_snapshot_every`-th depth answer of a symbol is up to a second old; 0: none is."""
        self.feed = BinanceFeed(self, messages_per_s=messages_per_s, ping_s=ping_s)
        self.due = (start_ts // FLUSH_NS + 1) * FLUSH_NS
        self._books = {pair.listing.symbol: _Book(pair, start_ts // 1_000_000 * 8) for pair in pairs}
        self._old_snapshot_every = old_snapshot_every
        self._minute, self._weight = 0, 0

    def lists(self, symbol: str) -> bool:
        """Any stream may be subscribed; the unknown ones stay silent."""
        return True

    def depth(self, symbol: str) -> int | None:
        """Any."""
        return None

    def subscribed(self, connection: Connection, topic: Topic) -> None:
        """Nothing is sent first."""

    def holds_acks(self) -> bool:
        """Never."""
        return False

    def greeting(self) -> bytes | None:
        """The feed's own."""
        return None

    def beats(self) -> bool:
        """Always."""
        return True

    def apply(self, move: Move) -> None:
        """Trades and best prices go out at once; changes of the book are gathered."""
        book = self._books[move.pair.listing.symbol]
        book.moved = True
        for change in move.changes:
            book.update_id += 1
            for diff in book.diffs:
                (diff.bids if change.bid else diff.asks)[change.price] = change.size
        if move.fills:
            self._trades(book, move)
        bids, asks = move.pair.bids, move.pair.asks
        bid, ask = bids.keys[0], asks.keys[0]
        top = (bid, bids.sizes[bid], ask, asks.sizes[ask])
        if top != book.top:
            book.top = top
            if (book.tops,) in self.feed.subscribers:
                prices = f'"b":"{book.price(-bid)}","B":"{book.size(top[1])}","a":"{book.price(ask)}","A":"{book.size(top[3])}"'
                self.feed.publish_stream(book.tops, f'{{"u":{book.update_id},"s":"{book.symbol}",{prices}}}')

    def flush(self, ts: int) -> None:
        """What goes out every 100 ms, every second."""
        self.due = ts + FLUSH_NS
        whole_second = ts % NS == 0
        for book in self._books.values():
            for diff in book.diffs if whole_second else book.diffs[:1]:
                if diff.first <= book.update_id:
                    self._diff(book, diff, ts)
            if whole_second:
                book.keep()
                if book.moved and (book.tickers,) in self.feed.subscribers:
                    self.feed.publish_stream(book.tickers, _ticker(book, ts))
                book.moved = False

    def number(self, symbol: str) -> int | None:
        """Of the newest change of its book: `u` of the frames that tell it."""
        return self._books[symbol].update_id

    def symbols(self) -> Sequence[str]:
        """See `MarketData`."""
        return tuple(self._books)

    def history(self, symbol: str) -> TradeHistory[tuple[int, Fill]] | None:
        """See `MarketData`."""
        return history_of(self._books[symbol]) if symbol in self._books else None

    def top(self, symbol: str) -> Top | None:
        """See `MarketData`."""
        return top_of(self._books[symbol]) if symbol in self._books else None

    def answer(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The REST side: ping, time, exchangeInfo, depth, trades, best prices."""
        if now // NS // 60 != self._minute:
            self._minute, self._weight = now // NS // 60, 0
        self._weight += _weight(path, query)
        if self._weight > WEIGHT_MAX:
            retry = {"Retry-After": str(60 - now // NS % 60)}
            return answer({"code": -1003, "msg": "Too much request weight used; please use WebSocket Streams instead."}, 429, retry)
        made = binance_rest.answer(self, path, query) or self._answer(path, query, now)
        return Answer(made.body, made.status, {"X-MBX-USED-WEIGHT-1M": str(self._weight), "X-MBX-USED-WEIGHT": str(self._weight)})

    def _answer(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        match path:
            case "/api/v3/ping":
                return Answer(b"{}")
            case "/api/v3/time":
                return Answer(b'{"serverTime":%d}' % (now // 1_000_000))
            case "/api/v3/exchangeInfo":
                return self._exchange_info(query, now)
            case "/api/v3/depth":
                symbol, limit = query.get("symbol", ""), query.get("limit", "100")
                if not symbol or not limit.isdecimal() or not int(limit):
                    name = "symbol" if not symbol else "limit"
                    return refused(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
                return self._depth(symbol, min(int(limit), 5000))
            case _:
                return Answer(b'{"code":-1000,"msg":"Not found"}', 404)

    def _depth(self, symbol: str, limit: int) -> Answer:
        book = self._books.get(symbol)
        if book is None:
            return refused(-1121, "Invalid symbol.")
        book.asked += 1
        if self._old_snapshot_every and book.asked % self._old_snapshot_every == 0:
            update_id, bids, asks = book.kept
            bids, asks = bids[:limit], asks[:limit]
        else:
            update_id, bids, asks = book.update_id, book.pair.bids.levels(limit), book.pair.asks.levels(limit)
        return Answer(f'{{"lastUpdateId":{update_id},"bids":[{book.rows(bids)}],"asks":[{book.rows(asks)}]}}'.encode())

    def _exchange_info(self, query: Mapping[str, str], now: int) -> Answer:
        wanted = list(self._books)
        try:
            if "symbols" in query:
                wanted = msgspec.json.decode(query["symbols"], type=list[str])
            elif "symbol" in query:
                wanted = [query["symbol"]]
        except msgspec.MsgspecError:
            return refused(-1100, "Illegal characters found in parameter 'symbols'.")
        if not set(wanted) <= self._books.keys():
            return refused(-1121, "Invalid symbol.")
        rows = [_row(self._books[symbol]) for symbol in wanted]
        limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_MAX}]
        body = {"timezone": "UTC", "serverTime": now // 1_000_000, "rateLimits": limits, "exchangeFilters": [], "symbols": rows}
        return answer(body)

    def _trades(self, book: _Book, move: Move) -> None:
        feed, ms = self.feed, move.ts // 1_000_000
        if (book.trades,) in feed.subscribers:
            for fill in move.fills:
                maker = "false" if fill.buyer_takes else "true"
                what = f'"t":{fill.trade_id},"p":"{book.price(fill.price)}","q":"{book.size(fill.size)}"'
                data = f'{{"e":"trade","E":{ms},"s":"{book.symbol}",{what},"T":{ms},"m":{maker},"M":true}}'
                feed.publish_stream(book.trades, data)
        for fill in move.fills:  # one order takes each price once, so that each fill is an aggregate of its own
            book.aggregate_id += 1
            if (book.aggregates,) in feed.subscribers:
                feed.publish_stream(book.aggregates, _aggregate(book, fill, ms))

    def _diff(self, book: _Book, diff: _Diff, ts: int) -> None:
        if (diff.stream,) in self.feed.subscribers:
            levels = f'"b":[{book.rows(list(diff.bids.items()))}],"a":[{book.rows(list(diff.asks.items()))}]'
            what = f'"U":{diff.first},"u":{book.update_id},{levels}'
            self.feed.publish_stream(diff.stream, f'{{"e":"depthUpdate","E":{ts // 1_000_000},"s":"{book.symbol}",{what}}}')
        diff.first = book.update_id + 1
        diff.bids.clear()
        diff.asks.clear()


def _aggregate(book: _Book, fill: Fill, ms: int) -> str:
    what = f'"a":{book.aggregate_id},"p":"{book.price(fill.price)}","q":"{book.size(fill.size)}","f":{fill.trade_id},"l":{fill.trade_id}'
    maker = "false" if fill.buyer_takes else "true"
    return f'{{"e":"aggTrade","E":{ms},"s":"{book.symbol}",{what},"T":{ms},"m":{maker},"M":true}}'


def _ticker(book: _Book, ts: int) -> str:
    pair, ms = book.pair, ts // 1_000_000
    last, (bid, ask) = pair.last, (pair.bids.keys[0], pair.asks.keys[0])
    change = last.price - pair.open
    prices = {
        "p": _signed(book, change),
        "P": fixed(change * 100_000 // pair.open, 3),
        "w": book.price(pair.turnover // pair.volume),
        "x": book.price(pair.open),
        "c": book.price(last.price),
        "Q": book.size(last.size),
        "b": book.price(-bid),
        "B": book.size(pair.bids.sizes[bid]),
        "a": book.price(ask),
        "A": book.size(pair.asks.sizes[ask]),
        "o": book.price(pair.open),
        "h": book.price(pair.high),
        "l": book.price(pair.low),
        "v": book.size(pair.volume),
        "q": fixed(pair.turnover * 10**DECIMALS // 10 ** (pair.listing.price_decimals + pair.listing.size_decimals), DECIMALS),
    }
    texts = ",".join([f'"{name}":"{value}"' for name, value in prices.items()])
    ids = f'"F":{pair.first_id},"L":{last.trade_id},"n":{last.trade_id - pair.first_id + 1}'
    return f'{{"e":"24hrTicker","E":{ms},"s":"{book.symbol}",{texts},"O":{ms - _DAY_MS},"C":{ms},{ids}}}'


def _signed(book: _Book, ticks: int) -> str:
    return f"-{book.price(-ticks)}" if ticks < 0 else book.price(ticks)


def _row(book: _Book) -> dict[str, object]:
    listing = book.pair.listing
    tick, step = book.price(1), book.size(1)
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


def _weight(path: str, query: Mapping[str, str]) -> int:
    match path:
        case "/api/v3/exchangeInfo":
            return 20
        case "/api/v3/depth":
            limit = int(query.get("limit", "100")) if query.get("limit", "100").isdecimal() else 100
            return next((weight for most, weight in _DEPTH_WEIGHTS if limit <= most), 250)
        case _:
            return binance_rest.weight(path, query) or 1
