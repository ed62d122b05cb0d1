"""Bitget's REST on spot, for the tests of all venues."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from tests.connector.venues.cases import Change, QuoteCase, Row, TradeCase, TradingCase, cents, changed

MINUTE: Final = 20 * 60
"""Requests of one kind that one address may make in a minute."""
BAD: Final[tuple[Change, ...]] = (
    (b'"4000002"', b'"4000001"'),
    (b'"0.02000000"', b'"0"'),
    (b'"91000.20000000"', b'"NaN"'),
    (b'"4000002"', b'"-1"'),
    (b'"buy"', b'"BUYER"'),
    (b'"ts":"1767225600223"', b'"ts":"soon"'),
)
NO_BIDS: Final = (b'"bidPr":"91000.10000000"', b'"bidPr":"0"')


def trades(made: list[Row]) -> bytes:
    """`fills-history`; all numbers are texts, times ms."""
    rows = [
        {
            "symbol": "X",
            "tradeId": str(number),
            "side": "buy" if buys else "sell",
            "price": cents(price),
            "size": cents(price),
            "ts": str(us // 1_000),
        }
        for number, price, us, buys in made
    ]
    return msgspec.json.encode({"code": "00000", "msg": "success", "requestTime": 1, "data": rows})


def trade_case(path: str) -> TradeCase:
    """Past trades of either market."""
    return TradeCase(
        path=path,
        newest=path,
        limit=MINUTE / 2,
        body=trades,
        moment=lambda us: us // 1_000 * 1_000_000,
        unit_ns=1_000_000,
        bad=BAD,
        refused=((b'"data"', b'"rows"'),),
    )


def trading_of(row: str, symbols: tuple[str, str]) -> Callable[[str, str], bytes]:
    """A list of two instruments of either market; `row` has NAME for a symbol."""

    def body(first: str, second: str) -> bytes:
        rows = [changed(row.replace("NAME", name), change) for name, change in zip(symbols, (first, second), strict=True)]
        return b'{"code":"00000","data":[%s]}' % ",".join(rows).encode()

    return body


TRADES: Final = trade_case("/api/v2/spot/market/fills-history?symbol=B%C3%84R&limit=1000")
QUOTES: Final = QuoteCase(path="/api/v2/spot/market/tickers?symbol=BTCUSDT", limit=MINUTE, no_bids=NO_BIDS)
SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
TRADING: Final = TradingCase(
    symbols=SYMBOLS,
    gone="LUNAUSDT",
    body=trading_of('{"symbol":"NAME","baseCoin":"X","quoteCoin":"USDT","status":"online"}', SYMBOLS),
    halted=tuple((f'"online" → "{word}"', word) for word in ("gray", "offline", "halt", "something new")),
    unreadable=('"online" → null', '"symbol":"NAME", → '.replace("NAME", "BTCUSDT")),
)
