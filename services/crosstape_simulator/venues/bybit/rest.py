"""Bybit, REST: the envelope and errors, instruments, best prices, trades and candles of all categories.

Docs    https://bybit-exchange.github.io/docs/v5/market/instrument and its neighbours
Quirks  errors come with HTTP 200 and a `retCode`; an address that asks too often is refused with 403; trades and candles are newest first
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from crosstape_simulator.formats import NS, fixed
from crosstape_simulator.market.grid import DAY_S, grid
from crosstape_simulator.market.history import Candle, MarketData, Traded, asked_times, carried, integer
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues import archetypes as kit
from crosstape_simulator.venues.bybit.market import TIMEFRAMES, best, contract, day
from crosstape_simulator.venues.bybit.protocol import MS, uuid_of

LISTED: Final = "/v5/market/instruments-info"
TICKERS: Final = "/v5/market/tickers"
TRADES: Final = "/v5/market/recent-trade"
CANDLES: Final = "/v5/market/kline"
TIME: Final = "/v5/market/time"
SPOT: Final = "spot"
MOST: Final = {SPOT: 60}
"""Trades in an answer at most; of contracts 1,000."""
CANDLES_MAX: Final = 1_000
_USUAL: Final = {200: (10001, "params error"), 403: (10010, "Unmatched IP"), 429: (10006, "Too many visits!")}


def good(result: object, now: int) -> Answer:
    """An answer."""
    return answer({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now // MS})


def refusal(status: int, reason: str) -> dict[str, object]:
    """The JSON of a refusal."""
    code, usual = _USUAL.get(status, (10016, "Service error"))
    return {"retCode": code, "retMsg": reason or usual, "result": {}, "retExtInfo": {}}


UNKNOWN: Final = answer(refusal(200, "Not supported symbols"))
NO_PATH: Final = Answer(b"404 page not found", 404)
BUSY: Final = Answer(b"403, access too frequent", 403)


def row(category: str, symbol: kit.Symbol) -> dict[str, object]:
    """An instrument's row in the list."""
    one = symbol.pair.listing
    tick, lot = fixed(1, one.price_decimals), fixed(1, one.size_decimals)
    names = {"symbol": one.symbol, "baseCoin": one.base, "quoteCoin": one.quote, "status": "Trading", "symbolType": ""}
    prices = {"priceFilter": {"minPrice": tick, "maxPrice": "1999999.80", "tickSize": tick}}
    if category == SPOT:
        return {**names, "innovation": "0", "lotSizeFilter": {"basePrecision": lot, "minOrderQty": lot}, **prices}
    kind = f"{category.title()}{'Perpetual' if one.expiry is None else 'Futures'}"
    dates = {"launchTime": "1585526400000", "deliveryTime": str((one.expiry or 0) // MS)}
    settled = {"settleCoin": one.base if one.inverse else one.quote, "fundingInterval": one.funding_s // 60}
    return {**names, "contractType": kind, **dates, **settled, **prices, "lotSizeFilter": {"qtyStep": lot, "minOrderQty": lot}}


def ticker(category: str, symbol: kit.Symbol) -> dict[str, str]:
    """An instrument's row among the tickers: of spot with best prices, which the stream's has not."""
    return {"symbol": symbol.name, **day(symbol), **best(symbol)} if category == SPOT else contract(symbol)


def history(category: str, data: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    """The answer about trades and candles; None: the path is about something else."""
    if path not in (TRADES, CANDLES):
        return None
    symbol, known = query.get("symbol", ""), data.history(query.get("symbol", ""))
    limit = integer(query.get("limit"), 200)
    if known is None or not limit or query.get("category") != category:
        return UNKNOWN
    if path == TRADES:
        newest = known.newest(min(limit, MOST.get(category, 1_000)))
        return good({"category": category, "list": [_trade(category, symbol, one) for one in reversed(newest)]}, now)
    start, end = integer(query.get("start"), 0), integer(query.get("end"), 1 << 50)
    if query.get("interval") not in TIMEFRAMES or start is None or end is None or limit > CANDLES_MAX:
        return UNKNOWN
    grid_ = grid(TIMEFRAMES[query["interval"]])
    bounds = start * MS if "start" in query else None, end * MS if "end" in query else None
    first_ts, last_ts = asked_times(grid_, limit + 1, *bounds)
    if first_ts is not None:
        first_ts -= (grid_.length_s or 31 * DAY_S) * NS  # the candle whose close is the first one's open
    found = data.candles(symbol, grid_, flat=True, times=(first_ts, last_ts)) or []
    inside = [one for one in carried(found) if start * MS < one.close_ts and one.open_ts <= end * MS][-limit:]
    return good({"symbol": symbol, "category": category, "list": [_candle(category, one) for one in reversed(inside)]}, now)


def _trade(category: str, symbol: str, one: Traded) -> dict[str, object]:
    trade_id = str(one.trade_id) if category == SPOT else uuid_of(one.trade_id)
    side = "Buy" if one.buyer_takes else "Sell"
    numbers = {"price": one.price, "size": one.size, "side": side, "time": str(one.ts // MS)}
    return {"execId": trade_id, "symbol": symbol, **numbers, "isBlockTrade": False, "isRPITrade": False}


def _candle(category: str, one: Candle) -> list[str]:
    volume, turnover = (one.volume, one.base_volume) if category == "inverse" else (one.base_volume, one.quote_volume)
    return [str(one.open_ts // MS), one.open, one.high, one.low, one.close, volume, turnover]


def answered(category: str, symbols: Mapping[str, kit.Symbol], path: str, query: Mapping[str, str], now: int) -> Answer | None:
    """The answer about instruments, best prices and the time; None: the path is about something else."""
    if path == TIME:
        return good({"timeSecond": str(now // NS), "timeNano": str(now)}, now)
    if path not in (LISTED, TICKERS):
        return None
    wanted = query.get("symbol")
    if (query.get("category") != category and path == TICKERS) or (wanted is not None and wanted not in symbols):
        return UNKNOWN
    rows = symbols.values() if wanted is None else [symbols[wanted]]
    write = partial(row if path == LISTED else ticker, category)
    return good({"category": category, "list": [write(symbol) for symbol in rows], "nextPageCursor": ""}, now)
