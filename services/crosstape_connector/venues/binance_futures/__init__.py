"""Binance's futures: the dialect that USD-M (`binance_usdm`) and COIN-M (`binance_coinm`) share, and the common rows of their tables.

Both count the weight of REST requests of one address together, 2,400 a minute. A connector runs one venue, so each table takes half: of
1,200 a minute 480 for books (5 with 100 levels a side, 10 with 500, 20 with 1,000: which, says `binance`), 240 for trades (20), 60 for best
prices (5), 12 for states (1), 96 for open interest (1) and 72 for candles (2), which is 960.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from crosstape_connector.venues.binance import aggregates, connection, klines, quotes
from crosstape_connector.venues.binance.rest import rest_error
from crosstape_connector.venues.binance_futures import rest, stream
from crosstape_connector.venues.past import PastCandles, RestLimit, TradesById
from crosstape_connector.venues.spec import (
    BookRule,
    CandleSource,
    Endpoint,
    Environment,
    InstrumentSource,
    PolledSource,
    QuoteSource,
    SnapshotSource,
    TradeSource,
    TradingSource,
    Venue,
    candle_channels,
)

CANDLES: Final = candle_channels("kline_{}", klines.TIMEFRAMES)
CANDLE_PAGE: Final = 499
"""Up to here a request for candles weighs 2."""


def endpoint(name: str, url: str, channels: dict[str, str], hosts: tuple[str, ...] = ()) -> Endpoint:
    """Return an endpoint with the limits of a connection to either market."""
    return Endpoint(
        name=name,
        url=url,
        channels=channels,
        parser=stream.Parser,
        request=connection.request,
        ping=connection.ping,
        ping_id="id",
        ping_s=20.0,
        silence_s=60.0,
        max_frame_bytes=4 * 1024 * 1024,  # frames with more than 2,000 levels were seen
        topics=200,  # documents name 1,024 or, older ones, 200
        symbols_per_request=100,
        requests_per_s=5.0,  # of 10
        connects_per_s=0.5,
        lifetime_s=24 * 3600.0,
        hosts=hosts,
    )


def venue(
    venue_id: str,
    endpoints: tuple[Endpoint, ...],
    url: str,
    prefix: str,
    *,
    inverse: bool,
    volume: str,
    candle_path: Callable[[str, str, int], str],
    environments: Mapping[str, tuple[str, str]],
) -> Venue:
    """Return the table of a market.

    `prefix`: of its REST paths; `volume`: what the volume of its candles counts; `environments`: name → hosts of WebSocket and REST.
    A testnet's WebSocket has the paths of the live one.
    """
    return Venue(
        id=venue_id,
        endpoints=endpoints,
        rest_urls={"futures": url},
        instruments=InstrumentSource(rest="futures", path=f"{prefix}/exchangeInfo", parse=rest.instruments(venue_id, inverse=inverse)),
        book=BookRule(
            snapshot="rest",
            bridges=stream.bridges,
            follows=stream.follows,
            proof="update ids: each update names the one before; the first spans the REST snapshot's id or follows it; never crossed",
        ),
        snapshots=SnapshotSource(
            rest="futures",
            path=rest.depth_path(prefix),
            parse=rest.parse_depth,
            match=rest.depth_symbol(prefix),
            levels=rest.DEPTHS,
            per_minute=480,
        ),
        trades=TradeSource(
            rest="futures",
            path=aggregates.agg_trades_path(prefix),
            newest=aggregates.newest_path(prefix),
            parse=aggregates.parse_agg_trades,
            page=aggregates.PAGE,
            per_minute=12,
        ),
        quotes=QuoteSource(
            rest="futures",
            path=lambda symbols: f"{prefix}/ticker/bookTicker",
            parse=quotes.parse_all,
            batch=1_000,
            per_minute=12,
        ),
        trading=TradingSource(rest="futures", path=lambda symbols: f"{prefix}/exchangeInfo", parse=rest.parse_trading, per_minute=12),
        environments={
            name: Environment(
                ws_urls={one.name: f"wss://{host}{urlsplit(one.url).path}" for one in endpoints},
                rest_urls={"futures": f"https://{rest_host}"},
            )
            for name, (host, rest_host) in environments.items()
        },
        trade_ids="contiguous",
        candles=klines.rules(seconds=False, volume=volume),
        candle_source=CandleSource(rest="futures", path=candle_path, parse=klines.parse, page=CANDLE_PAGE, per_minute=36),
        polled=(
            PolledSource(
                kinds=("open_interest",),
                rest="futures",
                path=rest.open_interest_path(prefix),
                parse=rest.parse_open_interest,
                interval_s=30.0,
                per_minute=96,
            ),
        ),
        past_trades=TradesById(
            rest="futures",
            path=aggregates.past_path(prefix),
            newest=aggregates.newest_path(prefix),
            parse=aggregates.parse_agg_trades,
            page=aggregates.PAGE,
            reach_s=48 * 3_600.0,
            note="trades of one order at one price are one",
        ),
        past_candles=PastCandles(
            rest="futures",
            path=klines.range_path(prefix, CANDLE_PAGE),
            parse=klines.parse,
            page=CANDLE_PAGE,
            timeframes=tuple(klines.TIMEFRAMES),
            window_s=klines.MOST / 1_000 if inverse else 0.0,
            empty="flat",
        ),
        rest_limits=(RestLimit(name="binance_futures", capacity=2_400, window_s=60.0, weights=rest.weights(prefix)),),
        banned_with="binance_futures",
        rest_error=rest_error,
    )
