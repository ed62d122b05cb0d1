"""Gate, spot and USDT-settled perpetuals: two venues with one WebSocket protocol.

Wire    wss://api.gateio.ws/ws/v4/ and wss://fx-ws.gateio.ws/v4/ws/usdt, JSON text without compression; no token
Docs    https://www.gate.com/docs/developers/apiv4/ws/en/, …/futures/ws/en/, …/apiv4/en/
Quirks  of the frames see `connection`, `spot` and `futures`, of REST `rest` and `rest_futures`. A pair that does not exist is refused, but
        not by the channel of books, which acknowledges it and stays silent: the watchdog finds such feeds. A connection without
        subscription and without a message of ours is closed after 30 s. The venue announces that it will close one (`…system`)
Book    `obu` begins with a full book of 50 or 400 levels a side. Other channels of books need a snapshot by REST, or are complete: they
        are read in recordings only (`recorded`)
Not proven  ids of trades increase but are not contiguous on spot, and nothing says that they are on futures: how many trades a lost
        connection cost cannot be known
Left out  contracts settled in BTC and USD1 have addresses of their own, as dated ones do; recordings of BTC-settled ones are read
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from crosstape_connector.venues.gateio import books, connection, futures, recorded, rest, rest_futures, spot
from crosstape_connector.venues.gateio.connection import CANDLES
from crosstape_connector.venues.gateio.values import FUTURES as FUTURES_ID
from crosstape_connector.venues.gateio.values import SPOT as SPOT_ID
from crosstape_connector.venues.gateio.values import TIMEFRAMES
from crosstape_connector.venues.past import PastCandles, RestLimit, TradesById
from crosstape_connector.venues.spec import (
    BookRule,
    CandleRules,
    CandleSource,
    Endpoint,
    Environment,
    InstrumentSource,
    QuoteSource,
    SnapshotSource,
    TradeSource,
    TradingSource,
    Venue,
    candle_channels,
)

THURSDAY: Final = "the stream has `7d`, which begins on Thursday"
NO_MONTH: Final = "the stream has none"
MINUTE: Final = 240
"""Requests of a kind in a minute, of 1,200 of each path."""
BOOK: Final = BookRule(
    snapshot="stream",
    follows=books.follows,
    depths=books.DEPTHS,
    proof="sequences: each frame begins one after the end of the one before, from the full book on the stream on; never crossed",
)


def _endpoint(market: str, figures: Mapping[str, str], **fields: object) -> Endpoint:
    """The endpoint of a market, with what both have in common. `figures`: kind → channel, of what only contracts have."""
    candle_kinds = candle_channels(f"{market}{CANDLES}{{}}", TIMEFRAMES)
    channels = {"trade": "trades", "quote": "book_ticker", "book": "obu", "delta": "obu", "ticker": "tickers", **figures}
    return msgspec.structs.replace(
        COMMON,
        channels={**{kind: f"{market}.{name}" for kind, name in channels.items()}, **candle_kinds},
        answers=frozenset({f"{market}.obu"}),
        marks={kind: f'"n":"{channel.partition(CANDLES)[2]}_'.encode() for kind, channel in candle_kinds.items()},
        ping=connection.ping(market),
        single_channels=frozenset(candle_kinds.values()),
        **fields,
    )


COMMON: Final = Endpoint(
    name="v4",
    url="",
    channels={},
    parser=spot.SpotParser,
    request=connection.request,
    time_field="time",
    ping_s=10.0,  # a connection without messages of ours is closed after 30 s
    silence_s=30.0,
    max_frame_bytes=4 * 1024 * 1024,
    topics=200,  # no limit is stated; 150 were seen to work
    symbols_per_request=100,
    requests_per_s=10.0,  # no limit is stated; 150 at once were seen to work
    connects_per_s=0.5,
)

_SPOT: Final = Venue(
    id=SPOT_ID,
    endpoints=(_endpoint("spot", {}, url="wss://api.gateio.ws/ws/v4/"),),
    rest_urls={"rest": "https://api.gateio.ws"},
    instruments=InstrumentSource(path=f"{rest.PATHS.base}/currency_pairs", parse=rest.parse_instruments),
    book=BOOK,
    trades=TradeSource(
        path=lambda symbol, first, since_ts: rest.PATHS.newest(symbol),
        newest=rest.PATHS.newest,
        parse=rest.parse_trades,
        page=rest.PAGE,
        per_minute=MINUTE,
    ),
    quotes=QuoteSource(path=rest.PATHS.best, parse=rest.parse_quotes, per_minute=MINUTE),
    trading=TradingSource(path=lambda symbols: f"{rest.PATHS.base}/currency_pairs", parse=rest.parse_trading, per_minute=12),
    candles=CandleRules(
        timeframes=TIMEFRAMES,
        refused={"1w": THURSDAY, "1M": NO_MONTH},
        open="first trade",
        empty="a flat candle at the close before, whose `open` moves to the first trade if one comes; by REST too",
        closed="next candle",
        volume="base units, and quote units beside them; frames of 2021 have the turnover only",
        first="none",
    ),
    candle_source=CandleSource(path=rest.PATHS.since, parse=rest.parse_candles, page=rest.PATHS.candles, per_minute=MINUTE),
    past_trades=TradesById(
        path=rest.PATHS.below,
        newest=rest.PATHS.newest,
        parse=rest.parse_trades,
        page=rest.PAGE,
        cursor="below",
        note="nothing says how far back it goes",
    ),
    past_candles=PastCandles(
        path=rest.PATHS.between,
        parse=rest.parse_candles,
        page=rest.PATHS.candles - 1,  # both ends are included
        timeframes=tuple(rest.PATHS.timeframes),
        reach_intervals=rest.REACH,
        empty="flat",
    ),
    rest_limits=(RestLimit(name=SPOT_ID, capacity=200, window_s=10.0),),
    banned_with="gateio",
    environments={
        "testnet": Environment(ws_urls={"v4": "wss://ws-testnet.gate.io/v4/ws/spot"}, rest_urls={"rest": "https://api-testnet.gateapi.io"})
    },
    trade_ids="increasing",
    rest_error=rest.rest_error,
    aliases=("gate",),
)

_FUTURES: Final = Venue(
    id=FUTURES_ID,
    endpoints=(
        _endpoint(
            "futures",
            {
                "mark": "tickers",
                "funding": "tickers",
                "open_interest": "tickers",
                "liquidation": "public_liquidates",
            },
            url="wss://fx-ws.gateio.ws/v4/ws/usdt",
            parser=futures.FuturesParser,
        ),
    ),
    rest_urls={"rest": "https://api.gateio.ws"},
    headers={"X-Gate-Size-Decimal": "1"},  # without it sizes of contracts that can be divided are cut
    instruments=InstrumentSource(
        path=f"{rest_futures.PATHS.base}/contracts", parse=rest_futures.parse_instruments, recorded=("/futures/btc/contracts",)
    ),
    book=BOOK,
    trades=TradeSource(
        path=lambda symbol, first, since_ts: rest_futures.PATHS.newest(symbol),
        newest=rest_futures.PATHS.newest,
        parse=rest_futures.parse_trades,
        page=rest.PAGE,
        per_minute=MINUTE,
    ),
    quotes=QuoteSource(path=rest_futures.PATHS.best, parse=rest_futures.parse_quotes, per_minute=MINUTE),
    trading=TradingSource(path=lambda symbols: f"{rest_futures.PATHS.base}/contracts", parse=rest_futures.parse_trading, per_minute=12),
    candles=CandleRules(
        timeframes=TIMEFRAMES,
        refused={"1w": THURSDAY, "1M": NO_MONTH},
        open="first trade",
        empty="a flat candle at the close before",
        closed="next candle",
        volume="contracts × multiplier; of inverse contracts US dollars, which are exact, and base units at the closing price",
        first="none",
    ),
    candle_source=CandleSource(
        path=rest_futures.PATHS.since, parse=rest_futures.parse_candles, page=rest_futures.PATHS.candles, per_minute=MINUTE
    ),
    past_trades="its requests by time do not say which trades they leave out when there are more than a page holds",
    past_candles=PastCandles(
        path=rest_futures.PATHS.between,
        parse=rest_futures.parse_candles,
        page=rest_futures.PATHS.candles - 1,
        timeframes=tuple(rest_futures.PATHS.timeframes),
        reach_intervals=rest.REACH,
        empty="flat",
    ),
    rest_limits=(RestLimit(name=FUTURES_ID, capacity=200, window_s=10.0),),
    banned_with="gateio",
    environments={
        "testnet": Environment(
            ws_urls={"v4": "wss://ws-testnet.gate.com/v4/ws/futures/usdt"}, rest_urls={"rest": "https://api-testnet.gateapi.io"}
        )
    },
    trade_ids="increasing",
    rest_error=rest.rest_error,
    aliases=("gate_futures", "gate"),
)


def _recorded(venue: Venue, channel: str, parser: type[connection.Parser], **fields: object) -> Venue:
    """How recordings are read whose books are another channel's. No recording has the candles by REST that ours would wait for."""
    (endpoint,) = venue.endpoints
    endpoint = msgspec.structs.replace(endpoint, parser=parser, channels={**endpoint.channels, "book": channel, "delta": channel})
    return msgspec.structs.replace(venue, endpoints=(endpoint,), candle_source=None, **fields)


