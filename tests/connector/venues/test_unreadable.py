"""A quote or a ticker that cannot be read: whose the parser says it is, and what becomes of that feed and of its neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.venues.messages import Odd, Output, Unreadable
from crosstape_connector.venues.parsing.unreadable import feeds_of
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import Endpoint, Parser, Symbols
from crosstape_schemas import FeedState, Gap, GapCause, Quote, Status, Ticker
from crosstape_simulator.faults.rows import VALUES, with_an_odd_row
from crosstape_simulator.venues.registry import find
from tests.connector.venues.golden import frames_of, instrument, symbols_of
from tests.connector.venues.golden import outputs as outputs_of
from tests.connector.venues.test_contract import feeds
from tests.connector.venues.test_rows_and_numbers import endpoint, outputs

BINANCE = frames_of("binance")
ADVANCED = frames_of("coinbase", "advanced")
EXCHANGE = frames_of("coinbase", "exchange")
KRAKEN = frames_of("kraken")

BOOK_TICKER, TICKER = BINANCE["book_ticker"], KRAKEN["ticker"]
STREAM, V2 = ("binance", "stream"), ("kraken", "v2")
QUOTES = {STREAM: BOOK_TICKER, V2: TICKER}
TICKERS = {
    STREAM: BINANCE["ticker"],
    V2: TICKER,
    ("coinbase", "exchange"): EXCHANGE["ticker"],
    ("coinbase", "advanced"): ADVANCED["ticker"],
}
NAMES = {"binance": "BTC-USDT", "coinbase": "BTC-USD", "kraken": "BTC-USD"}
"""Of the frames above."""
NEIGHBOURS = {"BTCUSDTX": "BTC-USDTX", "XBTCUSDT": "XBTC-USDT", "XBTC-USD": "XBTC-USD", "XBTC/USD": "XBTC-USDC"}
"""Symbols that have one of the frames' in them."""
HOW = [*VALUES, "missing"]


def odd(place: tuple[str, str], frame: bytes, kind: str, what: str = "price", how: str = "text") -> bytes:
    """The frame with one value that cannot be read."""
    found = with_an_odd_row(frame, find(place[0]), kind, what, how)
    assert found is not None
    return found


def read(found: Endpoint, parser: Parser, symbols: Symbols, frame: bytes, now: int) -> Sequence[Output]:
    """As a session does it."""
    try:
        return parser(frame, now)
    except FRAME_ERRORS:
        return feeds_of(found, symbols, frame, now)


def unread(found: Sequence[Output]) -> set[tuple[str, str]]:
    """Kind and instrument of what cannot be read."""
    return {(one.kind, one.instrument) for one in found if isinstance(one, Unreadable)}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("what", ["price", "size"])
@pytest.mark.parametrize("place", QUOTES, ids="-".join)
def test_a_quote_that_cannot_be_read_is_recovering_until_the_next(place: tuple[str, str], what: str, how: str) -> None:
    """At once, with the quote before in that state; the gap is from the last good one to the next. Counted as odd, with its reason."""
    venue, found = endpoint(*place)
    tape, parser = feeds(venue), found.parser(symbols_of(venue.id))
    good, bad = QUOTES[place], odd(place, QUOTES[place], "quote", what, how)
    for output in parser(good, 10):
        tape.apply(output)

    made = parser(bad, 20)
    events = [event for output in made for event in tape.apply(output)]

    name = NAMES[venue.id]
    assert ("quote", name) in unread(made)
    assert [(one.kind, name in one.reason) for one in made if isinstance(one, Odd)] == [("quote", True)]
    assert [(one.state, one.received_ts) for one in events if isinstance(one, Status) and one.kind == "quote"] == [
        (FeedState.RECOVERING, 20)
    ]
    assert [one.state for one in events if isinstance(one, Quote)] == [FeedState.RECOVERING]
    assert [event for output in parser(bad, 30) for event in tape.apply(output)] == []

    after = [event for output in parser(good, 40) for event in tape.apply(output)]
    assert [one.state for one in after if isinstance(one, Status) and one.kind == "quote"] == [FeedState.LIVE]
    assert [one.state for one in after if isinstance(one, Quote)] == [FeedState.LIVE]
    assert [(one.from_ts, one.to_ts, one.missed, one.cause) for one in after if isinstance(one, Gap) and one.kind == "quote"] == [
        (10, 40, None, GapCause.UNKNOWN)
    ]


@pytest.mark.parametrize("place", TICKERS, ids="-".join)
def test_a_ticker_that_cannot_be_read_is_recovering_until_the_next(place: tuple[str, str]) -> None:
    """As a quote."""
    venue, found = endpoint(*place)
    tape, parser = feeds(venue), found.parser(symbols_of(venue.id))
    good, bad = TICKERS[place], odd(place, TICKERS[place], "ticker", how="type")
    for output in parser(good, 10):
        tape.apply(output)

    made = read(found, parser, symbols_of(venue.id), bad, 20)
    events = [event for output in made for event in tape.apply(output)]
    after = [event for output in parser(good, 40) for event in tape.apply(output)]

    assert unread(made) == {("ticker", NAMES[venue.id])}
    assert [one.state for one in events if isinstance(one, Status)] == [FeedState.RECOVERING]
    assert [one.state for one in after if isinstance(one, Status)] == [FeedState.LIVE]
    assert [(one.kind, one.from_ts, one.to_ts, one.cause) for one in after if isinstance(one, Gap)] == [
        ("ticker", 10, 40, GapCause.UNKNOWN)
    ]
    assert [one for one in after if isinstance(one, Ticker)]


