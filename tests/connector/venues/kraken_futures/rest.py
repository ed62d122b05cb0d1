"""Kraken Futures' REST, for the tests of all venues."""

from __future__ import annotations

from typing import Final

from tests.connector.venues.cases import QuoteCase, TradingCase, changed

QUOTES: Final = QuoteCase(path="/derivatives/api/v3/tickers", limit=600)


def trading(first: str, second: str) -> bytes:
    """`instruments` of two contracts."""
    row = '{"symbol":"NAME","type":"flexible_futures","tradeable":true,"postOnly":false}'
    rows = [changed(row.replace("NAME", name), change) for name, change in (("PF_XBTUSD", first), ("PF_ETHUSD", second))]
    return b'{"result":"success","instruments":[%s]}' % ",".join(rows).encode()


TRADING: Final = TradingCase(
    symbols=("PF_XBTUSD", "PF_ETHUSD"),
    gone="PF_LUNAUSD",
    body=trading,
    halted=(('"tradeable":true → "tradeable":false', "not tradeable"), ('"postOnly":false → "postOnly":true', "post only")),
    trades=(',"postOnly":false → ',),
    unreadable=('"tradeable":true → "tradeable":"yes"', ',"tradeable":true → '),
)
