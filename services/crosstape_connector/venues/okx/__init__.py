"""OKX: spot (`okx`), and perpetual swaps, linear and inverse, with dated futures (`okx_swap`).

Wire    `wss://ws.okx.com:8443/ws/v5/public` and, for candles and single fills, `…/business`; JSON text
Docs    https://www.okx.com/docs-v5/en/#overview-websocket and its neighbours
Quirks  names of instruments are the same everywhere. The venue closes a connection after 30 s without a frame unless it gets a `ping`. 480
        requests in an hour on one connection, each for many topics. Of frames see `connection`, `stream`, `books` and `contracts`, of REST
        `rest`
Trades  `trades-all` has each fill with contiguous ids; `trades`, which adds up fills of one order, is read in recordings
Demo    the same hosts of REST with a header, other ones of the WebSocket
Left out  options, spreads, stocks and the like, channels that need a key (`books50-l2-tbt`, `books-l2-tbt`)
"""

from __future__ import annotations

from typing import Final

import msgspec

from crosstape_connector.venues.okx import books, connection, instruments, parsers, rest
from crosstape_connector.venues.okx.values import CANDLES, CHECKED, SPOT_ID, SWAP_ID, TIMEFRAMES, Checksum
from crosstape_connector.venues.past import PastCandles, RestLimit, TradesById
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
)

REACH_S: Final = 90 * 86_400.0
REFUSED: Final = {
    "3h": "the venue has none: add up candles of 1h",
    "8h": "the venue has none: add up candles of 4h",
    "3d": "nothing says on which day the venue's begin",
}
PUBLIC: Final = Endpoint(
    name="public",
    url="wss://ws.okx.com:8443/ws/v5/public",
    channels={
        "quote": "bbo-tbt",
        "book": books.CHANNEL,
        "delta": books.CHANNEL,
        "ticker": "tickers",
        "status": "status",
    },
    answers=frozenset({"bbo-tbt", books.CHANNEL, "tickers", "mark-price", "funding-rate", "open-interest"}),
    parser=parsers.SpotParser,
    request=connection.request,
    greeting=(b'{"op":"subscribe","args":[{"channel":"status"}]}',),
    ping=connection.ping,
    ping_s=20.0,  # of 30
    silence_s=30.0,
    topics=90,  # no limit is stated; fewer than 30 books on a connection are advised
    symbols_per_request=100,
    requests_per_s=3.0,
    requests_per_hour=400,  # of 480, in which subscribing by name counts once
    connects_per_s=0.5,  # of 3
    hosts=("/v5/public",),
)
BUSINESS: Final = Endpoint(
    name="business",
    url="wss://ws.okx.com:8443/ws/v5/business",
    channels={"trade": "trades-all", **CANDLES},
    answers=frozenset(CANDLES.values()),
    parser=parsers.SpotParser,
    request=connection.request,
    ping=connection.ping,
    ping_s=20.0,
    silence_s=30.0,
    topics=300,
    symbols_per_request=100,
    requests_per_s=3.0,
    requests_per_hour=400,
    connects_per_s=0.5,
    hosts=("/v5/business",),
)
LIMITS: Final = tuple(
    RestLimit(name=f"okx.{name}", prefix=f"/api/v5/{prefix}", capacity=capacity, window_s=2.0)
    for name, prefix, capacity in (
        ("trades", "market/trades", 100),
        ("past_trades", "market/history-trades", 10),  # of 20 by the documents, 10 by clients
        ("candles", "market/candles", 40),
        ("past_candles", "market/history-candles", 20),
        ("ticker", "market/ticker", 20),
        ("rest", "", 20),
    )
)
CANDLE_RULES: Final = CandleRules(
    timeframes=TIMEFRAMES,
    refused=REFUSED,
    open="first trade",
    empty="a flat candle at the close before it, with no volume",
    every_interval=True,
    closed="flag",
    volume="base units, and quote units beside them",
    first="none",
)

SPOT: Final = Venue(
    id=SPOT_ID,
    endpoints=(PUBLIC, BUSINESS),
    rest_urls={"rest": "https://www.okx.com"},
    instruments=InstrumentSource(path=f"{instruments.LIST}?instType=SPOT", parse=instruments.parse_spot),
    book=BookRule(
        snapshot="stream",
        follows=books.follows,
        restarts=True,
        checksum_of=Checksum,
        checksum_levels=CHECKED,
        proof="numbers: each update names the one before, from the snapshot on the stream on; in recordings from before June 2026 a CRC-32 "
        "of the best 25 levels, too; never crossed",
    ),
    trades=TradeSource(
        path=rest.trades_path,
        newest=rest.newest_path,
        parse=rest.parse_trades,
        page=rest.PAGE,
        per_minute=60,  # of 300 (10 in 2 s)
    ),
    quotes=QuoteSource(path=rest.quotes_path, parse=rest.parse_quotes, per_minute=120),  # of 600 (20 in 2 s)
    trading=TradingSource(path=lambda symbols: f"{instruments.LIST}?instType=SPOT", parse=instruments.parse_trading, per_minute=12),
    candles=CANDLE_RULES,
    candle_source=CandleSource(path=rest.candles_path, parse=rest.parse_candles, page=rest.CANDLES, per_minute=120),  # of 1,200
    past_trades=TradesById(
        path=rest.below_path,
        newest=rest.newest_path,
        parse=rest.parse_trades,
        page=rest.PAGE,
        cursor="below",
        reach_s=REACH_S,
    ),
    past_candles=PastCandles(
        path=rest.range_path,
        parse=rest.parse_candles,
        page=rest.PAST,
        timeframes=tuple(TIMEFRAMES),
        empty="flat",
        note="those of a second reach back three months",
    ),
    rest_limits=LIMITS,
    banned_with="okx",
    asked_to_wait=rest.asked_to_wait,
    environments={
        "demo": Environment(
            ws_urls={name: f"wss://wspap.okx.com:8443/ws/v5/{name}" for name in ("public", "business")},
            rest_urls={"rest": "https://www.okx.com"},
            headers={"x-simulated-trading": "1"},
        )
    },
    trade_ids="contiguous",
    connects=ConnectLimit(3, 1.0),
    rest_error=rest.rest_error,
)

SWAP: Final = msgspec.structs.replace(
    SPOT,
    id=SWAP_ID,
    endpoints=(
        msgspec.structs.replace(
            PUBLIC,
            channels={
                **PUBLIC.channels,
                "mark": "mark-price",
                "funding": "funding-rate",
                "open_interest": "open-interest",
                "liquidation": connection.LIQUIDATIONS,
            },
            shared_channels=frozenset({connection.LIQUIDATIONS}),
            parser=parsers.SwapParser,
            topics=180,
        ),
        msgspec.structs.replace(BUSINESS, parser=parsers.SwapParser),
    ),
    instruments=InstrumentSource(
        path=f"{instruments.LIST}?instType=SWAP", more=(f"{instruments.LIST}?instType=FUTURES",), parse=instruments.parse_contracts
    ),
    trading=TradingSource(
        path=instruments.state_path, parse=instruments.parse_trading, unknown=instruments.is_unlisted, batch=1, per_minute=60
    ),
    candles=msgspec.structs.replace(
        CANDLE_RULES,
        volume="contracts × contract size; of inverse contracts the venue's own base units, and US dollars, which are exact",
    ),
    aliases=(SPOT_ID,),
)