def test_kraken_uses_the_quote_of_a_row_whose_figures_cannot_be_read() -> None:
    """And with the quote unreadable both are out of date. The digits of the quote are looked at as ever."""
    (quote, *_) = outputs(V2, TICKER)

    made = outputs(V2, TICKER.replace(b'"high":92000.0', b'"high":"NaN"'))
    assert quote in made
    assert unread(made) == {("ticker", "BTC-USD")}
    both = outputs(V2, odd(V2, TICKER, "ticker").replace(b'"bid":91000.0', b'"bid":"9_1"'))
    assert unread(both) == {("quote", "BTC-USD"), ("ticker", "BTC-USD")}
    assert not [one for one in both if isinstance(one, Quote)]


@pytest.mark.parametrize("at", [b'"bid":', b'"volume":', b'"symbol":'])
def test_a_kraken_row_with_bytes_that_are_no_text_is_of_the_instrument_that_it_names(at: bytes) -> None:
    """Wherever they stand in it: the quotes of the others stay as they are."""
    assert len(symbols_of("kraken")) > 1
    bad = TICKER.replace(at, at + b"\xff\xfe", 1)

    assert unread(outputs(V2, bad)) == {("quote", "BTC-USD"), ("ticker", "BTC-USD")}


def test_kraken_uses_the_neighbours_of_a_row_in_their_order() -> None:
    """A row that names no symbol may be of any; rows before it are older than it, and those after it are newer."""
    frame = msgspec.json.decode(TICKER)
    (row,) = frame["data"]
    other = {**row, "symbol": "DOGE/USD"}

    def made(*rows: object) -> list[Output]:
        return outputs(V2, msgspec.json.encode({**frame, "data": rows}))

    one = made(other, {**row, "bid": "x"})
    assert [type(output).__name__ for output in one] == ["Quote", "Ticker", "Odd", "Unreadable", "Unreadable"]
    assert unread(one) == {("quote", "BTC-USD"), ("ticker", "BTC-USD")}
    every = {(kind, name) for kind in ("quote", "ticker") for name in (one.name for one in symbols_of("kraken").values())}
    nameless: object
    for nameless in ({**row, "symbol": 5}, None, []):
        assert unread(made(other, nameless)) == every
        assert type(made(other, nameless)[-1]) is Unreadable
        assert type(made(nameless, other)[-1]) is Ticker
    assert unread(made(other, {**row, "symbol": "XRP/USD", "bid": "x"})) == set()
    assert unread(outputs(V2, b'{"channel":"ticker","type":"update","data":5}')) == every


@pytest.mark.parametrize("place", TICKERS, ids="-".join)
def test_a_frame_that_is_cut_or_no_text_is_of_the_feeds_that_it_names(place: tuple[str, str]) -> None:
    """Nothing else would show that a quote or a ticker is missing. Whose text is gone may be anybody's."""
    venue, found = endpoint(*place)
    symbols = {**symbols_of(venue.id), **{symbol: instrument(name) for symbol, name in NEIGHBOURS.items()}}
    for frame in {TICKERS[place], QUOTES.get(place, TICKERS[place])}:
        cut = frame[: len(frame) // 2]
        with pytest.raises(FRAME_ERRORS):
            found.parser(symbols)(cut, 7)
        kinds = {"quote", "ticker"} if place == V2 else {"quote"} if frame == BOOK_TICKER else {"ticker"}
        assert unread(feeds_of(found, symbols, cut, 7)) == {(kind, NAMES[venue.id]) for kind in kinds}
        assert unread(feeds_of(found, symbols, frame + b"\xff", 7)) == {(kind, NAMES[venue.id]) for kind in kinds}
        nobody = frame.lower().replace(b"btcusd", b"?").replace(b"btc-usd", b"?").replace(b"btc/usd", b"?")
        if place != STREAM:
            assert {name for _, name in unread(feeds_of(found, symbols, nobody, 7))} == {one.name for one in symbols.values()}


@pytest.mark.parametrize("venue", VENUES)
def test_a_frame_without_sense_that_names_no_quote_is_nobodys(venue: str) -> None:
    """Half a trade is missed by its id, half a change of a book by its number or checksum."""
    for one in VENUES[venue].endpoints:
        trades = [line.name for line in outputs_of(VENUES[venue]) if line.endpoint == one.name and "Trade" in str(line.outputs)]
        assert not any(feeds_of(one, symbols_of(venue), frames_of(venue, one.name)[name][:60], 7) for name in trades)
        assert not feeds_of(one, symbols_of(venue), b"\x00garbage", 7)
