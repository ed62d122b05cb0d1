"""Gemini, spot: trades, best bid and ask, books.

Wire    wss://ws.gemini.com, JSON text: streams `symbol@stream`, whose frames do not name their stream
Docs    https://developer.gemini.com/websocket/introduction and its neighbours, https://docs.gemini.com/rest/market-data
Quirks  there is no channel for the day, for candles or for states: REST says what trades, and has candles. Symbols are in small letters
        and have no separator, so the list of symbols says what they are made of. Of the frames see `stream`, of REST `rest`
Book    `?snapshot=-1` makes the first frame of `depth` the complete book. `/v1/book` has no number, so that it can neither begin nor mend
        a book; clients have found it behind the stream
Old     the socket before this one (`/v2/marketdata`) is read from recordings, see `recorded`
Left out  perpetuals (`BTCGUSDPERP`), which are not spot, and event contracts (`gemi-…`), which are no instruments here
Not proven  trade ids increase but are not contiguous: how many trades a lost connection cost cannot be known. That the ids of REST are
        those of the stream is assumed: both are called the id of the trade, and are of one size
"""

from __future__ import annotations

from typing import Final

import msgspec

from crosstape_connector.venues.gemini import recorded, rest, stream
from crosstape_connector.venues.gemini.values import ID, TIMEFRAMES
from crosstape_connector.venues.past import PastCandles, RestLimit, TradesById
from crosstape_connector.venues.spec import (
    BookRule,
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

COMPLETE: Final = "?snapshot=-1"
"""Every subscription of a book begins with the complete book."""
ALL: Final = "/v1/symbols/details/all"

_VENUE: Final = Venue(
    id=ID,
    endpoints=(
        Endpoint(
            name="stream",
            url=f"wss://ws.gemini.com/{COMPLETE}",
            channels={"trade": "trade", "quote": "bookTicker", "book": "depth", "delta": "depth"},
            marks={"quote": b'{"u":'},
            parser=stream.Parser,
            request=stream.request,
            ping=stream.ping,
            ping_s=10.0,  # the venue has no heartbeat, and a quiet market sends nothing
            silence_s=30.0,
            max_frame_bytes=16 * 1024 * 1024,  # a complete book
            topics=200,  # no limit is stated
            symbols_per_request=50,
            requests_per_s=2.0,
            connects_per_s=0.5,  # of 300 in five minutes
        ),
    ),
    rest_urls={"rest": "https://api.gemini.com"},
    instruments=InstrumentSource(path=ALL, parse=rest.parse_instruments, recorded=("/v1/symbols/details/",)),
    book=BookRule(
        snapshot="stream",
        follows=stream.follows,
        proof="update ids: each update goes on from the last id of the one before, from the snapshot on the stream on; never crossed",
    ),
    trades=TradeSource(
        path=lambda symbol, first, since_ts: rest.trades_path(symbol, first),
        newest=rest.newest_path,
        parse=rest.parse_trades,
        page=rest.PAGE,
        per_minute=36,  # with quotes (36) and states 84 of the 120 that an address has
    ),
    quotes=QuoteSource(path=rest.quotes_path, parse=rest.parse_quotes, per_minute=36),
    trading=TradingSource(path=lambda symbols: ALL, parse=rest.parse_trading, per_minute=12),
    environments={
        "sandbox": Environment(
            ws_urls={"stream": f"wss://ws.sandbox.gemini.com/{COMPLETE}"}, rest_urls={"rest": "https://api.sandbox.gemini.com"}
        )
    },
    past_trades=TradesById(
        path=rest.trades_path,
        newest=rest.newest_path,
        parse=rest.parse_trades,
        page=rest.PAGE,
        reach_s=7 * 86_400.0,
    ),
    past_candles=PastCandles(
        path=rest.candles_path,
        parse=rest.parse_candles,
        page=rest.CANDLES,
        timeframes=tuple(TIMEFRAMES),
        reach_intervals=rest.REACH,
        empty="flat",
        note="the stream has none; `open` is the close before; the newest ones come whatever is asked for",
    ),
    rest_limits=(RestLimit(name=ID, capacity=120, window_s=60.0),),
    trade_ids="increasing",
    connects=ConnectLimit(300, 300.0),
    rest_error=rest.rest_error,
)

OLD: Final = msgspec.structs.replace(
    _VENUE,
    endpoints=(
        Endpoint(
            name="v2",
            url="wss://api.gemini.com/v2/marketdata",
            channels={
                "trade": "l2",
                "quote": "l2",
                "book": "l2",
                "delta": "l2",
                **candle_channels("candles_{}", recorded.RULES.timeframes),
            },
            parser=recorded.Parser,
            request=recorded.request,
            silence_s=30.0,  # a heartbeat each five seconds
        ),
    ),
    book=BookRule(snapshot="stream", proof="never crossed: the old socket numbers nothing"),
    candles=recorded.RULES,
    quote_from_book=True,
)
"""How recordings of the old socket are read: its books have no numbers, and are the only source of quotes."""

VENUE: Final = msgspec.structs.replace(_VENUE, recordings={"/v2/marketdata": OLD})
