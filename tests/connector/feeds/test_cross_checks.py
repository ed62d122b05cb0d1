"""Finding streams that miss changes: by REST's book, by its best prices, by another stream."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from crosstape_connector.feeds.agreement import COMPARED_NS, Agreement
from crosstape_connector.feeds.cross_checks import AGREE_NS
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import FeedKey, Topic
from crosstape_connector.venues.messages import BookUpdate, Unreadable, unread
from crosstape_schemas import Amount, Book, Delta, Event, FeedState, Gap, GapCause, Quote, Status, Ticker
from tests.connector.feeds.split import SplitFeeds
from tests.connector.feeds.test_handler import feeds, levels, only, snapshot, states, taken_requests

S = 1_000_000_000
T0 = 1_000 * S
LOOK = S // 4
NAME = "BTC-USD"
LIVE, STALE = FeedState.LIVE, FeedState.STALE


def quote(bid: str, ask: str, at: int, venue: str = "binance") -> Quote:
    """Of size 1."""
    return Quote(venue, NAME, None, at, Decimal(bid), Decimal(1), Decimal(ask), Decimal(1))


def change(bids: str, asks: str, at: int, number: int) -> BookUpdate:
    """One numbered change."""
    return BookUpdate(NAME, None, at, levels(bids), levels(asks), number, number)


def state(found: FeedHandler, kind: str) -> FeedState:
    """Return the state of a feed."""
    return found.records[FeedKey(kind, NAME)].state


class Binance:
    """Quote and book of Binance, live since `T0`, with the prices 10 and 11; time passes in checks."""

    def __init__(self) -> None:
        self.found = feeds("binance", ("trade", "quote", "book", "delta", "ticker"))
        self.topics = [Topic("stream", name, "B") for name in ("trade", "bookTicker", "depth@100ms", "ticker")]
        self.found.open_topics(self.topics, T0 - 2 * S)
        self.found.confirm_topics(self.topics, T0 - 2 * S)
        taken_requests(self.found)
        self.found.apply(snapshot(at=T0 - S, sequence=10))
        self.number = 10
        self.now = T0
        self.book("10:2", "")
        self.quote("10", "11")
        self.found.apply(Ticker("binance", NAME, None, T0, Decimal(10)))
        assert {state(self.found, kind) for kind in ("quote", "book", "delta", "ticker")} == {LIVE}

    def book(self, bids: str, asks: str) -> Sequence[Event]:
        """Receive a change of the book."""
        self.number += 1
        return self.found.apply(change(bids, asks, self.now, self.number))

    def quote(self, bid: str, ask: str) -> Sequence[Event]:
        """A quote, as text: a price may have more zeros than the book's."""
        made = quote(bid, ask, self.now)
        return self.found.apply(
            msgspec.structs.replace(made, bid_price=Amount(f"{Decimal(bid):.4f}"), ask_price=Amount(f"{Decimal(ask):.4f}"))
        )

    def pass_time(self, seconds: float) -> list[Event]:
        """Let time pass, with four checks per second."""
        events: list[Event] = []
        for _ in range(round(seconds * 4)):
            self.now += LOOK
            events += self.found.check_streams([NAME], self.now)
        return events

    def answer(self, **fields: Any) -> Sequence[Event]:
        """Answer a probe with this book by REST."""
        self.found.probe(FeedKey("book", NAME))
        assert [one.cause for one in taken_requests(self.found)] == ["silent"]
        return self.found.apply(snapshot(at=self.now, **fields))

    def states(self) -> dict[str, FeedState]:
        """Return the states of all feeds."""
        return {kind: state(self.found, kind) for kind in ("quote", "book", "delta", "ticker")}


# ---- the book by REST


