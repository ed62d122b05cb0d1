"""Hyperliquid spot by REST, for the tests of all venues."""

from __future__ import annotations

from typing import Final

from tests.connector.venues.cases import QuoteCase, TradingCase, changed

QUOTES: Final = QuoteCase(
    path="/info/l2Book?coin=%40142",
    limit=600,
    no_bids=(b'[{"px":"91000.10000000","sz":"3.10000000","n":4},{"px":"91000.0","sz":"1.0","n":1}]', b"[]"),
)


def trading(first: str, second: str) -> bytes:
    """`spotMeta`, whose states are text."""
    row = '{"tokens":[TOKEN,0],"name":"NAME","index":1,"isCanonical":false}'
    rows = [changed(row.replace("NAME", name), change) for name, change in (("@142", first), ("@151", second))]
    return f'{{"universe":[{",".join(rows).replace("TOKEN", "197")}],"tokens":[]}}'.encode()


TRADING: Final = TradingCase(
    symbols=("@142", "@151"),
    gone="@99",
    body=trading,
    halted=(),
    trades=('"isCanonical":false → "isCanonical":true',),
    unreadable=('"index":1 → "index":null', '"tokens":[TOKEN,0], → '),
)
