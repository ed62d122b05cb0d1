"""Gate's REST of perpetuals, for the tests of all venues."""

from __future__ import annotations

from typing import Final

import msgspec

from tests.connector.venues.cases import QuoteCase, Row, TradeCase, TradingCase, cents, changed
from tests.connector.venues.gateio.rest import PER_MINUTE


def trades(made: list[Row]) -> bytes:
    """`trades`: times are s with decimals; what was sold is negative."""
    parts = [
        f'{{"size":{price if buys else -price},"id":{number},"create_time_ms":{us // 1_000_000}.{us // 1_000 % 1_000:03},'
        f'"contract":"X","price":"{cents(price)}"}}'
        for number, price, us, buys in made
    ]
    return f"[{','.join(parts)}]".encode()


PATH: Final = "/api/v4/futures/usdt/trades?contract=B%C3%84R&limit=1000"
TRADES: Final = TradeCase(
    path=PATH,
    newest=PATH,
    limit=PER_MINUTE,
    body=trades,
    moment=lambda us: us // 1_000 * 1_000_000,
    unit_ns=1_000_000,
    bad=(
        (b"4000002", b"4000001"),
        (b'"size":"200"', b'"size":"0"'),
        (b'"size":"200"', b'"size":null'),
        (b'"size":"200"', b'"size":"2_00"'),
        (b'"91000.20000000"', b'"NaN"'),
        (b'"91000.20000000"', b'"-1"'),
    ),
    refused=((b'"create_time_ms":1767225600.123', b'"create_time_ms":"soon"'),),
)
QUOTES: Final = QuoteCase(
    path="/api/v4/futures/usdt/order_book?contract=BTC_USDT&limit=1",
    limit=PER_MINUTE,
    no_bids=(b'"bids":[{"p":"91000.10000000","s":"31000"}]', b'"bids":[]'),
)


def trading(first: str, second: str) -> bytes:
    """`contracts` of two contracts."""
    row = msgspec.json.encode({"name": "NAME", "quanto_multiplier": "1", "in_delisting": False, "status": "trading"}).decode()
    rows = [changed(row.replace("NAME", name), change) for name, change in (("BTC_USDT", first), ("ETH_USDT", second))]
    return f"[{','.join(rows)}]".encode()


TRADING: Final = TradingCase(
    symbols=("BTC_USDT", "ETH_USDT"),
    gone="LUNA_USDT",
    body=trading,
    halted=(
        ('"in_delisting":false → "in_delisting":true', "in delisting"),
        *((f'"trading" → "{word}"', word) for word in ("prelaunch", "delisting", "delisted", "circuit_breaker", "something_new")),
    ),
    trades=(',"status":"trading" → ',),
    unreadable=('"trading" → null', '"in_delisting":false → "in_delisting":"no"'),
)
