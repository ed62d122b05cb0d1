"""Kraken, spot (WebSocket v2): trades, best bid and ask, book, candles, 24 h ticker, the venue's own status.

Wire    wss://ws.kraken.com/v2, JSON text; data frames have `channel`, replies have `method`
Docs    https://docs.kraken.com/api/docs/websocket-v2/book and its neighbours
Quirks  REST says XBT and XDG, the WebSocket BTC and DOGE. Of the frames see `stream`, of candles `candles`, of REST `rest`
Book    no numbers: a CRC-32 over the digits of the best ten levels. What falls out of the subscribed depth is never deleted, so it is cut
        after each frame
"""

from __future__ import annotations

from typing import Final

from crosstape_connector.venues.kraken import candles, requests, rest, stream
from crosstape_connector.venues.kraken.checksum import checksum
from crosstape_connector.venues.kraken.names import ID
from crosstape_connector.venues.kraken.rest import ours
from crosstape_connector.venues.past import PastCandles, RestLimit, TradesByTime
from crosstape_connector.venues.spec import (
    BookRule,
    CandleSource,
    ConnectLimit,
    Endpoint,
    InstrumentSource,
    QuoteSource,
    TradeSource,
    TradingSource,
    Venue,
    candle_channels,
)

CANDLES: Final = candle_channels(f"{candles.CHANNEL}-{{}}", candles.RULES.timeframes)
"""The interval is a parameter of the channel `ohlc`."""

VENUE: Final = Venue(
    id=ID,
    endpoints=(
        Endpoint(
            name="v2",
            url="wss://ws.kraken.com/v2",
            channels={"trade": "trade", "quote": "ticker", "book": "book", "delta": "book", "ticker": "ticker", **CANDLES},
            answers=frozenset({"trade", "ticker", "book", *CANDLES.values()}),
            parser=stream.Parser,
            request=requests.request,
            ping=requests.ping,
            ping_id="req_id",
            ping_s=30.0,
            silence_s=10.0,  # a heartbeat a second once anything is subscribed
            topics=300,
            symbols_per_request=100,
            requests_per_s=5.0,
            connects_per_s=0.2,
        ),
    ),
    rest_urls={"spot": "https://api.kraken.com"},
    instruments=InstrumentSource(
        rest="spot",
        path="/0/public/AssetPairs",
        parse=rest.parse_instruments,
        ours=ours,
    ),
    book=BookRule(
        snapshot="stream",
        checksum=checksum,
        ordered=True,  # 2,353 of 2,353 frames of the recordings, four resyncs among them
        truncates=True,
        depths=(10, 25, 100, 500, 1000),
        proof="CRC-32 of the best ten levels with every frame; times that never go back; never crossed",
    ),
    trades=TradeSource(
        rest="spot",
        path=rest.trades_path,
        newest=rest.newest_path,
        parse=rest.parse_trades,
        page=rest.PAGE,
        per_minute=24,  # with quotes 44 of the 60 that an address has
    ),
    quotes=QuoteSource(rest="spot", path=rest.quotes_path, parse=rest.parse_quotes, per_minute=20),
    trading=TradingSource(
        rest="spot",
        path=lambda symbols: "/0/public/AssetPairs",
        parse=rest.parse_trading,
        per_minute=12,  # 56 of 60 with the others
    ),
    candles=candles.RULES,
    candle_source=CandleSource(
        rest="spot",
        path=candles.path,
        parse=candles.parse,
        page=candles.PAGE,
        per_minute=4,  # 60 of 60 with the others
    ),
    past_trades=TradesByTime(
        rest="spot",
        path=rest.past_path,
        parse=rest.parse_trades,
        page=rest.PAGE,
        unit_ns=1_000,
        note="the first trade was in 2013; older than ten years is refused",
    ),
    past_candles=PastCandles(
        rest="spot",
        path=candles.range_path,
        parse=candles.parse,
        page=candles.PAGE,
        timeframes=tuple(candles.RULES.timeframes),
        reach_intervals=candles.PAGE,
        empty="flat",
        note="older ones can be computed from trades",
    ),
    rest_limits=(RestLimit(name=ID, capacity=60, window_s=60.0),),
    trade_ids="contiguous",
    connects=ConnectLimit(150, 600.0),  # beyond about 150, it is reported, an address is blocked for 10 minutes
    rest_error=rest.rest_error,
)
