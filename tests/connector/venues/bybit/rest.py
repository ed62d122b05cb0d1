"""Bybit spot by REST, for the tests of all venues."""

from __future__ import annotations

from typing import Final

import msgspec

from tests.connector.venues.cases import QuoteCase, Row, TradeCase, TradingCase, cents, changed

LIMIT: Final = 60 / 5 * 600
"""Requests a minute of one address."""


def answer(rows: object) -> bytes:
    """An answer with these rows."""
    return msgspec.json.encode({"retCode": 0, "retMsg": "OK", "result": {"list": rows}, "retExtInfo": {}, "time": 1_767_225_600_500})


def trades(made: list[Row]) -> bytes:
    """`recent-trade`, with times of ms."""
    rows = [
        {"execId": str(number), "price": cents(price), "size": "1", "side": "Buy" if buys else "Sell", "time": str(us // 1_000)}
        for number, price, us, buys in made
    ]
    return answer(rows)


PATH: Final = "/v5/market/recent-trade?category=spot&symbol=B%C3%84R&limit=60"
TRADES: Final = TradeCase(
    path=PATH,
    newest=PATH,
    limit=LIMIT,
    body=trades,
    moment=lambda us: us // 1_000 * 1_000_000,
    unit_ns=1_000_000,
    bad=(
        (b'"4000002"', b'"4000001"'),
        (b'"4000002"', b'"20f43950-d8dd-5b31-9112-a178eb6023af"'),
        (b'"0.02000000"', b'"0"'),
        (b'"91000.20000000"', b'"NaN"'),
        (b'"Buy"', b'"buy"'),
    ),
    refused=((b'"time":"1767225600123"', b'"time":"1_767"'),),
    most=60,
)
QUOTES: Final = QuoteCase(
    path="/v5/market/tickers?category=spot",
    limit=LIMIT,
    no_bids=(b'"bid1Price":"91000.10000000","bid1Size":"3.10000000"', b'"bid1Price":"","bid1Size":""'),
)


def trading(names: tuple[str, str]) -> TradingCase:
    """`instruments-info` of two instruments."""

    def body(first: str, second: str) -> bytes:
        row = '{"symbol":"NAME","status":"Trading"}'
        rows = [changed(row.replace("NAME", name), change) for name, change in zip(names, (first, second), strict=True)]
        return b'{"retCode":0,"retMsg":"OK","result":{"list":[%s]},"time":1767225600500}' % ",".join(rows).encode()

    words = ("Settling", "Delivering", "Closed", "PreLaunch", "SomethingNew")
    return TradingCase(
        symbols=names,
        gone="LUNAUSDT",
        body=body,
        halted=tuple((f'"Trading" → "{word}"', word) for word in words),
        unreadable=('"Trading" → null', ',"status":"Trading" → '),
    )


TRADING: Final = trading(("BTCUSDT", "ETHUSDT"))
