"""Bitget's frames of both markets, and their REST sides, which differ in names only.

Quirks  trades come newest first, and past ones first; a book's update names the number of the frame before it; best prices and tickers are
        always snapshots; `open24h` is that of another day; candles begin with 500 in one frame, open at the close before, and
        are flat without trades
Not simulated  v3, but for its liquidations
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Final, NamedTuple

from crosstape_simulator.formats import NS, fixed
from crosstape_simulator.market.grid import Grid, grid
from crosstape_simulator.market.history import Candle, MarketData, Traded, asked_times, carried, integer
from crosstape_simulator.market.market import Pair
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.server.rate_limit import Bucket
from crosstape_simulator.server.rest import Answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.bitget import protocol
from crosstape_simulator.venues.bitget.protocol import MS, UNKNOWN, found, frame

TIMEFRAMES: Final = {
    "1m": "1m", "5m": "5m", "15m": "15m", "30m": "30m", "1H": "1h", "4H": "4h",
    "6Hutc": "6h", "12Hutc": "12h", "1Dutc": "1d", "1Wutc": "1w", "1Mutc": "1M",
}  # fmt: skip
"""The venue's names → those of `grid`. Names that count from 16:00 UTC are left out."""
SPOT_NAMES: Final = {"1min": "1m", "5min": "5m", "15min": "15m", "30min": "30m", "1h": "1h", "4h": "4h"} | {
    theirs: ours for theirs, ours in TIMEFRAMES.items() if theirs.endswith("utc")
}
"""The same by REST of spot."""
CANDLES: Final = {f"candle{theirs}": ours for theirs, ours in TIMEFRAMES.items()}
KINDS: Final = {
    "trade": frozenset({"trade"}),
    "books1": frozenset({"quote"}),
    "books": frozenset({"book"}),
    **dict.fromkeys(CANDLES, frozenset({"candle"})),
}
PAGE: Final = 1_000
COUNTED: Final = frozenset({"ticker", "tickers", "fills-history", "candles", "history-candles"})
"""Ends of paths by REST whose requests are counted apart."""
OLD_PAGE: Final = 200
ROWS: Final = 500


class Market(NamedTuple):
    """What the two markets have of their own."""

    place: str
    """As paths by REST call it."""
    product: protocol.ProductOf
    names: Mapping[str, str]
    """Names of candles by REST → those of `grid`."""


class Trades(kit.TradeChannel):
    """Trades, gathered, newest first. A new client gets past ones first, without those that are still gathered."""

    def __init__(self, feed: Feed, symbol: kit.Symbol, product: str, past: int) -> None:
        super().__init__(feed, symbol, ("trade", symbol.name), self._frames, gathers=True)
        self._product = product
        self._past = past

    def first(self, connection: Connection, topic: Topic, ts: int) -> None:
        """Send the newest trades that were sent to others."""
        recent = list(self.symbol.pair.recent)
        sent = recent[: max(0, len(recent) - len(self._gathered))]
        if self._past and sent:
            self.feed.send_data(connection, topic, self._frame(sent[-self._past :], ts, "snapshot"), ts)

    def _frames(self, symbol: kit.Symbol, trades: kit.Trades) -> Iterator[str]:
        yield self._frame(trades, trades[-1][0], "update")

    def _frame(self, trades: kit.Trades, sent_ts: int, action: str) -> str:
        symbol = self.symbol
        rows = [
            f'{{"ts":"{ts // MS}","price":"{symbol.price(fill.price)}","size":"{symbol.size(fill.size)}",'
            f'"side":"{"buy" if fill.buyer_takes else "sell"}","tradeId":"{fill.trade_id}"}}'
            for ts, fill in reversed(trades)
        ]
        return frame(symbol, self._product, "trade", ",".join(rows), sent_ts, action=action)


