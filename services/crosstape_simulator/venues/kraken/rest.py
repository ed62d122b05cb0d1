"""Kraken spot, REST answers about trades and best prices: `Trades`, `Depth`; of candles see `candles`; and REST's names of a pair.

Docs    https://docs.kraken.com/api/docs/rest-api/get-recent-trades, …/get-order-book
Quirks  a pair has several names, and an answer's need not be the one asked by; trades are asked for by the time after which they were made,
        in ns (or, with ten digits, seconds); sizes of a book are cut to three decimals
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from crosstape_simulator.formats import NS, short
from crosstape_simulator.market.history import Best, MarketData, Traded, integer
from crosstape_simulator.server.rest import Answer, answer
from crosstape_simulator.venues.kraken.candles import OHLC, candles_answer
from crosstape_simulator.venues.rewriting import iso_times, unix_times

TRADES: Final = "/0/public/Trades"
DEPTH: Final = "/0/public/Depth"
APART: Final = (TRADES, OHLC)
"""Limited for each pair apart."""
LIMIT: Final = 1_000
"""The usual number of trades, and the most."""
PRICE_DECIMALS: Final = 5
"""Decimals of a price, at least."""
SIZE_DECIMALS: Final = 3
"""Decimals to which a size in a book is cut."""
_SECONDS_BELOW: Final = 10**10
_LAST: Final = unix_times("last")
_TRADE_TIME: Final = re.compile(rb',(\d{10})(?:\.(\d{1,9}))?,"([bs])"')

OLD_NAMES: Final = {"BTC": "XBT", "DOGE": "XDG"}
CODES: Final = {"BTC": "XXBT", "ETH": "XETH", "XRP": "XXRP", "DOGE": "XXDG", "USD": "ZUSD", "EUR": "ZEUR"}
"""Assets that have a code other than their name."""
_UNPREFIXED: Final = frozenset({"DOGE"})
"""Has a code, but does not stand with it in a pair's key."""


_REFUSED: Final = {
    200: "EAPI:Rate limit exceeded",
    403: "EGeneral:Permission denied",
    451: "EGeneral:Not available in your jurisdiction",
}


class Names(NamedTuple):
    """A pair's names by REST."""

    key: str
    """Key in an answer: `XXBTZUSD`; for most pairs the same as `altname`."""
    altname: str
    wsname: str
    base: str
    quote: str


def names(symbol: str) -> Names:
    """The names of a pair that the WebSocket calls `BTC/USD`."""
    base, _, quote = symbol.partition("/")
    old_base, old_quote = OLD_NAMES.get(base, base), OLD_NAMES.get(quote, quote)
    codes = CODES.get(base, base), CODES.get(quote, quote)
    prefixed = base in CODES and quote in CODES and base not in _UNPREFIXED
    return Names("".join(codes) if prefixed else old_base + old_quote, old_base + old_quote, f"{old_base}/{old_quote}", *codes)


def pair_answer(past: MarketData, path: str, query: Mapping[str, str], now: int) -> Answer | None:
    """The answer to `path`; None if it is none of these. Errors come with HTTP 200."""
    if path not in (TRADES, DEPTH, OHLC):
        return None
    if not query.get("pair"):
        return answer({"error": ["EGeneral:Invalid arguments"]})
    symbol = symbol_of(past, query)
    if symbol is None:
        return answer({"error": ["EQuery:Unknown asset pair"]})
    if path == OHLC:
        return candles_answer(past, symbol, names(symbol).key, query)
    return _trades(past, symbol, query) if path == TRADES else _depth(past, symbol, query, now)


def symbol_of(past: MarketData, query: Mapping[str, str]) -> str | None:
    """The pair that a request names, by whichever of its names."""
    asked = query.get("pair", "")
    return next((symbol for symbol in past.symbols() if asked in (symbol, *names(symbol)[:3])), None)


def _trades(past: MarketData, symbol: str, query: Mapping[str, str]) -> Answer:
    history = past.history(symbol)
    limit, since = integer(query.get("count"), LIMIT), integer(query.get("since"), -1)
    if not limit or limit > LIMIT or since is None:
        return answer({"error": ["EGeneral:Invalid arguments"]})
    since *= NS if 0 <= since < _SECONDS_BELOW else 1
    found: list[Traded] = []
    if history is not None:
        found = history.newest(limit) if since < 0 else history.after(since, limit)
    last = found[-1].ts if found else max(0, since)
    rows = ",".join([_trade(traded) for traded in found])
    return Answer(f'{{"error":[],"result":{{"{names(symbol).key}":[{rows}],"last":"{last}"}}}}'.encode())


def _trade(traded: Traded) -> str:
    side = "b" if traded.buyer_takes else "s"
    return f'["{_price(traded.price)}","{traded.size}",{short(traded.ts // 1_000, 6)},"{side}","m","",{traded.trade_id}]'


def _depth(past: MarketData, symbol: str, query: Mapping[str, str], now: int) -> Answer:
    if query.get("count") != "1":
        return answer({"error": ["EGeneral:Invalid arguments:only a count of 1 is simulated"]})
    top = past.top(symbol)
    if top is None:
        return answer({"error": ["EService:Unavailable"]})
    bids, asks = (_level(side, now) for side in top[:2])
    return Answer(f'{{"error":[],"result":{{"{names(symbol).key}":{{"asks":[{asks}],"bids":[{bids}]}}}}}}'.encode())


def _level(side: Best, now: int) -> str:
    if side is None:
        return ""
    units, _, digits = side[1].partition(".")
    return f'["{_price(side[0])}","{units}.{digits[:SIZE_DECIMALS]:0<{SIZE_DECIMALS}}",{now // NS}]'


def _price(text: str) -> str:
    units, _, digits = text.partition(".")
    return f"{units}.{digits:0<{PRICE_DECIMALS}}"


def refusal(status: int, reason: str) -> object:
    """The JSON of a refusal, with `reason` in place of the usual text."""
    usual = "EService:Unavailable" if status >= 500 else _REFUSED.get(status, "EGeneral:Too many requests")
    return {"error": [reason or usual]}


def shift_query(query: Mapping[str, str], ns: int) -> Mapping[str, str]:
    """The query with its `since` (ns or seconds) earlier by `ns`."""
    since = query.get("since", "")
    if not since.isdecimal():
        return query
    is_seconds = int(since) < _SECONDS_BELOW
    return {**query, "since": str(max(0, int(since) - (ns // NS if is_seconds else ns)))}


def shift_answer(payload: bytes, ns: int) -> bytes:
    """An answer with all its times later by `ns`: `last` in ns, and those of trades in seconds."""
    return _TRADE_TIME.sub(lambda found: _later(found, ns), _LAST(iso_times(payload, ns), ns))


def _later(found: re.Match[bytes], ns: int) -> bytes:
    at = int(found.group(1)) * NS + int((found.group(2) or b"").ljust(9, b"0") or 0) + ns
    return b',%d.%09d,"%s"' % (*divmod(at, NS), found.group(3))
