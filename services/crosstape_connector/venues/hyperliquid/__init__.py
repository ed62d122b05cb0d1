"""Hyperliquid: perpetuals (`hyperliquid`), with those of builders, and spot (`hyperliquid_spot`), over one WebSocket address.

Wire    wss://api.hyperliquid.xyz/ws, JSON text: `channel` and `data`. Of the frames see `stream`, of REST `rest`, of names `values`
Docs    https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api
Book    `l2Book` with `fast`: five levels a side about every 0.54 s, complete each time. Twenty levels come every 5.4 s only: a book that is
        five seconds old must not be called live. Quotes are `bbo`, which comes with each block
Quirks  an unknown coin (`btc`, a builder's coin without its prefix) closes the connection within a second, without a word, and so ends all
        others on it: `unknown_closes_s`. Coins are case-sensitive. There is neither a public channel of liquidations nor of states
Limits  of one address: 10 connections, 30 new ones a minute, 1,000 subscriptions and 2,000 messages a minute over all connections;
        perpetuals and spot, as two processes, take half each
Not proven  nothing numbers trades, quotes or books: what was lost with a connection is only known to be none where the past trades that
        answer the next subscription reach back to those before
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from crosstape_connector.venues.hyperliquid import rest, stream
from crosstape_connector.venues.hyperliquid.values import PERPS, REFUSED, TIMEFRAMES
from crosstape_connector.venues.hyperliquid.values import SPOT as SPOT_ID
from crosstape_connector.venues.messages import OddRow
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
    TradingSource,
    Venue,
    candle_channels,
)
from crosstape_schemas import Instrument


def _venue(
    venue_id: str,
    kinds: Sequence[str],
    path: str,
    instruments: Callable[[bytes], Sequence[Instrument | OddRow]],
    states: Callable[[bytes, Sequence[str]], dict[str, str]],
) -> Venue:
    """Return the table of a market. `kinds`: those that it has on `activeAssetCtx`; `path`: of its list of instruments."""
    return Venue(
        id=venue_id,
        endpoints=(
            Endpoint(
                name="ws",
                url="wss://api.hyperliquid.xyz/ws",
                channels={
                    "trade": stream.TRADES,
                    "quote": stream.QUOTES,
                    "book": stream.BOOK,
                    "delta": stream.BOOK,
                    **dict.fromkeys(kinds, stream.FIGURES),
                    **candle_channels(f"{stream.CANDLE}{{}}", TIMEFRAMES),
                },
                parser=stream.Parser,
                request=stream.request,
                answers=frozenset({stream.TRADES, stream.QUOTES, stream.BOOK, stream.FIGURES}),
                ping=stream.ping,
                ping_s=20.0,  # of 60
                silence_s=45.0,
                topics=250,  # of 1,000 over all connections: what one unknown coin ends is a part
                symbols_per_request=1,
                requests_per_s=15.0,  # of 33 over all connections
                requests_shared=True,
                connects_per_s=0.2,
                unknown_closes_s=2.0,  # within 0.8 s, as was seen, and the way there and back
            ),
        ),
        rest_urls={"rest": "https://api.hyperliquid.xyz"},
        posted=rest.posted,
        instruments=InstrumentSource(path=path, parse=instruments),
        book=BookRule(
            snapshot="stream",
            ordered=True,
            depths=(stream.FAST,),
            proof="each frame is the complete best 5 a side, so that none depends on another; times that never go back; never crossed",
        ),
        quotes=QuoteSource(path=rest.quotes_path, parse=rest.parse_quotes, per_minute=60),  # a weight of 120
        trading=TradingSource(path=lambda coins: path, parse=states, per_minute=12),  # 240
        candles=CandleRules(
            timeframes=TIMEFRAMES,
            refused=REFUSED,
            open="first trade",
            empty="no candle at first; by REST a flat one without trades may be there later",
            closed="next candle",
            volume="`v` is in base units, with the noise of binary floats in its last digits",
            first="none",
        ),
        candle_source=CandleSource(path=rest.candles_path, parse=rest.parse_candles, page=rest.CANDLES, per_minute=8),  # 232
        past_trades="the venue has no documented request for past trades",
        past_candles=PastCandles(
            path=rest.range_path,
            parse=rest.parse_candles,
            page=rest.CANDLES,
            timeframes=tuple(TIMEFRAMES),
            reach_intervals=rest.REACH,
            empty="none",
            note="an interval without trades may be there later, flat, without a trade",
        ),
        rest_limits=(RestLimit(name=PERPS, capacity=1_200, window_s=60.0, weights=rest.WEIGHTS),),
        banned_with=PERPS,
        environments={
            "testnet": Environment(
                ws_urls={"ws": "wss://api.hyperliquid-testnet.xyz/ws"}, rest_urls={"rest": "https://api.hyperliquid-testnet.xyz"}
            )
        },
        trade_ids="increasing",
        trades_overtake=True,
        connects=ConnectLimit(30, 60.0),
        rest_error=rest.rest_error,
    )


PERPETUALS: Final = _venue(
    PERPS, ("ticker", "mark", "funding", "open_interest"), rest.CONTRACTS, rest.parse_contracts, rest.parse_contract_states
)
SPOT: Final = _venue(SPOT_ID, ("ticker",), rest.PAIRS, rest.parse_pairs, rest.parse_pair_states)
