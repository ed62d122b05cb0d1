"""Gemini's REST, for the tests of all venues."""

from __future__ import annotations

from typing import Final

import msgspec

from tests.connector.venues.cases import QuoteCase, Row, TradeCase, TradingCase, cents, changed

LIMIT: Final = 120
"""Requests a minute."""


def trades(made: list[Row]) -> bytes:
    """`trades`, whose times are ms."""
    parts = [
        {"timestampms": us // 1_000, "tid": number, "price": cents(price), "amount": cents(price), "type": "buy" if buys else "sell"}
        for number, price, us, buys in made
    ]
    return msgspec.json.encode(parts)


TRADES: Final = TradeCase(
    path="/v1/trades/B%C3%84R?limit_trades=500&since_tid=4000000",
    newest="/v1/trades/B%C3%84R?limit_trades=500",
    limit=LIMIT,
    body=trades,
    moment=lambda us: us // 1_000 * 1_000_000,
    unit_ns=1_000_000,
    bad=(
        (b"4000002", b"4000001"),
        (b'"0.02000000"', b'"0"'),
        (b'"91000.20000000"', b'"NaN"'),
        (b"4000002", b"-1"),
        (b'"buy"', b'"auction"'),
        (b"1767225600223", b'"x"'),
    ),
    refused=((b'"timestampms"', b'"time"'),),
)

QUOTES: Final = QuoteCase(
    path="/v1/book/btcusd?limit_bids=1&limit_asks=1",
    limit=LIMIT,
    no_bids=(b'[{"price":"91000.10000000","amount":"3.10000000","timestamp":"1767225600"}]', b"[]"),
)


def trading(first: str, second: str) -> bytes:
    """`symbols/details/all`."""
    row = '{"symbol":"NAME","base_currency":"BTC","quote_currency":"USD","status":"open"}'
    rows = [changed(row.replace("NAME", name), change) for name, change in (("BTCUSD", first), ("ETHUSD", second))]
    return b"[%s]" % ",".join(rows).encode()


TRADING: Final = TradingCase(
    symbols=("btcusd", "ethusd"),
    gone="lunausd",
    body=trading,
    halted=(
        *((f'"open" → "{word}"', word) for word in ("closed", "cancel_only", "post_only", "something_new")),
        ('"open" → ""', "no status"),
    ),
    trades=('"open" → "limit_only"',),
    unreadable=('"open" → null', ',"status":"open" → '),
)