def test_a_dead_book_stream_makes_all_silent_feeds_stale() -> None:
    """Quote, book and delta are stale, with gaps for the missing changes, and so is the ticker."""
    venue = Binance()
    venue.now += 20 * S

    assert venue.answer(bids="8:1", asks="9:1", sequence=15) == ()
    assert venue.pass_time(0.75) == []
    events = venue.pass_time(0.5)

    assert set(venue.states().values()) == {STALE}
    assert {(gap.kind, gap.missed, gap.cause) for gap in only(Gap, events)} == {
        ("book", 4, GapCause.SEQUENCE), ("delta", 4, GapCause.SEQUENCE), ("quote", None, GapCause.UNKNOWN),
    }  # fmt: skip
    assert {gap.from_ts for gap in only(Gap, events)} == {T0}
    (book,) = only(Book, events)[-1:]
    assert (book.bids[0][0], book.state) == (Decimal(8), STALE), "what REST has is shown, as stale"
    assert only(Delta, events)[0].snapshot
    assert only(Quote, events)[-1].state is STALE


def test_only_streams_make_refuted_feeds_live() -> None:
    """Each stream its own feed; the ticker, which was refuted because of the book, is live with the book."""
    venue = Binance()
    venue.now += 20 * S
    venue.answer(bids="8:1", asks="9:1", sequence=15)
    venue.pass_time(1.5)
    venue.found.probe(FeedKey("book", NAME))
    assert taken_requests(venue.found) == []
    venue.found.apply(snapshot("8:1", "9:1", venue.now, sequence=15))
    assert set(venue.states().values()) == {STALE}

    venue.number = 15
    venue.book("8:2", "")
    assert venue.states() == {"quote": STALE, "book": LIVE, "delta": LIVE, "ticker": LIVE}
    assert [gap.kind for gap in only(Gap, venue.quote("8", "9"))] == ["quote"]
    assert set(venue.states().values()) == {LIVE}


def test_a_quote_that_has_the_price_of_rests_book_is_right() -> None:
    """Only the stream of the book is dead, and only levels below the best have changed."""
    venue = Binance()
    venue.now += 20 * S
    venue.answer(bids="10:2 9:5", asks="11:1", sequence=15)
    venue.pass_time(1.5)
    assert venue.states() == {"quote": LIVE, "book": STALE, "delta": STALE, "ticker": STALE}


def test_a_book_that_rest_confirms_shows_a_quote_that_is_wrong() -> None:
    """The best prices changed once: the stream of the book brought the change, that of the quote did not."""
    venue = Binance()
    venue.now += S // 2
    venue.book("10:0 8:1", "")
    venue.now += 20 * S

    events = venue.answer(bids="9:1 8:1", asks="11:1 12:1", sequence=12)

    assert states(events) == {"quote": "stale"}
    assert [gap.kind for gap in only(Gap, events)] == ["quote"]
    assert venue.states()["book"] is LIVE


# ---- the best prices by REST


def best(venue: Binance, bid: str, ask: str) -> Sequence[Event]:
    """REST's best prices, requested and answered now."""
    return venue.found.compare_best_prices(quote(bid, ask, venue.now), venue.now, venue.now)


def test_best_prices_that_differ_twice_refute_silent_feeds() -> None:
    """One answer may be late or early. Sizes are not compared, because Kraken cuts them."""
    venue = Binance()
    venue.now += 6 * S
    assert best(venue, "10", "11") == []
    assert best(venue, "8", "9") == []
    assert venue.found.suspects() == {NAME}
    venue.now += S

    events = best(venue, "8.5", "9.5")

    assert set(venue.states().values()) == {STALE}
    assert {gap.kind for gap in only(Gap, events)} == {"quote", "book", "delta"}
    assert "8.5/9.5" in only(Status, events)[0].reason
    assert venue.found.suspects() == set()


def test_best_prices_prove_nothing_of_a_stream_with_newer_data() -> None:
    """The stream is ahead of the answer."""
    venue = Binance()
    venue.now += 6 * S
    best(venue, "8", "9")
    venue.now += S
    venue.quote("8", "9")
    venue.book("10:0 9:0 8:1", "9:1")
    asked = venue.now
    venue.now += S
    assert venue.found.compare_best_prices(quote("7", "9", venue.now), asked, venue.now) == []
    assert set(venue.states().values()) == {LIVE}


