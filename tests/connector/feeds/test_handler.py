"""The feeds of a venue: which events and states are published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from crosstape_connector.feeds.effects import SnapshotRequest
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import FeedKey, Topic
from crosstape_connector.venues.messages import Ack, BookSnapshot, BookUpdate, ConnectionBreak, LastTrade, Output, TradeSnapshot, Unreadable
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import BookRule, Venue
from crosstape_schemas import (
    VENUE_WIDE,
    Book,
    Delta,
    Event,
    FeedState,
    Gap,
    GapCause,
    Instrument,
    Level,
    Quote,
    Side,
    Status,
    Ticker,
    Trade,
)
from tests.connector.fake_venue import fake, instrument
from tests.connector.feeds.split import SplitFeeds

E = TypeVar("E", bound=Event)
ALL = ("trade", "quote", "book", "delta", "ticker", "status")
INTERVAL = 100


def feeds(venue: str | Venue = "coinbase", kinds: Iterable[str] = ALL, *, interval: int = INTERVAL) -> SplitFeeds:
    """The feeds of one instrument, BTC-USD, which the venue calls B; books have two levels."""
    found = VENUES[venue] if isinstance(venue, str) else venue
    bitcoin = Instrument("BTC-USD", found.id, "B", "BTC", "USD")
    return SplitFeeds(found, {"BTC-USD": bitcoin}, tuple(kinds), book_depth=2, book_interval_ns=interval)


def only(kind: type[E], events: Sequence[Event]) -> list[E]:
    """Return the events of this class."""
    return [event for event in events if isinstance(event, kind)]


def states(events: Sequence[Event]) -> dict[str, str]:
    """Return kind of feed → its last published state."""
    return {event.kind: event.state.value for event in only(Status, events)}


def levels(text: str) -> tuple[Level, ...]:
    """`price:size price:size`."""
    return tuple((Decimal(price), Decimal(size)) for price, size in (pair.split(":") for pair in text.split()))


def snapshot(bids: str = "10:1 9:1 8:1", asks: str = "11:1 12:1", at: int = 1_000, **fields: Any) -> BookSnapshot:
    """A book snapshot received at this time."""
    return BookSnapshot("BTC-USD", at - 5, at, levels(bids), levels(asks), **fields)


def update(bids: str = "", asks: str = "", at: int = 1_001, **fields: Any) -> BookUpdate:
    """A book update received at this time."""
    return BookUpdate("BTC-USD", at - 5, at, levels(bids), levels(asks), **fields)


def trade(number: int, at: int = 1_000) -> Trade:
    """A trade made and received at this time."""
    return Trade("v", "BTC-USD", at, at, Decimal(1), Decimal(1), Side.BUY, str(number))


def quote(bid: int = 10, ask: int = 11, at: int = 1_000) -> Quote:
    """A quote of size one, without a venue time."""
    return Quote("v", "BTC-USD", None, at, Decimal(bid), Decimal(1), Decimal(ask), Decimal(1))


def ticker(last: int, at: int = 1_000) -> Ticker:
    """A ticker with only a last price."""
    return Ticker("v", "BTC-USD", at, at, Decimal(last))


def taken_requests(found: SplitFeeds) -> list[SnapshotRequest]:
    """Remove and return the snapshot requests so far."""
    requests = list(found.requested)
    found.requested.clear()
    return requests


TRADES = Topic("exchange", "matches", "B")
LEVEL2 = Topic("advanced", "level2", "B")
TICKER = Topic("advanced", "ticker", "B")
DEPTH = Topic("stream", "depth@100ms", "B")
QUOTES = Topic("stream", "bookTicker", "B")


# ---- trades


def test_the_next_trade_goes_on_the_tape_as_it_is() -> None:
    """No other event is published with it."""
    found = feeds()
    found.apply(trade(1))
    second = trade(2)

    assert found.apply(second) == (second,)
    assert found.records[FeedKey("trade", "BTC-USD")].count == 2


def test_trades_are_counted_by_the_venues_numbers() -> None:
    """A gap, a duplicate, a replay and a named id are all applied to the same sequence."""
    found = feeds()
    found.seed([trade(1), msgspec.structs.replace(trade(9), instrument="NOT-OURS")])

    assert only(Gap, found.apply(trade(3)))[0].missed == 1
    assert found.apply(trade(3)) == []
    assert found.duplicate_trades() == 1
    assert only(Trade, found.apply(TradeSnapshot("BTC-USD", 1_001, (trade(3), trade(4)))))[0].trade_id == "4"
    found.apply(LastTrade("BTC-USD", None, 1_002, 5))
    assert only(Gap, found.apply(LastTrade("BTC-USD", None, 1_003, 5)))[0].missed == 1


def test_a_replay_of_known_trades_closes_the_gap_of_the_connection() -> None:
    """The next trade proves that none was missed: a much later gap does not begin at the lost connection."""
    found = feeds(kinds=("trade",))
    found.open_topics([TRADES], 1_000)
    found.apply(trade(1))
    found.close_topics([TRADES], 1_010, "cut")
    found.open_topics([TRADES], 1_020)
    found.apply(TradeSnapshot("BTC-USD", 1_030, (trade(1),)))
    found.apply(trade(2, at=1_040))

    (gap,) = only(Gap, found.apply(trade(4, at=1_050)))
    assert (gap.cause, gap.from_ts, gap.missed) == (GapCause.SEQUENCE, 1_040, 1)


def test_trades_without_numbers_are_published_as_they_come() -> None:
    """After a lost connection there is a gap of unknown size."""
    found = feeds(msgspec.structs.replace(VENUES["coinbase"], trade_ids="none"))
    found.open_topics([TRADES], 900)
    assert only(Trade, found.apply(trade(1))) == [trade(1)]
    assert only(Trade, found.apply(trade(1))) == [trade(1)]
    found.close_topics([TRADES], 1_100, "closed")

    assert only(Gap, found.apply(trade(9, at=1_200))) == [
        Gap("coinbase", "BTC-USD", None, 1_200, "trade", 1_000, 1_200, None, GapCause.DISCONNECT)
    ]


def test_unwanted_outputs_are_counted() -> None:
    """They are of an instrument or a kind that was not requested."""
    found = feeds(kinds=())
    outputs: list[Output] = [
        trade(1), quote(), ticker(1), snapshot(), update(), TradeSnapshot("BTC-USD", 1, ()), LastTrade("BTC-USD", None, 1, 1),
        Status("coinbase", "ETH-USD", None, 1, VENUE_WIDE, FeedState.DOWN),
    ]  # fmt: skip

    assert [found.apply(output) for output in outputs] == [()] * len(outputs)
    assert found.counts["unwanted"] == len(outputs)
    nameless = feeds(msgspec.structs.replace(VENUES["coinbase"], trade_ids="none"), kinds=())
    assert nameless.apply(trade(1)) == ()
    assert nameless.counts["unwanted"] == 1


def test_outputs_for_the_session_are_ignored() -> None:
    """Acknowledgements and the like change no feed."""
    assert feeds().apply(Ack(1)) == ()


# ---- quotes and tickers


def test_a_quote_goes_on_the_tape_as_it_is() -> None:
    """The first makes the feed live."""
    found = feeds("binance")

    assert states(found.apply(quote())) == {"quote": "live"}
    assert found.apply(quote(9)) == (quote(9),)


def test_a_ticker_is_published_when_its_own_figures_change() -> None:
    """Some venues send it with every change of the quote."""
    found = feeds()
    found.apply(ticker(1))

    assert found.apply(ticker(1, at=1_001)) == ()
    assert found.apply(ticker(2, at=1_002)) == [ticker(2, at=1_002)]
    assert found.records[FeedKey("ticker", "BTC-USD")].count == 3


def test_after_a_lost_connection_quotes_and_tickers_are_missing_in_unknown_number() -> None:
    """The gap goes from the last before the loss to the first after it, without a count. Equal figures are published again."""
    found = feeds("binance")
    topics = [QUOTES, Topic("stream", "ticker", "B")]
    found.open_topics(topics, 900)
    found.apply(quote())
    found.apply(ticker(1))
    found.close_topics(topics, 1_500, "closed")
    found.open_topics(topics, 1_600)

    quotes, tickers = found.apply(quote(at=2_000)), found.apply(ticker(1, at=2_001))

    assert only(Gap, quotes) == [Gap("binance", "BTC-USD", None, 2_000, "quote", 1_000, 2_000, None, GapCause.DISCONNECT)]
    assert only(Gap, tickers)[0].kind == "ticker"
    assert only(Ticker, tickers) == [ticker(1, at=2_001)]


# ---- states


def test_a_state_is_published_when_it_changes() -> None:
    """Connecting, live, down, recovering, live."""
    found = feeds("binance")
    said = [
        states(found.open_topics([QUOTES], 900)),
        states(found.apply(quote())),
        states(found.apply(quote())),
        states(found.close_topics([QUOTES], 1_100, "closed")),
        states(found.open_topics([QUOTES], 1_200)),
        states(found.apply(quote(at=1_300))),
    ]

    assert said == [{"quote": "connecting"}, {"quote": "live"}, {}, {"quote": "down"}, {"quote": "recovering"}, {"quote": "live"}]


def test_state_travels_with_the_data() -> None:
    """When the state changes, the last quote is published again with the new state and its own times: readers of last values see it."""
    found = feeds("binance")
    found.open_topics([QUOTES], 900)
    found.apply(quote())

    stale = found.mark_stale(FeedKey("quote", "BTC-USD"), 5_000, "silent")
    down = found.close_topics([QUOTES], 6_000, "closed")

    assert only(Quote, stale) == [msgspec.structs.replace(quote(), state=FeedState.STALE)]
    assert only(Status, stale) == [Status("binance", "BTC-USD", None, 5_000, "quote", FeedState.STALE, "silent")]
    assert only(Quote, down)[0].state is FeedState.DOWN


def test_a_stale_feed_is_live_again_with_the_next_data() -> None:
    """Its connection was open all the time, so there is no gap."""
    found = feeds("binance")
    found.apply(quote())
    found.mark_stale(FeedKey("quote", "BTC-USD"), 5_000, "silent")

    events = found.apply(quote(at=6_000))

    assert states(events) == {"quote": "live"}
    assert only(Gap, events) == []
    assert found.mark_stale(FeedKey("quote", "ETH-USD"), 5_000, "silent") == ()


def test_a_refused_topic_is_down_with_the_venues_reason() -> None:
    """Every kind that the topic brings is down; an unknown topic is ignored."""
    found = feeds()

    events = found.reject_topic(LEVEL2, "no such product", 7)

    assert states(events) == {"book": "down", "delta": "down", "quote": "down"}
    assert {event.reason for event in only(Status, events)} == {"no such product"}
    assert found.reject_topic(Topic("advanced", "level2", "ZZZ"), "", 7) == []
    assert found.reject_topic(Topic("advanced", "heartbeats", "B"), "", 7) == []


def test_a_feed_that_was_refused_after_it_had_data_has_a_gap() -> None:
    """It may be requested again later, and be accepted."""
    found = feeds("binance")
    found.open_topics([QUOTES], 900)
    found.apply(quote())
    found.reject_topic(QUOTES, "busy", 1_100)

    assert only(Gap, found.apply(quote(at=1_200)))[0].from_ts == 1_000


def test_the_end_of_a_replaced_connection_changes_nothing() -> None:
    """For a moment two connections have the feed; only the older one ends."""
    found = feeds("binance")
    found.open_topics([QUOTES, DEPTH], 900)
    found.apply(quote())

    assert found.open_topics([QUOTES, DEPTH], 1_000) == []
    assert found.close_topics([QUOTES, DEPTH], 1_100, "rotated") == []
    assert found.records[FeedKey("quote", "BTC-USD")].state is FeedState.LIVE
    assert "down" in states(found.close_topics([QUOTES, DEPTH], 1_200, "closed")).values()


def test_an_acknowledgement_confirms_a_feed() -> None:
    """It stays confirmed until the connection is lost."""
    found = feeds("binance")
    record = found.records[FeedKey("quote", "BTC-USD")]
    found.open_topics([QUOTES], 900)
    found.confirm_topics([QUOTES], 950)
    assert (record.confirmed, record.opened_ts, record.sessions) == (True, 900, 1)

    found.close_topics([QUOTES], 1_000, "closed")

    assert (record.confirmed, record.sessions) == (False, 0)


def test_the_venues_own_states_are_published_when_they_change() -> None:
    """The first state is published, too, unless it is that of a healthy instrument, which is presumed."""
    found = feeds("kraken")
    online = Status("kraken", VENUE_WIDE, None, 1, VENUE_WIDE, FeedState.LIVE)
    closed = Status("kraken", VENUE_WIDE, None, 2, VENUE_WIDE, FeedState.DOWN, "maintenance")
    halted = Status("kraken", "BTC-USD", None, 3, VENUE_WIDE, FeedState.DOWN, "delisted")

    assert [len(found.apply(status)) for status in (online, online, closed, closed)] == [1, 0, 1, 0]
    assert (found.venue_state, found.venue_reason) == (FeedState.DOWN, "maintenance")
    trading = msgspec.structs.replace(halted, state=FeedState.LIVE, reason="")
    assert [len(found.apply(status)) for status in (trading, halted, halted, trading)] == [0, 1, 0, 1]


def test_a_halt_by_rest_is_published_once_and_ends_by_rest_or_the_stream() -> None:
    """It overrules the earlier state of the stream, and nothing else. A replica that takes over publishes it again."""
    found = feeds("coinbase")
    online = Status("coinbase", "BTC-USD", None, 1, VENUE_WIDE, FeedState.LIVE)
    assert found.apply(online) == ()

    assert states(found.set_halt("BTC-USD", "cancel only", 5)) == {VENUE_WIDE: "down"}
    assert found.set_halt("BTC-USD", "cancel only", 6) == ()
    assert found.is_halted("BTC-USD")
    assert found.apply(online) == (), "said again, this is no news"
    assert [event.reason for event in only(Status, list(found.restate(7))) if event.kind == VENUE_WIDE] == ["does not trade: cancel only"]

    assert states(found.set_halt("BTC-USD", "", 8)) == {VENUE_WIDE: "live"}
    assert not found.is_halted("BTC-USD")
    assert {record.proven_ts for record in found.records.values()} == {8}, "its silence is explained"

    found.set_halt("BTC-USD", "trading disabled", 9)
    found.apply(Status("coinbase", "BTC-USD", None, 10, VENUE_WIDE, FeedState.DOWN, "offline"))
    assert states(found.apply(online)) == {VENUE_WIDE: "live"}
    assert not found.is_halted("BTC-USD")
    assert found.set_halt("ETH-USD", "delisted", 11) == (), "not taken"

    found.set_halt("BTC-USD", "delisted", 12)
    found.remove_instrument("BTC-USD", 13)
    assert found.halts == {}


def test_instruments_come_and_go() -> None:
    """Adding a known instrument changes nothing; a removed one is down and forgotten."""
    found = feeds("binance")
    found.apply(quote())
    found.add_instrument(Instrument("BTC-USD", "binance", "B", "BTC", "USD"))
    found.add_instrument(Instrument("ETH-USD", "binance", "E", "ETH", "USD"))
    assert found.records[FeedKey("quote", "BTC-USD")].count == 1

    events = found.remove_instrument("BTC-USD", 2_000)

    assert set(states(events).values()) == {"down"}
    assert {feed.instrument for feed in found.records} == {"ETH-USD"}
    assert found.apply(quote()) == ()
    assert found.open_topics([QUOTES], 2_100) == []


def test_a_trade_sequence_outlives_the_removal_of_its_instrument() -> None:
    """When the instrument is added again, the sequence continues after a gap, and drops trades that are on the tape."""
    found = FeedHandler(fake(), {"AAA-USD": instrument("AAAUSD")}, ("trade",), book_depth=5, book_interval_ns=0)
    one = Trade("fake", "AAA-USD", 1, 1, Decimal(1), Decimal(1), Side.BUY, "1")
    found.apply(one)
    found.remove_instrument("AAA-USD", 2)
    found.add_instrument(instrument("AAAUSD"))
    found.open_topics([Topic("main", "trades", "AAAUSD")], 3)

    assert [type(event) for event in found.apply(one)] == [Status]
    gap, trade = found.apply(msgspec.structs.replace(one, trade_id="4", received_ts=5))
    assert isinstance(gap, Gap)
    assert (gap.missed, gap.cause, gap.from_ts, gap.to_ts) == (2, "disconnect", 1, 5)
    assert isinstance(trade, Trade)


# ---- books


def test_a_book_gives_its_snapshot_its_top_and_its_changes() -> None:
    """All three feeds are live, and each publishes only changes."""
    found = feeds()

    first = found.apply(snapshot())

    assert states(first) == {"book": "live", "delta": "live", "quote": "live"}
    assert only(Delta, first) == [
        Delta("coinbase", "BTC-USD", 995, 1_000, levels("10:1 9:1 8:1"), levels("11:1 12:1"), None, snapshot=True)
    ]
    assert only(Quote, first) == [Quote("coinbase", "BTC-USD", 995, 1_000, Decimal(10), Decimal(1), Decimal(11), Decimal(1))]
    assert only(Book, first) == [Book("coinbase", "BTC-USD", 995, 1_000, levels("10:1 9:1"), levels("11:1 12:1"), 2, FeedState.LIVE)]

    deep, top = found.apply(update("8:7")), found.apply(update("10:2 9:0", at=1_002))

    assert [type(event) for event in deep] == [Delta]
    assert [type(event) for event in top] == [Delta, Quote]
    assert only(Delta, top) == [Delta("coinbase", "BTC-USD", 997, 1_002, levels("10:2 9:0"), ())]
    assert only(Quote, top)[0].bid_size == Decimal(2)


def test_an_empty_side_has_no_best_level() -> None:
    """Null, not zero."""
    found = feeds(kinds=("quote",))

    assert only(Quote, found.apply(snapshot(asks=""))) == [Quote("coinbase", "BTC-USD", 995, 1_000, Decimal(10), Decimal(1), None, None)]


def test_books_are_conflated_to_one_an_interval() -> None:
    """The first change after a quiet time is published at once, then the newest state when it is due."""
    found = feeds(kinds=("book",))
    assert len(only(Book, found.apply(snapshot(at=1_000)))) == 1
    assert found.apply(update("10:2", at=1_010)) == []
    assert found.apply(update("10:3", at=1_090)) == []
    assert found.due_books(1_099) == []

    (book,) = only(Book, found.due_books(1_100))

    assert (book.bids[0], book.received_ts, book.venue_ts) == ((Decimal(10), Decimal(3)), 1_090, 1_085)
    assert found.due_books(1_300) == ()
    assert len(only(Book, found.apply(update("10:4", at=1_300)))) == 1


def test_without_an_interval_every_change_is_a_book() -> None:
    """The settings can turn conflation off."""
    found = feeds(kinds=("book",), interval=0)
    found.apply(snapshot())

    assert [len(only(Book, found.apply(update(f"10:{size}", at=1_001)))) for size in (2, 3)] == [1, 1]


def test_a_clock_that_was_set_back_does_not_silence_books() -> None:
    """A due time that is more than one interval ahead is ignored."""
    found = feeds(kinds=("book",))
    found.apply(snapshot(at=50_000))

    assert len(only(Book, found.apply(update("10:2", at=1_000)))) == 1
    found.apply(update("10:3", at=1_010))
    assert found.due_books(1_050) == []
    assert len(only(Book, found.due_books(1))) == 1


def broken(found: SplitFeeds) -> Sequence[Event]:
    """Publish what a crossed book at 1,050 leads to."""
    found.open_topics([LEVEL2], 900)
    found.apply(snapshot())
    taken_requests(found)
    return found.apply(update("11:1", at=1_050))


def test_a_break_is_published_at_once_in_all_feeds_of_the_book() -> None:
    """State, gap, and the last quote and book with the new state; then a new snapshot of this instrument is requested."""
    found = feeds()

    events = broken(found)

    assert states(events) == {"book": "recovering", "delta": "recovering", "quote": "recovering"}
    assert [(gap.kind, gap.cause, gap.from_ts, gap.to_ts, gap.missed, gap.repaired) for gap in only(Gap, events)] == [
        (kind, GapCause.UNKNOWN, 1_000, 1_050, None, False) for kind in ("book", "delta", "quote")
    ]
    assert [quote.state for quote in only(Quote, events)] == [book.state for book in only(Book, events)] == [FeedState.RECOVERING]
    assert only(Delta, events) == []
    assert taken_requests(found) == [SnapshotRequest("BTC-USD", "B", "resubscribe", "crossed", 1, LEVEL2)]


def test_nothing_unproven_is_published_while_a_book_recovers() -> None:
    """When the snapshot has proven the book, its new state is published at once."""
    found = feeds()
    broken(found)
    assert found.apply(update("10:5", at=1_060)) == ()
    assert found.due_books(9_999) == ()

    events = found.apply(snapshot("10:4", "11:1", at=1_070))

    assert states(events) == {"book": "live", "delta": "live", "quote": "live"}
    assert only(Gap, events) == []
    assert [delta.snapshot for delta in only(Delta, events)] == [True]
    assert len(only(Quote, events)) == len(only(Book, events)) == 1


def test_a_book_that_was_lost_with_its_connection_has_a_gap_until_it_is_back() -> None:
    """The gap begins at the last proven state; an equal best price is published again."""
    found = feeds()
    found.open_topics([LEVEL2], 900)
    found.apply(snapshot())
    found.apply(update("10:2", at=1_010))
    lost = found.close_topics([LEVEL2], 1_050, "closed")
    assert [quote.state for quote in only(Quote, lost)] == [book.state for book in only(Book, lost)] == [FeedState.DOWN]
    assert found.due_books(9_999) == ()
    found.open_topics([LEVEL2], 1_060)

    events = found.apply(snapshot("10:2 9:1", at=1_070))

    assert [(gap.kind, gap.cause, gap.from_ts, gap.to_ts) for gap in only(Gap, events)] == [
        (kind, GapCause.DISCONNECT, 1_010, 1_070) for kind in ("book", "delta", "quote")
    ]
    assert len(only(Quote, events)) == len(only(Book, events)) == 1


def test_a_book_lost_while_it_recovered_has_a_gap_from_the_last_that_was_proven() -> None:
    """Updates that came after that could not be used."""
    found = feeds(kinds=("book",))
    broken(found)
    found.apply(update("10:5", at=1_060))
    found.close_topics([LEVEL2], 1_070, "closed")

    assert [(gap.from_ts, gap.to_ts) for gap in only(Gap, found.apply(snapshot(at=1_100)))] == [(1_000, 1_100)]


def test_a_gap_in_the_connections_numbers_breaks_every_book_on_it() -> None:
    """Books of other connections stay; a broken book is not broken again."""
    found = feeds()
    found.apply(snapshot())
    skipped = ConnectionBreak(1_050, 3, instruments=("BTC-USD", "ETH-USD"))

    events = found.apply(skipped)

    assert {(gap.cause, gap.missed) for gap in only(Gap, events)} == {(GapCause.SEQUENCE, None)}
    assert {status.reason for status in only(Status, events)} == {"the connection's sequence skipped 3"}
    assert found.apply(skipped) == []
    assert len(taken_requests(found)) == 1
    assert states(found.apply(snapshot(at=1_060)))["book"] == "live"
    assert {status.reason for status in only(Status, found.apply(ConnectionBreak(1_070, None, instruments=("BTC-USD",))))} == {
        "the connection's sequence skipped"
    }


def test_a_break_is_published_before_its_snapshot_is_requested() -> None:
    """One call returns both: status and gap first, the request last."""
    venue, bitcoin = VENUES["binance"], Instrument("BTC-USD", "binance", "B", "BTC", "USD")
    found = FeedHandler(venue, {"BTC-USD": bitcoin}, ("book",), book_depth=2, book_interval_ns=0)
    found.open_topics([DEPTH], 900)
    (request,) = found.confirm_topics([DEPTH], 901)
    found.apply(snapshot(sequence=10))

    *said, asked = found.apply(numbered(11, 13))

    assert [type(event) for event in said] == [Status, Book, Gap]
    assert isinstance(request, SnapshotRequest)
    assert isinstance(asked, SnapshotRequest)
    assert (request.cause, request.how, request.topic) == ("start", "rest", DEPTH)
    assert asked.cause == "the stream begins after the snapshot"


def test_a_snapshot_that_cannot_be_used_is_requested_again() -> None:
    """There is a gap, and the request has the next attempt number."""
    found = feeds(kinds=("book",))
    broken(found)

    events = found.apply(snapshot("11:1", "10:1", at=1_060))

    assert only(Gap, events)[0].cause is GapCause.UNKNOWN
    assert [request.attempt for request in taken_requests(found)] == [1, 2]


def test_a_stale_book_is_live_again_with_the_next_change() -> None:
    """Any change is enough; its quote is published with the new state."""
    found = feeds()
    found.apply(snapshot())
    for kind in ("book", "quote", "delta"):
        found.mark_stale(FeedKey(kind, "BTC-USD"), 5_000, "silent")

    events = found.apply(update("8:9", at=6_000))

    assert states(events) == {"book": "live", "delta": "live", "quote": "live"}
    assert only(Quote, events)[0].state is FeedState.LIVE
    assert only(Book, events)[0].state is FeedState.LIVE


# ---- books whose snapshot comes by REST


def numbered(size: int, number: int, at: int = 1_001) -> BookUpdate:
    """An update with this number that sets the size of the best bid."""
    return update(f"10:{size}", at=at, first=number, last=number)


def test_the_first_update_requests_the_snapshot() -> None:
    """It is requested once. Updates that come before it are buffered, and published with it."""
    found = feeds("binance", ("book", "delta"))
    found.open_topics([DEPTH], 900)
    assert found.apply(numbered(2, 101)) == ()
    assert found.apply(numbered(3, 102)) == ()
    assert taken_requests(found) == [SnapshotRequest("BTC-USD", "B", "rest", "start", 1, DEPTH, 1_000)]

    events = found.apply(snapshot(at=1_100, sequence=100))

    (delta,) = only(Delta, events)
    assert (delta.bids[0], delta.sequence, delta.snapshot, delta.received_ts) == ((Decimal(10), Decimal(3)), 102, True, 1_100)
    assert only(Book, events)[0].sequence == 102
    assert only(Delta, found.apply(numbered(4, 103, at=1_200)))[0].sequence == 103


def test_a_silent_market_requests_its_snapshot_when_it_is_confirmed() -> None:
    """A thin pair may have no update for a minute."""
    found = feeds("binance", ("book", "quote"))
    found.open_topics([DEPTH, QUOTES], 900)
    found.confirm_topics([DEPTH, QUOTES], 950)
    found.confirm_topics([DEPTH], 960)
    assert [request.cause for request in taken_requests(found)] == ["start"]

    assert states(found.apply(snapshot(sequence=100))) == {"book": "live"}
    assert found.apply(snapshot(sequence=100)) == ()


def test_a_gap_in_the_numbers_requests_a_new_snapshot() -> None:
    """The number of missing changes is known."""
    found = feeds("binance", ("book",))
    found.apply(numbered(2, 101))
    found.apply(snapshot(sequence=100))
    taken_requests(found)

    events = found.apply(numbered(5, 105))

    assert [(gap.cause, gap.missed) for gap in only(Gap, events)] == [(GapCause.SEQUENCE, 3)]
    assert [(request.how, request.cause) for request in taken_requests(found)] == [("rest", "sequence")]


def test_a_market_that_leaves_the_range_of_its_snapshot_requests_another() -> None:
    """The book stays live, and the new snapshot shows the levels that were unknown."""
    found = feeds("binance", ("book",), interval=0)
    found.apply(numbered(2, 101))
    found.apply(snapshot("10:1 9:1 8:1 7:1 6:1", "11:1 12:1", sequence=100, limit=5))
    assert [request.levels for request in taken_requests(found)] == [100]

    events = found.apply(update("10:0 9:0 5:1", at=1_010, first=102, last=102))

    assert only(Book, events)[0].bids == levels("8:1 7:1")
    (request,) = taken_requests(found)
    assert (request.cause, request.levels) == ("the market is near the edge of the snapshot", 500)
    renewed = found.apply(snapshot("8:1 7:1 6:1", "11:1 12:1", at=1_020, sequence=102))
    assert states(renewed) == {}
    assert only(Book, renewed)[0].bids == levels("8:1 7:1")


def test_levels_beyond_the_depth_are_removed_in_deltas() -> None:
    """So a reader of deltas need not know the depth."""
    venue = msgspec.structs.replace(VENUES["kraken"], book=BookRule(snapshot="stream", truncates=True, depths=(2,)))
    found = feeds(venue, ("delta",))
    found.apply(snapshot("10:1 9:1", "11:1 12:1"))

    (delta,) = only(Delta, found.apply(update("9.5:4", "11.5:4")))

    assert (delta.bids, delta.asks) == (levels("9.5:4 9:0"), levels("11.5:4 12:0"))


def test_check_counters_are_returned_by_instrument() -> None:
    """The metrics export them."""
    found = feeds()
    found.apply(snapshot())

    assert found.book_checks()["BTC-USD"].snapshots == 1


def by_rest(*kinds: str) -> SplitFeeds:
    """Binance, subscribed and confirmed, with a book fetched at 1,000 that has the number 10."""
    found = feeds("binance", kinds or ("book", "delta"))
    found.open_topics([DEPTH, QUOTES], 900)
    found.confirm_topics([DEPTH, QUOTES], 910)
    taken_requests(found)
    assert states(found.apply(snapshot(sequence=10)))["book"] == "live"
    return found


def test_a_fetched_book_is_no_sign_of_its_stream() -> None:
    """The book is live, but nothing shows that its stream works. If the connection is lost, there is a gap."""
    found = by_rest()
    record = found.records[FeedKey("book", "BTC-USD")]
    assert (record.received_ts, record.count, record.fetched_ts) == (0, 0, 1_000)

    found.close_topics([DEPTH], 1_050, "closed")
    found.open_topics([DEPTH], 1_060)

    assert {gap.kind for gap in only(Gap, found.apply(snapshot(at=1_070, sequence=20)))} == {"book", "delta"}


def test_a_stale_book_is_not_live_by_a_snapshot_alone() -> None:
    """Else it would be live and stale in turns while its stream is silent. Its next update shows that the stream works."""
    found = by_rest()
    found.mark_stale(FeedKey("book", "BTC-USD"), 1_040, "silent")
    found.close_topics([DEPTH], 1_050, "none of its feeds speaks")
    found.open_topics([DEPTH], 1_060)

    events = found.apply(snapshot(at=1_070, sequence=20))
    assert "book" not in states(events)
    assert [book.state for book in only(Book, events)] == [FeedState.RECOVERING]

    events = found.apply(update("10:3", at=1_080, first=21, last=21))
    assert states(events) == {"book": "live"}
    assert [gap.kind for gap in only(Gap, events)] == ["book"]


def test_a_silent_book_that_has_not_changed_is_proven() -> None:
    """So is its quote, which cannot have changed without the book. A stale feed is live again."""
    found = by_rest("book", "quote")
    found.mark_stale(FeedKey("quote", "BTC-USD"), 1_050, "silent")
    found.probe(FeedKey("quote", "BTC-USD"))
    assert taken_requests(found) == [SnapshotRequest("BTC-USD", "B", "rest", "silent", 1, DEPTH, 100)]

    events = found.apply(snapshot(at=1_100, sequence=10))

    assert states(events) == {"quote": "live"}
    assert only(Book, events) == []
    assert {record.proven_ts for record in found.records.values()} == {1_100}


def test_a_changed_book_does_not_confirm_a_silent_quote() -> None:
    """We cannot see whether its best prices changed."""
    found = by_rest("book", "quote")
    found.apply(update("10:3", at=3_000_000_000, first=11, last=11))

    found.probe(FeedKey("quote", "BTC-USD"))

    assert taken_requests(found) == []


QUOTE_TOPIC = Topic("stream", "bookTicker", "B")


def best(price: int, at: int) -> Quote:
    """A quote of Binance, with bid and ask at one distance."""
    return Quote("binance", "BTC-USD", None, at, Decimal(price), Decimal(1), Decimal(price + 1), Decimal(1))


def quoting() -> SplitFeeds:
    """The quotes of Binance, live since 1,000."""
    found = feeds("binance", ("quote",))
    found.open_topics([QUOTE_TOPIC], 900)
    found.confirm_topics([QUOTE_TOPIC], 950)
    found.apply(best(10, 1_000))
    return found


UNREAD = Unreadable("quote", "BTC-USD", 1_050)


def test_an_unreadable_quote_before_any_other_is_no_gap() -> None:
    """No event on the tape can be out of date. The same for a kind or an instrument that we do not have."""
    found = feeds("binance", ("quote",))
    found.open_topics([QUOTE_TOPIC], 900)
    for unread in (UNREAD, Unreadable("ticker", "BTC-USD", 950), Unreadable("quote", "ETH-USD", 950)):
        assert not found.apply(unread)
    assert not only(Gap, found.apply(best(10, 1_000)))
    assert found.counts["unwanted"] == 0


def test_a_stale_quote_that_cannot_be_read_is_recovering() -> None:
    """Its stream brings data again, but they cannot be read."""
    found = quoting()
    found.mark_stale(FeedKey("quote", "BTC-USD"), 1_040, "silent")

    assert states(found.apply(UNREAD)) == {"quote": "recovering"}
    assert [(gap.from_ts, gap.to_ts, gap.cause) for gap in only(Gap, found.apply(best(10, 1_060)))] == [(1_000, 1_060, GapCause.UNKNOWN)]


def test_a_connection_lost_after_an_unreadable_quote_leaves_one_gap() -> None:
    """It begins at the last quote that could be read. A later gap has its own cause."""
    found = quoting()
    found.apply(UNREAD)
    found.close_topics([QUOTE_TOPIC], 1_060, "closed")
    found.open_topics([QUOTE_TOPIC], 1_070)

    assert [(gap.from_ts, gap.to_ts, gap.cause) for gap in only(Gap, found.apply(best(11, 1_100)))] == [(1_000, 1_100, GapCause.DISCONNECT)]
    found.apply(msgspec.structs.replace(UNREAD, received_ts=1_110))
    assert [gap.cause for gap in only(Gap, found.apply(best(11, 1_120)))] == [GapCause.UNKNOWN]
    found.close_topics([QUOTE_TOPIC], 1_130, "closed")
    found.open_topics([QUOTE_TOPIC], 1_140)
    assert [gap.cause for gap in only(Gap, found.apply(best(11, 1_150)))] == [GapCause.DISCONNECT]
