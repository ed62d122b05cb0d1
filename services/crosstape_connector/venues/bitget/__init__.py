"""Bitget: spot, and perpetual and dated contracts that are settled in USDT, in USDC or in the coin.

Wire    `wss://ws.bitget.com/v2/ws/public`; liquidations `…/v3/ws/public`. JSON text in both
Docs    https://www.bitget.com/api-doc/common/websocket-intro, https://www.bitget.com/api-doc/uta/websocket/intro
Split   two generations serve the same market: v2 ("classic") and v3 ("unified"), which the venue recommends. We connect to v2, as it proves
        more: past trades by REST have its ids, so that gaps can be filled; its days, weeks and months of candles can begin in UTC; its
        tickers have their own time; its errors name their topic. Books are chained alike in both. v3 has 1,000 levels a side in place of
        500, every 50 ms in place of 100, and the liquidations, which are taken from there. Recordings of either are read
Quirks  of the frames see `frames`, `stream` and `figures`, of symbols and ids `values`, of REST `rest` and `listing`
Not proven  how many trades a lost connection cost: ids are not contiguous. What is beyond the best 500 levels a side
"""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from crosstape_connector.venues.bitget import frames, listing, rest
from crosstape_connector.venues.bitget.stream import follows
from crosstape_connector.venues.bitget.values import FUTURES as FUTURES_ID
from crosstape_connector.venues.bitget.values import ID_BITS, PRODUCTS, TIMEFRAMES
from crosstape_connector.venues.bitget.values import SPOT as SPOT_ID
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
    candle_channels,
)

DAY_S: Final = 86_400.0
RECORDED: Final = "bitget"
"""In the address of what was recorded at the venue itself."""
CANDLES: Final = candle_channels(f"{frames.CANDLE}{{}}", TIMEFRAMES)
SHARED: Final = {"trade": "trade", "quote": "books1", "book": "books", "delta": "books", "ticker": "ticker", **CANDLES}
"""Kinds that both venues have."""
OF_CONTRACTS: Final = dict.fromkeys(("mark", "funding", "open_interest"), "ticker")
BOOK: Final = BookRule(
    snapshot="stream",
    follows=follows,
    proof="each update names the number of the frame before, from the snapshot on the stream on; never crossed",
)
UNDOCUMENTED: Final = "the documents have it by REST of contracts only"
RULES: Final = CandleRules(
    timeframes=TIMEFRAMES,
    refused={"3m": UNDOCUMENTED, "2h": UNDOCUMENTED},
    open="previous close",
    empty="a flat candle with volume 0, on spot mostly at once, else once it trades again",
    closed="next candle",
    volume="base units, and quote units beside them; of coin-margined contracts which is which shows at the price",
    first="snapshot",
)
V2: Final = Endpoint(
    name="v2",
    url="wss://ws.bitget.com/v2/ws/public",
    channels={},
    parser=partial(frames.Parser, venue=SPOT_ID),
    request=frames.request(SPOT_ID),
    answers=frozenset({"trade", "books", "books1", "ticker", *CANDLES.values()}),
    ping=frames.ping,
    ping_s=25.0,  # of 30
    silence_s=40.0,
    topics=50,  # as the venue recommends; of 1,000
    symbols_per_request=10,  # more than 25 parts ended a connection; 4,096 bytes at most
    requests_per_s=4.0,  # of 10
    requests_per_hour=240,  # that unsubscribes count is not said
    counts_symbols=True,
    connects_per_s=0.5,
    hosts=("/v2/ws",),
    speaks=lambda data: b'"channel"' in data,
)
V3: Final = msgspec.structs.replace(
    V2,
    name="v3",
    url="wss://ws.bitget.com/v3/ws/public",
    channels={"liquidation": frames.LIQUIDATIONS},
    parser=partial(frames.Parser, venue=FUTURES_ID),
    request=frames.request_liquidations,
    answers=frozenset(),
    ping_s=2.0,  # liquidations are rare: nothing else shows that the connection lives
    silence_s=20.0,
    shared_channels=frozenset({frames.LIQUIDATIONS}),
    hosts=("/v3/ws",),
    speaks=lambda data: b'"topic"' in data or b'\\"topic\\"' in data,
)


