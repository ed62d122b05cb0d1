"""Binance.US, spot: another exchange with the dialect of Binance spot, on its own hosts and with lower limits.

Wire    wss://stream.binance.us:9443/stream, JSON text, wrapped
Docs    https://github.com/binance-us/binance-us-api-docs
Trades  `aggTrade`: single trades can be asked for by REST with a key only, aggregates without
Limits  a weight of 1,200 a minute for one address: `depth` of 100 levels 1, of 500 5, of 1,000 10; `exchangeInfo` 10, all best prices 2,
        `aggTrades` and candles 1. 480 are for books
Quirks  those of `binance.stream`; no candles of one second
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from crosstape_connector.venues.binance import aggregates, connection, klines, quotes, rest, stream
from crosstape_connector.venues.past import PastCandles, RestLimit, TradesById
from crosstape_connector.venues.spec import (
    BookRule,
    CandleSource,
    ConnectLimit,
    Endpoint,
    InstrumentSource,
    QuoteSource,
    SnapshotSource,
    TradeSource,
    TradingSource,
    Venue,
    candle_channels,
)

ID: Final = "binance_us"
PREFIX: Final = "/api/v3"
DEPTHS: Final = {100: 1, 500: 5, 1_000: 10}
"""Levels a side of a snapshot → what it weighs. Which is asked for: see `binance`."""
WEIGHTS: Final[dict[str, int | Mapping[int, int]]] = {
    f"{PREFIX}/depth": DEPTHS,
    f"{PREFIX}/exchangeInfo": 10,
    f"{PREFIX}/ticker/bookTicker": 2,
}
"""What our requests weigh; others weigh 1."""

VENUE: Final = Venue(
    id=ID,
    endpoints=(
        Endpoint(
            name="stream",
            url="wss://stream.binance.us:9443/stream",
            channels={
                "trade": "aggTrade",
                "quote": "bookTicker",
                "book": "depth@100ms",
                "delta": "depth@100ms",
                "ticker": "ticker",
                **candle_channels("kline_{}", klines.TIMEFRAMES),
            },
            parser=stream.Parser,
            request=connection.request,
            ping=connection.ping,
            ping_id="id",
            ping_s=20.0,
            silence_s=60.0,
            topics=1_000,  # of 1,024 streams
            symbols_per_request=100,
            requests_per_s=3.0,  # of 5
            connects_per_s=0.5,
            lifetime_s=24 * 3600.0,
        ),
    ),
    rest_urls={"spot": "https://api.binance.us"},
    instruments=InstrumentSource(rest="spot", path=f"{PREFIX}/exchangeInfo", parse=rest.instruments(ID)),
    book=BookRule(snapshot="rest", bridges=stream.chain, follows=stream.chain, proof=stream.PROOF),
    snapshots=SnapshotSource(
        rest="spot",
        path=rest.depth_path,
        parse=rest.parse_depth,
        match=rest.depth_symbol,
        levels=DEPTHS,
        per_minute=480,
    ),
    trades=TradeSource(
        rest="spot",
        path=aggregates.agg_trades_path(PREFIX),
        newest=aggregates.newest_path(PREFIX),
        parse=aggregates.parse_agg_trades,
        page=aggregates.PAGE,
        per_minute=60,
    ),
    quotes=QuoteSource(rest="spot", path=lambda symbols: f"{PREFIX}/ticker/bookTicker", parse=quotes.parse_all, batch=1_000, per_minute=24),
    trading=TradingSource(
        rest="spot", path=rest.trading_path, parse=rest.parse_trading, unknown=rest.is_unknown_symbol, batch=100, per_minute=12
    ),
    trade_ids="contiguous",
    connects=ConnectLimit(300, 300.0),
    candles=klines.rules(seconds=False, volume="`v` is in base units"),
    candle_source=CandleSource(rest="spot", path=klines.path(PREFIX, 1_000), parse=klines.parse, page=1_000, per_minute=60),
    past_trades=TradesById(
        rest="spot",
        path=aggregates.past_path(PREFIX),
        newest=aggregates.newest_path(PREFIX),
        parse=aggregates.parse_agg_trades,
        page=aggregates.PAGE,
        note="trades of one order at one price are one",
    ),
    past_candles=PastCandles(
        rest="spot",
        path=klines.range_path(PREFIX, 1_000),
        parse=klines.parse,
        page=1_000,
        timeframes=tuple(klines.TIMEFRAMES),
        empty="flat",
    ),
    rest_limits=(RestLimit(name=ID, capacity=1_200, window_s=60.0, weights=WEIGHTS),),
    rest_error=rest.rest_error,
)
