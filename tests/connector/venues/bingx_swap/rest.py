"""BingX perpetuals by REST, for the tests of all venues."""

from __future__ import annotations

from typing import Final

from tests.connector.venues.cases import QuoteCase, TradingCase, changed

QUOTES: Final = QuoteCase(
    path="/openApi/swap/v2/quote/depth?symbol=BTC-USDT&limit=5",
    limit=3_000,
    no_bids=(b'"bidsCoin":[["91000.10000000","3.10000000"],["91000.00","1"]]', b'"bidsCoin":[]'),
)


def trading(first: str, second: str) -> bytes:
    """`contracts`, whose states are text."""
    row = (
        '{"symbol":"NAME-USDT","quantityPrecision":4,"pricePrecision":1,"currency":"USDT","asset":"NAME","status":1,'
        '"apiStateOpen":"true","apiStateClose":"true"}'
    )
    rows = [changed(row.replace("NAME", name), change) for name, change in (("BTC", first), ("ETH", second))]
    return f'{{"code":0,"msg":"","data":[{",".join(rows)}]}}'.encode()


TRADING: Final = TradingCase(
    symbols=("BTC-USDT", "ETH-USDT"),
    gone="LUNA-USDT",
    body=trading,
    halted=(
        ('"status":1 → "status":25', "suspended"),
        ('"status":1 → "status":5', "not open yet"),
        ('"status":1 → "status":7', "status 7"),
        ('"apiStateOpen":"true","apiStateClose":"true" → "apiStateOpen":"false","apiStateClose":"false"', "closed to the API"),
    ),
    trades=('"apiStateOpen":"true" → "apiStateOpen":"false"', ',"apiStateOpen":"true","apiStateClose":"true" → '),
    unreadable=('"status":1 → "status":null', '"status":1, → '),
)
