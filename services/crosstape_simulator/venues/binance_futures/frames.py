"""Binance's futures: how their streams write what the market does.

Docs    https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams, …/coin-margined-futures/…
Quirks  all frames have the engine's time `T`; numbers of a book's changes are shared by all symbols, `pu` names the last of the frame
        before; sizes of COIN-M are contracts, and its mark price has no index; dated contracts have a funding rate of zero, or none
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from crosstape_simulator.formats import fixed
from crosstape_simulator.venues.archetypes.channels import Delta, Trades
from crosstape_simulator.venues.archetypes.symbols import Symbol
from crosstape_simulator.venues.binance.klines import MS

STEP: Final = 7
"""How far the numbers of two changes of a symbol are apart: other symbols have those between."""
_DAY_MS: Final = 86_400_000


def pair_of(symbol: Symbol) -> str:
    """`ps` and `st`, which new frames have: the pair, and 1 for USD-M or 2 for COIN-M."""
    listing = symbol.pair.listing
    return f'"ps":"{listing.base}{listing.quote}","st":{2 if listing.inverse else 1}'


def aggregates(symbol: Symbol, trades: Trades) -> Iterator[str]:
    """One frame a trade: one order takes each price once here."""
    for ts, fill in trades:
        ms, maker = ts // MS, "false" if fill.buyer_takes else "true"
        size = symbol.size(fill.size)
        what = f'"p":"{symbol.price(fill.price)}","q":"{size}","nq":"{size}","f":{fill.trade_id},"l":{fill.trade_id},"T":{ms}'
        st = 2 if symbol.pair.listing.inverse else 1
        yield f'{{"e":"aggTrade","E":{ms},"a":{fill.trade_id},"s":"{symbol.name}",{what},"m":{maker},"st":{st}}}'


def quote(symbol: Symbol, ts: int) -> str:
    """The best bid and ask."""
    best = symbol.best
    bid = f'"b":"{symbol.price(best.bid)}","B":"{symbol.size(best.bid_size)}"'
    ask = f'"a":"{symbol.price(best.ask)}","A":"{symbol.size(best.ask_size)}"'
    times = f'"T":{ts // MS},"E":{ts // MS}'
    return f'{{"e":"bookTicker","u":{symbol.number},"s":"{symbol.name}",{bid},{ask},{times},{pair_of(symbol)}}}'


def delta(symbol: Symbol, made: Delta, ts: int) -> str:
    """Changes of a book: `U` is the number of the first, which does not follow the last of the frame before."""
    bids, asks = symbol.rows(made.side(bid=True)), symbol.rows(made.side(bid=False))
    ids = f'"U":{made.first + STEP - 1},"u":{made.last},"pu":{made.first - 1}'
    times = f'"E":{ts // MS},"T":{ts // MS}'
    return f'{{"e":"depthUpdate",{times},"s":"{symbol.name}",{ids},"b":[{bids}],"a":[{asks}],{pair_of(symbol)}}}'


def mark(symbol: Symbol, ts: int) -> str:
    """Mark and index price, and the funding rate of a perpetual."""
    now, listing = symbol.figures, symbol.pair.listing
    index = "" if listing.inverse else f'"i":"{symbol.price(now.index_price)}",'
    rate = symbol.rate(now.rate) if now.next_ts is not None or not listing.inverse else ""
    prices = f'"p":"{symbol.price(now.mark_price)}","P":"{symbol.price(now.index_price)}",{index}"r":"{rate}"'
    next_ms = 0 if now.next_ts is None else now.next_ts // MS
    return f'{{"e":"markPriceUpdate","E":{now.ts // MS},"s":"{symbol.name}",{prices},"T":{next_ms},"st":{2 if listing.inverse else 1}}}'


def forced(symbol: Symbol, trades: Trades) -> Iterator[str]:
    """Liquidations: their orders are filled at once, at a better price than the bankruptcy price that they carry."""
    for ts, fill in trades:
        side, size = "BUY" if fill.buyer_takes else "SELL", symbol.size(fill.size)
        worse = symbol.price(fill.price + (5 if fill.buyer_takes else -5))
        prices = f'"q":"{size}","p":"{worse}","ap":"{symbol.price(fill.price)}","X":"FILLED","l":"{size}","z":"{size}","T":{ts // MS}'
        order = f'{{"s":"{symbol.name}","S":"{side}","o":"LIMIT","f":"IOC",{prices}}}'
        yield f'{{"e":"forceOrder","E":{ts // MS},"o":{order},{pair_of(symbol)}}}'


def ticker(symbol: Symbol, ts: int) -> str:
    """The last 24 hours, without best prices. COIN-M's `v` counts contracts, and `q` base units."""
    pair, ms, last = symbol.pair, ts // MS, symbol.pair.last
    decimals = pair.listing.price_decimals + pair.listing.size_decimals
    value = f"{pair.listing.base_size(pair.volume, last.price):.8f}" if pair.listing.inverse else fixed(pair.turnover, decimals)
    prices = {
        "p": symbol.price(last.price - pair.open),
        "P": fixed((last.price - pair.open) * 100_000 // pair.open, 3),
        "w": symbol.price(pair.turnover // pair.volume),
        "c": symbol.price(last.price),
        "Q": symbol.size(last.size),
        "o": symbol.price(pair.open),
        "h": symbol.price(pair.high),
        "l": symbol.price(pair.low),
        "v": symbol.size(pair.volume),
        "q": value,
    }
    texts = ",".join([f'"{name}":"{value}"' for name, value in prices.items()])
    ids = f'"F":{pair.first_id},"L":{last.trade_id},"n":{last.trade_id - pair.first_id + 1}'
    times = f'"O":{ms - _DAY_MS},"C":{ms}'
    return f'{{"e":"24hrTicker","E":{ms},"s":"{symbol.name}",{texts},{times},{ids},{pair_of(symbol)}}}'
