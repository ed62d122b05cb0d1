"""Coinbase, the data: what the synthetic market's moves look like on its two feeds and in its REST answers.

Docs    https://docs.cdp.coinbase.com/exchange/websocket-feed/channels, …/coinbase-app/advanced-trade-apis/websocket/websocket-channels
Quirks  a trade's side is the maker's, except on Exchange's ticker; Advanced drops zeros at the end of numbers and times, lists trades
        newest first and sometimes sends an empty update; Exchange writes a price with more zeros in updates than in snapshots
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from crosstape_simulator.formats import iso_ns, iso_us, short
from crosstape_simulator.market.history import Top
from crosstape_simulator.market.market import Fill, Pair
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.server.rate_limit import Bucket
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues.archetypes.channels import Channel, Delta, DeltaChannel, TickerChannel, TradeChannel, Trades, Write
from crosstape_simulator.venues.archetypes.market import ChannelMarket, SymbolSource
from crosstape_simulator.venues.archetypes.symbols import Symbol
from crosstape_simulator.venues.coinbase import candles
from crosstape_simulator.venues.coinbase.advanced import AdvancedFeed
from crosstape_simulator.venues.coinbase.exchange import ExchangeFeed
from crosstape_simulator.venues.coinbase.products import ADVANCED, EXCHANGE, advanced_row, exchange_row, status_row
from crosstape_simulator.venues.coinbase.rest import product_answer, refusal
from crosstape_simulator.venues.spec import Options

TRADES_NS: Final = 250_000_000
"""How long Advanced gathers trades."""

BURST: Final = 1.5
"""Seconds' worth of requests by REST that may come at once."""

SLOW_EVERY: Final = 5
"""Seconds between two tickers of the slow channels."""

_EMPTY_EVERY: Final = 16  # how many book updates of a product are followed by an empty one


class _Level2(DeltaChannel):
    """Advanced's book."""

    def __init__(self, feed: Feed, symbol: Symbol) -> None:
        super().__init__(feed, symbol, ("level2", symbol.name), _level2_update, first=_level2_snapshot)
        self._updates = 0

    def sent(self, ts: int) -> None:
        """Send an empty update now and then."""
        self._updates += 1
        if self._updates % _EMPTY_EVERY == 0:
            self.publish(_update_event(self.symbol, []), ts)


class _Slow(Channel):
    """A channel that is sent by the second, whatever has happened: `say` writes its frame."""

    def __init__(self, feed: Feed, symbol: Symbol, topic: Topic, say: Write, first: Write) -> None:
        super().__init__(feed, symbol, topic, first=first)
        self._say = say

    def flush(self, ts: int) -> None:
        """Send it."""
        self.publish(self._say(self.symbol, ts), ts)


class _ExchangeSource(SymbolSource):
    def subscribed(self, connection: Connection, topic: Topic) -> None:
        """Send what the venue sends first; `status` is about all products."""
        if topic[0] == "status":
            rows = ",".join([exchange_row(symbol) for symbol in self._symbols.values()])
            connection.send(f'{{"type":"status","products":[{rows}],"currencies":[]}}'.encode())
        super().subscribed(connection, topic)


