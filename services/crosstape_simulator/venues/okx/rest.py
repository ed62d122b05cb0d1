"""OKX's REST: instruments, trades, best prices, candles.

Quirks  errors come with HTTP 200 and a `code`; all lists are newest first; `after` is older than, `before` newer than, and `before` alone
        gives the newest page
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from crosstape_simulator.market.grid import DAY_S, Grid, grid
from crosstape_simulator.market.history import Candle, MarketData, Traded, asked_times, integer
from crosstape_simulator.server.rest import Answer, answer

LIST: Final = "/api/v5/public/instruments"
TICKER: Final = "/api/v5/market/ticker"
TRADES: Final = "/api/v5/market/trades"
PAST_TRADES: Final = "/api/v5/market/history-trades"
CANDLES: Final = "/api/v5/market/candles"
PAST_CANDLES: Final = "/api/v5/market/history-candles"
MOST: Final = {TRADES: 500, PAST_TRADES: 100, CANDLES: 300, PAST_CANDLES: 100}
"""Rows in an answer at most; 100 unless the query says another number."""
RATES: Final = {TRADES: 50.0, PAST_TRADES: 10.0, CANDLES: 20.0}
"""Requests a second; of all others ten."""
MS: Final = 1_000_000
MIDNIGHT_S: Final = 16 * 3_600
"""Of UTC+8."""
BARS: Final[Mapping[str, Grid]] = {
    **{bar: grid(bar.lower()) for bar in ("1s", "1m", "3m", "5m", "15m", "30m", "1H", "2H", "4H")},
    **{f"{bar}utc": grid(bar if bar == "1M" else bar.lower()) for bar in ("6H", "12H", "1D", "1W", "1M")},
    "6H": Grid(6 * 3_600, MIDNIGHT_S),
    "12H": Grid(12 * 3_600, MIDNIGHT_S),
    "1D": Grid(DAY_S, MIDNIGHT_S),
}
_ERRORS: Final = {200: ("51000", "Parameter error"), 403: ("50030", ""), 429: ("50011", "Too Many Requests"), 503: ("50001", "")}


def good(data: object) -> Answer:
    """An answer."""
    return answer({"code": "0", "msg": "", "data": data})


def refusal(status: int, reason: str) -> dict[str, object]:
    """The JSON of a refusal."""
    code, usual = _ERRORS.get(status, ("50000", "Refused"))
    return {"code": code, "msg": reason or usual or "Service unavailable", "data": []}


UNKNOWN: Final = answer({"code": "51001", "msg": "Instrument ID, Instrument ID code, or Spread ID doesn't exist.", "data": []})
WRONG: Final = answer(refusal(200, ""))
NO_PATH: Final = answer({"code": "404", "msg": "Not Found", "data": []}, 404)
BUSY: Final = answer(refusal(429, ""), 429)


def own_answer(path: str, now: int) -> Answer:
    """The answer about the venue itself."""
    if path == "/api/v5/public/time":
        return good([{"ts": str(now // MS)}])
    return good([]) if path == "/api/v5/system/status" else NO_PATH


def history(data: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    """The answer about trades, best prices and candles; None: the path is about something else."""
    if path == TICKER:
        return _ticker(data, query.get("instId", ""), now)
    if path not in MOST:
        return None
    symbol, limit = query.get("instId", ""), integer(query.get("limit"), 100)
    if not limit:
        return WRONG
    limit = min(limit, MOST[path])
    return _candles(data, symbol, query, limit) if path in (CANDLES, PAST_CANDLES) else _trades(data, path, query, limit)


def _trades(data: MarketData, path: str, query: Mapping[str, str], limit: int) -> Answer:
    symbol, after, before = query.get("instId", ""), integer(query.get("after"), 0), integer(query.get("before"), 0)
    past = data.history(symbol)
    if past is None:
        return UNKNOWN
    if after is None or before is None or query.get("type", "1") != "1":
        return WRONG
    found = past.below(after, limit) if path == PAST_TRADES and after else past.newest(limit)
    return good([_trade(symbol, one) for one in reversed(found) if one.trade_id > before])


def _trade(symbol: str, one: Traded) -> dict[str, str]:
    side = "buy" if one.buyer_takes else "sell"
    return {"instId": symbol, "side": side, "sz": one.size, "px": one.price, "tradeId": str(one.trade_id), "ts": str(one.ts // MS)}


def _ticker(data: MarketData, symbol: str, now: int) -> Answer:
    top = data.top(symbol)
    if top is None:
        return UNKNOWN
    (bid, bid_size), (ask, ask_size) = top.bid or ("", ""), top.ask or ("", "")
    best = {"askPx": ask, "askSz": ask_size, "bidPx": bid, "bidSz": bid_size}
    day = dict.fromkeys(("open24h", "high24h", "low24h", "sodUtc0", "sodUtc8"), bid or ask)
    volumes = {"lastSz": "1", "volCcy24h": "1", "vol24h": "1"}
    return good([{"instId": symbol, "last": bid or ask, **best, **day, **volumes, "ts": str(now // MS)}])


def _candles(data: MarketData, symbol: str, query: Mapping[str, str], limit: int) -> Answer:
    bar, after, before = BARS.get(query.get("bar", "1m")), integer(query.get("after"), 1 << 50), integer(query.get("before"), -1)
    if bar is None or after is None or before is None:
        return WRONG
    end_ts = after * MS if "after" in query else None
    found = data.candles(symbol, bar, flat=True, times=asked_times(bar, limit + 1, None, end_ts))
    if found is None:
        return UNKNOWN
    rows = [one for one in found if before < one.open_ts // MS < after][-limit:]
    return good([candle_row(one, is_contract=symbol.count("-") > 1, is_over=one is not found[-1]) for one in reversed(rows)])


def candle_row(one: Candle, *, is_contract: bool, is_over: bool) -> list[str]:
    """A candle: of a contract the volume counts contracts, and the next column base units."""
    volumes = (one.volume, one.base_volume, one.quote_volume) if is_contract else (one.volume, one.quote_volume, one.quote_volume)
    return [str(one.open_ts // MS), one.open, one.high, one.low, one.close, *volumes, "1" if is_over else "0"]
