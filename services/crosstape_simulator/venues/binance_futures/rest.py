"""Binance's futures, REST answers that a recording can give, too: `aggTrades`, `ticker/bookTicker`; and what requests weigh.

Quirks  single trades from an id on need a key (`historicalTrades`), aggregates do not; all best prices come in one answer
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from crosstape_simulator.market.history import MarketData, Top
from crosstape_simulator.server.rest import Answer
from crosstape_simulator.venues.binance import rest as spot

LIMITS: Final = ("5", "10", "20", "50", "100", "500", "1000")
"""Levels that a snapshot can have."""
_DEPTH_WEIGHTS: Final = {"100": 5, "500": 10, "1000": 20}
_EMPTY: Final = ("0", "0")


def answer(prefix: str, past: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    """The answer to `path`; None if it is none of these."""
    match path.removeprefix(prefix):
        case "/aggTrades":
            return spot.trades(past, query, spot.agg_trade, from_id=query.get("fromId"))
        case "/ticker/bookTicker":
            rows = [_best(symbol, top, now) for symbol in past.symbols() if (top := past.top(symbol)) is not None]
            return Answer(f"[{','.join(rows)}]".encode())
        case _:
            return None


def weight(prefix: str, path: str, query: Mapping[str, str]) -> int:
    """The request's weight."""
    match path.removeprefix(prefix):
        case "/depth":
            return _DEPTH_WEIGHTS.get(query.get("limit", "500"), 2)
        case "/aggTrades":
            return 20
        case "/ticker/bookTicker":
            return 5
        case "/klines":
            limit = query.get("limit", "500")
            return next((weight for most, weight in ((99, 1), (499, 2), (1000, 5)) if limit.isdecimal() and int(limit) <= most), 10)
        case _:
            return 1


def _best(symbol: str, top: Top, now: int) -> str:
    (bid, bid_size), (ask, ask_size) = top.bid or _EMPTY, top.ask or _EMPTY
    prices = f'"bidPrice":"{bid}","bidQty":"{bid_size}","askPrice":"{ask}","askQty":"{ask_size}"'
    return f'{{"symbol":"{symbol}",{prices},"time":{now // 1_000_000}}}'