class Book(kit.DeltaChannel):
    """The book: a snapshot for a new client, then changes, which name the number of the frame before."""

    def __init__(self, feed: Feed, symbol: kit.Symbol, product: str) -> None:
        super().__init__(feed, symbol, ("books", symbol.name), self._update)
        self._product = product

    def first(self, connection: Connection, topic: Topic, ts: int) -> None:
        """Send the book, after all clients got what was gathered: the next change follows its number."""
        self.flush(ts)
        pair, symbol = self.symbol.pair, self.symbol
        sides = f'"asks":[{symbol.rows(pair.asks.levels(ROWS))}],"bids":[{symbol.rows(pair.bids.levels(ROWS))}]'
        data = f'{{{sides},"ts":"{ts // MS}","seq":{symbol.number},"pseq":0}}'
        self.feed.send_data(connection, topic, frame(symbol, self._product, "books", data, ts, action="snapshot"), ts)

    def _update(self, symbol: kit.Symbol, delta: kit.Delta, ts: int) -> str:
        sides = f'"asks":[{symbol.rows(delta.side(bid=False))}],"bids":[{symbol.rows(delta.side(bid=True))}]'
        data = f'{{{sides},"ts":"{ts // MS}","seq":{delta.last},"pseq":{delta.first - 1}}}'
        return frame(symbol, self._product, "books", data, ts)


