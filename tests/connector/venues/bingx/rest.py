"""BingX spot by REST, for the tests of all venues."""

from __future__ import annotations

from typing import Final

from tests.connector.venues.cases import QuoteCase, Row, TradeCase, TradingCase, cents, changed


def trades(made: list[Row]) -> bytes:
    """`market/trades`, newest first; prices and sizes are numbers, times ms."""
    rows = [
        f'{{"id":{number},"price":{cents(price)},"qty":{cents(price)},"time":{us // 1_000},"buyerMaker":{str(not buys).lower()}}}'
        for number, price, us, buys in made
    ]
    return f'{{"code":0,"timestamp":1767225601000,"data":[{",".join(rows)}]}}'.encode()


TRADES: Final = TradeCase(
    path="/openApi/spot/v1/market/trades?symbol=B%C3%84R&limit=500",
    newest="/openApi/spot/v1/market/trades?symbol=B%C3%84R&limit=500",
    limit=3_000,
    body=trades,
    moment=lambda us: us // 1_000 * 1_000_000,
    unit_ns=1_000_000,
    bad=(
        (b"4000002", b"4000001"),
        (b"0.02000000", b"0"),
        (b"91000.20000000", b'"NaN"'),
        (b"4000002", b"-1"),
        (b'"buyerMaker":false', b'"buyerMaker":2'),
        (b'"time":1767225600223', b'"time":"x"'),
    ),
    refused=((b'"data"', b'"rows"'),),
)

QUOTES: Final = QuoteCase(
    path="/openApi/spot/v1/ticker/bookTicker?symbol=BTC-USDT",
    limit=3_000,
    no_bids=(b'"bidPrice":"91000.10000000","bidVolume":"3.10000000"', b'"bidPrice":"0","bidVolume":"0"'),
)


def trading(first: str, second: str) -> bytes:
    """`common/symbols`."""
    row = '{"symbol":"NAME","status":1,"tickSize":0.01,"stepSize":1e-05,"apiStateBuy":true,"apiStateSell":true}'
    rows = [changed(row.replace("NAME", name), change) for name, change in (("BTC-USDT", first), ("ETH-USDT", second))]
    return f'{{"code":0,"msg":"","debugMsg":"","data":{{"symbols":[{",".join(rows)}]}}}}'.encode()


TRADING: Final = TradingCase(
    symbols=("BTC-USDT", "ETH-USDT"),
    gone="LUNA-USDT",
    body=trading,
    halted=(
        ('"status":1 → "status":0', "offline"),
        ('"status":1 → "status":25', "suspended"),
        ('"status":1 → "status":7', "status 7"),
        ('"apiStateBuy":true,"apiStateSell":true → "apiStateBuy":false,"apiStateSell":false', "closed to the API"),
    ),
    trades=('"apiStateSell":true → "apiStateSell":false', ',"apiStateBuy":true,"apiStateSell":true → ', '"status":1 → "status":10'),
    unreadable=('"status":1 → "status":"x"', '"status":1, → '),
)
