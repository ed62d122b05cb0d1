"""Which gaps a replica reports when it takes over, and which gaps follow from the last events on the tape."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec
import pytest

from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import FeedKey
from crosstape_connector.publishing.predecessor import silence, trades, unpublished, wanted
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate
from crosstape_schemas import VENUE_WIDE, Amount, Book, Delta, Event, FeedState, Gap, GapCause, Quote, Side, Status, Ticker, Trade
from tests.connector.fake_venue import ID, fake, instrument

NAME: Final = "AAA-USD"
FEEDS: Final = ("trade", "quote", "book", "delta", "ticker")
ONE: Final = Decimal(1)
SECOND: Final = 1_000_000_000
NOW: Final = 1_000 * SECOND


def quote(received_ts: int, *, bid: int = 1, venue_ts: int | None = None) -> Quote:
    """A quote."""
    return Quote(ID, NAME, venue_ts, received_ts, Decimal(bid), ONE, Decimal(9), ONE)


def ticker(received_ts: int, *, last: int = 1) -> Ticker:
    """A ticker."""
    return Ticker(ID, NAME, received_ts, received_ts, Decimal(last))


def delta(received_ts: int, *, sequence: int | None = 3, venue_ts: int | None = None) -> Delta:
    """A change of the book."""
    return Delta(ID, NAME, venue_ts, received_ts, (), (), sequence)


def book(received_ts: int, *, sequence: int | None = 3, venue_ts: int | None = None) -> Book:
    """The same change as a published, conflated book."""
    return Book(ID, NAME, venue_ts, received_ts, ((ONE, ONE),), ((Decimal(9), ONE),), 10, FeedState.LIVE, sequence)


def standby(*, at: int, venue_ts: int | None = None) -> FeedHandler:
    """A replica whose four feeds are live, with their newest data received at this time: the book has the number 3."""
    feeds = FeedHandler(fake(), {NAME: instrument("AAAUSD")}, FEEDS, book_depth=10, book_interval_ns=0)
    feeds.apply(Quote(ID, NAME, venue_ts, at, Amount("1.0"), Amount("1.000"), Amount("9.00"), Amount("1")))  # as a stream brings it
    feeds.apply(ticker(at))
    feeds.apply(BookSnapshot(NAME, venue_ts, at - 1, ((ONE, ONE),), ((Decimal(9), ONE),), 2))
    feeds.apply(BookUpdate(NAME, venue_ts, at, ((ONE, ONE),), (), 3, 3))
    return feeds


def reported(feeds: FeedHandler, *tape: Event) -> dict[str, tuple[int, int]]:
    """Return kind → (from, to) of the gaps that a takeover reports after this tape."""
    kinds = {Trade: "trade", Quote: "quote", Ticker: "ticker", Book: "book", Delta: "delta"}
    found = list(unpublished(feeds, {(kinds[type(event)], NAME): event for event in tape}, NOW))
    assert all((gap.missed, gap.cause, gap.repaired) == (None, GapCause.DISCONNECT, False) for gap in found)
    return {gap.kind: (gap.from_ts, gap.to_ts) for gap in found}


def test_what_was_not_published_is_a_gap_of_each_kind() -> None:
    """From the last event on the tape to the newest that the replica received."""
    feeds, last = standby(at=5 * SECOND), 3 * SECOND
    tape = quote(last, bid=2), ticker(last, last=2), book(last, sequence=1), delta(last, sequence=2)
    assert reported(feeds, *tape) == dict.fromkeys(("quote", "ticker", "book", "delta"), (last, 5 * SECOND))


def test_where_the_tape_has_our_newest_nothing_is_missing() -> None:
    """The market was quiet."""
    feeds, last = standby(at=5 * SECOND), 5 * SECOND - 1_000
    assert reported(feeds, quote(last), ticker(last), book(last), delta(last)) == {}


def test_the_venues_time_distinguishes_equal_quotes() -> None:
    """There may be another quote between them. Without a venue time, they are the same quote only if both were received together."""
    feeds = standby(at=5 * SECOND, venue_ts=7)
    assert reported(feeds, quote(3 * SECOND, venue_ts=7)) == {}
    assert set(reported(feeds, quote(3 * SECOND, venue_ts=6))) == {"quote"}
    assert set(reported(standby(at=5 * SECOND), quote(3 * SECOND))) == {"quote"}


@pytest.mark.parametrize(
    ("ours", "theirs", "is_missing"),
    [
        ((3, 7), (3, 7), False),
        ((3, None), (3, None), False),
        ((3, 7), (None, 7), False),
        ((3, 8), (3, 7), True),  # numbers of a connection may be equal by chance
        ((3, 7), (4, 7), True),
        ((3, None), (None, None), True),
    ],
)
def test_a_book_is_the_same_by_number_and_time(
    ours: tuple[int, int | None], theirs: tuple[int | None, int | None], is_missing: bool
) -> None:
    """Of number and time at least one must be known, and none may differ."""
    feeds = standby(at=5 * SECOND, venue_ts=ours[1])
    tape = [book(SECOND, sequence=theirs[0], venue_ts=theirs[1]), delta(SECOND, sequence=theirs[0], venue_ts=theirs[1])]
    assert set(reported(feeds, *tape)) == ({"book", "delta"} if is_missing else set())


def test_a_tape_without_a_last_event_has_no_gap() -> None:
    """The instrument is new, or the server has trimmed the event."""
    assert reported(standby(at=5 * SECOND)) == {}


def test_a_feed_that_is_not_live_reports_its_gap_when_data_resume() -> None:
    """Until then the end of the gap is not known."""
    feeds, last = standby(at=5 * SECOND), 3 * SECOND
    feeds.interrupt([FeedKey("quote", NAME), FeedKey("ticker", NAME)], 6 * SECOND, "lost")
    assert reported(feeds, quote(last, bid=2), ticker(last, last=2)) == {}

    events = [*feeds.apply(quote(9 * SECOND)), *feeds.apply(ticker(9 * SECOND, last=3))]
    gaps = [(event.kind, event.from_ts, event.to_ts) for event in events if isinstance(event, Gap)]
    assert gaps == [("quote", last, 9 * SECOND), ("ticker", last, 9 * SECOND)]


def test_the_gap_in_a_venues_sign_of_life() -> None:
    """It has the kind `status` and is venue-wide. There is none on a new tape, and it never ends before it begins."""
    last = Status(ID, VENUE_WIDE, None, 3 * SECOND, VENUE_WIDE, FeedState.LIVE)
    (gap,) = silence(ID, {("status", VENUE_WIDE): last}, NOW)
    assert (gap.instrument, gap.kind, gap.from_ts, gap.to_ts, gap.missed) == (VENUE_WIDE, "status", 3 * SECOND, NOW, None)
    assert list(silence(ID, {}, NOW)) == []
    (gap,) = silence(ID, {("status", VENUE_WIDE): last}, SECOND)
    assert (gap.from_ts, gap.to_ts) == (SECOND, SECOND)


def test_a_new_process_goes_on_from_the_tape() -> None:
    """There is a gap of each kind, from the last event on the tape to our first;

    none without a last event, and none for other instruments.
    """
    feeds = FeedHandler(fake(), {NAME: instrument("AAAUSD")}, FEEDS, book_depth=10, book_interval_ns=0)
    trade = Trade(ID, NAME, 3, 3 * SECOND, ONE, ONE, Side.BUY, "7")
    elsewhere = msgspec.structs.replace(quote(1), instrument="NOT-OURS")
    feeds.seed([trade, quote(2 * SECOND), delta(3 * SECOND), book(4 * SECOND), elsewhere])

    events = list(feeds.apply(msgspec.structs.replace(trade, received_ts=9 * SECOND, trade_id="10")))
    events += [*feeds.apply(quote(9 * SECOND)), *feeds.apply(ticker(9 * SECOND))]
    events += feeds.apply(BookSnapshot(NAME, None, 9 * SECOND, ((ONE, ONE),), ((Decimal(9), ONE),), 2))
    assert {event.kind: (event.from_ts, event.to_ts, event.missed) for event in events if isinstance(event, Gap)} == {
        "trade": (3 * SECOND, 9 * SECOND, 2),
        "quote": (2 * SECOND, 9 * SECOND, None),
        "delta": (3 * SECOND, 9 * SECOND, None),
        "book": (4 * SECOND, 9 * SECOND, None),
    }
    assert [event.kind for event in [*feeds.apply(quote(11 * SECOND)), *feeds.apply(delta_update(11))] if isinstance(event, Gap)] == []


def delta_update(second: int) -> BookUpdate:
    """The next change of the same book."""
    return BookUpdate(NAME, None, second * SECOND, ((ONE, ONE),), (), 3, 3)


def test_which_last_events_are_read() -> None:
    """Of every instrument only the kinds that are feeds; of the answer, the trades."""
    assert wanted(("status", "trade", "ticker"), ["A-B", "C-D"]) == [
        ("trade", "A-B"), ("ticker", "A-B"), ("trade", "C-D"), ("ticker", "C-D"),
    ]  # fmt: skip
    trade = Trade(ID, NAME, 3, 3, ONE, ONE, Side.BUY, "7")
    assert trades({("quote", NAME): quote(1), ("trade", NAME): trade}) == [trade]


def test_trades_without_ids_have_a_gap_without_a_count() -> None:
    """Nothing shows which of them are on the tape already."""
    venue = msgspec.structs.replace(fake(), trade_ids="none")
    feeds = FeedHandler(venue, {NAME: instrument("AAAUSD")}, FEEDS, book_depth=10, book_interval_ns=0)
    trade = Trade(ID, NAME, 3, 3 * SECOND, ONE, ONE, Side.BUY, "")
    feeds.seed([trade])
    events = feeds.apply(msgspec.structs.replace(trade, received_ts=9 * SECOND))
    assert [(gap.from_ts, gap.to_ts, gap.missed) for gap in events if isinstance(gap, Gap)] == [(3 * SECOND, 9 * SECOND, None)]


def test_a_predecessor_whose_clock_was_ahead_makes_no_gap_that_ends_before_it_begins() -> None:
    """One start has a clock that is two hours ahead, the next has the right time."""
    feeds = FeedHandler(fake(), {NAME: instrument("AAAUSD")}, FEEDS, book_depth=10, book_interval_ns=0)
    ahead = 7_200 * SECOND
    trade = Trade(ID, NAME, 3, ahead, ONE, ONE, Side.BUY, "7")
    feeds.seed([trade, quote(ahead), delta(ahead), book(ahead), ticker(ahead)])
    events = [*feeds.apply(msgspec.structs.replace(trade, received_ts=9 * SECOND, trade_id="9")), *feeds.apply(quote(9 * SECOND))]
    events += [*feeds.apply(ticker(9 * SECOND)), *feeds.apply(BookSnapshot(NAME, None, 9 * SECOND, ((ONE, ONE),), (), 2))]
    gaps = {event.kind: (event.from_ts, event.to_ts) for event in events if isinstance(event, Gap)}
    assert gaps == dict.fromkeys(FEEDS, (9 * SECOND, 9 * SECOND))
    assert set(reported(standby(at=5 * SECOND), quote(ahead, bid=2)).values()) == {(NOW, NOW)}
