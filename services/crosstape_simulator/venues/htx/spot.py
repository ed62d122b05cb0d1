"""HTX spot: its frames and REST answers, and the table of all that the simulator knows of it.

Quirks  trades come newest first, and a subscription is answered with the last one; books are changes without a beginning: a client asks for
        the book, and every so many answers are older than the changes that it has. Not simulated: `depth`, `mbp.refresh`, days and longer
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from crosstape_simulator.formats import NS, plain
from crosstape_simulator.market.history import Candle, MarketData, Traded, integer
from crosstape_simulator.market.listings import Listing
from crosstape_simulator.market.market import Fill, Move, Pair
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.server.rest import Answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues import spec
from crosstape_simulator.venues.archetypes.windows import Window
from crosstape_simulator.venues.htx import protocol
from crosstape_simulator.venues.htx.protocol import MS, frame, java
from crosstape_simulator.venues.rewriting import UpdateIds

ID: Final = "htx"
DECIMALS: Final = {"BTC": (2, 6), "ETH": (2, 4), "SOL": (4, 4), "XRP": (5, 2), "DOGE": (6, 2), "ADA": (6, 4)}
DEPTHS: Final = {f"mbp.{depth}": depth for depth in (5, 20, 150, 400)}
SHORT: Final = 20
"""Up to this depth a frame has only sides that have changed."""
KINDS: Final = {
    "trade.detail": frozenset({"trade"}),
    "bbo": frozenset({"quote"}),
    "ticker": frozenset({"ticker"}),
    **dict.fromkeys(protocol.CANDLES, frozenset({"candle"})),
}
BOOKS: Final = dict.fromkeys(DEPTHS, frozenset({"book"}))
SYMBOLS, TRADES, TICKERS = "/v1/common/symbols", "/market/history/trade", "/market/tickers"
KLINES: Final = ("/market/history/kline", "/market/history/candles")
SPOT: Final = protocol.dialect("spot", "/ws", KINDS)
FEED: Final = protocol.dialect("feed", "/feed", BOOKS)


def _row(symbol: kit.Symbol, ts: int, fill: Fill, name: str) -> str:
    numbers = f'"amount":{java(symbol.short_size(fill.size))},"price":{java(symbol.short_price(fill.price))}'
    side = "buy" if fill.buyer_takes else "sell"
    return f'{{"id":{fill.trade_id}2557575674,"ts":{ts // MS},"{name}":{fill.trade_id},{numbers},"direction":"{side}"}}'


def _trades(symbol: kit.Symbol, trades: kit.Trades) -> Iterator[str]:
    rows = ",".join([_row(symbol, ts, fill, "tradeId") for ts, fill in reversed(trades)])
    ts = trades[-1][0]
    yield frame(("trade.detail", symbol.name), f'"id":{trades[-1][1].trade_id},"ts":{ts // MS},"data":[{rows}]', ts)


def _last(symbol: kit.Symbol, ts: int) -> str:
    return next(_trades(symbol, [symbol.pair.recent[-1]]))


def _quote(symbol: kit.Symbol, ts: int) -> str:
    best = symbol.best
    ask = f'"ask":{java(symbol.short_price(best.ask))},"askSize":{java(symbol.short_size(best.ask_size))}'
    bid = f'"bid":{java(symbol.short_price(best.bid))},"bidSize":{java(symbol.short_size(best.bid_size))}'
    tick = f'"seqId":{symbol.number},{ask},{bid},"quoteTime":{ts // MS},"symbol":"{symbol.name}"'
    return frame(("bbo", symbol.name), tick, ts)


def _ticker(symbol: kit.Symbol, ts: int) -> str:
    pair, best = symbol.pair, symbol.best
    turnover = symbol.short_price(pair.turnover // 10**pair.listing.size_decimals)
    prices = ",".join(
        f'"{name}":{java(symbol.short_price(price))}'
        for name, price in (("open", pair.open), ("high", pair.high), ("low", pair.low), ("close", pair.last.price), ("bid", best.bid))
    )
    volumes = f'"amount":{java(symbol.short_size(pair.volume))},"vol":{java(turnover)},"count":448737'
    return frame(("ticker", symbol.name), f"{prices},{volumes}", ts)


def _figures(candle: Candle) -> str:
    prices = f'"open":{java(candle.open)},"close":{java(candle.close)},"low":{java(candle.low)},"high":{java(candle.high)}'
    return f'"id":{candle.open_ts // NS},{prices},"amount":{java(candle.volume)},"vol":{java(candle.quote_volume)},"count":{candle.trades}'


def _candle(symbol: kit.Symbol, topic: Topic, candle: Candle, is_over: bool, ts: int) -> str:
    return frame(topic, _figures(candle), ts)


class Mbp(kit.Channel):
    """Changes of a symbol's book in all depths, gathered. Each names the number that the one before ended at."""

    def __init__(self, feed: Feed, symbol: kit.Symbol) -> None:
        super().__init__(feed, symbol, *((channel, symbol.name) for channel in DEPTHS))
        self._windows: dict[Topic, tuple[Window, Window]] = {}
        self._sent: dict[Topic, int] = {}
        self._changed: tuple[dict[int, int], dict[int, int]] = ({}, {})

    def joined(self, topic: Topic) -> None:
        """The first client of a depth: from now on its changes are sent."""
        if topic not in self._windows:
            pair, depth = self.symbol.pair, DEPTHS[topic[0]]
            self._windows[topic] = Window(pair.bids, depth), Window(pair.asks, depth)
            self._sent[topic] = self.symbol.number

    def apply(self, move: Move) -> None:
        """Gather the move's changes."""
        for bid, price, size in move.changes:
            self._changed[0 if bid else 1][-price if bid else price] = size

    def flush(self, ts: int) -> None:
        """Send each depth what has changed in it."""
        changed, self._changed = self._changed, ({}, {})
        for topic, (bids, asks) in tuple(self._windows.items()):
            if topic not in self.feed.subscribers:
                del self._windows[topic]
                continue
            sides = [(-key, size) for key, size in bids.changes(changed[0])], asks.changes(changed[1])
            number, before, is_short = self.symbol.number, self._sent[topic], DEPTHS[topic[0]] <= SHORT
            if number == before or (is_short and not any(sides)):
                continue
            self._sent[topic] = number
            written = [
                f'"{name}":{levels(self.symbol, rows)}' for name, rows in (("asks", sides[1]), ("bids", sides[0])) if rows or not is_short
            ]
            self.publish_to(topic, ",".join([f'"seqNum":{number},"prevSeqNum":{before}', *written]), ts)

    def publish_to(self, topic: Topic, tick: str, ts: int) -> None:
        """Send a frame to all clients of one depth."""
        self.feed.publish_data(topic, frame(topic, tick, ts), ts)


