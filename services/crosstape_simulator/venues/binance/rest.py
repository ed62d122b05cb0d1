"""Binance spot, REST answers about trades and best prices: `trades`, `historicalTrades`, `aggTrades`, `ticker/bookTicker`.

Docs    https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
Quirks  `isBuyerMaker` true: the taker sold; one unknown symbol refuses the complete `bookTicker`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from crosstape_simulator.market.history import MarketData, Top, Traded, integer
from crosstape_simulator.server.rest import Answer

DEPTH: Final = "/api/v3/depth"
TRADES: Final = "/api/v3/trades"
OLD_TRADES: Final = "/api/v3/historicalTrades"
BOOK_TICKER: Final = "/api/v3/ticker/bookTicker"
LIMIT_MAX: Final = 1_000
LIMIT: Final = 500
_BUSY: Final = (-1003, "Too much request weight used; please use WebSocket Streams instead.")
_REFUSED: Final = {
    403: (0, "The request was blocked."),
    418: (-1003, "Way too much request weight used; IP banned. Please use WebSocket Streams instead."),
    451: (0, "Service unavailable from a restricted location."),
}
_EMPTY: Final = ("0.00000000", "0.00000000")


def answer(past: MarketData, path: str, query: Mapping[str, str]) -> Answer | None:
    """The answer to `path`; None if it is none of these."""
    match path:
        case "/api/v3/trades" | "/api/v3/historicalTrades":
            return trades(past, query, _trade, from_id=query.get("fromId") if path == OLD_TRADES else None)
        case "/api/v3/aggTrades":
            return trades(past, query, agg_trade, from_id=query.get("fromId"))
        case "/api/v3/ticker/bookTicker":
            return _book_ticker(past, query)
        case _:
            return None


def weight(path: str, query: Mapping[str, str]) -> int | None:
    """The request's weight; None if it is none of these."""
    match path:
        case "/api/v3/trades" | "/api/v3/historicalTrades":
            return 25
        case "/api/v3/aggTrades":
            return 4
        case "/api/v3/ticker/bookTicker":
            return 2 if "symbol" in query else 4
        case _:
            return None


def refused(code: int, message: str) -> Answer:
    """An error as Binance writes it."""
    return Answer(msgspec.json.encode({"code": code, "msg": message}), 400)


def refusal(status: int, reason: str) -> object:
    """The JSON of an HTTP error, with `reason` in place of the usual text."""
    code, usual = _BUSY
    if status >= 500:
        code, usual = -1008, "Server is currently overloaded with other requests. Please try again in a few minutes."
    elif status in _REFUSED:
        code, usual = _REFUSED[status]
    return {"code": code, "msg": reason or usual}


def trades(past: MarketData, query: Mapping[str, str], write: Callable[[Traded], str], *, from_id: str | None) -> Answer:
    """Trades from an id on, or the newest, each as `write` has it."""
    symbol = query.get("symbol", "")
    if not symbol:
        return refused(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
    limit, first = integer(query.get("limit"), LIMIT), integer(from_id, -1)
    if not limit or first is None:
        name = "fromId" if limit else "limit"
        return refused(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    history = past.history(symbol)
    if history is None:
        return refused(-1121, "Invalid symbol.")
    limit = min(limit, LIMIT_MAX)
    found = history.newest(limit) if first < 0 else history.since(first, limit)
    return Answer(f"[{','.join([write(traded) for traded in found])}]".encode())


def _trade(traded: Traded) -> str:
    quote = f"{Decimal(traded.price) * Decimal(traded.size):.8f}"
    numbers = f'"price":"{traded.price}","qty":"{traded.size}","quoteQty":"{quote}","time":{traded.ts // 1_000_000}'
    return f'{{"id":{traded.trade_id},{numbers},"isBuyerMaker":{"false" if traded.buyer_takes else "true"},"isBestMatch":true}}'


def agg_trade(traded: Traded) -> str:
    """A trade as an aggregate: one order takes each price once here, so that each trade is one, with its own id."""
    ids = f'"a":{traded.trade_id},"p":"{traded.price}","q":"{traded.size}","f":{traded.trade_id},"l":{traded.trade_id}'
    return f'{{{ids},"T":{traded.ts // 1_000_000},"m":{"false" if traded.buyer_takes else "true"},"M":true}}'


def _book_ticker(past: MarketData, query: Mapping[str, str]) -> Answer:
    if "symbol" in query and "symbols" in query:
        return refused(-1128, "Combination of optional parameters invalid.")
    try:
        listed = msgspec.json.decode(query["symbols"], type=list[str]) if "symbols" in query else list(past.symbols())
    except msgspec.MsgspecError:
        return refused(-1100, "Illegal characters found in parameter 'symbols'.")
    rows: list[str] = []
    for symbol in [query["symbol"]] if "symbol" in query else listed:
        top = past.top(symbol)
        if top is None and ("symbol" in query or "symbols" in query):
            return refused(-1121, "Invalid symbol.")
        if top is not None:
            rows.append(_best(symbol, top))
    return Answer((rows[0] if "symbol" in query else f"[{','.join(rows)}]").encode())


def _best(symbol: str, top: Top) -> str:
    (bid, bid_size), (ask, ask_size) = top.bid or _EMPTY, top.ask or _EMPTY
    return f'{{"symbol":"{symbol}","bidPrice":"{bid}","bidQty":"{bid_size}","askPrice":"{ask}","askQty":"{ask_size}"}}'
