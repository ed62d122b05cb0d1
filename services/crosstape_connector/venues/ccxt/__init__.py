"""Any exchange that the library ccxt streams from: `ccxt.kraken` is its class `kraken`.

Wire    none of ours: the bridge (`crosstape_connector.bridge`) runs the library and passes its results on as `frames`
Docs    https://docs.ccxt.com
Quirks  see `facts`. What the library cannot say is null. Trade ids are texts in no order; each connection lost is a gap of unknown size
Book    unproven: the library checks some exchanges' numbers and checksums, and does not say where. Ours are that it is never crossed, that
        its time does not go back, and that it is not old
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from crosstape_connector.errors import UnknownVenue
from crosstape_connector.venues.ccxt import markets, stream
from crosstape_connector.venues.ccxt.exchanges import Exchange, known
from crosstape_connector.venues.ccxt.facts import NO_CANDLES, NO_QUOTES
from crosstape_connector.venues.spec import BookRule, CandleRules, Endpoint, Environment, InstrumentSource, Venue, candle_channels
from crosstape_schemas.timeframes import TIMEFRAMES

PREFIX: Final = "ccxt."
MARKETS: Final = "/markets"
UNKNOWN_START: Final = "where the exchange's weeks and months begin is not known"
LONG: Final = ("1w", "1M")
TOPICS: Final = 100
"""Streams of one connection: few enough for the limits of all exchanges that are known."""


def names() -> list[str]:
    """Return our names of all these venues."""
    return [f"{PREFIX}{name}" for name in known().exchanges]


@lru_cache(maxsize=128)
def venue(name: str) -> Venue:
    """Return the venue of this name: `ccxt.kraken`. Raises `UnknownVenue`."""
    library_class = name.removeprefix(PREFIX)
    exchange = known().exchanges.get(library_class)
    if exchange is None or not name.startswith(PREFIX):
        raise UnknownVenue(f"no venue {name!r}; the command `crosstape venues` lists all")
    return _venue(name, library_class, exchange)


def _venue(name: str, library_class: str, exchange: Exchange) -> Venue:
    candles = _candles(library_class, exchange)
    has_quotes = "bidsasks" in exchange.methods and library_class not in NO_QUOTES
    kinds = {"trade": "trades", "ticker": "ticker", **({"quote": "bidsasks"} if has_quotes else {})}
    streams = {kind: method for kind, method in kinds.items() if method in exchange.methods}
    if candles is not None:
        streams |= candle_channels("ohlcv {}", candles.timeframes)
    books = {"book": "book", **({} if has_quotes else {"quote": "book"})} if "book" in exchange.methods else {}
    parser = stream.parsers(name, library_class)
    # Books have connections of their own: a book that the library cannot begin closes its connection, with all streams on it.
    places = [(place, channels) for place, channels in (("streams", streams), ("books", books)) if channels]
    test = {place: exchange.test_ws for place, _ in places}
    return Venue(
        id=name,
        library_class=library_class,
        endpoints=tuple(
            Endpoint(
                name=place,
                url=exchange.ws,
                channels=channels,
                parser=parser,
                request=stream.request,
                silence_s=60.0,
                topics=TOPICS,
                requests_per_s=20.0,
                connects_per_s=1.0,
            )
            for place, channels in places
        ),
        rest_urls={"rest": exchange.rest},
        instruments=InstrumentSource(path=MARKETS, parse=markets.parser(name)),
        book=BookRule(snapshot="stream", proof="unproven: the library does not say what it checks; never crossed, no time before the last"),
        candles=candles,
        environments={"sandbox": Environment(ws_urls=test, rest_urls={"rest": exchange.test_rest})} if exchange.test_ws else {},
        trade_ids="unique",
        quote_from_book="quote" in books,
        past_trades="the bridge fetches no past",
    )


def _candles(library_class: str, exchange: Exchange) -> CandleRules | None:
    if "ohlcv" not in exchange.methods or library_class in NO_CANDLES:
        return None
    ours = {name: name for name in TIMEFRAMES if name in exchange.timeframes}
    timeframes = {name: theirs for name, theirs in ours.items() if name not in LONG}
    return (
        CandleRules(
            timeframes=timeframes,
            refused={name: UNKNOWN_START for name in LONG if name in ours},
            open="not known",
            empty="as the exchange sends it",
            closed="next candle",
            volume="as the library gives it, in base units; none of contracts that are not one base unit",
            first="snapshot",
        )
        if timeframes
        else None
    )
