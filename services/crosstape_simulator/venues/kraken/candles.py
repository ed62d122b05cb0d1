"""Kraken spot, candles: the channel `ohlc` and the REST answer `OHLC`.

Docs    https://docs.kraken.com/api/docs/websocket-v2/ohlc, …/rest-api/get-ohlc-data
Quirks  the `timestamp` of a row is the candle's end; weeks begin on Thursdays, as 10080 minutes do that are counted from the epoch; the
        stream sends nothing of an interval without trades, REST has a flat row for it; REST leaves out what begins at `since` or before
Assumed, as no documentation says it: how many candles a snapshot has
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from crosstape_simulator.formats import NS, iso_ns, iso_us
from crosstape_simulator.market.grid import Grid
from crosstape_simulator.market.history import Candle, MarketData, integer
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues.archetypes.candles import CandleChannel
from crosstape_simulator.venues.archetypes.symbols import Symbol

OHLC: Final = "/0/public/OHLC"
GRIDS: Final[Mapping[int, Grid]] = {minutes: Grid(minutes * 60) for minutes in (1, 5, 15, 30, 60, 240, 1_440, 10_080, 21_600)}
PAGE: Final = 720
"""Closed candles in an answer."""
PAST: Final = 100


def channel(feed: Feed, symbol: Symbol) -> CandleChannel:
    """All intervals of a pair."""
    topics: dict[Topic, Grid] = {("ohlc", symbol.name, str(minutes)): grid for minutes, grid in GRIDS.items()}
    return CandleChannel(feed, symbol, topics, _update, snapshot=_snapshot, past=PAST)


def _update(symbol: Symbol, topic: Topic, candle: Candle, is_over: bool, ts: int) -> str:
    return _frame("update", symbol, topic, [candle], ts)


def _snapshot(symbol: Symbol, topic: Topic, candles: Sequence[Candle], ts: int) -> str:
    return _frame("snapshot", symbol, topic, candles, ts)


def _frame(kind: str, symbol: Symbol, topic: Topic, candles: Sequence[Candle], ts: int) -> str:
    rows = ",".join([_row(symbol.name, topic[2], candle) for candle in candles])
    return f'{{"channel":"ohlc","type":"{kind}","timestamp":"{iso_ns(ts)}","data":[{rows}]}}'


def _row(name: str, minutes: str, candle: Candle) -> str:
    prices = f'"open":{candle.open},"high":{candle.high},"low":{candle.low},"close":{candle.close}'
    sums = f'"trades":{candle.trades},"volume":{candle.volume},"vwap":{_vwap(candle, candle.close)}'
    times = f'"interval_begin":"{iso_us(candle.open_ts)[:-1]}000Z","interval":{minutes},"timestamp":"{iso_us(candle.close_ts)}"'
    return f'{{"symbol":"{name}",{prices},{sums},{times}}}'


def _vwap(candle: Candle, like: str) -> str:
    """The average price, with as many decimals as a price has."""
    if candle.is_empty:
        return "0.0"
    return f"{(Decimal(candle.quote_volume) / Decimal(candle.volume)).quantize(Decimal(like)):f}"


def candles_answer(past: MarketData, symbol: str, key: str, query: Mapping[str, str]) -> Answer:
    """The newest candles, those after `since` (s): closed ones, then the running one. `key`: the pair's, in the answer."""
    grid, since = GRIDS.get(integer(query.get("interval"), 1) or 0), integer(query.get("since"), -1)
    if grid is None or since is None:
        return answer({"error": ["EGeneral:Invalid arguments"]})
    found = past.candles(symbol, grid, flat=True) or []
    rows = [candle for candle in found[-PAGE - 1 :] if candle.open_ts > since * NS]
    closed = found[-2].open_ts // NS if len(found) > 1 else max(0, since)
    return Answer(f'{{"error":[],"result":{{"{key}":[{",".join(map(_rest_row, rows))}],"last":{closed}}}}}'.encode())


def _rest_row(candle: Candle) -> str:
    prices = ",".join([f'"{price}"' for price in (candle.open, candle.high, candle.low, candle.close, _vwap(candle, candle.close))])
    return f'[{candle.open_ts // NS},{prices},"{candle.volume}",{candle.trades}]'
