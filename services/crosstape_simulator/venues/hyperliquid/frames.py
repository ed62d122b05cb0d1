"""How Hyperliquid writes what its market does: trades, books, best prices, figures, candles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.venues import archetypes as kit

MS: Final = 1_000_000
LEVELS: Final = 5
INTERVALS: Final = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d")
CANDLES: Final = {f"candle_{name}": name for name in INTERVALS}
_MIXER: Final = 0x2545F4914F6CD
"""Odd, so that different trades have different hashes of 50 bits."""


def tid(number: int) -> int:
    """The hash that stands for a trade."""
    return number * _MIXER % (1 << 50)


def _frame(channel: str, data: str) -> str:
    return f'{{"channel":"{channel}","data":{data}}}'


def trades(symbol: kit.Symbol, made: kit.Trades) -> Iterator[str]:
    """A frame of trades of one coin, oldest first."""
    yield _frame("trades", f"[{','.join([_trade(symbol, ts, fill) for ts, fill in made])}]")


def _trade(symbol: kit.Symbol, ts: int, fill: Any) -> str:
    numbers = f'"px":"{symbol.price(fill.price)}","sz":"{symbol.size(fill.size)}","time":{ts // MS}'
    side = "B" if fill.buyer_takes else "A"
    return f'{{"coin":"{symbol.name}","side":"{side}",{numbers},"hash":"0x{fill.trade_id:064x}","tid":{tid(fill.trade_id)}}}'


class Trades(kit.TradeChannel):
    """Trades at once. A new client gets past ones first."""

    def __init__(self, feed: Feed, symbol: kit.Symbol, past: int) -> None:
        super().__init__(feed, symbol, ("trades", symbol.name), trades)
        self._past = past

    def first(self, connection: Connection, topic: Topic, ts: int) -> None:
        """Send the newest trades."""
        past = list(self.symbol.pair.recent)[-self._past :] if self._past else []
        for text in trades(self.symbol, past) if past else ():
            self.feed.send_data(connection, topic, text, ts)


def _side(symbol: kit.Symbol, levels: Iterable[tuple[int, int]]) -> str:
    return ",".join([f'{{"px":"{symbol.price(price)}","sz":"{symbol.size(size)}","n":1}}' for price, size in levels])


def _sides(symbol: kit.Symbol, depth: int) -> str:
    pair = symbol.pair
    return f"[[{_side(symbol, pair.bids.levels(depth))}],[{_side(symbol, pair.asks.levels(depth))}]]"


def book(symbol: kit.Symbol, ts: int) -> str:
    """The best levels, complete."""
    return _frame("l2Book", f'{{"coin":"{symbol.name}","time":{ts // MS},"levels":{_sides(symbol, LEVELS)},"fast":true}}')


def quote(symbol: kit.Symbol, ts: int) -> str:
    """The best bid and ask."""
    best = symbol.best
    sides = f"{_side(symbol, [(best.bid, best.bid_size)])},{_side(symbol, [(best.ask, best.ask_size)])}"
    return _frame("bbo", f'{{"coin":"{symbol.name}","time":{ts // MS},"bbo":[{sides}]}}')


def figures(symbol: kit.Symbol, ts: int) -> str:
    """The day, and of a contract its mark price, funding and open interest."""
    pair, mid = symbol.pair, symbol.price((symbol.best.bid + symbol.best.ask) // 2)
    day = f'"prevDayPx":"{symbol.price(pair.open)}","dayNtlVlm":"1234.5","dayBaseVlm":"{symbol.size(pair.volume)}","midPx":"{mid}"'
    if not pair.listing.is_contract:
        ctx = f'{day},"markPx":"{mid}","coin":"{symbol.name}"'
        return _frame("activeSpotAssetCtx", f'{{"coin":"{symbol.name}","ctx":{{{ctx}}}}}')
    now = symbol.figures
    prices = f'"oraclePx":"{symbol.price(now.index_price)}","markPx":"{symbol.price(now.mark_price)}"'
    ctx = f'"funding":"{symbol.rate(now.rate)}","openInterest":"{symbol.size(now.open_interest)}",{prices},{day},"premium":null'
    return _frame("activeAssetCtx", f'{{"coin":"{symbol.name}","ctx":{{{ctx}}}}}')


def row(coin: str, interval: str, one: kit.Candle) -> dict[str, object]:
    """A candle."""
    times = {"t": one.open_ts // MS, "T": one.close_ts // MS - 1, "s": coin, "i": interval}
    return {**times, "o": one.open, "c": one.close, "h": one.high, "l": one.low, "v": one.volume, "n": one.trades}


def candle(symbol: kit.Symbol, topic: Topic, one: kit.Candle, is_over: bool, ts: int) -> str:
    """A frame of one candle."""
    return _frame("candle", kit.encoded(row(symbol.name, CANDLES[topic[0]], one)).decode())