def test_a_refuted_book_in_the_stream_is_live_with_an_update_only() -> None:
    """A snapshot after a new subscription shows that REST was right, but not that the stream works."""
    found = feeds("coinbase", ("quote", "book", "delta"))
    topic = Topic("advanced", "level2", "B")
    found.open_topics([topic], T0 - S)
    found.confirm_topics([topic], T0 - S)
    found.apply(snapshot(at=T0))
    for second in (6, 7):
        at = T0 + second * S
        found.compare_best_prices(quote("8", "9", at, "coinbase"), at, at)
    assert state(found, "quote") is state(found, "book") is STALE

    events = found.apply(snapshot("8:1", "9:1", T0 + 8 * S))
    assert state(found, "quote") is state(found, "book") is STALE
    assert [one.state for one in only(Quote, events)] == [STALE]
    assert found.apply(snapshot("8:1", "9:1", T0 + 9 * S)) != ()
    assert state(found, "quote") is STALE, "nor one that is equal"

    events = found.apply(BookUpdate(NAME, None, T0 + 10 * S, levels("8:2"), ()))
    assert states(events) == dict.fromkeys(("quote", "book", "delta"), "live")


# ---- subscriptions that are answered with data


def coinbase() -> SplitFeeds:
    """A book in the stream that is stale because it was silent."""
    found = feeds("coinbase", ("quote", "book", "delta"))
    topic = Topic("advanced", "level2", "B")
    found.open_topics([topic], T0 - S)
    found.confirm_topics([topic], T0 - S)
    found.apply(snapshot(at=T0))
    for kind in ("quote", "book", "delta"):
        found.mark_stale(FeedKey(kind, NAME), T0 + 10 * S, "silent")
    return found


def test_a_subscription_that_is_answered_with_the_same_book_shows_a_quiet_market() -> None:
    """Nothing was missed."""
    events = coinbase().apply(snapshot(at=T0 + 11 * S))
    assert states(events) == dict.fromkeys(("quote", "book", "delta"), "live")
    assert only(Gap, events) == []


def test_a_subscription_that_is_answered_with_another_book_shows_a_dead_stream() -> None:
    """The missed changes are reported. Any number of such answers does not make the book live, only a later change does."""
    found = coinbase()
    for second in (11, 12, 13):
        events = found.apply(snapshot(f"8:{second}", "9:1", T0 + second * S))
        assert "live" not in states(events).values()
        assert {gap.kind for gap in only(Gap, events)} == {"quote", "book", "delta"}
        for kind in ("quote", "book", "delta"):
            found.mark_stale(FeedKey(kind, NAME), T0 + second * S + 1, "silent")

    assert "live" in states(found.apply(BookUpdate(NAME, None, T0 + 14 * S, levels("8:2"), ()))).values()


def test_a_live_book_that_is_replaced_by_another_has_missed_something() -> None:
    """A snapshot that was not requested is used, and is a gap for readers of deltas."""
    found = feeds("coinbase", ("book", "delta"))
    topic = Topic("advanced", "level2", "B")
    found.open_topics([topic], T0 - S)
    found.apply(snapshot(at=T0))
    assert only(Gap, found.apply(snapshot(at=T0 + S))) == []
    events = found.apply(snapshot("10:1 9:1 8:2", at=T0 + 2 * S))
    assert {(gap.kind, gap.from_ts, gap.to_ts) for gap in only(Gap, events)} == {(kind, T0 + S, T0 + 2 * S) for kind in ("book", "delta")}
    assert state(found, "book") is LIVE


def test_a_quote_that_only_answers_is_not_live_until_another_comes() -> None:
    """Kraken answers a subscription of its ticker with a quote."""
    found = feeds("kraken", ("quote", "ticker"))
    topic = Topic("v2", "ticker", "B")
    found.open_topics([topic], T0 - S)
    found.apply(quote("10", "11", T0, "kraken"))
    for second in (10, 20):
        found.mark_stale(FeedKey("quote", NAME), T0 + second * S, "silent")
        events = found.apply(quote(str(second), "91", T0 + (second + 1) * S, "kraken"))
        assert state(found, "quote") is STALE
        assert [one.state for one in only(Quote, events)][-1:] == [STALE]
    assert {gap.kind for gap in only(Gap, events)} == {"quote"}

    assert states(found.apply(quote("20", "92", T0 + 22 * S, "kraken"))) == {"quote": "live"}


