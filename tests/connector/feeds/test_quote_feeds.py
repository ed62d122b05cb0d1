"""Quotes from REST while the stream is away. `test_handler` tests the quotes of streams."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from crosstape_connector.feeds.feed_state import POLLED, FeedRecord
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.venues.messages import RepeatedQuote
from crosstape_schemas import Amount, FeedState, Instrument, Quote, Status
from tests.connector.fake_venue import endpoint, fake

NAME = "A-B"
QUOTES = FeedKey("quote", NAME)
WHY = f"{POLLED}, every 1 s at best"


def feeds(*, from_book: bool = False) -> FeedHandler:
    """The quote feed of one instrument, whose connection was lost before the first quote. `from_book`: it is the top of the book."""
    known = {NAME: Instrument(NAME, "fake", "AB", "A", "B")}
    venue = msgspec.structs.replace(fake(endpoint(channels={"quote": "quotes"})), quote_from_book=from_book)
    found = FeedHandler(venue, known, ("quote",), book_depth=5, book_interval_ns=0)
    found.interrupt([QUOTES], 0, "lost")
    return found


def record(found: FeedHandler) -> FeedRecord:
    """Return the state of the feed."""
    return found.records[QUOTES]


def quote(bid: int, at: int) -> Quote:
    """A quote received at this time."""
    return Quote("fake", NAME, None, at, Decimal(bid), Decimal(1), Decimal(bid + 1), Decimal(1))


@pytest.mark.parametrize("from_book", [False, True])
def test_a_polled_quote_is_never_live(from_book: bool) -> None:
    """The reason of its feed is that it is polled. A quote without a change is not published again."""
    found = feeds(from_book=from_book)

    first = found.apply_polled_quote(quote(10, 5), 4, WHY)
    again = found.apply_polled_quote(quote(10, 6), 5, WHY)
    changed = found.apply_polled_quote(quote(11, 7), 6, WHY)

    assert [(type(event), event.state) for event in first if isinstance(event, Status | Quote)] == [
        (Status, FeedState.RECOVERING),
        (Quote, FeedState.RECOVERING),
    ]
    assert (list(again), [event.bid_price for event in changed if isinstance(event, Quote)]) == ([], [Decimal(11)])
    assert record(found).reason == WHY


def test_a_quote_with_the_same_numbers_in_other_digits_is_no_change() -> None:
    """REST may write more zeros than the stream, or fewer."""
    found = feeds()
    found.apply_polled_quote(quote(10, 5), 4, WHY)
    same = Quote("fake", NAME, None, 6, Decimal("10.00"), Decimal("1.0"), Decimal("11.0"), Decimal("1.00"))

    assert list(found.apply_polled_quote(same, 5, WHY)) == []


def test_after_subscribing_again_the_same_numbers_in_other_digits_are_the_known_quote() -> None:
    """The stream's quotes are text: `10` and `10.00` are one price, so that nothing was missed."""
    found = feeds()
    record(found).answers_subscribe = True
    found.apply_polled_quote(quote(10, 5), 4, WHY)
    record(found).stalled_ts = 6

    events = found.apply(Quote("fake", NAME, None, 7, Amount("10.00"), Amount("1.00"), Amount("11.00"), Amount("1.00")))

    assert record(found).state is FeedState.LIVE
    assert [event.state for event in events if isinstance(event, Quote)] == [FeedState.LIVE]


def test_an_answer_that_the_stream_overtook_is_dropped() -> None:
    """The feed is live or subscribed, or the stream has brought a quote since the request."""
    alive, subscribed, spoke = feeds(), feeds(), feeds()
    record(alive).set_live(5)
    record(subscribed).confirmed = True
    record(spoke).received_ts = 5

    for one in (alive, subscribed, spoke):
        assert list(one.apply_polled_quote(quote(10, 6), 4, WHY)) == []


def test_a_quote_of_a_removed_instrument_is_counted() -> None:
    """The instrument may be removed during the request."""
    found = feeds()
    found.remove_instrument(NAME, 1)

    assert list(found.apply_polled_quote(quote(10, 6), 4, WHY)) == []
    assert list(found.end_polling(QUOTES, 7, "no connection")) == []
    assert found.counts["unwanted"] == 1


def test_the_state_after_polling_depends_on_the_connection() -> None:
    """With a connection the feed is `recovering`, without one `down`."""
    down, opened, broken, alive = feeds(), feeds(), feeds(), feeds()
    for one in (down, opened, broken, alive):
        one.apply_polled_quote(quote(10, 6), 4, WHY)
    record(opened).sessions = record(broken).sessions = record(alive).sessions = 1
    record(broken).set_state(FeedState.RECOVERING, "its book broke", 7)
    record(alive).set_live(7)

    ends = [one.end_polling(QUOTES, 8, "no connection")[:1] for one in (down, opened, broken, alive)]

    assert [[(event.state.value, event.reason) for event in end if isinstance(event, Status)] for end in ends] == [
        [("down", "no connection")],
        [("recovering", "reconnected")],
        [],
        [],
    ]


def test_a_quote_that_the_venue_repeats_is_a_sign_of_life_and_is_not_published() -> None:
    """While the feed is live. When it is not, it is as good as a new one: nothing else may come for long."""
    found = feeds()
    list(found.apply(quote(10, 5)))
    assert list(found.apply(RepeatedQuote(quote(10, 8)))) == []
    assert (record(found).received_ts, record(found).count) == (8, 2)

    found.mark_stale(QUOTES, 20, "silent")
    again = list(found.apply(RepeatedQuote(quote(10, 30))))
    assert [event.received_ts for event in again if isinstance(event, Quote)] == [30]
    assert record(found).state is FeedState.LIVE
