"""KuCoin's REST on spot, for the tests of all venues."""

from __future__ import annotations

from typing import Final

import msgspec

from tests.connector.venues.cases import QuoteCase, Row, TradeCase, TradingCase, cents, changed

WEIGHT: Final = 2_000 * 2
"""What one address may ask for in a minute."""


def trades(made: list[Row]) -> bytes:
    """`histories`, with times of ns."""
    rows = [
        {"sequence": str(number), "price": cents(price), "size": cents(price), "side": "buy" if buys else "sell", "time": us * 1_000}
        for number, price, us, buys in made
    ]
    return msgspec.json.encode({"code": "200000", "data": rows})


PATH: Final = "/api/v1/market/histories?symbol=B%C3%84R"
TRADES: Final = TradeCase(
    path=PATH,
    newest=PATH,
    limit=WEIGHT / 3,
    body=trades,
    moment=lambda us: us * 1_000,
    unit_ns=1,
    bad=(
        (b'"4000002"', b'"4000001"'),
        (b'"0.02000000"', b'"0"'),
        (b'"91000.20000000"', b'"NaN"'),
        (b'"4000002"', b"4000002"),
        (b'"4000002"', b'"5c24c5da03aa673885cd67aa"'),
        (b'"buy"', b'"BUYER"'),
    ),
    refused=((b'"time":1767225600123000000', b'"time":1.5'),),
)
QUOTES: Final = QuoteCase(
    path="/api/v1/market/orderbook/level1?symbol=BTC-USDT",
    limit=WEIGHT / 2,
    no_bids=(b'"bestBid":"91000.10000000","bestBidSize":"3.10000000"', b'"bestBid":"","bestBidSize":null'),
)


def trading(first: str, second: str) -> bytes:
    """`symbols` of two pairs."""
    row = '{"symbol":"NAME","enableTrading":true}'
    rows = [changed(row.replace("NAME", name), change) for name, change in (("BTC-USDT", first), ("ETH-USDT", second))]
    return b'{"code":"200000","data":[%s]}' % ",".join(rows).encode()


TRADING: Final = TradingCase(
    symbols=("BTC-USDT", "ETH-USDT"),
    gone="LUNA-USDT",
    body=trading,
    halted=(('"enableTrading":true → "enableTrading":false', "trading is disabled"),),
    unreadable=('"enableTrading":true → "enableTrading":"mystery"', ',"enableTrading":true → '),
)
