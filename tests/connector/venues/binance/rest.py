"""Binance's REST, for the tests of all venues."""

from __future__ import annotations

from typing import Final

import msgspec

from tests.connector.venues.cases import QuoteCase, Row, TradeCase, TradingCase, cents, changed


def trades(made: list[Row]) -> bytes:
    """`historicalTrades`, with times of ms."""
    parts = [
        {"id": number, "price": cents(price), "qty": cents(price), "time": us // 1_000, "isBuyerMaker": not buys, "quoteQty": "1"}
        for number, price, us, buys in made
    ]
    return msgspec.json.encode(parts)


TRADES: Final = TradeCase(
    path="/api/v3/historicalTrades?symbol=B%C3%84R&fromId=4000001&limit=1000",
    newest="/api/v3/trades?symbol=B%C3%84R&limit=1000",
    limit=6_000 / 25,
    body=trades,
    moment=lambda us: us // 1_000 * 1_000_000,
    unit_ns=1_000_000,
    bad=(
        (b"4000002", b"4000001"),
        (b'"0.02000000"', b'"0"'),
        (b'"91000.20000000"', b'"NaN"'),
        (b"4000002", b"-1"),
        (b"4000002", b'"4000002"'),
        (b"true,", b'"buy",'),
    ),
    refused=((b'"time":1767225600123', b'"time":1.5'),),
)

QUOTES: Final = QuoteCase(path="/api/v3/ticker/bookTicker?symbols=%5B%22BTCUSDT%22%2C%22ETHUSDT%22%5D", limit=6_000 / 4)


def trading(first: str, second: str) -> bytes:
    """`exchangeInfo` of two symbols."""
    row = '{"symbol":"NAME","status":"TRADING","baseAsset":"X","isSpotTradingAllowed":true}'
    rows = [changed(row.replace("NAME", name), change) for name, change in (("BTCUSDT", first), ("ETHUSDT", second))]
    return b'{"symbols":[%s]}' % ",".join(rows).encode()


TRADING: Final = TradingCase(
    symbols=("BTCUSDT", "ETHUSDT"),
    gone="LUNAUSDT",
    body=trading,
    halted=(
        *((f"TRADING → {word}", word) for word in ("BREAK", "HALT", "CANCEL_ONLY", "END_OF_DAY", "SOMETHING_NEW")),
        ('"isSpotTradingAllowed":true → "isSpotTradingAllowed":false', "not traded spot"),
    ),
    unreadable=('"status":"TRADING" → "status":null', '"status":"TRADING", → '),
)
