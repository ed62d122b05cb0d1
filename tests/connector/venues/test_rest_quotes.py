"""Best bid and ask by REST: the requests to each venue that offers them, and the quotes from its answers."""

from __future__ import annotations

import random
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.errors import FRAME_ERRORS
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import QuoteSource
from crosstape_schemas import Instrument, Quote, decode, encode
from tests.connector.venues.cases import quote_cases
from tests.connector.venues.golden import answers_of, symbols_of
from tests.connector.venues.test_contract import warp
from tests.connector.venues.unfinished import FINISHED

each = pytest.mark.parametrize("venue", [venue.id for venue in FINISHED if venue.quotes is not None])
each_case = pytest.mark.parametrize("venue", quote_cases())


def source(venue: str) -> QuoteSource:
    """The venue's source of quotes: it has one even where the quote is the top of the book, for when there is no book."""
    found = VENUES[venue].quotes
    assert found is not None
    return found


def asked(venue: str) -> dict[str, Instrument]:
    """The golden symbols, as many as the venue takes in one request."""
    return dict(list(symbols_of(venue).items())[: source(venue).batch])


def parse(venue: str, body: bytes) -> list[Quote]:
    """The quotes of an answer that was received at 7; what else was in it is left out."""
    return [one for one in source(venue).parse(body, asked(venue), 7) if isinstance(one, Quote)]


@each
def test_an_answer_holds_price_and_size_of_both_sides(venue: str) -> None:
    """Every golden answer begins with the same quote, to the digit; the venue's time is there where the answer has one."""
    quote = parse(venue, answers_of(venue)["quotes"])[0]

    assert quote == Quote(
        venue, next(iter(asked(venue).values())).name, quote.venue_ts, 7,
        Decimal("91000.1"), Decimal("3.1"), Decimal("91000.2"), Decimal("0.5"),
    )  # fmt: skip
    assert quote.venue_ts in (None, 1_767_225_600_500_000_000)
    assert str(quote.bid_price) == "91000.10000000"


@pytest.mark.parametrize("venue", [venue for venue, case in quote_cases().items() if case.no_bids is not None])
def test_a_side_that_is_empty_is_null(venue: str) -> None:
    """No level is no price and no size."""
    no_bids = quote_cases()[venue].no_bids
    assert no_bids is not None
    (quote,) = parse(venue, answers_of(venue)["quotes"].replace(*no_bids))

    assert (quote.bid_price, quote.bid_size, quote.ask_price, quote.ask_size) == (None, None, Decimal("91000.2"), Decimal("0.5"))


@each_case
def test_as_many_are_asked_for_at_once_as_the_venue_can_answer(venue: str) -> None:
    """Within its limits."""
    found, case = source(venue), quote_cases()[venue]

    assert found.path(list(asked(venue))) == case.path
    assert 0 < found.per_minute <= case.limit / 2
    assert found.rest in VENUES[venue].rest_urls


@each
@given(seed=st.integers(0, 2**32))
def test_no_answer_does_harm(venue: str, seed: int) -> None:
    """An answer with a part replaced by a strange value is refused, or its outputs can be encoded."""
    try:
        quotes = parse(venue, msgspec.json.encode(warp(msgspec.json.decode(answers_of(venue)["quotes"]), random.Random(seed))))
    except FRAME_ERRORS:
        return
    for quote in quotes:
        assert decode(encode(quote)) == quote
        for price, size in ((quote.bid_price, quote.bid_size), (quote.ask_price, quote.ask_size)):
            assert (price is None) == (size is None)
            assert price is None or (price > 0 and size is not None and size > 0)
