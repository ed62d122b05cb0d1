"""Bitfinex, spot and perpetuals (WebSocket v2): trades, book, 24 h ticker, candles, figures of perpetuals, liquidations.

Wire    wss://api-pub.bitfinex.com/ws/2, JSON text: data are arrays, all else are objects with `event`
Docs    https://docs.bitfinex.com/docs/ws-general and its neighbours
Quirks  both markets are one venue here, as they share the connection, the rules and the limits; our names keep them apart: `BTC-USDT` is
        `tBTCUST`, `BTC-USDT-PERP` is `tBTCF0:USTF0`. Of the frames see `stream` and `channels`, of names `assets`, of REST `rest`
Book    all frames of a connection are numbered, and every few seconds in which a book changes comes a signed CRC-32 of its best 25 levels.
        The quote is the top of the book: the ticker has no true sizes. Changes come in bulk, all of one event in one frame
Limits  20 connects a minute. The documents say 25 and 30 channels a connection; a probe got 36. 30 are planned, and one that has no room
        moves to another connection. No testnet: paper trading has symbols of its own (`tTESTBTC:TESTUSD`) on the same address
Not proven  trade ids increase and have gaps: how many trades a lost connection cost cannot be known.
Unverified  that one event never comes in two frames, with the book crossed between
"""

from __future__ import annotations

from typing import Final

from crosstape_connector.venues.bitfinex import requests, rest, stream
from crosstape_connector.venues.bitfinex.assets import ours
from crosstape_connector.venues.bitfinex.checksum import CHECKED, checksum
from crosstape_connector.venues.bitfinex.values import ID, TIMEFRAMES
from crosstape_connector.venues.past import PastCandles, RestLimit, TradesByTime
from crosstape_connector.venues.spec import (
    BookRule,
    CandleRules,
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

VENUE: Final = Venue(
    id=ID,
    endpoints=(
        Endpoint(
            name="v2",
            url="wss://api-pub.bitfinex.com/ws/2",
            channels={
                "trade": "trades",
                "quote": "book",
                "book": "book",
                "delta": "book",
                "ticker": "ticker",
                "mark": requests.DERIVATIVES,
                "funding": requests.DERIVATIVES,
                "open_interest": requests.DERIVATIVES,
                "liquidation": requests.LIQUIDATIONS,
                **candle_channels(f"{requests.CANDLES}{{}}", TIMEFRAMES),
            },
            handles=True,
            shared_channels=frozenset({requests.LIQUIDATIONS}),
            answers=frozenset(
                {"trades", "book", "ticker", requests.DERIVATIVES, *(f"{requests.CANDLES}{name}" for name in TIMEFRAMES.values())}
            ),
            parser=stream.Parser,
            request=requests.request,
            greeting=(requests.GREETING,),
            ping=requests.ping,
            ping_id="cid",
            ping_s=30.0,
            silence_s=30.0,  # each channel has a heartbeat every 15 s
            numbered=True,
            topics=30,
            symbols_per_request=1,
            requests_per_s=8.0,
            connects_per_s=0.3,
        ),
    ),
    rest_urls={"rest": "https://api-pub.bitfinex.com"},
    instruments=InstrumentSource(path=f"{rest.PAIRS},{rest.NAMES}", parse=rest.parse_instruments, ours=ours, recorded=rest.RECORDED),
    book=BookRule(
        snapshot="stream",
        checksum=checksum,
        checksum_levels=CHECKED,
        depths=(25, 100, 250),
        proof="each frame of the connection follows the one before; a CRC-32 of the best 25 levels every few seconds; never crossed",
    ),
    trades=TradeSource(
        path=lambda symbol, first, since_ts: rest.trades_path(symbol, since_ts),
        newest=rest.newest_path,
        parse=rest.parse_trades,
        page=rest.PAGE,
        per_minute=7,  # of 15
    ),
    quotes=QuoteSource(path=rest.quotes_path, parse=rest.parse_quotes, per_minute=15),  # of 30
    trading=TradingSource(path=lambda symbols: rest.PAIRS, parse=rest.parse_trading, per_minute=12),  # of 30, with the list of instruments
    candles=CandleRules(
        timeframes=TIMEFRAMES,
        refused={
            "7D": "the venue's 7D begins on Thursday, and each of its rows since 2016 holds one day; 1w begins on Monday",
            "14D": "two weeks are no timeframe of ours",
            "1M": "nothing says when it begins",
        },
        open="first trade",
        empty="nothing: there is no candle for an interval without trades",
        closed="next candle",
        volume="base units",
        first="snapshot",
    ),
    candle_source=CandleSource(path=rest.candles_path, parse=rest.parse_candles, page=rest.CANDLES, per_minute=15),  # of 30
    past_trades=TradesByTime(path=rest.past_path, parse=rest.parse_trades, page=rest.MOST, unit_ns=1_000_000),
    past_candles=PastCandles(path=rest.range_path, parse=rest.parse_candles, page=rest.MOST, timeframes=tuple(TIMEFRAMES), empty="none"),
    rest_limits=(
        *(
            RestLimit(name=f"{ID}.{kind}", capacity=capacity, window_s=60.0, prefix=f"/v2/{kind}")
            for kind, capacity in (("trades", 15), ("candles", 30), ("conf", 30), ("book", 30))
        ),
        RestLimit(name=f"{ID}.others", capacity=30, window_s=60.0),
    ),
    trade_ids="increasing",
    quote_from_book=True,
    connects=ConnectLimit(20, 60.0),
    rest_error=rest.rest_error,
)
