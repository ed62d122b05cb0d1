"""KuCoin, spot and futures: two venues that speak the same two WebSocket protocols.

Wire    the older protocol needs a token by REST for each connection, sends text and has topics of many symbols; the newer one ("Pro") needs
        none, sends JSON in binary frames and has one symbol a request. Both want pings as text, whatever else they receive and send
Docs    https://www.kucoin.com/docs-new/websocket-api/base-info/introduction and its neighbours
Split   books, candles, marks, open interest and funding are the newer protocol's: its books begin on the stream, where the older one's
        spot books need a key for REST. Trades, quotes and the day are the older protocol's, whose frames are recorded and documented best
Quirks  an unknown symbol may be acknowledged, and stays silent. Sizes of futures are contracts. Of the frames see `spot`, `futures` and
        `pro`, of REST `rest` and `rest_futures`. There is no testnet any more
Book    changes are numbered from the snapshot on the stream on; frames may overlap. It has the best 500 levels a side
Not proven  ids of trades increase but are not contiguous: how many trades a lost connection cost cannot be known. REST has the newest 100
"""

from __future__ import annotations

from typing import Final

import msgspec

from crosstape_connector.venues.kucoin import futures, pro, recorded, requests, rest, rest_futures, spot
from crosstape_connector.venues.kucoin.values import FUTURES as FUTURES_ID
from crosstape_connector.venues.kucoin.values import SPOT as SPOT_ID
from crosstape_connector.venues.kucoin.values import TIMEFRAMES
from crosstape_connector.venues.parsing.binary import as_text
from crosstape_connector.venues.past import PastCandles, RestLimit
from crosstape_connector.venues.spec import (
    BookRule,
    CandleRules,
    CandleSource,
    ConnectLimit,
    Endpoint,
    GrantSource,
    InstrumentSource,
    QuoteSource,
    SnapshotSource,
    TradeSource,
    TradingSource,
    Venue,
    candle_channels,
)

NEWEST: Final = "the venue gives the newest 100 trades, and no others"
LIMITS: Final = (RestLimit(name="kucoin", capacity=2_000, window_s=30.0, weights=rest.WEIGHTS),)
"""Both markets are counted together, as nothing says that they are not."""
FUTURES_TIMEFRAMES: Final = {ours: theirs for ours, theirs in TIMEFRAMES.items() if ours in rest_futures.MINUTES}
REST: Final = "classic"
"""REST goes with the older protocol: its tokens come from there."""
THURSDAY: Final = "begins on Thursday"
BOOK: Final = BookRule(
    snapshot="stream",
    follows=pro.chain,
    proof="sequences: each update begins at most one after the end of the one before, from the snapshot on the stream on; never crossed",
)


def _pro(market: str, **fields: object) -> Endpoint:
    """The newer protocol's endpoint of a market, with what both markets have in common."""
    return msgspec.structs.replace(PRO, url=f"wss://x-push-{market.lower()}.kucoin.com", request=requests.pro(market), **fields)


def _classic(market: str, **fields: object) -> Endpoint:
    """The older protocol's endpoint of a market. Its true address comes with the token."""
    return msgspec.structs.replace(CLASSIC, url=f"wss://ws-api-{market.lower()}.kucoin.com", **fields)


PRO: Final = Endpoint(
    name="pro",
    url="",
    channels={},
    parser=pro.SpotParser,
    request=requests.pro("SPOT"),
    answers=frozenset({"obu"}),
    binary=as_text,
    greets=True,
    ping=requests.ping,
    ping_s=16.0,  # of 18, as the welcome says; more than one a second ends the connection
    silence_s=30.0,
    topics=300,  # of 600
    symbols_per_request=1,
    requests_per_s=8.0,  # of 10 by one client, of 30 by the documents
    connects_per_s=0.5,  # of 250 in five minutes
    hosts=("x-push-",),
    speaks=pro.speaks,
)
CLASSIC: Final = Endpoint(
    name="classic",
    url="",
    channels={},
    parser=recorded.Parser,
    request=requests.classic(spot.TOPICS),
    grant=GrantSource(rest=REST, path="/api/v1/bullet-public", parse=rest.parse_grant),
    greets=True,
    ping=requests.ping,
    ping_s=16.0,  # of 18, as the token's answer says
    silence_s=30.0,
    topics=300,
    symbols_per_request=100,
    requests_per_s=8.0,  # of 10, which count pings
    connects_per_s=0.5,  # of 30 a minute
    lifetime_s=24 * 3600.0,
    hosts=("ws-api-", "push-private", "push1"),
    speaks=lambda data: not pro.speaks(data),
)
CONNECTS: Final = ConnectLimit(30, 60.0)

