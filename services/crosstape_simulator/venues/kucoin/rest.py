"""KuCoin, REST: the envelope, errors and weights, and spot's answers.

Docs    https://www.kucoin.com/docs-new/rest/spot-trading/market-data/introduction
Quirks  errors come with HTTP 200 and a `code`; trades are the newest 100, oldest first; candles newest first, in the order open, close
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from crosstape_simulator.formats import NS
from crosstape_simulator.market.grid import Grid, grid
from crosstape_simulator.market.history import Candle, MarketData, Traded, asked_times, integer
from crosstape_simulator.server.rest import Answer, answer

SYMBOLS: Final = "/api/v2/symbols"
TRADES: Final = "/api/v1/market/histories"
TOP: Final = "/api/v1/market/orderbook/level1"
CANDLES: Final = "/api/v1/market/candles"
CONTRACTS: Final = "/api/v1/contracts/active"
FUTURES_TRADES: Final = "/api/v1/trade/history"
FUTURES_TOP: Final = "/api/v1/ticker"
FUTURES_CANDLES: Final = "/api/v1/kline/query"
TIME: Final = "/api/v1/timestamp"
STATUS: Final = "/api/v1/status"
PAGE: Final = 100
CANDLES_MAX: Final = 1_500
FUTURES_CANDLES_MAX: Final = 200
WEIGHTS: Final = {SYMBOLS: 4, TRADES: 3, TOP: 2, CANDLES: 3, CONTRACTS: 3, FUTURES_TRADES: 5, FUTURES_TOP: 2, FUTURES_CANDLES: 3}
_FUTURES_MINUTES: Final = frozenset({1, 5, 15, 30, 60, 120, 240, 480, 720, 1_440, 10_080})
_USUAL: Final = {200: ("400100", "Bad request."), 403: ("403000", "Forbidden."), 429: ("429000", "Too Many Requests"), 451: ("451000", "")}


def weight(path: str) -> int:
    """The weight of a request."""
    return WEIGHTS.get(path, 3)


def good(data: object) -> Answer:
    """An answer."""
    return answer({"code": "200000", "data": data})


def refusal(status: int, reason: str) -> dict[str, str]:
    """The JSON of a refusal."""
    code, usual = _USUAL.get(status, (f"{status}000", "Service unavailable."))
    return {"code": code, "msg": reason or usual}


UNKNOWN: Final = answer({"code": "400100", "msg": "Unsupported trading pair."})
NO_PATH: Final = answer({"code": "404000", "msg": "Not Found"}, 404)


def own_answer(path: str, now: int) -> Answer:
    """The answer about the venue itself."""
    if path == TIME:
        return good(now // 1_000_000)
    return good({"status": "open", "msg": ""}) if path == STATUS else NO_PATH


def spot_answer(data: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    """The answer about trades, best prices and candles of spot; None: the path is about something else."""
    symbol = query.get("symbol", "")
    if path == TRADES:
        history = data.history(symbol)
        return UNKNOWN if history is None else good([_trade(one) for one in history.newest(PAGE)])
    if path == TOP:
        top = data.top(symbol)
        if top is None:
            return UNKNOWN
        (bid, bid_size), (ask, ask_size) = top.bid or ("", ""), top.ask or ("", "")
        best = {"bestBid": bid, "bestBidSize": bid_size, "bestAsk": ask, "bestAskSize": ask_size}
        return good({"time": now // 1_000_000, "sequence": str(top.number), "price": bid, "size": bid_size, **best})
    if path != CANDLES:
        return None
    length = _length(query.get("type", ""))
    start, end = integer(query.get("startAt"), 0), integer(query.get("endAt"), now // NS + 1)
    if length is None or start is None or end is None:
        return UNKNOWN
    bounds = start * NS if "startAt" in query else None, end * NS
    found = data.candles(symbol, length, times=asked_times(length, CANDLES_MAX, *bounds))
    if found is None or start is None or end is None:
        return UNKNOWN
    rows = [one for one in found if start <= one.open_ts // NS < end][-CANDLES_MAX:]
    return good([_candle(one) for one in reversed(rows)])


def _trade(one: Traded) -> dict[str, object]:
    side = "buy" if one.buyer_takes else "sell"
    return {"sequence": str(one.trade_id), "price": one.price, "size": one.size, "side": side, "time": one.ts}


def _candle(one: Candle) -> list[str]:
    return [str(one.open_ts // NS), one.open, one.close, one.high, one.low, one.volume, one.quote_volume]


def _length(name: str) -> Grid | None:
    """The grid of `1min`, `1hour`, `1day`, `1month`."""
    for unit, ours in (("min", "m"), ("hour", "h"), ("day", "d"), ("month", "M")):
        if name.endswith(unit) and name.removesuffix(unit).isdecimal():
            return grid(name.removesuffix(unit) + ours)
    return None


def futures_answer(data: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    """The answer about trades, best prices and candles of futures; None: the path is about something else."""
    symbol = query.get("symbol", "")
    if path == FUTURES_TRADES:
        history = data.history(symbol)
        return UNKNOWN if history is None else good([_fill(one) for one in reversed(history.newest(PAGE))])
    if path == FUTURES_TOP:
        top, history = data.top(symbol), data.history(symbol)
        if top is None or history is None:
            return UNKNOWN
        (bid, bid_size), (ask, ask_size) = top.bid or ("0", "0"), top.ask or ("0", "0")
        best = {"bestBidPrice": bid, "bestBidSize": int(bid_size), "bestAskPrice": ask, "bestAskSize": int(ask_size)}
        return good({"sequence": top.number, "symbol": symbol, **_last(history.newest(1)), **best})
    if path != FUTURES_CANDLES:
        return None
    minutes, start, end = integer(query.get("granularity"), 0), integer(query.get("from"), 0), integer(query.get("to"), 1 << 50)
    if start is None or end is None or not minutes or minutes not in _FUTURES_MINUTES:
        return UNKNOWN
    grid_, bounds = Grid(minutes * 60), (start * 1_000_000 if "from" in query else None, end * 1_000_000 if "to" in query else None)
    found = data.candles(symbol, grid_, times=asked_times(grid_, FUTURES_CANDLES_MAX + 1, *bounds))
    if found is None:
        return UNKNOWN
    rows = [one for one in found if start < one.open_ts // 1_000_000 <= end][:FUTURES_CANDLES_MAX]
    return Answer(f'{{"code":"200000","data":[{",".join(map(_futures_candle, rows))}]}}'.encode())


def _fill(one: Traded) -> dict[str, object]:
    side, number = "buy" if one.buyer_takes else "sell", str(one.trade_id)
    return {
        "sequence": one.trade_id,
        "contractId": 1,
        "tradeId": number,
        "ts": one.ts,
        "size": int(one.size),
        "price": one.price,
        "side": side,
    }


def _last(trades: Iterable[Traded]) -> dict[str, object]:
    return next(({"price": one.price, "size": int(one.size), "ts": one.ts} for one in trades), {"price": "0", "size": 0, "ts": 0})


def _futures_candle(one: Candle) -> str:
    return f"[{one.open_ts // 1_000_000},{one.open},{one.high},{one.low},{one.close},{one.volume}]"
