"""HTX spot by REST, for the tests of all venues."""

from __future__ import annotations

from typing import Final

from tests.connector.venues.cases import QuoteCase, Row, TradeCase, TradingCase, cents, changed


def trades(made: list[Row]) -> bytes:
    """`history/trade`: groups of one order, here each of one trade; prices and amounts are numbers, times ms."""
    groups = [
        f'{{"id":1,"ts":{us // 1_000},"data":[{{"id":1.36E+26,"ts":{us // 1_000},"trade-id":{number},"amount":{cents(price)},'
        f'"price":{cents(price)},"direction":"{"buy" if buys else "sell"}"}}]}}'
        for number, price, us, buys in made
    ]
    return f'{{"ch":"market.btcusdt.trade.detail","status":"ok","ts":1767225600500,"data":[{",".join(groups)}]}}'.encode()


PATH: Final = "/market/history/trade?symbol=B%C3%84R&size=2000"
TRADES: Final = TradeCase(
    path=PATH,
    newest=PATH,
    limit=600,
    body=trades,
    moment=lambda us: us // 1_000 * 1_000_000,
    unit_ns=1_000_000,
    bad=(
        (b'"trade-id":4000002', b'"trade-id":4000001'),
        (b"0.02000000", b"0"),
        (b"91000.20000000", b'"NaN"'),
        (b"91000.20000000", b'"91000.2"'),
        (b'"trade-id":4000002', b'"trade-id":-1'),
        (b'"direction":"buy"', b'"direction":""'),
    ),
    refused=((b'"data"', b'"rows"'),),
)
QUOTES: Final = QuoteCase(
    path="/market/tickers",
    limit=900,
    no_bids=(b'"bid":91000.10000000,"bidSize":3.10000000', b'"bid":null,"bidSize":null'),
)


def trading(first: str, second: str) -> bytes:
    """`common/symbols`."""
    row = '{"symbol":"NAME","base-currency":"x","quote-currency":"usdt","state":"online","price-precision":2,"amount-precision":4'
    row += ',"api-trading":"enabled"}'
    rows = [changed(row.replace("NAME", name), change) for name, change in (("btcusdt", first), ("ethusdt", second))]
    return f'{{"status":"ok","data":[{",".join(rows)}]}}'.encode()


TRADING: Final = TradingCase(
    symbols=("btcusdt", "ethusdt"),
    gone="lunausdt",
    body=trading,
    halted=(
        *((f'"online" → "{word}"', word) for word in ("offline", "suspend", "pre-online", "somethingnew")),
        ('"enabled" → "disabled"', "closed to the API"),
    ),
    trades=(',"api-trading":"enabled" → ',),
    unreadable=('"online" → null', ',"state":"online" → '),
)