def _demo(*names: str) -> dict[str, Environment]:
    urls = {name: f"wss://wspap.bitget.com/{name}/ws/public" for name in names}
    return {"demo": Environment(ws_urls=urls, rest_urls={"rest": "https://api.bitget.com"}, headers={"PAPTRADING": "1"})}


def _venue(
    venue: str, market: rest.Market, endpoints: tuple[Endpoint, ...], instruments: InstrumentSource, trading: TradingSource
) -> Venue:
    """A table with what both venues have in common."""
    path = f"/api/v2/{market}/market"
    made = Venue(
        id=venue,
        endpoints=endpoints,
        rest_urls={"rest": "https://api.bitget.com"},
        instruments=instruments,
        book=BOOK,
        trades=TradeSource(
            path=lambda symbol, first, since_ts: rest.newest_path(market)(symbol),
            newest=rest.newest_path(market),
            parse=rest.parse_trades,
            page=rest.PAGE,
            per_minute=90,
        ),
        quotes=QuoteSource(path=rest.quotes_path(market), parse=rest.parse_quotes, per_minute=150),
        trading=trading,
        candles=RULES,
        candle_source=CandleSource(path=rest.candles_path(market), parse=rest.parse_candles, page=rest.PAGE, per_minute=120),
        past_trades=TradesById(
            path=rest.past_path(market),
            newest=rest.newest_path(market),
            parse=rest.parse_trades,
            page=rest.PAGE,
            cursor="below",
            spacing=1 << ID_BITS,  # one millisecond
            reach_s=90 * DAY_S,
        ),
        past_candles=PastCandles(
            path=rest.range_path(market),
            parse=rest.parse_candles,
            page=rest.OLD_PAGE,
            timeframes=tuple(TIMEFRAMES),
            window_s=90 * DAY_S if market == "mix" else 0.0,
            empty="flat",
        ),
        rest_limits=(
            RestLimit(name=f"{venue}.fills", capacity=10, window_s=1.0, prefix=f"{path}/fills"),
            RestLimit(name=f"{venue}.candles", capacity=20, window_s=1.0, prefix=f"{path}/candles"),
            RestLimit(name=f"{venue}.history", capacity=20, window_s=1.0, prefix=f"{path}/history-candles"),
            RestLimit(name=venue, capacity=20, window_s=1.0),
        ),
        banned_with="bitget",
        trade_ids="increasing",
        connects=ConnectLimit(300, 300.0),
        environments=_demo(*(endpoint.name for endpoint in endpoints)),
        rest_error=rest.rest_error,
    )
    old = tuple(msgspec.structs.replace(endpoint, parser=partial(frames.Parser, venue=venue, numbered=False)) for endpoint in endpoints)
    return msgspec.structs.replace(made, recordings={RECORDED: msgspec.structs.replace(made, endpoints=old)})


SPOT: Final = _venue(
    SPOT_ID,
    "spot",
    (msgspec.structs.replace(V2, channels=SHARED),),
    InstrumentSource(path=listing.SPOT_LIST, parse=listing.instruments_of(SPOT_ID), recorded=(listing.LIST,)),
    TradingSource(path=lambda symbols: listing.SPOT_LIST, parse=listing.parse_trading, per_minute=12),
)
FUTURES: Final = _venue(
    FUTURES_ID,
    "mix",
    (
        msgspec.structs.replace(
            V2,
            channels={**SHARED, **OF_CONTRACTS},
            parser=partial(frames.Parser, venue=FUTURES_ID),
            request=frames.request(FUTURES_ID),
        ),
        V3,
    ),
    InstrumentSource(
        path=listing.contracts_path(PRODUCTS["USDT"]),
        more=tuple(listing.contracts_path(PRODUCTS[quote]) for quote in ("USDC", "USD")),
        parse=listing.instruments_of(FUTURES_ID),
        recorded=(listing.LIST,),
    ),
    TradingSource(path=listing.trading_path, parse=listing.parse_trading, unknown=rest.unknown, batch=1, per_minute=120),
)
