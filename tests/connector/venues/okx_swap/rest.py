"""OKX's REST on contracts, for the tests of all venues."""

from __future__ import annotations

from typing import Final

from tests.connector.venues.cases import QuoteCase, TradeCase, TradingCase, changed
from tests.connector.venues.okx import rest as spot

TRADES: Final = TradeCase(
    path=spot.TRADES.path,
    newest=spot.TRADES.newest,
    limit=spot.TRADES.limit,
    body=spot.trades,
    moment=spot.TRADES.moment,
    unit_ns=1_000_000,
    bad=(
        (b'"sz":"2"', b'"sz":"0"'),
        (b'"sz":"2"', b'"sz":2'),
        (b'"91000.20000000"', b'"NaN"'),
        (b'"4000002"', b'"4000002.5"'),
    ),
    most=spot.PAGE,
)
QUOTES: Final = QuoteCase(
    path="/api/v5/market/ticker?instId=BTC-USDT-SWAP",
    limit=20 * 30,
    no_bids=(b'"bidPx":"91000.10000000","bidSz":"310"', b'"bidPx":"","bidSz":""'),
)


def trading(first: str, second: str) -> bytes:
    """`instruments` of two contracts."""
    row = '{"instType":"SWAP","instId":"NAME","state":"live"}'
    rows = [changed(row.replace("NAME", name), change) for name, change in (("BTC-USDT-SWAP", first), ("BTC-USD-SWAP", second))]
    return b'{"code":"0","msg":"","data":[%s]}' % ",".join(rows).encode()


TRADING: Final = TradingCase(
    symbols=("BTC-USDT-SWAP", "BTC-USD-SWAP"),
    gone="LUNA-USDT-SWAP",
    body=trading,
    halted=spot.HALTED,
    unreadable=spot.UNREADABLE,
)
