"""Bitstamp's REST, for the tests of all venues."""

from __future__ import annotations

from typing import Final

import msgspec

from tests.connector.venues.cases import QuoteCase, Row, TradeCase, TradingCase, cents, changed


def trades(made: list[Row]) -> bytes:
    """`transactions`, whose times are whole seconds."""
    parts = [
        {"date": str(us // 10**6), "tid": str(number), "price": cents(price), "amount": cents(price), "type": "0" if buys else "1"}
        for number, price, us, buys in made
    ]
    return msgspec.json.encode(parts)


TRADES: Final = TradeCase(
    path="/api/v2/transactions/B%C3%84R/?time=hour",
    newest="/api/v2/transactions/B%C3%84R/?time=hour",
    limit=1_000,
    body=trades,
    moment=lambda us: us // 10**6 * 10**9,
    unit_ns=1_000_000_000,
    bad=(
        (b"4000002", b"4000001"),
        (b'"0.02000000"', b'"0"'),
        (b'"91000.20000000"', b'"NaN"'),
        (b"4000002", b"-1"),
        (b'"type":"0"', b'"type":"2"'),
        (b'"1767225600","tid":"4000002"', b'"x","tid":"4000002"'),
    ),
    refused=((b'"date"', b'"time"'),),
)

QUOTES: Final = QuoteCase(
    path="/api/v2/order_book/btcusd/?group=1", limit=1_000, no_bids=(b'[["91000.10000000","3.10000000"],["91000.00","1"]]', b"[]")
)


def trading(first: str, second: str) -> bytes:
    """`trading-pairs-info`."""
    row = '{"name":"NAME","trading":"Enabled","url_symbol":"NAME","base_decimals":8,"counter_decimals":2}'
    rows = [changed(row.replace("NAME", name), change) for name, change in (("btcusd", first), ("ethusd", second))]
    return b"[%s]" % ",".join(rows).encode()


TRADING: Final = TradingCase(
    symbols=("btcusd", "ethusd"),
    gone="lunausd",
    body=trading,
    halted=(("Enabled → Disabled", "Disabled"), ("Enabled → Something new", "Something new"), ("Enabled → ", "no state")),
    unreadable=('"Enabled" → null', '"trading":"Enabled", → '),
)
