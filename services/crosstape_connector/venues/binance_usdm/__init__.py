"""Binance USD-M futures: perpetuals and dated futures that are settled in USDT or USDC.

Wire    wss://fstream.binance.com/public/stream (best prices and books) and /market/stream (all else): JSON text, wrapped as on spot. A
        subscription on the wrong one is acknowledged and stays silent
Docs    https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
Trades  `aggTrade`: it is documented, holds market trades only, and its ids can be asked for by REST without a key. `trade` is none of that;
        recordings that have it are read, too
Testnet whether it has the same two paths is not known: if a feed of it stays silent, `ws_url` can name others
Quirks  see `binance_futures.stream`. `1000PEPEUSDT` is a contract on 1,000 PEPE: the venue calls its base asset 1000PEPE, and so do we. The
        interval between fundings is not in a frame: eight hours, for some contracts four or one
"""

from __future__ import annotations

from typing import Final

from crosstape_connector.venues import binance_futures as futures
from crosstape_connector.venues.binance import klines

PREFIX: Final = "/fapi/v1"

VENUE: Final = futures.venue(
    "binance_usdm",
    (
        futures.endpoint(
            "public",
            "wss://fstream.binance.com/public/stream",
            {"quote": "bookTicker", "book": "depth@100ms", "delta": "depth@100ms"},
            hosts=("/public",),
        ),
        futures.endpoint(
            "market",
            "wss://fstream.binance.com/market/stream",
            {
                "trade": "aggTrade",
                "ticker": "ticker",
                "mark": "markPrice@1s",
                "funding": "markPrice@1s",
                "liquidation": "forceOrder",
                **futures.CANDLES,
            },
            hosts=("/market",),
        ),
    ),
    "https://fapi.binance.com",
    PREFIX,
    inverse=False,
    volume="`v` is in base units",
    candle_path=klines.path(PREFIX, futures.CANDLE_PAGE),
    environments={
        "testnet": ("fstream.binancefuture.com", "testnet.binancefuture.com"),
        "demo": ("demo-fstream.binance.com", "demo-fapi.binance.com"),
    },
)
