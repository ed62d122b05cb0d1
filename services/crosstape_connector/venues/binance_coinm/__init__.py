"""Binance COIN-M futures: perpetuals and dated futures on USD pairs that are settled in the coin.

Wire    wss://dstream.binance.com/stream, JSON text, wrapped as on spot: all streams on one path
Docs    https://developers.binance.com/docs/derivatives/coin-margined-futures/websocket-market-streams
Sizes   contracts of 100 USD (BTC) or 10 USD: the base size is contracts × USD / price. Candles and tickers have their base volume in `q`
Trades  `aggTrade`, for the reasons of USD-M; recordings that have `trade` are read, too
Quirks  see `binance_futures.stream`. The index price is in a stream of its own and is left out. Open interest has a value in USD, no size
"""

from __future__ import annotations

from typing import Final

from crosstape_connector.venues import binance_futures as futures
from crosstape_connector.venues.binance import klines

PREFIX: Final = "/dapi/v1"

VENUE: Final = futures.venue(
    "binance_coinm",
    (
        futures.endpoint(
            "stream",
            "wss://dstream.binance.com/stream",
            {
                "trade": "aggTrade",
                "quote": "bookTicker",
                "book": "depth@100ms",
                "delta": "depth@100ms",
                "ticker": "ticker",
                "mark": "markPrice@1s",
                "funding": "markPrice@1s",
                "liquidation": "forceOrder",
                **futures.CANDLES,
            },
        ),
    ),
    "https://dapi.binance.com",
    PREFIX,
    inverse=True,
    volume="`v` counts contracts, `q` is in base units: `q` is taken, and `v` in USD is the quote volume",
    candle_path=klines.path_with_end(PREFIX, futures.CANDLE_PAGE),
    environments={"testnet": ("dstream.binancefuture.com", "testnet.binancefuture.com")},
)
