"""BingX: spot, and USDT- and USDC-margined perpetuals.

Wire    `wss://open-api-ws.bingx.com/market` (spot), `wss://open-api-swap.bingx.com/swap-market`; gzip in binary frames, JSON text inside;
        what we send is plain text
Docs    https://bingx-api.github.io/docs-v3/
Quirks  both venues use the same ids of instruments: `BTC-USDT` is a spot pair here and a perpetual there. The server asks for signs of life
        (see `frames`). Of data see `routes`, `spot`, `swap` and `candles`, of REST `rest`, `spot_rest` and `swap_rest`
Books   up to 100 levels a side: `depth5` … `depth100`, complete in each frame, so that a lost one costs nothing but time. Deeper ones of
        the swap (`book_depth` above 100): `incrDepth`, up to 1,024 levels a side by their changes. Its numbers only grow (they jump by up
        to nine while nothing is missing), so that a lost change does not show: the best prices are checked by the quote's own stream, the
        levels below by nothing
Not proven  that no trade of the swap was lost; that a subscription is answered with past trades; how the socket of spot behaves, which is
        documented and was not seen. Nothing tells of liquidations; the index price is in no stream
Left out  the coin-margined swap: a third socket with its own dialect
"""

from __future__ import annotations

from typing import Final

from crosstape_connector.venues.bingx import candles, frames, rest, routes, spot, spot_rest, swap, swap_rest
from crosstape_connector.venues.parsing.binary import gunzip
from crosstape_connector.venues.past import PastCandles, RestLimit, TradesById
from crosstape_connector.venues.spec import (
    MEBIBYTE,
    BookRule,
    CandleRules,
    CandleSource,
    Endpoint,
    Environment,
    InstrumentSource,
    PolledSource,
    QuoteSource,
    TradeSource,
    TradingSource,
    Venue,
    candle_channels,
)

TEXT: Final = 4 * MEBIBYTE
"""Bytes of a frame's text at most: 1,024 levels a side take 60 KiB."""
REST: Final = {"rest": "https://open-api.bingx.com"}
COMPLETE: Final = "each frame is the complete best levels, so that none depends on another; numbers or times that only grow"
VOLUME: Final = "base units, with up to 18 digits"

SPOT: Final = Venue(
    id=spot.ID,
    endpoints=(
        Endpoint(
            name="spot",
            url="wss://open-api-ws.bingx.com/market",
            channels={
                "trade": "trade",
                "quote": "bookTicker",
                "book": frames.BY_DEPTH,
                "delta": frames.BY_DEPTH,
                "ticker": "ticker",
                **candle_channels("kline_{}", candles.SPOT),
            },
            answers=frozenset({frames.BY_DEPTH, "bookTicker", "ticker"}),  # perhaps: nothing says so
            parser=spot.Parser,
            request=frames.request,
            binary=gunzip(TEXT),
            silence_s=20.0,  # the server asks for a sign of life every 5 s
            max_frame_bytes=TEXT,
            topics=200,
            symbols_per_request=1,
            requests_per_s=8.0,  # below 10
            connects_per_s=0.5,
        ),
    ),
    rest_urls=REST,
    instruments=InstrumentSource(path=spot_rest.INSTRUMENTS, parse=spot_rest.parse_instruments),
    book=BookRule(
        snapshot="stream",
        depths=frames.COMPLETE,
        proof=f"{COMPLETE}; never crossed",
    ),
    trades=TradeSource(
        path=lambda symbol, first, since_ts: spot_rest.trades_path(symbol),
        newest=spot_rest.trades_path,
        parse=spot_rest.parse_trades,
        page=spot_rest.PAGE,
        per_minute=rest.MINUTE,
    ),
    quotes=QuoteSource(path=spot_rest.quotes_path, parse=spot_rest.parse_quotes, per_minute=rest.MINUTE),
    trading=TradingSource(path=lambda symbols: spot_rest.INSTRUMENTS, parse=spot_rest.parse_trading, per_minute=12),
    candles=CandleRules(
        timeframes=candles.SPOT,
        refused={"1d": candles.NO_DAY, "1w": candles.NO_DAY, "1M": candles.NO_DAY},
        open="first trade",
        empty="not known",
        closed="next candle",
        volume=f"{VOLUME}; prices are rounded to the tick",
        first="none",
    ),
    candle_source=CandleSource(
        path=rest.candles_path("/openApi/spot/v2/market/kline"),
        parse=spot_rest.parse_candles,
        page=rest.CANDLES,
        per_minute=rest.MINUTE,
    ),
    past_trades=TradesById(
        path=spot_rest.past_path, newest=spot_rest.trades_path, parse=spot_rest.parse_trades, page=spot_rest.PAGE, cursor="either"
    ),
    past_candles=PastCandles(
        path=rest.range_path("/openApi/spot/v2/market/kline"),
        parse=spot_rest.parse_candles,
        page=rest.CANDLES,
        timeframes=(*candles.SPOT, "1d"),
        empty="none",
    ),
    rest_limits=(RestLimit(name="bingx.spot", capacity=500, window_s=10.0),),
    banned_with="bingx",
    trade_ids="increasing",
    trades_overtake=True,
    rest_error=rest.rest_error,
)

