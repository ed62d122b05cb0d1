"""Bybit's inverse contracts by REST, for the tests of all venues."""

from __future__ import annotations

from typing import Final

from tests.connector.venues.bybit.rest import LIMIT, trading
from tests.connector.venues.cases import QuoteCase

QUOTES: Final = QuoteCase(
    path="/v5/market/tickers?category=inverse",
    limit=LIMIT,
    no_bids=(b'"bid1Price":"91000.10000000","bid1Size":"282100.31000000"', b'"bid1Price":"","bid1Size":""'),
)
TRADING: Final = trading(("BTCUSD", "ETHUSD"))