def test_a_quote_that_answers_with_what_was_known_shows_a_quiet_market() -> None:
    """Nothing was missed."""
    found = feeds("kraken", ("quote",))
    found.open_topics([Topic("v2", "ticker", "B")], T0 - S)
    found.apply(quote("10", "11", T0, "kraken"))
    found.mark_stale(FeedKey("quote", NAME), T0 + 10 * S, "silent")
    assert states(found.apply(quote("10", "11", T0 + 11 * S, "kraken"))) == {"quote": "live"}


# ---- quote and book


def test_a_book_that_stands_still_while_the_quote_changes_makes_both_stale() -> None:
    """We do not know which of them is wrong. New data of one do not make it live."""
    venue = Binance()
    events: list[Event] = []
    for step in range(8):
        venue.now += 1
        venue.quote(f"{9 - step / 8}", "11")
        events += venue.pass_time(0.25)
    assert {state(venue.found, kind) for kind in ("quote", "book", "delta")} == {STALE}
    assert {gap.kind for gap in only(Gap, events)} == {"quote", "book", "delta"}
    assert "contradict" in only(Status, events)[0].reason
    assert only(Status, events)[0].received_ts - T0 < AGREE_NS + 3 * LOOK
    (said,) = venue.quote("7", "11")
    assert isinstance(said, Quote)
    assert said.state is STALE


def test_they_are_live_again_when_both_have_data_and_agree() -> None:
    """The dead one must have data: a market that returns to its last price proves nothing."""
    venue = Binance()
    venue.quote("9.5", "11")
    venue.pass_time(1.5)
    assert state(venue.found, "quote") is STALE
    venue.quote("10", "11")
    venue.pass_time(2.0)
    assert {state(venue.found, kind) for kind in ("quote", "book", "delta")} == {STALE}

    venue.book("10:3", "")
    assert state(venue.found, "book") is STALE
    events = venue.pass_time(0.25)

    assert states(events) == dict.fromkeys(("quote", "book", "delta"), "live")
    assert only(Quote, venue.quote("10", "11"))[0].state is LIVE


def test_a_moving_market_contradicts_itself_for_moments_only() -> None:
    """The book is always a step behind, and both change all the time."""
    venue = Binance()
    for step in range(40):
        venue.quote(f"10.{step + 1:03}", "11")
        venue.pass_time(0.25)
        venue.book(f"10.{step:03}:0 10.{step + 1:03}:1", "")
        venue.quote(f"10.{step + 2:03}", "11")
        venue.pass_time(0.5)
    assert set(venue.states().values()) == {LIVE}


def test_checks_that_are_far_apart_prove_nothing() -> None:
    """We did not read in between: frames in the socket may make the two agree."""
    venue = Binance()
    venue.quote("9.5", "11")
    assert venue.found.check_streams([NAME], venue.now) == []
    venue.now += 30 * S
    assert venue.found.check_streams([NAME], venue.now) == []
    assert venue.pass_time(0.5) == []


def test_where_the_quote_is_the_books_top_there_is_nothing_to_compare() -> None:
    """Quote and book are the same data."""
    found = feeds("coinbase", ("quote", "book"))
    found.open_topics([Topic("advanced", "level2", "B")], T0 - S)
    found.apply(snapshot(at=T0))
    assert [found.check_streams([NAME], T0 + step * LOOK) for step in range(40)] == [[]] * 40


