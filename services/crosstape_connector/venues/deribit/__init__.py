"""Deribit: perpetuals and dated futures, inverse and linear (JSON-RPC over one WebSocket).

Wire    wss://www.deribit.com/ws/api/v2, JSON text. Of the frames see `stream`, of REST `rest`, of sizes and names `values`
Docs    https://docs.deribit.com
Kinds   options and combinations are left out. So is spot: its prices must not mix with those of contracts, and some of its pairs are routed
        to Coinbase; it would be a venue of its own
Pace    `100ms` for trades, books and tickers: `raw` needs an account. Quotes come at each change
Book    each change names the one before it. `change_id` counts the changes of many instruments, so that it jumps
Limits  32 connections of an address, REST included; about 3 requests to subscribe a second, with as many names as one likes. No lifetime
Not proven  how many past trades can be had without an account; whether candles count block trades
"""

from __future__ import annotations

from typing import Final

from crosstape_connector.venues.deribit import frames, rest, stream
from crosstape_connector.venues.deribit.values import ID, REFUSED, RESOLUTIONS
from crosstape_connector.venues.past import PastCandles, RestLimit, TradesById
from crosstape_connector.venues.spec import (
    MEBIBYTE,
    BookRule,
    CandleRules,
    CandleSource,
    Endpoint,
    Environment,
    InstrumentSource,
    QuoteSource,
    TradeSource,
    TradingSource,
    Venue,
    candle_channels,
)

VENUE: Final = Venue(
    id=ID,
    endpoints=(
        Endpoint(
            name="v2",
            url="wss://www.deribit.com/ws/api/v2",
            channels={
                "trade": stream.TRADES,
                "liquidation": stream.TRADES,
                "quote": stream.QUOTES,
                "book": stream.BOOK,
                "delta": stream.BOOK,
                **dict.fromkeys(("ticker", "mark", "funding", "open_interest"), stream.TICKER),
                **candle_channels(f"{frames.CANDLES}.{{}}", RESOLUTIONS),
            },
            parser=stream.Parser,
            request=stream.request,
            answers=frozenset({stream.QUOTES, stream.BOOK, stream.TICKER}),
            awaits_unsubscribe=True,
            greeting=(stream.GREETING,),
            silence_s=30.0,  # the server asks for a sign of life every 10 s
            max_frame_bytes=8 * MEBIBYTE,  # a book has all levels
            topics=500,
            symbols_per_request=50,
            requests_per_s=1.0,  # of 3.3
            connects_per_s=0.5,
        ),
    ),
    rest_urls={"rest": "https://www.deribit.com"},
    instruments=InstrumentSource(path=rest.LIST, parse=rest.parse_instruments),
    book=BookRule(
        snapshot="stream",
        follows=stream.follows,
        proof="change ids: each change names the one before it, beginning with the snapshot's; never crossed",
    ),
    trades=TradeSource(
        path=lambda symbol, first, since_ts: rest.trades_path(symbol, first),
        newest=rest.newest_path,
        parse=rest.parse_trades,
        page=rest.PAGE,
        per_minute=120,
    ),
    quotes=QuoteSource(path=rest.quotes_path, parse=rest.parse_quotes, per_minute=120),
    trading=TradingSource(path=lambda symbols: rest.LIST, parse=rest.parse_trading, per_minute=12),
    candles=CandleRules(
        timeframes=RESOLUTIONS,
        refused=REFUSED,
        open="first trade",
        empty="a flat candle at the close before, without volume",
        closed="next candle",
        volume="`volume` is in base units, of an inverse contract, too; `cost` in quote units",
        every_interval=True,
        first="none",
    ),
    candle_source=CandleSource(path=rest.candles_path, parse=rest.parse_candles, page=rest.CANDLES, per_minute=60),
    past_trades=TradesById(
        path=rest.trades_path,
        newest=rest.newest_path,
        parse=rest.parse_trades,
        page=rest.PAGE,
        note="without block trades and legs of combinations, whose numbers are missing",
    ),
    past_candles=PastCandles(
        path=rest.range_path, parse=rest.parse_candles, page=rest.CANDLES, timeframes=tuple(RESOLUTIONS), empty="flat"
    ),
    rest_limits=(
        RestLimit(name=f"{ID}.instruments", capacity=50, window_s=50.0, prefix=rest.INSTRUMENTS),
        RestLimit(name=ID, capacity=100, window_s=5.0),
    ),
    banned_with=ID,
    environments={
        "testnet": Environment(ws_urls={"v2": "wss://test.deribit.com/ws/api/v2"}, rest_urls={"rest": "https://test.deribit.com"})
    },
    trade_ids="contiguous",
    rest_error=rest.rest_error,
)