def _with_recordings(venue: Venue, market: str, parser: type[connection.Parser]) -> Venue:
    """The venue, with the tables of recordings of its other books. What channel they have, their frames show."""
    changes, complete = f"{market}.order_book_update", f"{market}.order_book"
    tables = {
        f'"{market}.obu"': None,
        f'"{changes}"': _recorded(venue, changes, parser, book=CHANGES, snapshots=SNAPSHOTS),
        f'"{complete}"': _recorded(venue, complete, parser, book=COMPLETE),
    }
    return msgspec.structs.replace(venue, recorded_channels=tables)


CHANGES: Final = BookRule(
    snapshot="rest",
    bridges=recorded.chain,
    follows=recorded.chain,
    proof="sequences: each frame begins one after the end of the one before; the first spans the REST snapshot's; never crossed",
)
COMPLETE: Final = BookRule(snapshot="stream", follows=recorded.chain, proof="complete books, or changes of which each has the next number")
SNAPSHOTS: Final = SnapshotSource(path=recorded.depth_path, parse=recorded.parse_depth, match=recorded.depth_symbol, per_minute=MINUTE)
SPOT: Final = _with_recordings(_SPOT, "spot", recorded.SpotParser)
FUTURES: Final = _with_recordings(_FUTURES, "futures", recorded.FuturesParser)
