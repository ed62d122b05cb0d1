"""Kraken Futures' frames: trades, books and tickers, as JSON numbers. Of a book each level that changes is a frame of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

from crosstape_simulator.market.market import Move
from crosstape_simulator.venues import archetypes as kit

MS: Final = 1_000_000
TRADES: Final = 100
"""Trades that come with a subscription."""


def _trade(symbol: kit.Symbol, ts: int, fill: Any) -> str:
    side, forced = "buy" if fill.buyer_takes else "sell", kit.is_liquidation(symbol.pair.listing, fill.trade_id)
    numbers = f'"seq":{fill.trade_id},"time":{ts // MS},"qty":{symbol.short_size(fill.size)},"price":{symbol.short_price(fill.price)}'
    uid = f"00000000-0000-4000-8000-{fill.trade_id:012}"
    names = f'"feed":"trade","product_id":"{symbol.name}","uid":"{uid}","side":"{side}"'
    return f'{{{names},"type":"{"liquidation" if forced else "fill"}",{numbers}}}'


def trades(symbol: kit.Symbol, trades: kit.Trades) -> Iterator[str]:
    """Trades, one a frame."""
    for ts, fill in trades:
        yield _trade(symbol, ts, fill)


def newest(symbol: kit.Symbol, ts: int) -> str:
    """The newest trades, newest first."""
    rows = ",".join(_trade(symbol, *row) for row in reversed([*symbol.pair.recent][-TRADES:]))
    return f'{{"feed":"trade_snapshot","product_id":"{symbol.name}","trades":[{rows}]}}'


def _levels(symbol: kit.Symbol, levels: Iterable[tuple[int, int]]) -> str:
    return ",".join(f'{{"price":{symbol.short_price(price)},"qty":{symbol.short_size(size)}}}' for price, size in levels)


def book(symbol: kit.Symbol, ts: int) -> str:
    """The complete book."""
    sides = f'"bids":[{_levels(symbol, symbol.pair.bids.levels())}],"asks":[{_levels(symbol, symbol.pair.asks.levels())}]'
    numbers = f'"timestamp":{ts // MS},"seq":{symbol.number},"tickSize":null'
    return f'{{"feed":"book_snapshot","product_id":"{symbol.name}",{numbers},{sides}}}'


class Changes(kit.Channel):
    """The book: each level that changes is a frame, at once."""

    def apply(self, move: Move) -> None:
        """Send the move's levels."""
        if not self.wanted:
            return
        name, symbol = self.symbol.name, self.symbol
        for seq, (bid, price, size) in enumerate(move.changes, symbol.number - len(move.changes) + 1):
            numbers = f'"seq":{seq},"price":{symbol.short_price(price)},"qty":{symbol.short_size(size)},"timestamp":{move.ts // MS}'
            self.publish(f'{{"feed":"book","product_id":"{name}","side":"{"buy" if bid else "sell"}",{numbers}}}', move.ts)


def ticker(symbol: kit.Symbol, ts: int) -> str:
    """The day and the figures of a contract in one frame."""
    pair, figures, best, price = symbol.pair, symbol.figures, symbol.best, symbol.short_price
    one = pair.listing
    value = f"{Decimal(price(pair.last.price)) * Decimal(symbol.short_size(pair.volume)):f}"
    volume = symbol.short_size(pair.volume)
    parts = [f'"time":{ts // MS},"product_id":"{symbol.name}","feed":"ticker"']
    if figures.next_ts is not None:
        rate = Decimal(symbol.rate(figures.rate))
        absolute = rate / Decimal(price(figures.mark_price)) if one.inverse else rate * Decimal(price(figures.mark_price))
        parts.append(f'"funding_rate":{absolute:.12f},"relative_funding_rate":{rate:f},"next_funding_rate_time":{figures.next_ts // MS}')
    bid = f'"bid":{price(best.bid)},"bid_size":{symbol.short_size(best.bid_size)}'
    ask = f'"ask":{price(best.ask)},"ask_size":{symbol.short_size(best.ask_size)}'
    day = f'"last":{price(pair.last.price)},"open":{price(pair.open)},"high":{price(pair.high)},"low":{price(pair.low)}'
    volumes = f'"volume":{volume},"volumeQuote":{volume if one.inverse else value}'
    marks = f'"index":{price(figures.index_price)},"markPrice":{price(figures.mark_price)}'
    state = '"suspended":false,"post_only":false,"leverage":"50x","premium":-0.0'
    kind = f'"tag":"{"month" if one.expiry else "perpetual"}","pair":"{one.base}:{one.quote}"'
    interest = f'"openInterest":{symbol.short_size(figures.open_interest)}'
    return f"{{{','.join([*parts, bid, ask, day, volumes, marks, interest, kind, state])}}}"
