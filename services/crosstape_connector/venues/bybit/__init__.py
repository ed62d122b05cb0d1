"""Bybit (API v5): spot, linear contracts (in USDT and USDC) and inverse ones, three venues that speak one protocol at three addresses.

Wire    wss://stream.bybit.com/v5/public/spot, /linear and /inverse, JSON text. The same symbol is another market at each
Docs    https://bybit-exchange.github.io/docs/v5/ws/connect, …/websocket/public/…, …/market/…
Quirks  a request may name ten topics: on spot one with more is refused as a whole. A ping is a message of the venue's own. Of the frames
        see `stream` and `figures`, of REST `rest` and `listing`
Book    50, 200 or 1,000 levels a side, each a topic with numbers of its own; the quote is the book of one level, a topic apart
Demo    its public data are those of the live market
Not proven  ids of spot's trades increase, those of contracts are UUIDs: how many trades a lost connection cost cannot be known
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from crosstape_connector.venues.bybit import figures, frames, listing, rest, stream
from crosstape_connector.venues.bybit.frames import BOOK, QUOTE, TIMEFRAMES
from crosstape_connector.venues.bybit.parser import Parser, SpotParser
from crosstape_connector.venues.past import PastCandles, RestLimit
from crosstape_connector.venues.spec import (
    BookRule,
    CandleRules,
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

REST: Final = {"rest": "https://api.bybit.com"}
SPOT_CHANNELS: Final = {
    "trade": "publicTrade",
    "quote": QUOTE,
    "book": BOOK,
    "delta": BOOK,
    "ticker": "tickers",
    **candle_channels("kline.{}", TIMEFRAMES),
}
CHANNELS: Final = {**SPOT_CHANNELS, **dict.fromkeys(figures.KINDS, "tickers"), "liquidation": "allLiquidation"}
"""Of contracts."""
REFUSED: Final = {
    "1s": "Bybit has none",
    "3h": "Bybit has none: add up candles of 1h",
    "8h": "Bybit has none: add up candles of 4h",
}


def _venue(venue_id: str, category: str, channels: Mapping[str, str], parser: type[SpotParser], volume: str) -> Venue:
    """Return the table of a category, with what all of them have in common."""
    path = f"/v5/public/{category}"
    live = f"wss://stream.bybit.com{path}"
    return Venue(
        id=venue_id,
        endpoints=(
            Endpoint(
                name=category,
                url=live,
                channels=channels,
                parser=parser,
                request=frames.request,
                answers=frozenset({QUOTE, BOOK, "tickers"}),
                ping=frames.ping,
                ping_s=20.0,  # as the documents want it; a connection without any is closed after ten minutes
                silence_s=50.0,
                max_frame_bytes=4 * 1024 * 1024,
                topics=400,  # 21,000 characters of topics, which have 50 at most
                symbols_per_request=10,
                requests_per_s=5.0,  # no limit is documented
                connects_per_s=0.5,
            ),
        ),
        rest_urls=REST,
        instruments=InstrumentSource(path=listing.list_path(category), parse=listing.instruments(venue_id, category)),
        book=BookRule(
            snapshot="stream",
            follows=stream.chain,
            restarts=True,
            depths=frames.DEPTHS,
            proof="numbers: each update is one after the one before, from the snapshot on the stream on; never crossed",
        ),
        quotes=QuoteSource(path=rest.quotes_path(category), parse=rest.parse_quotes, batch=1_000, per_minute=60),
        trading=TradingSource(path=lambda symbols: listing.list_path(category), parse=listing.parse_trading, per_minute=12),
        candles=CandleRules(
            timeframes=TIMEFRAMES,
            refused=REFUSED,
            open="previous close",
            empty="not known",
            closed="flag",
            volume=volume,
            first="none",
        ),
        candle_source=CandleSource(path=rest.candles_path(category), parse=rest.parse_candles, page=rest.CANDLES, per_minute=240),
        past_trades="the venue gives the newest trades, and no others",
        past_candles=PastCandles(
            path=rest.range_path(category),
            parse=rest.parse_candles,
            page=rest.CANDLES,
            timeframes=tuple(TIMEFRAMES),
            empty="flat",
            note="that an interval without trades has a row is not documented",
        ),
        rest_limits=(RestLimit(name="bybit", capacity=600, window_s=5.0),),
        banned_with="bybit",
        asked_to_wait=rest.asked_to_wait,
        environments={
            "testnet": Environment(
                ws_urls={category: f"wss://stream-testnet.bybit.com{path}"}, rest_urls={"rest": "https://api-testnet.bybit.com"}
            ),
            "demo": Environment(ws_urls={category: live}, rest_urls={"rest": "https://api-demo.bybit.com"}),
        },
        trade_ids="unique",
        connects=ConnectLimit(500, 300.0),
        rest_error=rest.rest_error,
    )


SPOT: Final = msgspec.structs.replace(
    _venue("bybit", "spot", SPOT_CHANNELS, SpotParser, "`volume` is in base units, `turnover` in quote units"),
    trades=TradeSource(
        path=lambda symbol, first, since_ts: rest.trades_path(symbol),
        newest=rest.trades_path,
        parse=rest.parse_trades,
        page=rest.PAGE,
        per_minute=240,
    ),
    trade_ids="increasing",
)
LINEAR: Final = _venue("bybit_linear", "linear", CHANNELS, Parser, "`volume` is in base units, `turnover` in quote units")
INVERSE: Final = _venue("bybit_inverse", "inverse", CHANNELS, Parser, "`volume` is in US dollars, `turnover` in base units")
