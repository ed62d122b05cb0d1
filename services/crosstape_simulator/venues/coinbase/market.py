"""Coinbase, the data: what the synthetic market's moves look like on its two feeds and in its REST answers.

Docs    https://docs.cdp.coinbase.com/exchange/websocket-feed/channels, …/coinbase-app/advanced-trade-apis/websocket/websocket-channels
Quirks  a trade's side is the maker's, except on Exchange's ticker; Advanced drops zeros at the end of numbers and times, lists trades
        newest first and sometimes sends an empty update; Exchange writes a price with more zeros in updates than in snapshots
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from crosstape_simulator.formats import fixed, iso_ns, iso_us, short
from crosstape_simulator.market.history import Top, TradeHistory, history_of, top_of
from crosstape_simulator.market.market import Fill, Move, Pair
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.rate_limit import Bucket
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues.coinbase.advanced import AdvancedFeed
from crosstape_simulator.venues.coinbase.exchange import ExchangeFeed
from crosstape_simulator.venues.coinbase.products import ADVANCED, EXCHANGE
from crosstape_simulator.venues.coinbase.rest import product_answer

TRADES_NS: Final = 250_000_000
"""How long Advanced gathers trades."""

BURST: Final = 1.5
"""Seconds' worth of requests by REST that may come at once."""

_EMPTY_EVERY: Final = 16  # so many book updates of a product are followed by an empty one