class BitgetMarket(kit.ChannelMarket):
    """One of both markets."""

    market: ClassVar[Market]
    channels_of: ClassVar[frozenset[str]]

    def __init__(self, pairs: Sequence[Pair], start_ts: int, options: spec.Options) -> None:
        """`options`: see `protocol.OPTIONS`."""
        super().__init__([kit.Symbol(pair, number=start_ts // 1_000_000 * 8) for pair in pairs], start_ts)
        self._past = int(options["history"])
        made = self.add_feed(
            "v2",
            lambda source: protocol.BitgetFeed(source, self.channels_of, options, self.market.product),
            kit.SymbolSource(self.listed, start_ts),
        )
        channels = [self.add_channel(channel) for symbol in self.listed.values() for channel in self.channels(made, symbol)]
        channels += self.others(start_ts, options)
        self.add_timer(NS // 10, channels, (start_ts // (NS // 10) + 1) * (NS // 10))
        self._rate = options["requests_per_s"]
        self._buckets: dict[str, Bucket] = {}  # by path

    def others(self, start_ts: int, options: spec.Options) -> list[kit.Channel]:
        """Add the channels of other endpoints."""
        return []

    def channels(self, feed: Feed, symbol: kit.Symbol) -> Iterable[kit.Channel]:
        """All that v2 sends of one symbol."""
        name, product = symbol.name, self.market.product(symbol.name)
        yield Trades(feed, symbol, product, self._past)
        yield Book(feed, symbol, product)
        yield kit.QuoteChannel(feed, symbol, ("books1", name), self._quote, first=self._quote)
        yield self.ticker(feed, symbol)
        grids: dict[Topic, Grid] = {(channel, name): grid(ours) for channel, ours in CANDLES.items()}
        yield kit.CandleChannel(feed, symbol, grids, self._candle, snapshot=self._candles, past=ROWS + 1, empty="flat", every_ns=NS // 2)

    def ticker(self, feed: Feed, symbol: kit.Symbol) -> kit.Channel:
        """The day."""
        return kit.TickerChannel(
            feed, symbol, ("ticker", symbol.name), self.write_ticker, gathers=True, trades_only=False, every_ns=NS, first=self.write_ticker
        )

    def _quote(self, symbol: kit.Symbol, ts: int) -> str:
        best = symbol.best
        sides = (
            f'"asks":[["{symbol.price(best.ask)}","{symbol.size(best.ask_size)}"]],'
            f'"bids":[["{symbol.price(best.bid)}","{symbol.size(best.bid_size)}"]]'
        )
        data = f'{{{sides},"ts":"{ts // MS}","seq":{symbol.number},"pseq":0}}'
        return frame(symbol, self.market.product(symbol.name), "books1", data, ts, action="snapshot")

    def write_ticker(self, symbol: kit.Symbol, ts: int) -> str:
        """A ticker. Its open is not the one that its change is of."""
        pair, day, best = symbol.pair, symbol.day, symbol.best
        decimals = pair.listing.price_decimals + pair.listing.size_decimals
        fields = {
            "instId": symbol.name,
            "lastPr": day["last"],
            "open24h": symbol.price(pair.open + pair.open // 10),
            "high24h": day["high"],
            "low24h": day["low"],
            "change24h": fixed((pair.last.price - pair.open) * 100_000 // pair.open, 5),
            "bidPr": day["bid"],
            "askPr": day["ask"],
            "bidSz": symbol.size(best.bid_size),
            "askSz": symbol.size(best.ask_size),
            "baseVolume": symbol.size(pair.volume),
            "quoteVolume": fixed(pair.turnover, decimals),
            "openUtc": day["open"],
            **self.figures(symbol),
            "ts": str(ts // MS),
        }
        data = ",".join([f'"{name}":"{value}"' for name, value in fields.items()])
        return frame(symbol, self.market.product(symbol.name), "ticker", f"{{{data}}}", ts, action="snapshot")

    def figures(self, symbol: kit.Symbol) -> Mapping[str, str]:
        """The figures in a ticker that contracts have."""
        return {}

    def _candle(self, symbol: kit.Symbol, topic: Topic, candle: Candle, is_over: bool, ts: int) -> str:
        return frame(symbol, self.market.product(symbol.name), topic[0], _row(symbol.carried(candle, grid(CANDLES[topic[0]]))), ts)

    def _candles(self, symbol: kit.Symbol, topic: Topic, candles: Sequence[Candle], ts: int) -> str:
        rows = ",".join(map(_row, carried(candles)[-ROWS:]))
        return frame(symbol, self.market.product(symbol.name), topic[0], rows, ts, action="snapshot")

    def number(self, symbol: str) -> int | None:
        """`seq` of the newest change of a symbol's book."""
        return self.listed[symbol].number

    def answer(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The REST side, each path as often as may be asked: half as often for past trades."""
        place = path.rpartition("/")[2]
        rate = self._rate / 2 if place == "fills-history" else self._rate
        bucket = self._buckets.setdefault(place if place in COUNTED else "", Bucket(rate, rate))
        return self.rest(path, query, now) if bucket.allows(now) else protocol.BUSY

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The answer to a request."""
        return history(self.market, self, path, query, now) or UNKNOWN


def _row(one: Candle) -> str:
    prices = f'"{one.open_ts // MS}","{one.open}","{one.high}","{one.low}","{one.close}"'
    return f'[{prices},"{one.volume}","{one.quote_volume}","{one.quote_volume}"]'


def history(market: Market, data: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    """Best prices, trades and candles; None: the path is about something else."""
    place = path.removeprefix(f"/api/v2/{market.place}/market/")
    symbol = query.get("symbol", "")
    if place == path:
        return None
    if market.place == "mix" and query.get("productType") != market.product(symbol):
        return UNKNOWN
    if place in ("ticker", "tickers") and (top := data.top(symbol)) is not None:
        (bid, bid_size), (ask, ask_size) = top.bid or ("0", "0"), top.ask or ("0", "0")
        best = {"bidPr": bid, "bidSz": bid_size, "askPr": ask, "askSz": ask_size}
        return found([{"symbol": symbol, "lastPr": bid, **best, "ts": str(now // MS)}])
    if place == "fills-history" and (known := data.history(symbol)) is not None:
        limit, before = integer(query.get("limit"), 500), integer(query.get("idLessThan"), 0)
        if limit is None or before is None or limit > PAGE:
            return UNKNOWN
        rows = known.below(before, limit) if before else known.newest(limit)
        return found([_fill(symbol, one) for one in reversed(rows)])
    if place in ("candles", "history-candles") and query.get("granularity") in market.names:
        return _past_candles(
            data, symbol, grid(market.names[query["granularity"]]), query, OLD_PAGE if place == "history-candles" else PAGE
        )
    return None


def _fill(symbol: str, one: Traded) -> dict[str, str]:
    side = "buy" if one.buyer_takes else "sell"
    return {"symbol": symbol, "tradeId": str(one.trade_id), "side": side, "price": one.price, "size": one.size, "ts": str(one.ts // MS)}


def _past_candles(data: MarketData, symbol: str, where: Grid, query: Mapping[str, str], most: int) -> Answer | None:
    """Candles between two times, neither of them included, the newest ones where there are too many."""
    limit, start, end = (integer(query.get(name), usual) for name, usual in (("limit", 100), ("startTime", 0), ("endTime", 0)))
    if limit is None or start is None or end is None or limit > most:
        return UNKNOWN
    bounds = start * MS if start else None, end * MS if end else None
    first_ts, last_ts = asked_times(where, limit + 1, *bounds)
    if first_ts is not None:
        first_ts = where.before(first_ts).open_ts  # the candle whose close is the first one's open
    made = data.candles(symbol, where, flat=True, times=(first_ts, last_ts))
    if made is None:
        return None
    inside = [one for one in carried(made) if start * MS < one.open_ts and (not end or one.open_ts < end * MS)]
    rows = [
        [str(one.open_ts // MS), one.open, one.high, one.low, one.close, one.volume, one.quote_volume, one.quote_volume]
        for one in inside[-limit:]
    ]
    return found(rows)
