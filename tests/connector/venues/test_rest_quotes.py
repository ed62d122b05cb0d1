"""Best bid and ask by REST: what is asked of each venue, and what its answers become."""

from __future__ import annotations

import random
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.errors import FRAME_ERRORS, FrameError, UnknownSymbol
from crosstape_connector.venues.messages import Odd
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import QuoteSource
from crosstape_schemas import Quote, decode, encode
from tests.connector.venues.rest_bodies import QUOTES
from tests.connector.venues.test_contract import warp

each = pytest.mark.parametrize("venue", VENUES)
ASKED = {
    "binance": {"BTCUSDT": "BTC-USDT", "ETHUSDT": "ETH-USDT"},
    "coinbase": {"BTC-USD": "BTC-USD"},
    "kraken": {"BTC/USD": "BTC-USD"},
}


def source(venue: str) -> QuoteSource:
    """Every venue has one, also where the quote is the top of the book: for when there is no book."""
    found = VENUES[venue].quotes
    assert found is not None
    return found


def parse(venue: str, body: bytes) -> list[Quote]:
    """Received at 7; what else was in the answer is left out."""
    return [one for one in source(venue).parse(body, ASKED[venue], 7) if isinstance(one, Quote)]


@each
def test_an_answer_holds_price_and_size_of_both_sides(venue: str) -> None:
    """To the digit; with the venue's time where the answer has one."""
    quote = parse(venue, QUOTES[venue])[0]

    assert quote == Quote(
        venue, next(iter(ASKED[venue].values())), 1_767_225_600_500_000_000 if venue == "coinbase" else None, 7,
        Decimal("91000.1"), Decimal("3.1"), Decimal("91000.2"), Decimal("0.5"),
    )  # fmt: skip
    assert str(quote.bid_price) == "91000.10000000"


def test_a_side_that_is_empty_is_null() -> None:
    """Binance writes zeros, the others no level."""
    assert parse("binance", QUOTES["binance"])[1] == Quote("binance", "ETH-USDT", None, 7, None, None, Decimal("3000.5"), Decimal(1))
    for venue, bids in (("coinbase", b'[["91000.10000000","3.10000000",2]]'), ("kraken", b'[["91000.10000000","3.100",1767225500]]')):
        (quote,) = parse(venue, QUOTES[venue].replace(bids, b"[]"))
        assert (quote.bid_price, quote.bid_size, quote.ask_price, quote.ask_size) == (None, None, Decimal("91000.2"), Decimal("0.5"))


def test_a_size_below_what_kraken_tells_is_not_told_at_all() -> None:
    """A null side would say that there is none, and the price is there."""
    assert parse("kraken", QUOTES["kraken"].replace(b'"3.100"', b'"0.000"')) == []


def test_an_auctions_prices_are_no_quote() -> None:
    """Nothing can be had at them."""
    assert parse("coinbase", QUOTES["coinbase"].replace(b'"auction_mode":false', b'"auction_mode":true')) == []


PATHS = {
    "binance": "/api/v3/ticker/bookTicker?symbols=%5B%22BTCUSDT%22%2C%22ETHUSDT%22%5D",
    "coinbase": "/products/BTC-USD/book?level=1",
    "kraken": "/0/public/Depth?pair=XBTUSD&count=1",
}


@each
def test_as_many_are_asked_for_at_once_as_the_venue_can_answer(venue: str) -> None:
    """One, but on Binance; well within its limits."""
    found = source(venue)

    assert found.path(list(ASKED[venue])) == PATHS[venue]
    assert found.batch >= len(ASKED[venue])
    assert (found.batch > 1) == (venue == "binance")
    assert 0 < found.per_minute <= {"binance": 6_000 / 4, "coinbase": 600, "kraken": 60}[venue] / 2
    assert found.rest in VENUES[venue].rest_urls


def test_a_quote_of_what_was_not_asked_for_is_refused() -> None:
    """It would be another market's."""
    with pytest.raises(UnknownSymbol, match="XRPUSDT"):
        parse("binance", QUOTES["binance"].replace(b"ETHUSDT", b"XRPUSDT").replace(b"BTCUSDT", b"XRPUSDT"))
    with pytest.raises(FrameError, match="not one pair"):
        parse("kraken", b'{"error":[],"result":{"XXBTZUSD":{"bids":[],"asks":[]},"XETHZUSD":{"bids":[],"asks":[]}}}')
    with pytest.raises(FrameError, match="EQuery:Unknown asset pair"):
        parse("kraken", b'{"error":["EQuery:Unknown asset pair"]}')


@pytest.mark.parametrize(
    ("old", "new"), [(b"ETHUSDT", b"XRPUSDT"), (b'"3000.50000000"', b'"1_000"'), (b'"askQty":"1.00000000"', b'"askQty":5')]
)
def test_a_row_that_cannot_be_used_takes_no_other_with_it(old: bytes, new: bytes) -> None:
    """It is told apart, with the reason."""
    bitcoin, odd = source("binance").parse(QUOTES["binance"].replace(old, new), ASKED["binance"], 7)

    assert isinstance(bitcoin, Quote)
    assert bitcoin.instrument == "BTC-USDT"
    assert isinstance(odd, Odd)
    assert odd.kind == "row"
    assert odd.reason.startswith("quotes: ")


@each
@given(seed=st.integers(0, 2**32))
def test_no_answer_does_harm(venue: str, seed: int) -> None:
    """One with a part replaced by something strange is refused, or what it gives can be written."""
    try:
        quotes = parse(venue, msgspec.json.encode(warp(msgspec.json.decode(QUOTES[venue]), random.Random(seed))))
    except FRAME_ERRORS:
        return
    for quote in quotes:
        assert decode(encode(quote)) == quote
        for price, size in ((quote.bid_price, quote.bid_size), (quote.ask_price, quote.ask_size)):
            assert (price is None) == (size is None)
            assert price is None or (price > 0 and size is not None and size > 0)
