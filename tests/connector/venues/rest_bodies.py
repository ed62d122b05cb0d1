"""REST answers of our own making in the venues' documented formats (documentation of 2026): past trades, best bid and ask.

Binance   https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
Coinbase  https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/products/get-product-trades, …/get-product-book
Kraken    https://docs.kraken.com/api/docs/rest-api/get-recent-trades, …/get-order-book
"""

# ruff: noqa: E501 (answers as they stand on the wire)
from __future__ import annotations

from typing import Final

TRADES: Final[dict[str, bytes]] = {
    "binance": b'[{"id":4000001,"price":"91000.10000000","qty":"0.00150000","quoteQty":"136.50015000","time":1767225600123,"isBuyerMaker":true,"isBestMatch":true},'
    b'{"id":4000002,"price":"91000.20000000","qty":"0.02000000","quoteQty":"1820.00400000","time":1767225600123,"isBuyerMaker":false,"isBestMatch":true}]',
    "coinbase": b'[{"trade_id":4000002,"side":"sell","size":"0.02000000","price":"91000.20000000","time":"2026-01-01T00:00:00.123457Z"},'
    b'{"trade_id":4000001,"side":"buy","size":"0.00150000","price":"91000.10000000","time":"2026-01-01T00:00:00.123456Z"}]',
    "kraken": b'{"error":[],"result":{"XXBTZUSD":[["91000.10000000","0.00150000",1767225600.1234561,"s","l","",4000001],'
    b'["91000.20000000","0.02000000",1767225600.12345678901,"b","m","",4000002]],"last":"1767225600123456789"}}',
}
"""The taker sold the first and bought the second."""

QUOTES: Final[dict[str, bytes]] = {
    "binance": b'[{"symbol":"BTCUSDT","bidPrice":"91000.10000000","bidQty":"3.10000000","askPrice":"91000.20000000","askQty":"0.50000000"},'
    b'{"symbol":"ETHUSDT","bidPrice":"0.00000000","bidQty":"0.00000000","askPrice":"3000.50000000","askQty":"1.00000000"}]',
    "coinbase": b'{"bids":[["91000.10000000","3.10000000",2]],"asks":[["91000.20000000","0.50000000",1]],"sequence":77,"auction_mode":false,"auction":null,'
    b'"time":"2026-01-01T00:00:00.5Z"}',
    "kraken": b'{"error":[],"result":{"XXBTZUSD":{"asks":[["91000.20000000","0.500",1767225600]],"bids":[["91000.10000000","3.100",1767225500]]}}}',
}
"""3.1 at 91000.10 against 0.5 at 91000.20."""