def levels(symbol: kit.Symbol, rows: Iterable[tuple[int, int]]) -> str:
    """Levels as numbers."""
    return f"[{','.join([f'[{java(symbol.short_price(price))},{java(symbol.short_size(size))}]' for price, size in rows])}]"


class SpotMarket(protocol.HtxMarket):
    """HTX spot."""

    dialects = SPOT, FEED

    def __init__(self, pairs: Iterable[Pair], start_ts: int, options: spec.Options) -> None:
        self._mbp: dict[str, Mbp] = {}
        super().__init__(pairs, start_ts, options)

    def channels(self, symbol: kit.Symbol) -> Iterable[kit.Channel]:
        """Trades, quotes, tickers and candles; on the other socket books."""
        feed, name = self.feeds["spot"], symbol.name
        yield kit.TradeChannel(feed, symbol, ("trade.detail", name), _trades, first=_last)
        yield kit.QuoteChannel(feed, symbol, ("bbo", name), _quote, first=_quote)
        yield kit.TickerChannel(feed, symbol, ("ticker", name), _ticker, gathers=True)
        yield self.candles_of(feed, symbol, _candle)
        books = self.feeds["feed"]
        assert isinstance(books, protocol.HtxFeed)
        books.books = self._book
        made = self._mbp[name] = Mbp(books, symbol)
        yield made

    def _book(self, topic: Topic) -> str | None:
        """What `req` is answered with, after all clients got what was gathered."""
        depth, symbol = DEPTHS.get(topic[0]), self.listed.get(topic[1])
        if depth is None or symbol is None:
            return None
        self._mbp[topic[1]].flush(self.now)
        number, bids, asks = self.snapshots.answer(topic[1], depth)
        return f'{{"bids":{levels(symbol, bids)},"asks":{levels(symbol, asks)},"seqNum":{number}}}'

    def rest(self, path: str, query: Mapping[str, str], now: int) -> Answer:
        """Instruments, trades, best prices, candles."""
        if path == SYMBOLS:
            return protocol.found(msgspec.json.encode([_instrument(symbol) for symbol in self.listed.values()]).decode(), now)
        return history(self, path, query, now) or protocol.UNKNOWN


