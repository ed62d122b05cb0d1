"""Bitget's REST of contracts, for the tests of all venues."""

from __future__ import annotations

from typing import Final

from tests.connector.venues.bitget.rest import MINUTE, NO_BIDS, SYMBOLS, trade_case, trading_of
from tests.connector.venues.cases import QuoteCase, TradingCase

TRADES: Final = trade_case("/api/v2/mix/market/fills-history?symbol=B%C3%84R&productType=COIN-FUTURES&limit=1000")
QUOTES: Final = QuoteCase(path="/api/v2/mix/market/ticker?symbol=BTCUSDT&productType=USDT-FUTURES", limit=MINUTE, no_bids=NO_BIDS)
TRADING: Final = TradingCase(
    symbols=SYMBOLS,
    gone="LUNAUSDT",
    body=trading_of('{"symbol":"NAME","baseCoin":"X","quoteCoin":"USDT","symbolType":"perpetual","symbolStatus":"normal"}', SYMBOLS),
    halted=tuple((f'"normal" → "{word}"', word) for word in ("maintain", "limit_open", "restrictedAPI", "off", "something new")),
    unreadable=('"normal" → null', '"symbol":"BTCUSDT", → '),
)
