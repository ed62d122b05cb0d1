"""Kraken Futures: perpetuals and dated futures, inverse and linear.

Wire    wss://futures.kraken.com/ws/v1, JSON text: data frames have `feed`, replies have `event`, too
Docs    https://docs.kraken.com/api/docs/futures-api/websocket/book and its neighbours
Names   `PI_` and `FI_` are inverse: a contract is one US dollar, settled in the coin. `PF_` and `FF_` are linear: sizes are base units,
        settled in dollars against any collateral. Both exist of one pair, so the linear ones have the word in their name:
        `PI_XBTUSD` is `BTC-USD-PERP`, `PF_XBTUSD` is `BTC-USD-LINEAR-PERP`
Quirks  one acknowledgement a product; a refusal does not name its request. Frames say `PI_XBTUSD`, older lists `pi_xbtusd`. The venue wants
        a ping in 60 s. Of the frames see `stream`, of REST `rest`
Book    one level a frame, numbered by ones for each product from the snapshot on the stream on. The quote is the top of the book: a ticker
        comes once a second at most
Trades  `seq` numbers them by ones for each product. With a subscription come the newest 100, which repair a lost connection. By REST
        they have a `uid` and no `seq`: their `trade_id` is documented as an index of all fills of a contract, but it is the row's
        place in the answer, 100 for the newest (seen in 2026-02 and 2026-03)
Left out  tokenised stocks, options, indices; `ticker_lite`, whose prices have neither sizes nor a time
"""

from __future__ import annotations

from typing import Final

from crosstape_connector.venues.kraken_futures import rest, stream
from crosstape_connector.venues.kraken_futures.names import ID
from crosstape_connector.venues.past import PastCandles, RestLimit
from crosstape_connector.venues.spec import BookRule, Endpoint, Environment, InstrumentSource, QuoteSource, TradingSource, Venue

VENUE: Final = Venue(
    id=ID,
    endpoints=(
        Endpoint(
            name="v1",
            url="wss://futures.kraken.com/ws/v1",
            channels={
                "trade": "trade",
                "liquidation": "trade",
                "quote": "book",
                "book": "book",
                "delta": "book",
                "ticker": "ticker",
                "mark": "ticker",
                "funding": "ticker",
                "open_interest": "ticker",
            },
            answers=frozenset({"trade", "book", "ticker"}),
            parser=stream.Parser,
            request=stream.request,
            greeting=(stream.HEARTBEAT,),
            frame_ping_s=20.0,  # of 60
            silence_s=20.0,  # a heartbeat each second
            max_frame_bytes=16 * 1024 * 1024,  # a complete book
            topics=300,  # no limit is stated
            symbols_per_request=50,
            requests_per_s=10.0,  # of 100
            connects_per_s=0.5,  # no limit is stated
        ),
    ),
    rest_urls={"futures": "https://futures.kraken.com"},
    instruments=InstrumentSource(rest="futures", path=rest.INSTRUMENTS, parse=rest.parse_instruments),
    book=BookRule(
        snapshot="stream",
        follows=stream.follows,
        proof="sequences: each level's number is one above that of the one before, from the snapshot on the stream on; never crossed",
    ),
    quotes=QuoteSource(rest="futures", path=lambda symbols: rest.TICKERS, parse=rest.parse_quotes, batch=1_000, per_minute=30),
    trading=TradingSource(rest="futures", path=lambda symbols: rest.INSTRUMENTS, parse=rest.parse_trading, per_minute=12),
    environments={
        "demo": Environment(ws_urls={"v1": "wss://demo-futures.kraken.com/ws/v1"}, rest_urls={"futures": "https://demo-futures.kraken.com"})
    },
    past_trades="by REST its trades have no number that the stream has, so that they cannot be matched with those on the tape",
    past_candles=PastCandles(
        rest="futures",
        path=rest.candles_path,
        parse=rest.parse_candles,
        page=rest.CANDLES,
        timeframes=rest.TIMEFRAMES,
        empty="flat",
        note="the stream has none; `open` is the close before; of inverse contracts `volume` is `quote_volume` at the close",
    ),
    rest_limits=(RestLimit(name=ID, capacity=100, window_s=10.0),),  # none is stated for what needs no key
    trade_ids="contiguous",
    quote_from_book=True,
    rest_error=rest.rest_error,
)