def _instrument(symbol: kit.Symbol) -> dict[str, object]:
    one = symbol.pair.listing
    names = {"base-currency": one.base.lower(), "quote-currency": one.quote.lower(), "symbol": one.symbol}
    digits = {"price-precision": one.price_decimals, "amount-precision": one.size_decimals}
    return {**names, **digits, "state": "online", "min-order-value": 5, "api-trading": "enabled", "tags": ""}


def history(data: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    """Trades, best prices and candles; None: the path is about something else."""
    symbol = query.get("symbol", "")
    if path == TICKERS:
        rows = []
        for name in data.symbols():
            if (top := data.top(name)) is not None:
                sides = [
                    f'"{side}":{one[0] if one else "null"},"{side}Size":{one[1] if one else "null"}'
                    for side, one in (("bid", top.bid), ("ask", top.ask))
                ]
                rows.append(f'{{"symbol":"{name}",{",".join(sides)}}}')
        return protocol.found(f"[{','.join(rows)}]", now)
    if path == TRADES and (known := data.history(symbol)) is not None:
        newest = known.newest(min(integer(query.get("size"), 1) or 1, 2_000))
        groups = [
            f'{{"id":{one.trade_id},"ts":{one.ts // MS},"data":[{{"id":{one.trade_id}2557575674,"ts":{one.ts // MS},'
            f'"trade-id":{one.trade_id},"amount":{one.size},"price":{one.price},"direction":"{"buy" if one.buyer_takes else "sell"}"}}]}}'
            for one in reversed(newest)
        ]
        return protocol.found(f"[{','.join(groups)}]", now)
    if path in KLINES and (wanted := protocol.candles(data, symbol, query)) is not None:
        return protocol.found(f"[{','.join([f'{{{_figures(one)}}}' for one in reversed(wanted)])}]", now)
    return None


def recorded_trades(payload: bytes) -> Iterator[tuple[str, Traded]]:
    """The trades of a recorded frame, oldest first."""
    made = protocol.exact(payload)
    symbol = protocol.named(made["ch"])[1]
    for raw in reversed(made["tick"]["data"]):
        amounts = plain(str(raw["price"])), plain(str(raw["amount"]))
        yield symbol, Traded(int(raw["tradeId"]), int(raw["ts"]) * MS, *amounts, raw["direction"] == "buy")


VENUE: Final = spec.SimulatedVenue(
    id=ID,
    title="HTX",
    listings=tuple(Listing(ID, f"{base.lower()}usdt", base, "USDT", *decimals) for base, decimals in DECIMALS.items()),
    options=protocol.OPTIONS,
    dialects=(SPOT, FEED),
    market=SpotMarket,
    rest=spec.RestRules(
        history=history,
        unknown=protocol.UNKNOWN,
        refusal=protocol.refusal,
        statuses=frozenset({200}),
        lists=(
            spec.InstrumentList(
                path=SYMBOLS,
                rows=("data",),
                symbol="symbol",
                base="base-currency",
                tick="price-precision",
                lot="amount-precision",
                status="state",
                unlisted=lambda base: {"symbol": f"{base.lower()}usdt", "base-currency": base.lower(), "quote-currency": "usdt"},
            ),
        ),
        halted={"halt": {"state": "suspend"}, "delisted": {"state": "offline"}},
    ),
    recorded=spec.RecordedRules(
        names="htx|huobi",
        endpoint=lambda name, url: "feed" if url.endswith("/feed") else "spot",
        trades={"trade.detail": recorded_trades},
    ),
    kinds={**KINDS, **BOOKS},
    fields={
        "trade": ("price", "amount"),
        "quote": ("bid", "bidSize"),
        "ticker": ("close", "amount"),
        "candle": ("close", "amount"),
    },
    rows={"book": rb"\[(?P<price>[0-9.]+(?:E-?\d+)?),(?P<size>[0-9.]+(?:E-?\d+)?)\]"},
    shift=protocol.shift,
    ids=UpdateIds("seqNum", "prevSeqNum"),
    maintenance="HTX announces none on the sockets of spot",
)
