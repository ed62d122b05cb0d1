"""Binance.US: Binance spot with other hosts, lower limits and fewer candles. Its trades are asked for as aggregates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from crosstape_simulator.market.listings import Listing
from crosstape_simulator.venues.binance.market import BinanceMarket
from crosstape_simulator.venues.binance.venue import DECIMALS
from crosstape_simulator.venues.binance.venue import VENUE as BINANCE


class BinanceUsMarket(BinanceMarket):
    """Binance's streams and REST side, with weights of its own."""

    weight_max = 1200
    depth_weights = ((100, 1), (500, 5), (1000, 10), (5000, 50))

    def weight(self, path: str, query: Mapping[str, str]) -> int:
        """What a request weighs."""
        weights = {
            "/api/v3/exchangeInfo": 10,
            "/api/v3/aggTrades": 1,
            "/api/v3/klines": 1,
            "/api/v3/trades": 1,
            "/api/v3/ticker/bookTicker": 2,
        }
        return weights.get(path.removeprefix("/api/v3/")) or super().weight(path, query)


VENUE: Final = msgspec.structs.replace(
    BINANCE,
    id="binance_us",
    title="Binance.US",
    listings=tuple(Listing("binance_us", f"{base}USDT", base, "USDT", *decimals) for base, decimals in DECIMALS.items()),
    market=BinanceUsMarket,
)
