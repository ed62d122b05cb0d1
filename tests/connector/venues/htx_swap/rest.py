"""HTX contracts by REST, for the tests of all venues."""

from __future__ import annotations

from typing import Final

from tests.connector.venues.cases import QuoteCase, Row, TradeCase, TradingCase, cents, changed


def trades(made: list[Row]) -> bytes:
    """`history/trade`: groups of one order, here each of one trade; amounts are contracts of both sides, so that they are even."""
    groups = [
        f'{{"id":1,"ts":{us // 1_000},"data":[{{"amount":{2 * price},"quantity":1,"trade_turnover":1,"ts":{us // 1_000},"id":{number},'
        f'"price":{cents(price)},"direction":"{"buy" if buys else "sell"}"}}]}}'
        for number, price, us, buys in made
    ]
    return f'{{"ch":"market.BTC-USDT.trade.detail","status":"ok","ts":1767225600500,"data":[{",".join(groups)}]}}'.encode()


PATH: Final = "/linear-swap-ex/market/history/trade?contract_code=B%C3%84R&size=2000"
TRADES: Final = TradeCase(
    path=PATH,
    newest=PATH,
    limit=48_000,
    body=trades,
    moment=lambda us: us // 1_000 * 1_000_000,
    unit_ns=1_000_000,
    bad=(
        (b'"id":4000002', b'"id":4000001'),
        (b'"amount":80', b'"amount":0'),
        (b"91000.20000000", b'"NaN"'),
        (b'"id":4000002', b'"id":-1'),
        (b'"direction":"buy"', b'"direction":""'),
    ),
    refused=((b'"data"', b'"rows"'),),
)
QUOTES: Final = QuoteCase(
    path="/linear-swap-ex/market/bbo?business_type=all",
    limit=48_000,
    no_bids=(b'"bid":[91000.10000000,6200]', b'"bid":null'),
)


def trading(first: str, second: str) -> bytes:
    """`swap_contract_info`."""
    row = '{"contract_code":"NAME","contract_size":0.001,"contract_status":1}'
    rows = [changed(row.replace("NAME", name), change) for name, change in (("BTC-USDT", first), ("ETH-USDT", second))]
    return f'{{"status":"ok","data":[{",".join(rows)}]}}'.encode()


TRADING: Final = TradingCase(
    symbols=("BTC-USDT", "ETH-USDT"),
    gone="LUNA-USDT",
    body=trading,
    halted=(
        ('"contract_status":1 → "contract_status":0', "delisted"),
        ('"contract_status":1 → "contract_status":3', "suspended"),
        ('"contract_status":1 → "contract_status":77', "contract_status 77"),
    ),
    unreadable=('"contract_status":1 → "contract_status":"x"', ',"contract_status":1 → '),
)
