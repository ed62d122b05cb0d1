"""Binance, spot: trades, best bid and ask, book, 24 h ticker, candles.

Wire    wss://stream.binance.com:9443/stream, JSON text wrapped as {"stream": name, "data": frame}; frames without the wrapper are read too
Docs    https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
Quirks  unknown streams are acknowledged like good ones; block trades are not in `trade`, and are not taken from `blockTrade` either. Of
        the frames see `stream`, of candles `klines`, of REST `rest`
Book    updates are numbered `U` … `u`; the snapshot comes by REST, and is renewed when the market comes near its edge. It has 100 levels a
        side at first, and then 500, then 1,000, if it must be renewed within ten minutes. Most pairs keep 100, which are 1 to 30 % of the
        price. Of BTC-USDT, the narrowest, 100 levels are 0.05 % and last 10 to 20 s; 500 are 0.2 % and last 2 to 11 minutes, 1,000 are
        0.3 %. By the venue's weights (5, 25, 50 of the 6,000 a minute) a start with 500 books costs 2,500; with 1,000 levels each it would
        cost 25,000. After that 480 books that last an hour cost 40 a minute, and 20 like BTC-USDT at most 300. 3,000 are allowed
"""

from __future__ import annotations

from typing import Final

from crosstape_connector.venues.binance import connection, klines, rest, stream
from crosstape_connector.venues.past import PastCandles, RestLimit, TradesById
from crosstape_connector.venues.spec import (
    BookRule,
    CandleSource,
    ConnectLimit,
    Endpoint,
    Environment,
    InstrumentSource,
    QuoteSource,
    SnapshotSource,
    TradeSource,
    TradingSource,
    Venue,
    candle_channels,
)

ID: Final = "binance"

VENUE: Final = Venue(
    id=ID,
    endpoints=(
        Endpoint(
            name="stream",
            url="wss://stream.binance.com:9443/stream",
            channels={
                "trade": "trade",
                "quote": "bookTicker",
                "book": "depth@100ms",
                "delta": "depth@100ms",
                "ticker": "ticker",
                **candle_channels("kline_{}", {"1s": "1s", **klines.TIMEFRAMES}),
            },
            parser=stream.Parser,
            request=connection.request,
            ping=connection.ping,
            ping_id="id",
            ping_s=20.0,
            silence_s=60.0,
            topics=1_000,  # the venue's limit is 1,024 streams
            symbols_per_request=100,
            requests_per_s=3.0,  # of 5, which count pings and pongs too
            connects_per_s=0.5,
            lifetime_s=24 * 3600.0,
        ),
    ),
    rest_urls={"spot": "https://api.binance.com"},
    instruments=InstrumentSource(
        rest="spot",
        path="/api/v3/exchangeInfo?showPermissionSets=false",
        parse=rest.instruments(ID),
    ),
    book=BookRule(snapshot="rest", bridges=stream.chain, follows=stream.chain, proof=stream.PROOF),
    snapshots=SnapshotSource(
        rest="spot",
        path=rest.depth_path,
        parse=rest.parse_depth,
        match=rest.depth_symbol,
        levels=rest.DEPTHS,
        per_minute=3_000,
    ),
    trades=TradeSource(
        rest="spot",
        path=rest.trades_path,
        newest=rest.newest_path,
        parse=rest.parse_trades,
        page=rest.PAGE,
        per_minute=40,  # weight 25 each: with snapshots (3,000) and quotes (240) 4,240 of the 6,000 that an address has
    ),
    quotes=QuoteSource(rest="spot", path=rest.quotes_path, parse=rest.parse_quotes, batch=100, per_minute=60),  # weight 4 each
    trading=TradingSource(
        rest="spot",
        path=rest.trading_path,
        parse=rest.parse_trading,
        unknown=rest.is_unknown_symbol,
        batch=100,
        per_minute=12,  # weight 20 each: 240 more
    ),
    trade_ids="contiguous",
    connects=ConnectLimit(300, 300.0),
    candles=klines.rules(seconds=True, volume="`v` is in base units"),
    candle_source=CandleSource(
        rest="spot",
        path=klines.path("/api/v3", 1_000),
        parse=klines.parse,
        page=1_000,
        per_minute=60,  # weight 2 each: 120 more
    ),
    past_trades=TradesById(rest="spot", path=rest.past_path, newest=rest.newest_path, parse=rest.parse_trades, page=rest.PAGE),
    past_candles=PastCandles(
        rest="spot",
        path=klines.range_path("/api/v3", 1_000),
        parse=klines.parse,
        page=1_000,
        timeframes=("1s", *klines.TIMEFRAMES),
        empty="flat",
    ),
    rest_limits=(RestLimit(name=ID, capacity=6_000, window_s=60.0, weights=rest.WEIGHTS),),
    environments={
        "testnet": Environment(
            ws_urls={"stream": "wss://stream.testnet.binance.vision/stream"},
            rest_urls={"spot": "https://testnet.binance.vision"},
        ),
        "demo": Environment(
            ws_urls={"stream": "wss://demo-stream.binance.com:9443/stream"},
            rest_urls={"spot": "https://demo-api.binance.com"},
        ),
    },
    rest_error=rest.rest_error,
)
