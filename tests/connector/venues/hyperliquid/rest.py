"""Hyperliquid perpetuals by REST, for the tests of all venues."""

from __future__ import annotations

from typing import Final

from tests.connector.venues.cases import QuoteCase, TradingCase, changed

QUOTES: Final = QuoteCase(
    path="/info/l2Book?coin=BTC",
    limit=600,
    no_bids=(b'[{"px":"91000.10000000","sz":"3.10000000","n":4},{"px":"91000.0","sz":"1.0","n":1}]', b"[]"),
)


def trading(first: str, second: str) -> bytes:
    """`allPerpMetas`: a market of each builder."""
    row = '{"szDecimals":5,"name":"NAME","maxLeverage":40}'
    rows = [changed(row.replace("NAME", name), change) for name, change in (("BTC", first), ("xyz:SP500", second))]
    return f'[{{"universe":[{rows[0]}],"collateralToken":0}},{{"universe":[{rows[1]}],"collateralToken":360}}]'.encode()


TRADING: Final = TradingCase(
    symbols=("BTC", "xyz:SP500"),
    gone="MATIC",
    body=trading,
    halted=(('"maxLeverage":40 → "isDelisted":true', "delisted"),),
    trades=('"maxLeverage":40 → "isDelisted":false', '"maxLeverage":40 → "isDelisted":null'),
    unreadable=('"szDecimals":5 → "szDecimals":"5"', '"szDecimals":5, → ', '"maxLeverage":40 → "isDelisted":[]'),
)
