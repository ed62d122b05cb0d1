"""How Deribit writes what its market does: names of channels, trades, books, best prices, figures, candles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from crosstape_simulator.market.derivatives import is_liquidation
from crosstape_simulator.market.history import Candle
from crosstape_simulator.server.connection import Connection, Topic
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.venues import archetypes as kit

MS: Final = 1_000_000


def topic_of(name: str) -> Topic:
    """`book.BTC-PERPETUAL.100ms` → (`book.100ms`, `BTC-PERPETUAL`)."""
    kind, _, rest = name.partition(".")
    if kind == "chart":
        kind, rest = "chart.trades", rest.partition(".")[2]
    symbol, _, interval = rest.partition(".")
    return f"{kind}.{interval}" if interval else kind, symbol


def name_of(topic: Topic) -> str:
    """(`book.100ms`, `BTC-PERPETUAL`) → `book.BTC-PERPETUAL.100ms`."""
    kind, _, interval = topic[0].rpartition(".")
    return f"{kind}.{topic[1]}.{interval}" if kind else f"{topic[0]}.{topic[1]}"


def _frame(topic: Topic, data: str) -> str:
    return f'{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{name_of(topic)}","data":{data}}}}}'


def _amount(symbol: kit.Symbol, lots: int) -> str:
    """An amount: base units, or US dollars of an inverse contract."""
    listing = symbol.pair.listing
    return f"{lots * int(listing.contract_size)}.0" if listing.inverse else symbol.size(lots)


def trades(symbol: kit.Symbol, made: kit.Trades) -> Iterator[str]:
    """One frame of all trades, oldest first; a liquidation is marked."""
    rows = []
    for ts, fill in made:
        numbers = f'"price":{symbol.price(fill.price)},"amount":{_amount(symbol, fill.size)}'
        ids = f'"trade_seq":{fill.trade_id},"trade_id":"{fill.trade_id * 3}","instrument_name":"{symbol.name}"'
        forced = ',"liquidation":"T"' if is_liquidation(symbol.pair.listing, fill.trade_id) else ""
        rows.append(f'{{"timestamp":{ts // MS},{numbers},"direction":"{"buy" if fill.buyer_takes else "sell"}",{ids}{forced}}}')
    yield _frame(("trades.100ms", symbol.name), f"[{','.join(rows)}]")


def _best(symbol: kit.Symbol) -> str:
    best = symbol.best
    bid = f'"best_bid_price":{symbol.price(best.bid)},"best_bid_amount":{_amount(symbol, best.bid_size)}'
    return f'{bid},"best_ask_price":{symbol.price(best.ask)},"best_ask_amount":{_amount(symbol, best.ask_size)}'


def quote(symbol: kit.Symbol, ts: int) -> str:
    """The best bid and ask."""
    return _frame(("quote", symbol.name), f'{{"timestamp":{ts // MS},"instrument_name":"{symbol.name}",{_best(symbol)}}}')


def ticker(symbol: kit.Symbol, ts: int) -> str:
    """A frame of figures."""
    return _frame(("ticker.100ms", symbol.name), figures(symbol, ts))


def figures(symbol: kit.Symbol, ts: int) -> str:
    """The day, the best prices, mark price, open interest, and the funding of a perpetual."""
    now, pair, listing = symbol.figures, symbol.pair, symbol.pair.listing
    volume = f"{listing.base_size(pair.volume, pair.last.price):.8f}"
    day = f'"high":{symbol.price(pair.high)},"low":{symbol.price(pair.low)},"price_change":1.5,"volume":{volume},"volume_notional":1.5'
    prices = f'"last_price":{symbol.price(pair.last.price)},"mark_price":{symbol.price(now.mark_price)}'
    more = f'"index_price":{symbol.price(now.index_price)},"open_interest":{_amount(symbol, now.open_interest)}'
    funding = f',"current_funding":{symbol.rate(now.rate)},"funding_8h":0.00001742' if listing.is_perpetual else ""
    names = f'"timestamp":{ts // MS},"state":"open","instrument_name":"{symbol.name}"'
    return f'{{{names},"stats":{{{day}}},{prices},{more},{_best(symbol)}{funding}}}'


def _levels(symbol: kit.Symbol, levels: Iterable[tuple[int, int]], known: str = "") -> str:
    rows = [f'["{known or ("change" if size else "delete")}",{symbol.price(price)},{_amount(symbol, size)}]' for price, size in levels]
    return f"[{','.join(rows)}]"


class Book(kit.DeltaChannel):
    """All levels for a new client, then what has changed."""

    def __init__(self, feed: Feed, symbol: kit.Symbol) -> None:
        super().__init__(feed, symbol, ("book.100ms", symbol.name), _changes)

    def first(self, connection: Connection, topic: Topic, ts: int) -> None:
        """Send all levels, after all other clients got what was gathered: the next change follows the snapshot."""
        clients = self.feed.subscribers[topic]
        del clients[connection]
        self.flush(ts)
        clients[connection] = None
        pair, symbol = self.symbol.pair, self.symbol
        sides = f'"bids":{_levels(symbol, pair.bids.levels(None), "new")},"asks":{_levels(symbol, pair.asks.levels(None), "new")}'
        names = f'"timestamp":{ts // MS},"type":"snapshot","change_id":{symbol.number},"instrument_name":"{symbol.name}"'
        self.feed.send_data(connection, topic, _frame(topic, f"{{{names},{sides}}}"), ts)


def _changes(symbol: kit.Symbol, delta: kit.Delta, ts: int) -> str:
    sides = f'"bids":{_levels(symbol, delta.side(bid=True))},"asks":{_levels(symbol, delta.side(bid=False))}'
    names = f'"timestamp":{ts // MS},"type":"change","change_id":{delta.last},"instrument_name":"{symbol.name}"'
    return _frame(("book.100ms", symbol.name), f'{{{names},{sides},"prev_change_id":{delta.first - 1}}}')


def candle(symbol: kit.Symbol, topic: Topic, one: Candle, is_over: bool, ts: int) -> str:
    """A frame of one candle."""
    prices = f'"open":{one.open},"high":{one.high},"low":{one.low},"close":{one.close}'
    return _frame(topic, f'{{"tick":{one.open_ts // MS},{prices},"volume":{one.base_volume},"cost":{one.quote_volume}}}')
