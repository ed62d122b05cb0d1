"""HTX (once Huobi): spot, and USDT-margined perpetuals and dated contracts.

Wire    spot `wss://api.huobi.pro/ws`, its books `/feed`; contracts `wss://api.hbdm.com/linear-swap-ws`, mark and index prices `/ws_index`,
        funding, liquidations and states `/linear-swap-notification`. Each frame of the venue is a gzip file in a binary frame, pings too;
        what we send is plain text
Docs    https://www.htx.com/en-us/opend/newApiPages/ (spot, and USDT-M futures)
Quirks  one topic a request. Contracts that are suspended are acknowledged, and stay silent. Of frames see `frames`, `spot`, `swap` and
        `books`, of REST `rest`, `spot_rest` and `swap_rest`. There is no testnet any more
Books   spot `mbp`: changes, joined to a book that is asked for on the same connection; contracts `high_freq`: a book, then changes numbered
        one by one. Neither has a checksum
Sides   trades, volumes and open interest of contracts count the buyer and the seller: one side is published (`values.BothSides`)
Not proven  how spot has behaved since 2023, the newest frames of it; that `mbp` removes what leaves its depth, so that it is cut
Left out  coin-margined contracts, which have other lists and sockets (recordings of them are read); shares, metals and indices; days and
        longer candles, which begin at 16:00 UTC
"""

from __future__ import annotations

from typing import Final

from crosstape_connector.venues.htx import books, frames, rest, spot, spot_rest, swap, swap_rest
from crosstape_connector.venues.htx.values import SPOT as SPOT_ID
from crosstape_connector.venues.htx.values import SWAP as SWAP_ID
from crosstape_connector.venues.htx.values import TIMEFRAMES
from crosstape_connector.venues.parsing.binary import gunzip
from crosstape_connector.venues.past import PastCandles, RestLimit
from crosstape_connector.venues.spec import (
    MEBIBYTE,
    BookRule,
    CandleRules,
    CandleSource,
    Endpoint,
    InstrumentSource,
    PolledSource,
    QuoteSource,
    TradeSource,
    TradingSource,
    Venue,
    candle_channels,
)

TEXT: Final = 4 * MEBIBYTE
"""Bytes of a frame's text at most: a list of all contracts' states takes 200 KiB."""
PING_S: Final = 20.0
"""The venue asks for a sign of life every 5 s: a connection without any frame for so long is dead."""
NO_DAY: Final = "its days begin at 16:00 UTC (Singapore's midnight)"
ASSUMED: Final = f"{NO_DAY}, as those of spot do"
CANDLES: Final = candle_channels("kline.{}", TIMEFRAMES)


def _endpoint(name: str, url: str, channels: dict[str, str], **more: object) -> Endpoint:
    """Return an endpoint, with what all of them have in common."""
    return Endpoint(
        name=name,
        url=url,
        channels=channels,
        binary=gunzip(TEXT),
        silence_s=PING_S,
        max_frame_bytes=TEXT,
        symbols_per_request=1,
        connects_per_s=0.5,
        **more,  # type: ignore[arg-type]
    )


SPOT: Final = Venue(
    id=SPOT_ID,
    endpoints=(
        _endpoint(
            "spot",
            "wss://api.huobi.pro/ws",
            {"trade": "trade.detail", "quote": "bbo", "ticker": "ticker", **CANDLES},
            answers=frozenset({"trade.detail", "bbo", "ticker", *CANDLES.values()}),  # of all but trades perhaps: nothing says so
            parser=spot.Parser,
            request=spot.request,
            topics=100,  # nothing states a limit; the documents advise few
            requests_per_s=8.0,
            hosts=("/ws",),
        ),
        _endpoint(
            "feed",
            "wss://api.huobi.pro/feed",
            {"book": "mbp", "delta": "mbp"},
            answers=frozenset({"mbp"}),
            parser=spot.Parser,
            request=spot.request,
            topics=50,  # one request for a book in 100 ms
            requests_per_s=4.0,
            hosts=("/feed",),
        ),
    ),
    rest_urls={"rest": "https://api.huobi.pro"},
    instruments=InstrumentSource(path=spot_rest.INSTRUMENTS, parse=spot_rest.parse_instruments, ours=spot_rest.ours),
    book=BookRule(
        snapshot="stream",
        follows=books.follows,
        truncates=True,
        depths=spot.DEPTHS,
        proof="each change names the number before it; the first spans the number of the book that is asked for; never crossed",
    ),
    trades=TradeSource(
        path=lambda symbol, first, since_ts: spot_rest.trades_path(symbol),
        newest=spot_rest.trades_path,
        parse=spot_rest.parse_trades,
        page=rest.PAGE,
        per_minute=200,  # of 600
    ),
    quotes=QuoteSource(path=lambda symbols: spot_rest.QUOTES, parse=spot_rest.parse_quotes, batch=1_000, per_minute=60),
    trading=TradingSource(path=lambda symbols: spot_rest.INSTRUMENTS, parse=spot_rest.parse_trading, per_minute=12),
    candles=CandleRules(
        timeframes=TIMEFRAMES,
        refused=dict.fromkeys(("1d", "1w", "1M"), NO_DAY),
        open="not known",
        empty="a flat candle at the close before, with no trades, by REST",
        closed="next candle",
        volume="base units",
        first="none",
    ),
    candle_source=CandleSource(path=spot_rest.candles_path, parse=spot_rest.parse_candles, page=rest.CANDLES, per_minute=200),
    past_trades=rest.NEWEST,
    past_candles=PastCandles(
        path=spot_rest.range_path,
        parse=spot_rest.parse_candles,
        page=rest.CANDLES,
        timeframes=tuple(TIMEFRAMES),
        empty="flat",
        note="by a request that clients of the venue use and its documents do not name",
    ),
    rest_limits=(
        RestLimit(name="htx.trades", capacity=3_000, window_s=300.0, prefix="/market/history/trade"),
        RestLimit(name="htx", capacity=4_500, window_s=300.0),
    ),
    banned_with="htx",
    trade_ids="contiguous",
    aliases=("huobi",),
    rest_error=rest.rest_error,
)

