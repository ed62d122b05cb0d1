"""KuCoin's REST on futures, for the tests of all venues."""

from __future__ import annotations

from typing import Final

import msgspec

from tests.connector.venues.cases import QuoteCase, Row, TradeCase, TradingCase, cents, changed
from tests.connector.venues.kucoin.rest import WEIGHT


def trades(made: list[Row]) -> bytes:
    """`trade/history`, with times of ns; sizes are contracts."""
    rows = [
        {"sequence": number, "price": cents(price), "size": price, "side": "buy" if buys else "sell", "ts": us * 1_000, "tradeId": "x"}
        for number, price, us, buys in made
    ]
    return msgspec.json.encode({"code": "200000", "data": rows})


PATH: Final = "/api/v1/trade/history?symbol=B%C3%84R"
TRADES: Final = TradeCase(
    path=PATH,
    newest=PATH,
    limit=WEIGHT / 5,
    body=trades,
    moment=lambda us: us * 1_000,
    unit_ns=1,
    bad=(
        (b'"sequence":4000002', b'"sequence":4000001'),
        (b'"size":40', b'"size":0'),
        (b'"size":40', b'"size":40.5'),
        (b'"91000.20000000"', b'"NaN"'),
        (b'"sequence":4000002', b'"sequence":"4000002"'),
        (b'"buy"', b'"BUYER"'),
    ),
)
QUOTES: Final = QuoteCase(
    path="/api/v1/ticker?symbol=XBTUSDTM",
    limit=WEIGHT / 2,
    no_bids=(b'"bestBidPrice":"91000.10000000","bestBidSize":6200', b'"bestBidPrice":"0","bestBidSize":0'),
)


def trading(first: str, second: str) -> bytes:
    """`contracts/active` of two contracts."""
    row = '{"symbol":"NAME","status":"Open"}'
    rows = [changed(row.replace("NAME", name), change) for name, change in (("XBTUSDTM", first), ("ETHUSDTM", second))]
    return b'{"code":"200000","data":[%s]}' % ",".join(rows).encode()


TRADING: Final = TradingCase(
    symbols=("XBTUSDTM", "ETHUSDTM"),
    gone="LUNAUSDTM",
    body=trading,
    halted=tuple((f'"Open" → "{word}"', word) for word in ("Paused", "CancelOnly", "BeingSettled", "Closed", "SomethingNew")),
    unreadable=('"Open" → null', ',"status":"Open" → '),
)
