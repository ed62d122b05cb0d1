"""Bitfinex, REST answers: lists of pairs, trades, candles, the first level of a book.

Docs    https://docs.bitfinex.com/reference/rest-public-trades, …/rest-public-candles, …/rest-public-book, …/rest-public-conf
Quirks  newest first unless `sort=1`; both ends of a range are in it; an error has HTTP status 500
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from crosstape_simulator.market.grid import THURSDAYS, grid
from crosstape_simulator.market.history import Best, Candle, MarketData, Traded, asked_times, integer
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues.bitfinex.channels import js

KINDS: Final = ("conf", "trades", "candles", "book", "platform")
"""Kinds of requests, each with its own limit."""
LISTED: Final = "/v2/conf/pub:list:pair:exchange,pub:list:pair:futures"
NAMED: Final = f"{LISTED},pub:map:currency:sym"
MOST: Final = 10_000
_MS: Final = 1_000_000
_NEVER: Final = 10**14
_TRADES: Final = re.compile(r"/v2/trades/([^/]+)/hist")
_CANDLES: Final = re.compile(r"/v2/candles/trade:([^/:]+):([^/]+)/hist")
_BOOK: Final = re.compile(r"/v2/book/([^/]+)/P0")
_TIMEFRAMES: Final = {"1D": "1d", "1W": "1w"}


def fault(code: int, message: str, status: int = 500) -> Answer:
    """An error."""
    return answer(["error", code, message], status)


UNKNOWN: Final = fault(10020, "symbol: invalid")


def refusal(status: int, reason: str) -> object:
    """The JSON of a refusal."""
    if status == 429:
        return {"error": reason or "ERR_RATE_LIMIT"}
    return ["error", 20060 if status >= 500 else 10020, reason or "maintenance"]


def lists(path: str, symbols: Collection[str]) -> Answer:
    """Lists by their keys, in one list."""
    pairs = [symbol.removeprefix("t") for symbol in symbols]
    known: dict[str, list[object]] = {
        "pub:list:pair:exchange": [pair for pair in pairs if not pair.endswith("F0")],
        "pub:list:pair:futures": [pair for pair in pairs if pair.endswith("F0")],
        "pub:map:currency:sym": [["UST", "USDt"], ["USTF0", "USDt0"]],
    }
    keys = path.removeprefix("/v2/conf/").split(",")
    return answer([known.get(key, []) for key in keys])


def pair_answer(past: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    """The answer about a pair's past or its best prices; None if the path is about something else."""
    if found := _TRADES.fullmatch(path):
        return _trades(past, found[1], query)
    if found := _CANDLES.fullmatch(path):
        return _candles(past, found[1], found[2], query)
    if found := _BOOK.fullmatch(path):
        return _book(past, found[1], query)
    return None


def _range(query: Mapping[str, str], usual: int) -> tuple[int, int, int] | None:
    """(start, end, limit): times in ms; None if they are not allowed."""
    start, end, limit = integer(query.get("start"), 0), integer(query.get("end"), _NEVER), integer(query.get("limit"), usual)
    return (start, end, limit) if start is not None and end is not None and limit and limit <= MOST else None


def _trades(past: MarketData, symbol: str, query: Mapping[str, str]) -> Answer:
    history, wanted = past.history(symbol), _range(query, 125)
    if history is None:
        return UNKNOWN
    if wanted is None:
        return fault(10020, "limit: invalid")
    start, end, limit = wanted
    oldest_first, bounds = query.get("sort") == "1", (start * _MS, end * _MS + _MS - 1)
    found = history.between(*bounds, limit) if oldest_first and start else history.newest_between(*bounds, limit)
    return Answer(_rows([_trade(one) for one in found], limit, oldest_first=oldest_first))


def _trade(one: Traded) -> str:
    return f"[{one.trade_id},{one.ts // _MS},{'' if one.buyer_takes else '-'}{js(one.size)},{js(one.price)}]"


def _candles(past: MarketData, timeframe: str, symbol: str, query: Mapping[str, str]) -> Answer:
    try:
        where = THURSDAYS if timeframe == "7D" else grid(_TIMEFRAMES.get(timeframe, timeframe))
    except ValueError:
        return fault(10020, "time_interval: invalid")
    wanted = _range(query, 100)
    if past.history(symbol) is None:
        return UNKNOWN
    if wanted is None:
        return fault(10020, "limit: invalid")
    start, end, limit = wanted
    bounds = start * _MS if "start" in query else None, end * _MS if "end" in query else None
    made = past.candles(symbol, where, times=asked_times(where, limit, *bounds)) or []
    found = [one for one in made if start <= one.open_ts // _MS <= end]
    return Answer(_rows([candle_row(one) for one in found], limit, oldest_first=query.get("sort") == "1"))


def candle_row(one: Candle) -> str:
    """A candle, its close before its high."""
    return f"[{one.open_ts // _MS},{js(one.open)},{js(one.close)},{js(one.high)},{js(one.low)},{js(one.volume)}]"


def _rows(rows: list[str], limit: int, *, oldest_first: bool) -> bytes:
    """The first or the last of these."""
    return f"[{','.join(rows[:limit] if oldest_first else reversed(rows[-limit:]))}]".encode()


def _book(past: MarketData, symbol: str, query: Mapping[str, str]) -> Answer:
    top = past.top(symbol)
    if top is None:
        return UNKNOWN
    if query.get("len") != "1":
        return fault(10020, "len: invalid, only 1 is simulated")
    return Answer(f"[{','.join([*_level(top.bid, ''), *_level(top.ask, '-')])}]".encode())


def _level(side: Best, sign: str) -> list[str]:
    return [] if side is None else [f"[{js(side[0])},1,{sign}{js(side[1])}]"]