SWAP: Final = Venue(
    id=SWAP_ID,
    endpoints=(
        _endpoint(
            "market",
            "wss://api.hbdm.com/linear-swap-ws",
            {"trade": "trade.detail", "quote": "bbo", "book": "depth", "delta": "depth", "ticker": "detail", **CANDLES},
            answers=frozenset({"trade.detail", "bbo", "depth", "detail", *CANDLES.values()}),  # of the others perhaps: nothing says so
            parser=swap.Parser,
            request=swap.request,
            topics=150,  # as many were seen to work
            requests_per_s=20.0,  # of 40
            hosts=("/linear-swap-ws", "/swap-ws", "api.hbdm.com/ws"),
        ),
        _endpoint(
            "index",
            "wss://api.hbdm.com/ws_index",
            {"mark": "mark_price.1min"},
            answers=frozenset({"mark_price.1min"}),
            parser=swap.Parser,
            request=swap.request,
            topics=75,  # each with a topic of the index
            requests_per_s=10.0,
            hosts=("/ws_index",),
        ),
        _endpoint(
            "notification",
            "wss://api.hbdm.com/linear-swap-notification",
            {"funding": "funding_rate", "liquidation": "liquidation_orders"},
            answers=frozenset({"funding_rate"}),
            parser=swap.Parser,
            request=frames.notification_request,
            greeting=(swap.GREETING,),
            topics=150,
            requests_per_s=20.0,
            hosts=("notification",),
        ),
    ),
    rest_urls={"rest": "https://api.hbdm.com"},
    instruments=InstrumentSource(path=swap_rest.INSTRUMENTS, parse=swap_rest.parse_instruments, recorded=swap_rest.RECORDED),
    book=BookRule(
        snapshot="stream",
        follows=books.follows,
        depths=swap.DEPTHS,
        restarts=True,  # each connection has versions of its own
        proof="versions that grow by one, from the book that the stream begins with; never crossed",
    ),
    trades=TradeSource(
        path=lambda symbol, first, since_ts: swap_rest.trades_path(symbol),
        newest=swap_rest.trades_path,
        parse=swap_rest.parse_trades,
        page=rest.PAGE,
        per_minute=600,
    ),
    quotes=QuoteSource(path=lambda symbols: swap_rest.QUOTES, parse=swap_rest.parse_quotes, batch=1_000, per_minute=60),
    trading=TradingSource(path=lambda symbols: swap_rest.INSTRUMENTS, parse=swap_rest.parse_trading, per_minute=12),
    candles=CandleRules(
        timeframes=TIMEFRAMES,
        refused=dict.fromkeys(("1d", "1w", "1M"), ASSUMED),
        open="not known",
        empty="a flat candle at the close before, with no trades, by REST",
        closed="next candle",
        volume="half of `amount`, which counts both sides in base units; all of it once a number of contracts is odd",
        first="none",
    ),
    candle_source=CandleSource(path=swap_rest.candles_path, parse=swap_rest.parse_candles, page=rest.CANDLES, per_minute=600),
    polled=(
        PolledSource(
            kinds=("open_interest",),
            path=lambda symbols: swap_rest.INTEREST,
            parse=swap_rest.parse_interest,
            batch=1_000,
            interval_s=10.0,
            per_minute=30,
        ),
    ),
    past_trades=rest.NEWEST,
    past_candles=PastCandles(
        path=swap_rest.range_path,
        parse=swap_rest.parse_candles,
        page=rest.CANDLES,
        timeframes=tuple(TIMEFRAMES),
        empty="flat",
        note="two years",
    ),
    rest_limits=(
        RestLimit(name="htx_swap.market", capacity=800, window_s=1.0, prefix="/linear-swap-ex"),
        RestLimit(name="htx_swap", capacity=240, window_s=3.0),
    ),
    banned_with="htx_swap",
    trade_ids="increasing",
    aliases=("huobi_swap",),
    rest_error=rest.rest_error,
)