def test_agreement_is_counted_from_where_one_stood_still_and_the_other_differed() -> None:
    """From the later of the two moments."""
    agreement = Agreement()
    one, two, three = (Decimal(1), Decimal(4)), (Decimal(2), Decimal(4)), (Decimal(3), Decimal(4))
    assert agreement.compare(one, one, 0) == 0
    assert agreement.compare(one, two, COMPARED_NS) == 0
    assert agreement.compare(one, three, 2 * COMPARED_NS) == COMPARED_NS
    assert agreement.compare(two, three, 3 * COMPARED_NS) == COMPARED_NS
    assert agreement.compare(two, two, 4 * COMPARED_NS) == 0


# ---- changes that cannot be read


@pytest.mark.parametrize(
    ("venue", "name", "channel"), [("binance", "stream", "depth@100ms"), ("coinbase", "advanced", "level2"), ("kraken", "v2", "book")]
)
def test_a_change_that_cannot_be_read_breaks_its_book(venue: str, name: str, channel: str) -> None:
    """At once, with a gap in all feeds of the book, and a new snapshot is requested."""
    found = feeds(venue, ("book", "delta"))
    topic = Topic(name, channel, "B")
    found.open_topics([topic], T0 - S)
    found.confirm_topics([topic], T0 - S)
    taken_requests(found)
    found.apply(snapshot(at=T0, sequence=10))

    events = found.apply(unread(NAME, T0 + S))

    assert states(events) == {"book": "recovering", "delta": "recovering"}
    assert {(gap.kind, gap.from_ts, gap.to_ts, gap.cause) for gap in only(Gap, events)} == {
        (kind, T0, T0 + S, GapCause.UNKNOWN) for kind in ("book", "delta")
    }
    assert [one.cause for one in taken_requests(found)] == ["a change of the book cannot be read"]
    assert found.apply(unread(NAME, T0 + 2 * S)) == []


def test_a_ticker_that_cannot_be_read_is_not_live_by_what_the_book_proves() -> None:
    """Neither REST's book nor a change of it shows the ticker. The next readable ticker does, and ends the gap."""
    one = Binance()
    one.now += 2 * S
    events = list(one.found.apply(Unreadable("ticker", NAME, one.now)))
    assert states(events) == {"ticker": "recovering"}
    one.found.mark_stale(FeedKey("ticker", NAME), one.now, "silent")
    one.found.mark_stale(FeedKey("book", NAME), one.now, "silent")
    events = list(one.answer(bids="10:2 9:1 8:1", sequence=one.number))
    assert state(one.found, "book") is LIVE, "REST confirms it"
    assert "ticker" not in states(events)
    assert state(one.found, "ticker") is STALE
    one.book("10:3", "")
    assert state(one.found, "ticker") is STALE

    one.now += S
    events = list(one.found.apply(Ticker("binance", NAME, None, one.now, Decimal(10))))
    assert states(events) == {"ticker": "live"}
    assert [(gap.from_ts, gap.to_ts, gap.cause) for gap in only(Gap, events)] == [(T0, one.now, GapCause.UNKNOWN)]


def test_a_refuted_ticker_that_cannot_be_read_is_not_live_with_the_book() -> None:
    """It was stale because of the book's dead stream. The book is live again, but the ticker could not be read."""
    one = Binance()
    one.pass_time(4)
    one.answer(sequence=one.number + 3)
    events = one.pass_time(6)
    assert states(events).get("ticker") == "stale"
    assert not one.found.apply(Unreadable("ticker", NAME, one.now))
    one.number += 3
    one.book("10:3", "")
    assert state(one.found, "book") is LIVE
    assert state(one.found, "ticker") is STALE


def test_an_unreadable_quote_that_contradicts_the_book_stays_stale() -> None:
    """Only agreement, after both have data, makes both live. The gap is reported then."""
    one = Binance()
    for _ in range(2):
        one.quote("10.5", "11")
        one.pass_time(1.5)
    assert state(one.found, "quote") is STALE
    assert not one.found.apply(Unreadable("quote", NAME, one.now))
    assert state(one.found, "quote") is STALE
    one.now += S
    one.book("10:3", "")
    one.quote("10", "11")
    events = one.pass_time(0.5)
    assert states(events)["quote"] == "live"
    assert [gap.kind for gap in only(Gap, events)].count("quote") == 1