class CoinbaseMarket(ChannelMarket):
    """Both feeds' data, and the REST side of both APIs. A change of a book counts two."""

    step = 2

    def __init__(self, pairs: Sequence[Pair], start_ts: int, options: Options) -> None:
        """`options`: `batch_s` for which changes of books are gathered, `requests_per_s` by REST (0: no limit), and those of the feeds."""
        super().__init__([Symbol(pair, number=pair.trade_id * 4) for pair in pairs], start_ts)
        self._advanced = SymbolSource(self.listed, start_ts)
        self._exchange = _ExchangeSource(self.listed, start_ts)
        advanced = self.add_feed("advanced", lambda source: AdvancedFeed(source, options), self._advanced)
        exchange = self.add_feed("exchange", lambda source: ExchangeFeed(source, options), self._exchange)
        books: list[Channel] = []
        trades: list[Channel] = []
        self._by_second: list[tuple[Channel, tuple[Channel, Channel]]] = []
        for symbol in self.listed.values():
            books += self._add_books(advanced, exchange, symbol)
            trades += self._add_trades(advanced, exchange, symbol)
            self._add_slow(advanced, exchange, symbol)
        batch_ns = max(1_000_000, int(options["batch_s"] * 1_000_000_000))
        self.add_timer(batch_ns, books, start_ts + batch_ns)
        self.add_timer(TRADES_NS, trades, (start_ts // TRADES_NS + 1) * TRADES_NS)
        self._beats = 0
        rate = options["requests_per_s"]
        self._bucket = Bucket(rate, BURST * rate)

    def _add_books(self, advanced: Feed, exchange: Feed, symbol: Symbol) -> list[Channel]:
        deltas = DeltaChannel(exchange, symbol, ("level2_batch", symbol.name), _exchange_update, first=_exchange_snapshot)
        return [self.add_channel(_Level2(advanced, symbol)), self.add_channel(deltas)]

    def _add_trades(self, advanced: Feed, exchange: Feed, symbol: Symbol) -> list[Channel]:
        """Advanced's are gathered."""
        name = symbol.name
        self.add_channel(TradeChannel(exchange, symbol, ("matches", name), _matches, first=_last_match))
        self.add_channel(TickerChannel(exchange, symbol, ("ticker", name), _exchange_ticker, first=_exchange_ticker))
        trades = TradeChannel(advanced, symbol, ("market_trades", name), _trade_updates, gathers=True, first=_trade_snapshot)
        write, first = partial(_ticker_event, "update", False), partial(_ticker_event, "snapshot", False)
        ticker = TickerChannel(advanced, symbol, ("ticker", name), write, gathers=True, first=first)
        return [self.add_channel(trades), self.add_channel(ticker), self.add_channel(candles.channel(advanced, symbol))]

    def _add_slow(self, advanced: Feed, exchange: Feed, symbol: Symbol) -> None:
        name, topic = symbol.name, ("ticker_batch", symbol.name)
        self.add_channel(Channel(advanced, symbol, ("status", name), first=_status))
        heartbeat = self.add_channel(Channel(exchange, symbol, ("heartbeat", name)))
        say, first = partial(_ticker_event, "update", True), partial(_ticker_event, "snapshot", True)
        slow = (_Slow(advanced, symbol, topic, say, first), _Slow(exchange, symbol, topic, _exchange_ticker, _exchange_ticker))
        self._by_second.append((heartbeat, (self.add_channel(slow[0]), self.add_channel(slow[1]))))

    def second(self, now: int) -> None:
        """Send heartbeats, and every five seconds the slow tickers."""
        self._beats += 1
        for heartbeat, slow in self._by_second:
            heartbeat.publish(_heartbeat(heartbeat.symbol, now), now)
            for channel in slow if self._beats % SLOW_EVERY == 0 else ():
                channel.flush(now)

    def top(self, symbol: str) -> Top | None:
        """The best prices of a product, with the number of its last change."""
        top = super().top(symbol)
        return None if top is None else top._replace(number=self.listed[symbol].number)

    def answer(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The REST side: the products of Exchange and of Advanced, all or one, the time; trades and best prices of Exchange."""
        if not self._bucket.allows(now):
            return answer(refusal(429, ""), 429)
        if (found := product_answer(self, path, query, self._exchange.now)) is not None:
            return found
        match path:
            case "/products":
                return Answer(f"[{','.join([exchange_row(symbol) for symbol in self.listed.values()])}]".encode())
            case "/api/v3/brokerage/market/products":
                if query.get("product_type", "SPOT") != "SPOT":
                    return answer({"products": [], "num_products": 0})
                rows = ",".join([advanced_row(symbol) for symbol in self.listed.values()])
                return Answer(f'{{"products":[{rows}],"num_products":{len(self.listed)}}}'.encode())
            case _ if (row := self._row(path)) is not None:
                return Answer(row.encode())
            case "/time":
                return answer({"iso": iso_us(now), "epoch": now // 1_000_000_000})
            case _:
                return answer({"message": "NotFound"}, 404)

    def _row(self, path: str) -> str | None:
        """A product that is asked for by its name."""
        of, _, name = path.rpartition("/")
        symbol = self.listed.get(name)
        if symbol is None:
            return None
        return {EXCHANGE: exchange_row, ADVANCED: advanced_row}.get(of, lambda _: None)(symbol)


def _level2_snapshot(symbol: Symbol, ts: int) -> str:
    sides = ((True, symbol.pair.bids), (False, symbol.pair.asks))
    rows = [_update(symbol, bid, price, size, 0) for bid, side in sides for price, size in side.levels()]
    return f'{{"type":"snapshot","product_id":"{symbol.name}","updates":[{",".join(rows)}]}}'


def _level2_update(symbol: Symbol, delta: Delta, ts: int) -> str:
    return _update_event(symbol, [_update(symbol, bid, price, size, ts) for (bid, price), size in delta.changes.items()])


def _exchange_snapshot(symbol: Symbol, ts: int) -> str:
    bids, asks = symbol.rows(symbol.pair.bids.levels()), symbol.rows(symbol.pair.asks.levels())
    return f'{{"type":"snapshot","product_id":"{symbol.name}","asks":[{asks}],"bids":[{bids}],"time":"{iso_us(ts)}"}}'


def _exchange_update(symbol: Symbol, delta: Delta, ts: int) -> str:
    rows = [
        f'["{"buy" if bid else "sell"}","{symbol.price(price)}0000","{symbol.size(size)}"]' for (bid, price), size in delta.changes.items()
    ]
    return f'{{"type":"l2update","product_id":"{symbol.name}","changes":[{",".join(rows)}],"time":"{iso_us(ts)}"}}'


def _trade_updates(symbol: Symbol, trades: Trades) -> Iterator[str]:
    yield _trade_event(symbol, "update", trades)


def _trade_snapshot(symbol: Symbol, ts: int) -> str:
    return _trade_event(symbol, "snapshot", symbol.pair.recent)


def _trade_event(symbol: Symbol, kind: str, trades: Trades) -> str:
    rows = [_trade(symbol, traded, fill) for traded, fill in reversed(trades)]
    return f'{{"type":"{kind}","trades":[{",".join(rows)}]}}'


def _status(symbol: Symbol, ts: int) -> str:
    return f'{{"type":"snapshot","products":[{status_row(symbol)}]}}'


def _heartbeat(symbol: Symbol, now: int) -> str:
    ids = f'"sequence":{symbol.number},"last_trade_id":{symbol.pair.last.trade_id}'
    return f'{{"type":"heartbeat",{ids},"product_id":"{symbol.name}","time":"{iso_us(now)}"}}'


def _matches(symbol: Symbol, trades: Trades) -> Iterator[str]:
    return (_match(symbol, ts, fill, "match") for ts, fill in trades)


def _last_match(symbol: Symbol, ts: int) -> str:
    return _match(symbol, *symbol.pair.recent[-1], "last_match")


def _update(symbol: Symbol, bid: bool, price: int, size: int, ts: int) -> str:
    side = "bid" if bid else "offer"
    return (
        f'{{"side":"{side}","event_time":"{iso_ns(ts)}","price_level":"{symbol.short_price(price)}",'
        f'"new_quantity":"{symbol.short_size(size)}"}}'
    )


def _update_event(symbol: Symbol, rows: list[str]) -> str:
    return f'{{"type":"update","product_id":"{symbol.name}","updates":[{",".join(rows)}]}}'


def _trade(symbol: Symbol, ts: int, fill: Fill) -> str:
    what = f'"price":"{symbol.short_price(fill.price)}","size":"{symbol.short_size(fill.size)}","time":"{iso_us(ts)}"'
    maker = "SELL" if fill.buyer_takes else "BUY"
    return f'{{"product_id":"{symbol.name}","trade_id":"{fill.trade_id}",{what},"side":"{maker}"}}'


def _ticker_event(kind: str, batch: bool, symbol: Symbol, ts: int) -> str:
    pair = symbol.pair
    bid, ask = pair.bids.keys[0], pair.asks.keys[0]
    best = (
        f',"best_bid":"{symbol.short_price(-bid)}","best_bid_quantity":"{symbol.short_size(pair.bids.sizes[bid])}"'
        f',"best_ask":"{symbol.short_price(ask)}","best_ask_quantity":"{symbol.short_size(pair.asks.sizes[ask])}"'
    )
    change = short((pair.last.price - pair.open) * 10**10 // pair.open, 8)
    day = f'"low_24_h":"{symbol.short_price(pair.low)}","high_24_h":"{symbol.short_price(pair.high)}"'
    year = f'"low_52_w":"{symbol.short_price(pair.low // 2)}","high_52_w":"{symbol.short_price(pair.high * 2)}"'
    what = f'"price":"{symbol.short_price(pair.last.price)}","volume_24_h":"{symbol.short_size(pair.volume)}",{day},{year}'
    row = f'{{"type":"ticker","product_id":"{symbol.name}",{what},"price_percent_chg_24_h":"{change}"{"" if batch else best}}}'
    return f'{{"type":"{kind}","tickers":[{row}]}}'


def _exchange_ticker(symbol: Symbol, now: int) -> str:
    """About the newest trade."""
    pair = symbol.pair
    ts, fill = pair.recent[-1]
    bid, ask = pair.bids.keys[0], pair.asks.keys[0]
    day = (
        f'"open_24h":"{symbol.price(pair.open)}","volume_24h":"{symbol.size(pair.volume)}",'
        f'"low_24h":"{symbol.price(pair.low)}","high_24h":"{symbol.price(pair.high)}","volume_30d":"{symbol.size(pair.volume * 30)}"'
    )
    best = (
        f'"best_bid":"{symbol.price(-bid)}","best_bid_size":"{symbol.size(pair.bids.sizes[bid])}",'
        f'"best_ask":"{symbol.price(ask)}","best_ask_size":"{symbol.size(pair.asks.sizes[ask])}"'
    )
    taker = "buy" if fill.buyer_takes else "sell"
    last = f'"side":"{taker}","time":"{iso_us(ts)}","trade_id":{fill.trade_id},"last_size":"{symbol.size(fill.size)}"'
    head = f'"sequence":{symbol.number},"product_id":"{symbol.name}","price":"{symbol.price(fill.price)}"'
    return f'{{"type":"ticker",{head},{day},{best},{last}}}'


def _match(symbol: Symbol, ts: int, fill: Fill, kind: str) -> str:
    maker = "sell" if fill.buyer_takes else "buy"
    number = fill.trade_id & 0xFFFFFFFFFFFF
    orders = f'"maker_order_id":"{_order(number, 0)}","taker_order_id":"{_order(number, 1)}"'
    what = f'"side":"{maker}","size":"{symbol.size(fill.size)}","price":"{symbol.price(fill.price)}"'
    head = f'"type":"{kind}","trade_id":{fill.trade_id},{orders},{what}'
    return f'{{{head},"product_id":"{symbol.name}","sequence":{symbol.number},"time":"{iso_us(ts)}"}}'


def _order(number: int, variant: int) -> str:
    return f"00000000-0000-4000-800{variant}-{number:012x}"
