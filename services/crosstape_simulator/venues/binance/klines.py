"""Candles of Binance's markets, by stream and by REST.

Docs    …/web-socket-streams#klinecandlestick-streams-for-utc, …/rest-api/market-data-endpoints#klinecandlestick-data
Quirks  a candle is over with the first trade of the next, or two seconds after its end; one without trades is flat; COIN-M's `v` counts
        contracts, and its REST counts back from `endTime`; `3d` begins on a day of the symbol's own
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from crosstape_simulator.formats import NS
from crosstape_simulator.market.grid import DAY_S, Grid, grid
from crosstape_simulator.market.history import Candle, MarketData, asked_times, integer
from crosstape_simulator.server.connection import Topic
from crosstape_simulator.server.feed import Feed
from crosstape_simulator.server.rest import Answer
from crosstape_simulator.venues.archetypes.candles import CandleChannel
from crosstape_simulator.venues.archetypes.symbols import Symbol

MS: Final = 1_000_000
WINDOW_MS: Final = 200 * DAY_S * 1_000
"""COIN-M: the longest range of a request."""
NAMES: Final = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w", "1M")
GRIDS: Final[Mapping[str, Grid]] = {**{name: grid(name) for name in NAMES}, "3d": Grid(3 * DAY_S, DAY_S)}
SECONDS: Final[Mapping[str, Grid]] = {"1s": grid("1s")}
"""Spot alone has these."""


def channel(feed: Feed, symbol: Symbol, grids: Mapping[str, Grid], every_ns: int) -> CandleChannel:
    """The candles of a symbol in these timeframes."""
    topics: dict[Topic, Grid] = {(f"{symbol.name.lower()}@kline_{name}",): one for name, one in grids.items()}
    return CandleChannel(feed, symbol, topics, _frame, flag=True, empty="flat", every_ns=every_ns)


def _frame(symbol: Symbol, topic: Topic, candle: Candle, is_over: bool, ts: int) -> str:
    interval = topic[0].rpartition("_")[2]
    prices = f'"o":"{candle.open}","c":"{candle.close}","h":"{candle.high}","l":"{candle.low}"'
    base, quote, bought, bought_quote = _volumes(symbol, candle)
    volumes = f'"v":"{base}","n":{candle.trades},"x":{"true" if is_over else "false"},"q":"{quote}","V":"{bought}","Q":"{bought_quote}"'
    ids = f'"f":{candle.first_id or -1},"L":{candle.last_id or -1}'
    times = f'"t":{candle.open_ts // MS},"T":{candle.close_ts // MS - 1},"s":"{symbol.name}","i":"{interval}"'
    return f'{{"e":"kline","E":{ts // MS},"s":"{symbol.name}","k":{{{times},{ids},{prices},{volumes},"B":"0"}}}}'


def _volumes(symbol: Symbol, candle: Candle) -> tuple[str, str, str, str]:
    """`v`, `q`, `V` and `Q`. COIN-M's `q` and `Q` are base units; what takers bought of these is a share by contracts."""
    if not symbol.pair.listing.inverse:
        return candle.volume, candle.quote_volume, candle.bought, candle.bought_quote
    share = Decimal(candle.base_volume) * Decimal(candle.bought) / Decimal(candle.volume) if candle.trades else Decimal()
    return candle.volume, candle.base_volume, candle.bought, f"{share:.8f}"


def answer(past: MarketData, query: Mapping[str, str], symbol: Symbol, grids: Mapping[str, Grid], *, most: int) -> Answer | None:
    """The answer to `klines`; None if a parameter is wrong. At most `most` candles, 500 unless the query has a limit."""
    found = grids.get(query.get("interval", ""))
    limit, start, end = integer(query.get("limit"), 500), integer(query.get("startTime"), 0), integer(query.get("endTime"), 1 << 62)
    if found is None or not limit or start is None or end is None:
        return None
    backwards = "startTime" not in query or symbol.pair.listing.inverse
    limit = min(limit, most)
    bounds = start * MS if "startTime" in query else None, end * MS if "endTime" in query else None
    if symbol.pair.listing.inverse and None not in bounds and end - start > WINDOW_MS:
        return Answer(b'{"code":-4088,"msg":"Maximum time interval is 200 days."}', 400)
    times = bounds if backwards and bounds[0] is not None else asked_times(found, limit, *bounds)
    candles = past.candles(symbol.name, found, flat=True, times=times) or []
    inside = [one for one in candles if start <= one.open_ts // MS <= end]
    rows = inside[-limit:] if backwards else inside[:limit]
    return Answer(f"[{','.join([_row(symbol, one) for one in rows])}]".encode())


def _row(symbol: Symbol, candle: Candle) -> str:
    base, quote, bought, bought_quote = _volumes(symbol, candle)
    prices = f'"{candle.open}","{candle.high}","{candle.low}","{candle.close}"'
    times = candle.open_ts // MS, candle.close_ts // MS - 1
    return f'[{times[0]},{prices},"{base}",{times[1]},"{quote}",{candle.trades},"{bought}","{bought_quote}","0"]'


SPOT_NS: Final = 2 * NS
"""How often spot sends a candle that has changed; one of a second every second."""
FUTURES_NS: Final = NS // 4