class _Product:
    """One product: what has not been sent yet."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.id = pair.listing.symbol
        self.sequence = pair.trade_id * 4
        self.changes: dict[tuple[bool, int], int] = {}
        self.fills: list[tuple[int, Fill]] = []
        self.updates = 0

    def price(self, ticks: int) -> str:
        return fixed(ticks, self.pair.listing.price_decimals)

    def size(self, lots: int) -> str:
        return fixed(lots, self.pair.listing.size_decimals)

    def short_price(self, ticks: int) -> str:
        return short(ticks, self.pair.listing.price_decimals)

    def short_size(self, lots: int) -> str:
        return short(lots, self.pair.listing.size_decimals)


class _Advanced:
    """The source of the Advanced feed."""

    def __init__(self, products: Mapping[str, _Product], *, subscribe_within_s: float) -> None:
        self.feed = AdvancedFeed(self, subscribe_within_s=subscribe_within_s)
        self.now = 0
        self._products = products

    def lists(self, symbol: str) -> bool:
        return symbol in self._products

    def depth(self, symbol: str) -> int | None:
        return None

    def holds_acks(self) -> bool:
        return False

    def greeting(self) -> bytes | None:
        return None

    def beats(self) -> bool:
        return True

    def subscribed(self, connection: Connection, topic: Topic) -> None:
        channel, product = topic[0], self._products.get(topic[1])
        match channel, product:
            case "level2", _Product():
                self._send(connection, "l2_data", self._snapshot(product))
            case "market_trades", _Product():
                trades = [_trade(product, ts, fill) for ts, fill in reversed(product.pair.recent)]
                self._send(connection, "market_trades", f'{{"type":"snapshot","trades":[{",".join(trades)}]}}')
            case "ticker" | "ticker_batch", _Product():
                self._send(connection, channel, _ticker_event(product, "snapshot", batch=channel == "ticker_batch"))
            case "status", _Product():
                self._send(connection, "status", f'{{"type":"snapshot","products":[{_status_row(product)}]}}')

    def book(self, product: _Product, ts: int) -> None:
        if (topic := ("level2", product.id)) not in self.feed.subscribers:
            return
        rows = [_update(product, bid, price, size, ts) for (bid, price), size in product.changes.items()]
        self.feed.publish_events(topic, "l2_data", _update_event(product, rows), ts)
        product.updates += 1
        if product.updates % _EMPTY_EVERY == 0:
            self.feed.publish_events(topic, "l2_data", _update_event(product, []), ts)

    def trades(self, product: _Product, ts: int) -> None:
        if (topic := ("market_trades", product.id)) in self.feed.subscribers:
            rows = [_trade(product, traded, fill) for traded, fill in reversed(product.fills)]
            self.feed.publish_events(topic, "market_trades", f'{{"type":"update","trades":[{",".join(rows)}]}}', ts)
        if (topic := ("ticker", product.id)) in self.feed.subscribers:
            self.feed.publish_events(topic, "ticker", _ticker_event(product, "update", batch=False), ts)

    def ticker_batch(self, product: _Product, ts: int) -> None:
        self.feed.publish_events(("ticker_batch", product.id), "ticker_batch", _ticker_event(product, "update", batch=True), ts)

    def _snapshot(self, product: _Product) -> str:
        sides = ((True, product.pair.bids), (False, product.pair.asks))
        rows = [_update(product, bid, price, size, 0) for bid, side in sides for price, size in side.levels()]
        return f'{{"type":"snapshot","product_id":"{product.id}","updates":[{",".join(rows)}]}}'

    def _send(self, connection: Connection, channel: str, event: str) -> None:
        self.feed.send(connection, channel, event, self.now)


class _Exchange:
    """The source of the Exchange feed."""

    def __init__(self, products: Mapping[str, _Product], *, subscribe_within_s: float) -> None:
        self.feed = ExchangeFeed(self, subscribe_within_s=subscribe_within_s)
        self.now = 0
        self._products = products

    def lists(self, symbol: str) -> bool:
        return symbol in self._products

    def depth(self, symbol: str) -> int | None:
        return None

    def holds_acks(self) -> bool:
        return False

    def greeting(self) -> bytes | None:
        return None

    def beats(self) -> bool:
        return True

    def subscribed(self, connection: Connection, topic: Topic) -> None:
        channel, product = topic[0], self._products.get(topic[1])
        match channel, product:
            case "level2_batch", _Product():
                connection.send(self._snapshot(product).encode())
            case "matches", _Product():
                ts, fill = product.pair.recent[-1]
                connection.send(_match(product, ts, fill, "last_match").encode())
            case "ticker" | "ticker_batch", _Product():
                connection.send(_exchange_ticker(product, *product.pair.recent[-1]).encode())
            case "status", None:
                rows = ",".join([_exchange_row(listed) for listed in self._products.values()])
                connection.send(f'{{"type":"status","products":[{rows}],"currencies":[]}}'.encode())

    def move(self, product: _Product, move: Move) -> None:
        if (topic := ("matches", product.id)) in self.feed.subscribers:
            for fill in move.fills:
                self.feed.publish(topic, _match(product, move.ts, fill, "match").encode())
        if (topic := ("ticker", product.id)) in self.feed.subscribers:
            self.feed.publish(topic, _exchange_ticker(product, move.ts, move.fills[-1]).encode())

    def book(self, product: _Product, ts: int) -> None:
        if (topic := ("level2_batch", product.id)) in self.feed.subscribers:
            rows = [
                f'["{"buy" if bid else "sell"}","{product.price(price)}0000","{product.size(size)}"]'
                for (bid, price), size in product.changes.items()
            ]
            frame = f'{{"type":"l2update","product_id":"{product.id}","changes":[{",".join(rows)}],"time":"{iso_us(ts)}"}}'
            self.feed.publish(topic, frame.encode())

    def ticker_batch(self, product: _Product) -> None:
        self.feed.publish(("ticker_batch", product.id), _exchange_ticker(product, *product.pair.recent[-1]).encode())

    def heartbeat(self, product: _Product, now: int) -> None:
        ids = f'"sequence":{product.sequence},"last_trade_id":{product.pair.last.trade_id}'
        frame = f'{{"type":"heartbeat",{ids},"product_id":"{product.id}","time":"{iso_us(now)}"}}'
        self.feed.publish(("heartbeat", product.id), frame.encode())

    def _snapshot(self, product: _Product) -> str:
        bids, asks = (
            ",".join([f'["{product.price(price)}","{product.size(size)}"]' for price, size in side.levels()])
            for side in (product.pair.bids, product.pair.asks)
        )
        return f'{{"type":"snapshot","product_id":"{product.id}","asks":[{asks}],"bids":[{bids}],"time":"{iso_us(self.now)}"}}'


class CoinbaseMarket:
    """Both feeds' data, and the REST side of both APIs."""

    def __init__(self, pairs: Sequence[Pair], start_ts: int, *, batch_s: float, subscribe_within_s: float, requests_per_s: float) -> None:
        """`batch_s`: how long changes of a book are gathered. `requests_per_s`: by REST; 0: no limit."""
        self._products = {pair.listing.symbol: _Product(pair) for pair in pairs}
        self._advanced = _Advanced(self._products, subscribe_within_s=subscribe_within_s)
        self._exchange = _Exchange(self._products, subscribe_within_s=subscribe_within_s)
        self.advanced, self.exchange = self._advanced.feed, self._exchange.feed
        self._batch_ns = max(1_000_000, int(batch_s * 1_000_000_000))
        self.due = start_ts + self._batch_ns
        self._trades_due = start_ts + TRADES_NS
        self._advanced.now = self._exchange.now = self.advanced.now = start_ts
        self._beats = 0
        self._bucket = Bucket(requests_per_s, BURST * requests_per_s)

    def apply(self, move: Move) -> None:
        """Exchange's matches and tickers go out at once, the rest is gathered."""
        product = self._products[move.pair.listing.symbol]
        self._advanced.now = self._exchange.now = self.advanced.now = move.ts
        for bid, price, size in move.changes:
            product.sequence += 2
            product.changes[bid, price] = size
        if move.fills:
            product.fills += [(move.ts, fill) for fill in move.fills]
            self._exchange.move(product, move)

    def flush(self, ts: int) -> None:
        """Send what has been gathered."""
        self.due = ts + self._batch_ns
        for product in self._products.values():
            if product.changes:
                self._advanced.book(product, ts)
                self._exchange.book(product, ts)
                product.changes.clear()
        if ts >= self._trades_due:
            self._trades_due = ts + TRADES_NS
            for product in self._products.values():
                if product.fills:
                    self._advanced.trades(product, ts)
                    product.fills.clear()

    def second(self, now: int) -> None:
        """Heartbeats; every five seconds the slow tickers."""
        self._beats += 1
        for product in self._products.values():
            self._exchange.heartbeat(product, now)
            if self._beats % 5 == 0:
                self._advanced.ticker_batch(product, now)
                self._exchange.ticker_batch(product)

    def number(self, symbol: str) -> int | None:
        """There is none: Coinbase numbers the frames of a connection."""
        return None

    def symbols(self) -> Sequence[str]:
        """See `MarketData`."""
        return tuple(self._products)

    def history(self, symbol: str) -> TradeHistory[tuple[int, Fill]] | None:
        """See `MarketData`."""
        return history_of(self._products[symbol]) if symbol in self._products else None

    def top(self, symbol: str) -> Top | None:
        """See `MarketData`."""
        product = self._products.get(symbol)
        return top_of(product)._replace(number=product.sequence) if product is not None else None

    def answer(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """The REST side: the products of Exchange and of Advanced, all or one, the time; trades and best prices of Exchange."""
        if not self._bucket.take(now):
            return answer({"message": "Public rate limit exceeded"}, 429)
        if (found := product_answer(self, path, query, self._exchange.now)) is not None:
            return found
        match path:
            case "/products":
                return Answer(f"[{','.join([_exchange_row(product) for product in self._products.values()])}]".encode())
            case "/api/v3/brokerage/market/products":
                if query.get("product_type", "SPOT") != "SPOT":
                    return answer({"products": [], "num_products": 0})
                rows = ",".join([_advanced_row(product) for product in self._products.values()])
                return Answer(f'{{"products":[{rows}],"num_products":{len(self._products)}}}'.encode())
            case _ if (row := self._row(path)) is not None:
                return Answer(row.encode())
            case "/time":
                return answer({"iso": iso_us(now), "epoch": now // 1_000_000_000})
            case _:
                return answer({"message": "NotFound"}, 404)

    def _row(self, path: str) -> str | None:
        """A product that is asked for by its name."""
        of, _, name = path.rpartition("/")
        product = self._products.get(name)
        if product is None:
            return None
        return {EXCHANGE: _exchange_row, ADVANCED: _advanced_row}.get(of, lambda _: None)(product)


def _update(product: _Product, bid: bool, price: int, size: int, ts: int) -> str:
    side = "bid" if bid else "offer"
    return (
        f'{{"side":"{side}","event_time":"{iso_ns(ts)}","price_level":"{product.short_price(price)}",'
        f'"new_quantity":"{product.short_size(size)}"}}'
    )


def _update_event(product: _Product, rows: list[str]) -> str:
    return f'{{"type":"update","product_id":"{product.id}","updates":[{",".join(rows)}]}}'


def _trade(product: _Product, ts: int, fill: Fill) -> str:
    what = f'"price":"{product.short_price(fill.price)}","size":"{product.short_size(fill.size)}","time":"{iso_us(ts)}"'
    maker = "SELL" if fill.buyer_takes else "BUY"
    return f'{{"product_id":"{product.id}","trade_id":"{fill.trade_id}",{what},"side":"{maker}"}}'


def _ticker_event(product: _Product, kind: str, *, batch: bool) -> str:
    pair = product.pair
    bid, ask = pair.bids.keys[0], pair.asks.keys[0]
    best = (
        f',"best_bid":"{product.short_price(-bid)}","best_bid_quantity":"{product.short_size(pair.bids.sizes[bid])}"'
        f',"best_ask":"{product.short_price(ask)}","best_ask_quantity":"{product.short_size(pair.asks.sizes[ask])}"'
    )
    change = short((pair.last.price - pair.open) * 10**10 // pair.open, 8)
    day = f'"low_24_h":"{product.short_price(pair.low)}","high_24_h":"{product.short_price(pair.high)}"'
    year = f'"low_52_w":"{product.short_price(pair.low // 2)}","high_52_w":"{product.short_price(pair.high * 2)}"'
    what = f'"price":"{product.short_price(pair.last.price)}","volume_24_h":"{product.short_size(pair.volume)}",{day},{year}'
    row = f'{{"type":"ticker","product_id":"{product.id}",{what},"price_percent_chg_24_h":"{change}"{"" if batch else best}}}'
    return f'{{"type":"{kind}","tickers":[{row}]}}'


def _exchange_ticker(product: _Product, ts: int, fill: Fill) -> str:
    pair = product.pair
    bid, ask = pair.bids.keys[0], pair.asks.keys[0]
    day = (
        f'"open_24h":"{product.price(pair.open)}","volume_24h":"{product.size(pair.volume)}",'
        f'"low_24h":"{product.price(pair.low)}","high_24h":"{product.price(pair.high)}","volume_30d":"{product.size(pair.volume * 30)}"'
    )
    best = (
        f'"best_bid":"{product.price(-bid)}","best_bid_size":"{product.size(pair.bids.sizes[bid])}",'
        f'"best_ask":"{product.price(ask)}","best_ask_size":"{product.size(pair.asks.sizes[ask])}"'
    )
    taker = "buy" if fill.buyer_takes else "sell"
    last = f'"side":"{taker}","time":"{iso_us(ts)}","trade_id":{fill.trade_id},"last_size":"{product.size(fill.size)}"'
    head = f'"sequence":{product.sequence},"product_id":"{product.id}","price":"{product.price(fill.price)}"'
    return f'{{"type":"ticker",{head},{day},{best},{last}}}'


def _match(product: _Product, ts: int, fill: Fill, kind: str) -> str:
    maker = "sell" if fill.buyer_takes else "buy"
    number = fill.trade_id & 0xFFFFFFFFFFFF
    orders = f'"maker_order_id":"{_order(number, 0)}","taker_order_id":"{_order(number, 1)}"'
    what = f'"side":"{maker}","size":"{product.size(fill.size)}","price":"{product.price(fill.price)}"'
    head = f'"type":"{kind}","trade_id":{fill.trade_id},{orders},{what}'
    return f'{{{head},"product_id":"{product.id}","sequence":{product.sequence},"time":"{iso_us(ts)}"}}'


def _order(number: int, variant: int) -> str:
    return f"00000000-0000-4000-800{variant}-{number:012x}"


def _exchange_row(product: _Product) -> str:
    base, quote = product.pair.listing.base, product.pair.listing.quote
    steps = (
        f'"quote_increment":"{product.price(1)}","base_increment":"{product.size(1)}","display_name":"{product.id}","min_market_funds":"1"'
    )
    flags = '"margin_enabled":false,"post_only":false,"limit_only":false,"cancel_only":false,"status":"online","status_message":""'
    rest = '"trading_disabled":false,"fx_stablecoin":false,"auction_mode":false'
    return f'{{"id":"{product.id}","base_currency":"{base}","quote_currency":"{quote}",{steps},{flags},{rest}}}'


def _status_row(product: _Product) -> str:
    base, quote = product.pair.listing.base, product.pair.listing.quote
    steps = f'"base_increment":"{product.size(1)}","quote_increment":"{product.price(1)}","display_name":"{base}/{quote}"'
    head = f'"product_type":"SPOT","id":"{product.id}","base_currency":"{base}","quote_currency":"{quote}"'
    return f'{{{head},{steps},"status":"online","status_message":"","min_market_funds":"1"}}'


def _advanced_row(product: _Product) -> str:
    pair = product.pair
    tick, step = product.price(1), product.size(1)
    ids = f'"product_id":"{product.id}","base_currency_id":"{pair.listing.base}","quote_currency_id":"{pair.listing.quote}"'
    steps = f'"base_increment":"{step}","quote_increment":"{tick}","price_increment":"{tick}","base_min_size":"{step}"'
    state = '"status":"online","is_disabled":false,"trading_disabled":false,"view_only":false,"cancel_only":false,"auction_mode":false'
    rest = '"product_type":"SPOT","alias":"","alias_to":[],"product_venue":"CBE"'
    price = f'"price":"{product.short_price(pair.last.price)}","volume_24h":"{product.short_size(pair.volume)}"'
    return f"{{{ids},{price},{steps},{state},{rest}}}"
