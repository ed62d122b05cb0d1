"""Binance USD-M's REST, for the tests of all venues."""

from __future__ import annotations

from typing import Final

import msgspec

from tests.connector.venues.cases import QuoteCase, Row, TradeCase, TradingCase, cents, changed


def trades(made: list[Row]) -> bytes:
    """`aggTrades`, with times of ms."""
    parts = [
        {"a": number, "p": cents(price), "q": cents(price), "f": 1, "l": 1, "T": us // 1_000, "m": not buys}
        for number, price, us, buys in made
    ]
    return msgspec.json.encode(parts)


TRADES: Final = TradeCase(
    path="/fapi/v1/aggTrades?symbol=B%C3%84R&fromId=4000001&limit=1000",
    newest="/fapi/v1/aggTrades?symbol=B%C3%84R&limit=1000",
    limit=1_200 / 20,
    body=trades,
    moment=lambda us: us // 1_000 * 1_000_000,
    unit_ns=1_000_000,
    bad=(
        (b"4000002", b"4000001"),
        (b'"0.02000000"', b'"0"'),
        (b'"91000.20000000"', b'"NaN"'),
        (b"4000002", b"-1"),
        (b"4000002", b'"4000002"'),
        (b'"m":true', b'"m":"buy"'),
    ),
    refused=((b'"T":1767225600123', b'"T":1.5'),),
)

QUOTES: Final = QuoteCase(path="/fapi/v1/ticker/bookTicker", limit=1_200 / 5)


def trading(first: str, second: str) -> bytes:
    """`exchangeInfo` of two contracts."""
    row = '{"symbol":"NAME","status":"TRADING","contractType":"PERPETUAL"}'
    rows = [changed(row.replace("NAME", name), change) for name, change in (("BTCUSDT", first), ("ETHUSDT", second))]
    return b'{"symbols":[%s]}' % ",".join(rows).encode()


TRADING: Final = TradingCase(
    symbols=("BTCUSDT", "ETHUSDT"),
    gone="LUNAUSDT",
    body=trading,
    halted=tuple((f"TRADING → {word}", word) for word in ("SETTLING", "PENDING_TRADING", "PRE_DELIVERING", "CLOSE", "SOMETHING_NEW")),
    unreadable=('"status":"TRADING" → "status":null', '"status":"TRADING", → '),
)
