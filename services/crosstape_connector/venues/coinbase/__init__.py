"""Coinbase, spot: the book of Advanced Trade, the trades of Exchange, which are one matching engine.

Wire    wss://advanced-trade-ws.coinbase.com (`channel` and `events`) and wss://ws-feed.exchange.coinbase.com (`type`), JSON text, no key:
        two dialects, `advanced` and `exchange`, each with quirks of its own
Docs    https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels
        https://docs.cdp.coinbase.com/exchange/websocket-feed/channels
Quirks  a trade's `side` is the maker's on both; times have zero to nine digits of a second, or are those of the year 1; sizes like
        `0.-10000` were seen (`values`). A `-USDC` product is a view of the `-USD` one and may be answered with its name (`products`)
Book    Advanced: `sequence_num` counts all frames of the connection, so that a missing one makes all its books suspect. Exchange
        (`level2_batch`, the fallback, and old recordings): nothing is numbered
"""

from __future__ import annotations

from typing import Final

from crosstape_connector.venues.coinbase import advanced, candles, exchange, products, recorded, rest
from crosstape_connector.venues.coinbase.values import ID, ours
from crosstape_connector.venues.past import PastCandles, RestLimit, TradesById
from crosstape_connector.venues.spec import (
    MEBIBYTE,
    BookRule,
    CandleSource,
    ConnectLimit,
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
            name="advanced",
            url="wss://advanced-trade-ws.coinbase.com",
            channels={
                "book": "level2",
                "delta": "level2",
                "quote": "level2",
                "ticker": "ticker",
                "status": "status",
                **candle_channels(candles.CHANNEL, candles.RULES.timeframes),
            },
            answers=frozenset({"level2", "ticker", candles.CHANNEL}),
            parser=recorded.AdvancedParser,
            request=advanced.request,
            greeting=(advanced.GREETING,),
            numbered=True,
            silence_s=10.0,  # heartbeats every second
            max_frame_bytes=32 * MEBIBYTE,  # complete books in one frame
            topics=45,  # fifteen products: one lost frame makes every book of the connection suspect
            symbols_per_request=50,
            requests_per_s=4.0,  # of 8
            requests_shared=True,
            connects_per_s=1.0,
            hosts=("advanced-trade",),
            speaks=lambda data: b'"channel":' in data,
        ),
        Endpoint(
            name="exchange",
            url="wss://ws-feed.exchange.coinbase.com",
            channels={"trade": "matches", "book": "level2_batch", "delta": "level2_batch", "quote": "level2_batch", "ticker": "ticker"},
            answers=frozenset({"matches", "level2_batch", "ticker"}),
            parser=recorded.ExchangeParser,
            request=exchange.request,
            silence_s=10.0,  # heartbeats every second
            max_frame_bytes=32 * MEBIBYTE,  # complete books in one frame
            topics=200,
            symbols_per_request=50,
            requests_per_s=4.0,  # of 8
            requests_shared=True,
            connects_per_s=1.0,
            hosts=("ws-feed", "ws-direct"),
            speaks=lambda data: b'"type":' in data and b'"channel":' not in data,
        ),
    ),
    rest_urls={"exchange": "https://api.exchange.coinbase.com"},
    instruments=InstrumentSource(
        rest="exchange",
        path="/products",
        parse=products.parse_instruments,
        ours=ours,
    ),
    book=BookRule(
        snapshot="stream",
        proof="`sequence_num` over all frames of the connection (Exchange recordings: nothing); never crossed",
    ),
    trades=TradeSource(
        rest="exchange",
        path=rest.trades_path,
        newest=rest.newest_path,
        parse=rest.parse_trades,
        page=rest.PAGE,
        per_minute=48,  # with quotes seven in five seconds, at once maybe: of the fifteen that an address has in a burst
    ),
    quotes=QuoteSource(rest="exchange", path=rest.quotes_path, parse=rest.parse_quotes, per_minute=36),
    trading=TradingSource(
        rest="exchange",
        path=lambda products: "/products",
        parse=products.parse_trading,
        per_minute=12,  # one in five seconds: eight at once at most, with the others
    ),
    candles=candles.RULES,
    candle_source=CandleSource(rest="exchange", path=candles.path, parse=candles.parse, page=candles.PAGE, per_minute=12),
    past_trades=TradesById(
        rest="exchange", path=rest.past_path, newest=rest.newest_path, parse=rest.parse_trades, page=rest.PAGE, cursor="below"
    ),
    past_candles=PastCandles(
        rest="exchange", path=candles.range_path, parse=candles.parse, page=candles.PAGE, timeframes=candles.STEPS, empty="none"
    ),
    rest_limits=(RestLimit(name=ID, capacity=10, window_s=1.0),),
    environments={
        "sandbox": Environment(  # Advanced Trade has none for market data: so there are no candles and no statuses
            ws_urls={"exchange": "wss://ws-feed-public.sandbox.exchange.coinbase.com"},
            rest_urls={"exchange": "https://api-public.sandbox.exchange.coinbase.com"},
        )
    },
    trade_ids="contiguous",
    quote_from_book=True,
    connects=ConnectLimit(8, 1.0),
    aliases=("coinbase_exchange",),
    rest_error=products.rest_error,
)