SWAP: Final = Venue(
    id=swap.ID,
    endpoints=(
        Endpoint(
            name="swap",
            url="wss://open-api-swap.bingx.com/swap-market",
            channels={
                "trade": "trade",
                "quote": swap.QUOTES,
                "book": frames.BY_DEPTH,
                "delta": frames.BY_DEPTH,
                "ticker": "ticker",
                "mark": "markPrice",
                **candle_channels("kline_{}", candles.SWAP),
            },
            answers=frozenset({"trade", frames.BY_DEPTH, swap.QUOTES, "ticker"}),  # perhaps: nothing says so
            parser=swap.Parser,
            request=frames.request,
            binary=gunzip(TEXT),
            silence_s=20.0,  # the server asks for a sign of life every 5 s
            max_frame_bytes=TEXT,
            topics=200,
            symbols_per_request=1,
            requests_per_s=8.0,  # below 10
            connects_per_s=0.5,
        ),
    ),
    rest_urls=REST,
    instruments=InstrumentSource(path=swap_rest.INSTRUMENTS, parse=swap_rest.parse_instruments),
    book=BookRule(
        snapshot="stream",
        follows=routes.increases,
        jumps=True,
        crossed_updates=1,
        truncates=True,
        depths=(*swap.DEPTHS, routes.LEVELS),
        proof=f"up to 100 levels: {COMPLETE}; deeper: numbers that grow with each frame, though not by one; never crossed for two frames",
    ),
    quotes=QuoteSource(path=swap_rest.quotes_path, parse=swap_rest.parse_quotes, per_minute=rest.MINUTE),
    trading=TradingSource(path=lambda symbols: swap_rest.INSTRUMENTS, parse=swap_rest.parse_trading, per_minute=12),
    candles=CandleRules(
        timeframes=candles.SWAP,
        refused={"1w": candles.UNPROVEN, "1M": candles.UNPROVEN},
        open="not known",
        empty="not known",
        closed="next candle",
        volume=VOLUME,
        first="none",
    ),
    candle_source=CandleSource(
        path=rest.candles_path("/openApi/swap/v3/quote/klines"),
        parse=swap_rest.parse_candles,
        page=rest.CANDLES,
        per_minute=rest.MINUTE,
    ),
    polled=(
        PolledSource(
            kinds=("funding",),
            path=swap_rest.funding_path,
            parse=swap_rest.parse_funding,
            batch=1_000,
            interval_s=10.0,
            per_minute=30,
        ),
        PolledSource(
            kinds=("open_interest",),
            path=lambda symbols: f"/openApi/swap/v2/quote/openInterest?symbol={symbols[0]}",
            parse=swap_rest.parse_interest,
            interval_s=30.0,
            per_minute=rest.MINUTE,
        ),
    ),
    environments={
        "demo": Environment(
            ws_urls={"swap": "wss://vst-open-api-ws.bingx.com/swap-market"}, rest_urls={"rest": "https://open-api-vst.bingx.com"}
        )
    },
    trade_ids="increasing",
    past_trades="its trades have no ids on the stream, so that fetched ones could not be told from those of the tape",
    past_candles=PastCandles(
        path=rest.range_path("/openApi/swap/v3/quote/klines"),
        parse=swap_rest.parse_candles,
        page=rest.CANDLES,
        timeframes=tuple(candles.SWAP),
        empty="none",
    ),
    rest_limits=(RestLimit(name="bingx.swap", capacity=500, window_s=10.0),),
    banned_with="bingx",
    rest_error=rest.rest_error,
)
