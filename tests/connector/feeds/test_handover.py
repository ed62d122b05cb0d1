"""The outputs that a waiting connection keeps, and when they may be published."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstape_connector.feeds import handover
from crosstape_connector.feeds.handover import Handover
from crosstape_connector.feeds.keys import FeedKey, Topic
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate, ConnectionBreak, LastTrade, Output, TradeSnapshot, Unreadable
from crosstape_schemas import Delta, Event, FeedState, Gap, Quote, Side, Status, Trade
from tests.connector.fake_venue import endpoint, fake, instrument
from tests.connector.feeds.split import SplitFeeds

NAME = "AAA-USD"
CHANNELS = {"trade": "trades", "quote": "quotes", "book": "book", "delta": "book"}
TOPICS = [Topic("main", channel, "AAAUSD") for channel in ("trades", "quotes", "book")]


def feeds(*, rest: bool = False) -> SplitFeeds:
    """The feeds of one instrument, whose old connection is open."""
    made = SplitFeeds(
        fake(endpoint(channels=CHANNELS), rest_books=rest),
        {NAME: instrument("AAAUSD")},
        ("trade", "quote", "book", "delta"),
        book_depth=5,
        book_interval_ns=0,
    )
    made.open_topics(TOPICS, 1)
    made.confirm_topics(TOPICS, 1)
    return made


def trade(number: int, now: int = 0) -> Trade:
    """A trade with this id."""
    return Trade("fake", NAME, number, now or number, Decimal(1), Decimal(1), Side.BUY, str(number))


def snapshot(number: int, bid: str = "9", ts: int = 0) -> BookSnapshot:
    """A complete book."""
    return BookSnapshot(NAME, ts or number, number, ((Decimal(bid), Decimal(1)),), ((Decimal(10), Decimal(1)),), number)


def update(number: int, bid: str = "9", ts: int = 0) -> BookUpdate:
    """A changed bid."""
    return BookUpdate(NAME, ts or number, number, ((Decimal(bid), Decimal(2)),), (), number, number)


def published(into: SplitFeeds, *outputs: Output) -> list[Event]:
    """Apply outputs of the old connection, and return the events for the tape."""
    return [event for output in outputs for event in into.apply(output)]


def hand_over(waiting: Handover, into: SplitFeeds, now: int = 1000) -> list[Event]:
    """Hand over to the waiting connection, and return the events for the tape."""
    into.open_topics(TOPICS, now)
    return list(into.split(list(waiting.hand_over([NAME], now))))


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 8))
def test_wherever_the_two_connections_are_each_trade_is_once_on_the_tape(start: int, old: int, new: int) -> None:
    """The old connection has read the first `old` trades, the new one `new` from `start` on. It takes over only without a gap."""
    one = feeds()
    waiting = Handover(one)
    before = published(one, *(trade(number) for number in range(1, old + 1)))
    for number in range(start, start + new):
        waiting.hold(trade(number))
    assert (waiting.not_ready([NAME]) == "") == (start <= old + 1)
    if start <= old + 1:
        events = before + hand_over(waiting, one)
        ids = [int(event.trade_id) for event in events if isinstance(event, Trade)]
        assert ids == list(range(1, max(old, start + new - 1) + 1))
        assert not [event for event in events if isinstance(event, Gap)]


def test_a_replay_reaches_back() -> None:
    """The new connection begins with the newest trades, which the venue sends on subscribing."""
    one = feeds()
    published(one, trade(1), trade(2))
    waiting = Handover(one)
    waiting.hold(TradeSnapshot(NAME, 5, (trade(3), trade(4))))
    waiting.hold(trade(5))
    assert waiting.not_ready([]) == ""
    assert [event.trade_id for event in hand_over(waiting, one) if isinstance(event, Trade)] == ["3", "4", "5"]


def test_an_id_without_a_trade_is_not_lost_between_two_connections() -> None:
    """The older connection ends before it: it is no gap on the newer one."""
    into = feeds()
    published(into, trade(1), trade(2))
    waiting = Handover(into)
    for output in (trade(2), LastTrade(NAME, 3, 3, 3, no_trade=True), trade(4)):
        waiting.hold(output)

    events = hand_over(waiting, into)
    assert [event.trade_id for event in events if isinstance(event, Trade)] == ["4"]
    assert not [event for event in events if isinstance(event, Gap)]


def test_a_book_of_the_stream_replaces_the_one_on_the_tape() -> None:
    """It is complete in `delta`, and live all the time; its check counters continue."""
    one = feeds()
    published(one, snapshot(10), update(11))
    waiting = Handover(one)
    waiting.hold(snapshot(10))
    waiting.hold(update(11))
    waiting.hold(update(12, bid="9.5"))
    assert waiting.not_ready([NAME]) == ""
    events = hand_over(waiting, one)
    assert [event.sequence for event in events if isinstance(event, Delta) and event.snapshot] == [12]
    assert not [event for event in events if isinstance(event, Status | Gap)]
    assert one.book_checks()[NAME].snapshots == 2
    (delta,) = [event for event in published(one, update(13, bid="9.6")) if isinstance(event, Delta)]
    assert delta.sequence == 13


def test_the_handover_waits_for_a_proven_book() -> None:
    """Not proven: no snapshot yet, or a break of its connection. It does not wait if the book on the tape is broken, too."""
    one = feeds()
    waiting = Handover(one)
    assert waiting.not_ready([NAME]) == ""
    published(one, snapshot(10))
    assert waiting.not_ready([NAME]) == f"book of {NAME}: not proven"
    waiting.hold(snapshot(10))
    assert waiting.not_ready([NAME]) == ""
    waiting.hold(ConnectionBreak(11, None, instruments=(NAME, "no such")))
    assert waiting.not_ready([NAME]) == f"book of {NAME}: not proven"


def test_a_forced_take_over_without_a_proven_book_is_a_break() -> None:
    """The break is reported, and a new snapshot is requested."""
    one = feeds()
    published(one, snapshot(10))
    waiting = Handover(one)
    waiting.hold(snapshot(10))
    waiting.hold(update(11))
    waiting.hold(update(15))
    events = hand_over(waiting, one)
    assert [event.kind for event in events if isinstance(event, Gap)] == ["book", "delta"]
    assert FeedState.RECOVERING in [event.state for event in events if isinstance(event, Status)]
    assert [request.instrument for request in one.requested] == [NAME]


def test_a_book_that_was_lost_with_the_old_connection_is_back_with_the_new() -> None:
    """It is live, after the gap that the loss left."""
    one = feeds()
    published(one, snapshot(10))
    waiting = Handover(one)
    waiting.hold(snapshot(12))
    one.close_topics(TOPICS, 11, "cut")
    events = hand_over(waiting, one)
    assert [event.kind for event in events if isinstance(event, Gap)] == ["book", "delta"]
    assert [event.state for event in events if isinstance(event, Status)] == [FeedState.LIVE, FeedState.LIVE]


def test_updates_of_a_book_by_rest_go_on_where_the_old_connection_stopped() -> None:
    """The numbers belong to the venue and not to the connection, so no new snapshot is needed."""
    one = feeds(rest=True)
    published(one, update(10), snapshot(10), update(11))
    waiting = Handover(one)
    waiting.hold(update(13))
    assert waiting.not_ready([NAME]) == f"book of {NAME}: the connection before is behind"
    published(one, update(12))
    assert waiting.not_ready([NAME]) == ""
    waiting.hold(update(14))
    events = hand_over(waiting, one)
    assert [event.sequence for event in events if isinstance(event, Delta)] == [13, 14]
    assert not [event for event in events if isinstance(event, Status | Gap)]


def test_only_newer_quotes_are_published() -> None:
    """A quote older than the newest of the old connection is dropped."""
    one = feeds()
    quote = Quote("fake", NAME, None, 5, Decimal(1), Decimal(1), Decimal(2), Decimal(1))
    waiting = Handover(one)
    waiting.hold(quote)
    published(one, msgspec.structs.replace(quote, received_ts=6, bid_size=Decimal(3)))
    assert hand_over(waiting, one) == []
    waiting.hold(msgspec.structs.replace(quote, received_ts=7))
    assert [event.received_ts for event in hand_over(waiting, one)] == [7]


def test_trades_without_ids_are_left_to_the_old_connection() -> None:
    """If they were kept, they would be on the tape twice."""
    venue = msgspec.structs.replace(fake(), trade_ids="none")
    one = SplitFeeds(venue, {NAME: instrument("AAAUSD")}, ("trade",), book_depth=5, book_interval_ns=0)
    waiting = Handover(one)
    waiting.hold(trade(1))
    assert hand_over(waiting, one)[1:] == []
    assert one.counts["unwanted"] == 0


def test_trades_whose_ids_have_no_order_are_on_the_tape_once_over_both_connections() -> None:
    """Those that the old connection brought, too, are known by their ids; those that it did not bring follow."""
    venue = msgspec.structs.replace(fake(), trade_ids="unique")
    one = SplitFeeds(venue, {NAME: instrument("AAAUSD")}, ("trade",), book_depth=5, book_interval_ns=0)
    named = {number: msgspec.structs.replace(trade(number), trade_id=f"id-{9 - number}") for number in (1, 2, 3)}
    waiting = Handover(one)
    old = published(one, named[1], named[2])
    for number in (1, 2, 3):
        waiting.hold(named[number])

    assert waiting.not_ready([]) == ""
    new = hand_over(waiting, one)
    assert [event for event in (*old, *new) if isinstance(event, Trade)] == [*named.values()]
    assert one.duplicate_trades() == 2


def test_the_number_of_kept_outputs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the connection cannot take over any more."""
    monkeypatch.setattr(handover, "CAPACITY", 2)
    waiting = Handover(feeds())
    for number in (1, 2):
        waiting.hold(trade(number))
    assert waiting.not_ready([]) == ""
    waiting.hold(trade(3))
    assert waiting.not_ready([]) == "more than 2 trades and updates wait"


