"""Coinbase, candles: Advanced's channel `candles`, five minutes only, and Exchange's REST answer.

Docs    https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels#candles-channel
        https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-candles
Quirks  `start` is a text of seconds; an interval without trades is left out; REST: low before high before open, newest first, numbers; of
        its two bounds one alone is ignored
Assumed, as no documentation says it: how many candles a snapshot has, and that it is newest first as by REST
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from crosstape_simulator.formats import NS, ns_of
from crosstape_simulator.market.grid import Grid
from crosstape_simulator.market.history import Candle, MarketData, asked_times, integer
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues.archetypes.candles import CandleChannel
from crosstape_simulator.venues.archetypes.symbols import Symbol

FIVE_MINUTES: Final = Grid(300)
STEPS: Final = (60, 300, 900, 3_600, 21_600, 86_400)
PAGE: Final = 300
PAST: Final = 100
_TOO_MANY: Final = "Count of aggregations requested exceeds 300"


def channel(feed: Feed, symbol: Symbol) -> CandleChannel:
    """The one timeframe of a product, each second if it has changed."""
    topics: dict[Topic, Grid] = {("candles", symbol.name): FIVE_MINUTES}
    return CandleChannel(feed, symbol, topics, _update, snapshot=_snapshot, past=PAST, every_ns=NS)


def _update(symbol: Symbol, topic: Topic, candle: Candle, is_over: bool, ts: int) -> str:
    return _event("update", symbol, [candle])


def _snapshot(symbol: Symbol, topic: Topic, candles: Sequence[Candle], ts: int) -> str:
    return _event("snapshot", symbol, candles[::-1])


def _event(kind: str, symbol: Symbol, candles: Sequence[Candle]) -> str:
    return f'{{"type":"{kind}","candles":[{",".join([_row(symbol.name, candle) for candle in candles])}]}}'


def _row(name: str, candle: Candle) -> str:
    prices = {"high": candle.high, "low": candle.low, "open": candle.open, "close": candle.close, "volume": candle.volume}
    numbers = ",".join([f'"{field}":"{_short(text)}"' for field, text in prices.items()])
    return f'{{"start":"{candle.open_ts // NS}",{numbers},"product_id":"{name}"}}'


def _short(text: str) -> str:
    """A number without zeros at its end."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def candles_answer(past: MarketData, product: str, query: Mapping[str, str]) -> Answer:
    """The candles between two times, both included; the newest, where one of them is missing."""
    step = integer(query.get("granularity"), 0)
    if step not in STEPS or step is None:
        return answer({"message": "Unsupported granularity"}, 400)
    start, end = (ns_of(query[name]) if name in query else None for name in ("start", "end"))
    if start is None or end is None:
        start = end = None
    found = past.candles(product, Grid(step), times=asked_times(Grid(step), PAGE, start, end)) or []
    if start is not None and end is not None:
        if end < start or (end - start) // (step * NS) > PAGE:
            return answer(
                {"message": "granularity too small for the requested time range. Count of aggregations requested exceeds 300"}, 400
            )
        found = [candle for candle in found if start <= candle.open_ts <= end]
    return Answer(f"[{','.join([_rest_row(candle) for candle in reversed(found[-PAGE:])])}]".encode())


def _rest_row(candle: Candle) -> str:
    numbers = ",".join([_short(text) for text in (candle.low, candle.high, candle.open, candle.close, candle.volume)])
    return f"[{candle.open_ts // NS},{numbers}]"
