"""Coinbase Exchange, REST answers about trades and best prices: `/products/ID/trades`, `/products/ID/book?level=1`; candles are
in `candles`.

Docs    https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-trades, …/exchange/rest-api/pagination
Quirks  trades are newest first, with the maker's side; `after` asks for older ones than an id, `before` leaves out those that are not newer
        than one; the cursors of the next pages are in headers
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from crosstape_simulator.formats import iso_us
from crosstape_simulator.market.history import MarketData, Traded, integer
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues.coinbase.candles import candles_answer

LIMIT: Final = 1_000
"""The usual number of trades, and the most."""
NEVER: Final = 1 << 63

_REFUSED: Final = {403: "Forbidden", 451: "Not available in your jurisdiction"}
_PATH: Final = re.compile(r"/products/([^/]+)/(trades|book|candles)")


def product_answer(past: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    """The answer to `path`; None if it is none of these. `now` (ns) stands in the book's."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    product, what = found.groups()
    if what == "candles":
        return answer({"message": "NotFound"}, 404) if past.history(product) is None else candles_answer(past, product, query)
    return _trades(past, product, query) if what == "trades" else _book(past, product, query, now)


def _trades(past: MarketData, product: str, query: Mapping[str, str]) -> Answer:
    history = past.history(product)
    if history is None:
        return answer({"message": "NotFound"}, 404)
    limit, after, before = integer(query.get("limit"), LIMIT), integer(query.get("after"), NEVER), integer(query.get("before"), -1)
    if not limit or after is None or before is None:
        return answer({"message": f"Invalid {'limit' if not limit else 'after' if after is None else 'before'}"}, 400)
    found = [traded for traded in history.below(after, min(limit, LIMIT)) if traded.trade_id > before]
    found.reverse()
    headers = {"CB-BEFORE": str(found[0].trade_id), "CB-AFTER": str(found[-1].trade_id)} if found else {}
    return Answer(f"[{','.join([_trade(traded) for traded in found])}]".encode(), headers=headers)


def _trade(traded: Traded) -> str:
    maker = "sell" if traded.buyer_takes else "buy"
    numbers = f'"size":"{traded.size}","price":"{traded.price}"'
    return f'{{"trade_id":{traded.trade_id},"side":"{maker}",{numbers},"time":"{iso_us(traded.ts)}"}}'


def _book(past: MarketData, product: str, query: Mapping[str, str], now: int) -> Answer:
    if query.get("level", "1") != "1":
        return answer({"message": "Only level 1 is simulated"}, 400)
    top = past.top(product)
    if top is None:
        return answer({"message": "NotFound"}, 404)
    bids, asks = (f'["{side[0]}","{side[1]}",1]' if side is not None else "" for side in top[:2])
    state = f'"sequence":{top.number},"auction_mode":false,"auction":null,"time":"{iso_us(now)}"'
    return Answer(f'{{"bids":[{bids}],"asks":[{asks}],{state}}}'.encode())


def refusal(status: int, reason: str) -> object:
    """The JSON of an HTTP error, with `reason` in place of the usual text."""
    usual = "Internal server error" if status >= 500 else _REFUSED.get(status, "Public rate limit exceeded")
    return {"message": reason or usual}
