"""OKX's REST on spot, for the tests of all venues."""

from __future__ import annotations

from typing import Final

import msgspec

from tests.connector.venues.cases import QuoteCase, Row, TradeCase, TradingCase, cents, changed

PAGE: Final = 100
"""Trades by id in an answer: the venue's most."""


def trades(made: list[Row]) -> bytes:
    """`trades` and `history-trades`, with times of ms."""
    rows = [
        {"tradeId": str(number), "px": cents(price), "sz": cents(price), "side": "buy" if buys else "sell", "ts": str(us // 1_000)}
        for number, price, us, buys in made
    ]
    return msgspec.json.encode({"code": "0", "msg": "", "data": rows})


TRADES: Final = TradeCase(
    path="/api/v5/market/history-trades?instId=B%C3%84R&type=1&after=4000101&limit=100",
    newest="/api/v5/market/trades?instId=B%C3%84R&limit=100",
    limit=10 * 30,
    body=trades,
    moment=lambda us: us // 1_000 * 1_000_000,
    unit_ns=1_000_000,
    bad=(
        (b'"4000002"', b'"4000001"'),
        (b'"sz":"0.02000000"', b'"sz":"0"'),
        (b'"91000.20000000"', b'"NaN"'),
        (b'"4000002"', b"4000002"),
        (b'"4000002"', b'"5c24c5da03aa673885cd67aa"'),
        (b'"buy"', b'"BUYER"'),
        (b'"1767225600124"', b'""'),
    ),
    most=PAGE,
)
QUOTES: Final = QuoteCase(
    path="/api/v5/market/ticker?instId=BTC-USDT",
    limit=20 * 30,
    no_bids=(b'"bidPx":"91000.10000000","bidSz":"3.10000000"', b'"bidPx":"","bidSz":""'),
)
HALTED: Final = tuple((f'"live" → "{word}"', word) for word in ("suspend", "preopen", "expired", "rebase", "something_new"))
UNREADABLE: Final = ('"state":"live" → "state":null', ',"state":"live" → ')


def trading(first: str, second: str) -> bytes:
    """`instruments` of two pairs."""
    row = '{"instType":"SPOT","instId":"NAME","state":"live"}'
    rows = [changed(row.replace("NAME", name), change) for name, change in (("BTC-USDT", first), ("ETH-USDT", second))]
    return b'{"code":"0","msg":"","data":[%s]}' % ",".join(rows).encode()


TRADING: Final = TradingCase(
    symbols=("BTC-USDT", "ETH-USDT"),
    gone="LUNA-USDT",
    body=trading,
    halted=HALTED,
    unreadable=UNREADABLE,
)
