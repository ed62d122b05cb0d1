"""Gate's REST on spot, for the tests of all venues."""

from __future__ import annotations

from typing import Final

import msgspec

from tests.connector.venues.cases import QuoteCase, Row, TradeCase, TradingCase, cents, changed

PER_MINUTE: Final = 200 * 6
"""Requests for one path that an address may make."""


def trades(made: list[Row]) -> bytes:
    """`trades`: times are ms with decimals, as text."""
    rows = [
        {
            "id": str(number), "create_time": str(us // 1_000_000), "create_time_ms": f"{us // 1_000}.{us % 1_000:03}",
            "currency_pair": "X", "side": "buy" if buys else "sell", "amount": cents(price), "price": cents(price),
        }
        for number, price, us, buys in made
    ]  # fmt: skip
    return msgspec.json.encode(rows)


PATH: Final = "/api/v4/spot/trades?currency_pair=B%C3%84R&limit=1000"
TRADES: Final = TradeCase(
    path=PATH,
    newest=PATH,
    limit=PER_MINUTE,
    body=trades,
    moment=lambda us: us * 1_000,
    unit_ns=1_000,
    bad=(
        (b'"4000002"', b'"4000001"'),
        (b'"4000002"', b'"-1"'),
        (b'"4000002"', b'"x"'),
        (b'"0.02000000"', b'"0"'),
        (b'"91000.20000000"', b'"NaN"'),
        (b'"91000.20000000"', b"91000.2"),
        (b'"buy"', b'"BUYER"'),
    ),
    refused=((b'"create_time_ms":"1767225600123.456000"', b'"create_time_ms":"soon"'),),
)
QUOTES: Final = QuoteCase(
    path="/api/v4/spot/order_book?currency_pair=BTC_USDT&limit=1",
    limit=PER_MINUTE,
    no_bids=(b'"bids":[["91000.10000000","3.10000000"]]', b'"bids":[]'),
)


def trading(first: str, second: str) -> bytes:
    """`currency_pairs` of two pairs."""
    row = '{"id":"NAME","trade_status":"tradable"}'
    rows = [changed(row.replace("NAME", name), change) for name, change in (("BTC_USDT", first), ("ETH_USDT", second))]
    return f"[{','.join(rows)}]".encode()


TRADING: Final = TradingCase(
    symbols=("BTC_USDT", "ETH_USDT"),
    gone="LUNA_USDT",
    body=trading,
    halted=tuple((f'"tradable" → "{word}"', word) for word in ("untradable", "buyable", "sellable", "something_new")),
    unreadable=('"tradable" → null', ',"trade_status":"tradable" → '),
)
