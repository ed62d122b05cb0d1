"""Bitstamp, spot (WebSocket v2): trades, and the best hundred levels of the book at every change.

Wire    wss://ws.bitstamp.net, JSON text: `event`, `channel` (with the market at its end) and `data`, in any order
Docs    https://www.bitstamp.net/websocket/v2/, https://www.bitstamp.net/api/
Quirks  there is no channel for tickers, best prices or states: the quote is the top of the book, and REST says what trades. One channel a
        request; a refusal does not name its request. Of the frames see `stream`, of REST `rest`
Book    `order_book` is complete in each frame, so that a lost one costs nothing but time. `diff_order_book` would be deeper, but has
        neither numbers nor a checksum: nothing would show that a change was lost, so no book of it could be called live
Not proven  trade ids increase but are not contiguous: how many trades a lost connection cost cannot be known. Past trades have times of
        whole seconds
Unverified  how often one address may connect and ask by WebSocket; the body of a heartbeat's answer
"""

from __future__ import annotations

from typing import Final

from crosstape_connector.venues.bitstamp import rest, stream
from crosstape_connector.venues.bitstamp.stream import ID
from crosstape_connector.venues.past import PastCandles, RestLimit, TradesOfSpan
from crosstape_connector.venues.spec import BookRule, Endpoint, InstrumentSource, QuoteSource, TradeSource, TradingSource, Venue

VENUE: Final = Venue(
    id=ID,
    endpoints=(
        Endpoint(
            name="v2",
            url="wss://ws.bitstamp.net",
            channels={"trade": "live_trades", "quote": "order_book", "book": "order_book", "delta": "order_book"},
            parser=stream.Parser,
            request=stream.request,
            ping=stream.ping,
            ping_s=10.0,  # there is no heartbeat of the venue's own, and a quiet market sends nothing
            silence_s=30.0,
            topics=100,
            symbols_per_request=1,
            requests_per_s=4.0,
            connects_per_s=0.5,
        ),
    ),
    rest_urls={"rest": "https://www.bitstamp.net"},
    instruments=InstrumentSource(path="/api/v2/trading-pairs-info/", parse=rest.parse_instruments, ours=rest.ours),
    book=BookRule(
        snapshot="stream",
        ordered=True,
        proof="each frame is the complete best 100 a side, so that none depends on another; times that only grow; never crossed",
    ),
    trades=TradeSource(
        path=lambda market, first, since_ts: rest.trades_path(market),
        newest=rest.trades_path,
        parse=rest.parse_trades,
        page=rest.PAGE,
        per_minute=120,
    ),
    quotes=QuoteSource(path=rest.quotes_path, parse=rest.parse_quotes, per_minute=120),
    trading=TradingSource(path=lambda markets: "/api/v2/trading-pairs-info/", parse=rest.parse_trading, per_minute=12),
    past_trades=TradesOfSpan(
        spans={3_600: rest.span_path("hour"), 86_400: rest.span_path("day")},
        parse=rest.parse_trades,
        page=rest.PAGE,
        reach_s=86_400.0,
        note="times of whole seconds",
    ),
    past_candles=PastCandles(
        path=rest.candles_path,
        parse=rest.parse_candles,
        page=rest.CANDLES,
        timeframes=rest.STEPS,
        empty="untrue",
        note="the stream has none",
    ),
    rest_limits=(RestLimit(name=ID, capacity=10_000, window_s=600.0),),
    trade_ids="increasing",
    quote_from_book=True,
    rest_error=rest.rest_error,
)