def test_outputs_that_are_not_published_are_not_kept() -> None:
    """The book belongs to an instrument that we do not have."""
    one = feeds()
    waiting = Handover(one)
    waiting.hold(msgspec.structs.replace(snapshot(1), instrument="ZZZ-USD"))
    assert waiting.not_ready(["ZZZ-USD"]) == ""
    assert list(waiting.hand_over(["ZZZ-USD"], 2)) == []


def quoted(at: int) -> Quote:
    """A quote received at this time."""
    return Quote("fake", NAME, None, at, Decimal(at), Decimal(1), Decimal(at + 1), Decimal(1))


def test_an_unreadable_quote_counts_where_it_is_the_newest() -> None:
    """The quote before it on the same connection is not published; a newer quote on the tape stays."""
    for on_tape, state in ((5, FeedState.RECOVERING), (9, FeedState.LIVE)):
        one = feeds()
        waiting = Handover(one)
        waiting.hold(quoted(6))
        waiting.hold(Unreadable("quote", NAME, 8))
        published(one, quoted(on_tape))

        events = [*waiting.hand_over([], 10)]

        assert [event.bid_price for event in events if isinstance(event, Quote)] == [5] * (state is FeedState.RECOVERING)
        assert one.records[FeedKey("quote", NAME)].state is state