_SPOT: Final = Venue(
    id=SPOT_ID,
    endpoints=(
        _pro(
            "SPOT",
            channels={"book": "obu", "delta": "obu", **candle_channels("{}", TIMEFRAMES)},
            parser=pro.SpotParser,
        ),
        _classic("SPOT", channels={"trade": "match", "quote": "level1", "ticker": "snapshot"}),
    ),
    rest_urls={REST: "https://api.kucoin.com"},
    instruments=InstrumentSource(rest=REST, path="/api/v2/symbols", parse=rest.parse_instruments),
    book=BOOK,
    trades=TradeSource(
        rest=REST,
        path=lambda symbol, first, since_ts: rest.newest_path(symbol),
        newest=rest.newest_path,
        parse=rest.parse_trades,
        page=rest.PAGE,
        per_minute=240,  # weight 3 each: with quotes (480), candles (360) and the rest 1,600 of the 4,000 a minute of an address
    ),
    quotes=QuoteSource(rest=REST, path=rest.quotes_path, parse=rest.parse_quotes, per_minute=240),  # weight 2 each
    trading=TradingSource(rest=REST, path=lambda symbols: "/api/v2/symbols", parse=rest.parse_trading, per_minute=12),  # weight 4 each
    candles=CandleRules(
        timeframes=TIMEFRAMES,
        refused={"1w": THURSDAY},
        open="first trade",
        empty="nothing at the time; a flat candle with volume 0 just before the next one, which REST leaves out",
        closed="flag",
        volume="base units, and quote units beside them",
        first="none",
    ),
    candle_source=CandleSource(
        rest=REST, path=rest.candles_path, parse=rest.parse_candles, page=rest.CANDLES, per_minute=120
    ),  # weight 3 each
    past_trades=NEWEST,
    past_candles=PastCandles(
        rest=REST,
        path=rest.range_path,
        parse=rest.parse_candles,
        page=rest.CANDLES,
        timeframes=tuple(timeframe for timeframe in TIMEFRAMES if timeframe != "1w"),
        empty="none",
    ),
    rest_limits=LIMITS,
    banned_with="kucoin",
    trade_ids="increasing",
    connects=CONNECTS,
    rest_error=rest.rest_error,
)

FUTURES: Final = Venue(
    id=FUTURES_ID,
    endpoints=(
        _pro(
            "FUTURES",
            channels={
                "book": "obu",
                "delta": "obu",
                "mark": "mark-price",
                "open_interest": "mark-price",
                "funding": "funding-fee",
                **candle_channels("{}", FUTURES_TIMEFRAMES),
            },
            parser=pro.FuturesParser,
        ),
        _classic(
            "FUTURES",
            channels={"trade": "execution", "quote": "tickerV2", "ticker": "snapshot.24h"},
            parser=futures.Parser,
            request=requests.classic(futures.TOPICS),
        ),
    ),
    rest_urls={REST: "https://api-futures.kucoin.com"},
    instruments=InstrumentSource(rest=REST, path="/api/v1/contracts/active", parse=rest_futures.parse_instruments),
    book=BOOK,
    trades=TradeSource(
        rest=REST,
        path=lambda symbol, first, since_ts: rest_futures.newest_path(symbol),
        newest=rest_futures.newest_path,
        parse=rest_futures.parse_trades,
        page=rest.PAGE,
        per_minute=180,  # weight 5 each: 900, with quotes (480), candles (360) and the rest 1,800 of the 4,000 a minute
    ),
    quotes=QuoteSource(rest=REST, path=rest_futures.quotes_path, parse=rest_futures.parse_quotes, per_minute=240),  # weight 2 each
    trading=TradingSource(
        rest=REST,
        path=lambda symbols: "/api/v1/contracts/active",
        parse=rest_futures.parse_trading,
        per_minute=12,  # weight 3 each
    ),
    candles=CandleRules(
        timeframes=FUTURES_TIMEFRAMES,
        refused={
            "3m": "cannot be had by REST, so that one could neither begin nor go on without a gap",
            "1w": THURSDAY,
            "1M": "cannot be had by REST, so that one could neither begin nor go on without a gap",
        },
        open="first trade",
        empty="not known; REST leaves it out",
        closed="flag",
        volume="contracts × multiplier; of inverse contracts US dollars, which are exact, and base units at the closing price",
        first="none",
    ),
    candle_source=CandleSource(
        rest=REST, path=rest_futures.candles_path, parse=rest_futures.parse_candles, page=rest_futures.CANDLES, per_minute=120
    ),
    past_trades=NEWEST,
    past_candles=PastCandles(
        rest=REST,
        path=rest_futures.range_path,
        parse=rest_futures.parse_candles,
        page=rest_futures.CANDLES,
        timeframes=tuple(rest_futures.MINUTES),
        empty="none",
    ),
    rest_limits=LIMITS,
    banned_with="kucoin",
    trade_ids="increasing",
    connects=CONNECTS,
    rest_error=rest.rest_error,
)

OLD_SPOT: Final = msgspec.structs.replace(
    _SPOT,
    instruments=InstrumentSource(rest=REST, path="/api/v1/symbols", parse=rest.parse_instruments),
    endpoints=(
        _classic(
            "SPOT",
            channels={
                **_SPOT.endpoints[1].channels,
                **candle_channels("candles_{}", TIMEFRAMES),
                "book": "level2",
                "delta": "level2",
                "quote": "ticker",
            },
        ),
    ),
    book=BookRule(
        snapshot="rest",
        bridges=pro.chain,
        follows=pro.chain,
        proof="sequences: each update begins one after the end of the one before; the first spans the REST snapshot's; never crossed",
    ),
    candles=None if _SPOT.candles is None else msgspec.structs.replace(_SPOT.candles, closed="next candle"),  # none has a flag
    candle_source=None,  # no recording has its answers, so that candles would wait for them
    snapshots=SnapshotSource(rest=REST, path=recorded.depth_path, parse=recorded.parse_depth, match=recorded.depth_symbol, per_minute=60),
)
"""How recordings of the older protocol's spot books are read."""

SPOT: Final = msgspec.structs.replace(_SPOT, recordings=dict.fromkeys(CLASSIC.hosts, OLD_SPOT))
