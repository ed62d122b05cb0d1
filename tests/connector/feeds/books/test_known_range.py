"""Books that keep only what is known behind their best prices: what they publish, what they drop, and when they are renewed."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstape_connector.feeds.books.checks import Outcome
from crosstape_connector.feeds.books.known_range import LONG_NS, SHORT_NS, KnownRange
from crosstape_connector.feeds.books.ladder import Ladder
from crosstape_connector.feeds.books.order_book import LEFT, NEAR, OrderBook
from crosstape_connector.feeds.clock_step import ClockStep
from crosstape_connector.feeds.effects import Effect, SnapshotRequest
from crosstape_connector.feeds.handler import FeedHandler
from crosstape_connector.feeds.keys import FeedKey, Topic
from crosstape_connector.venues.binance import stream
from crosstape_connector.venues.messages import BookSnapshot, BookUpdate
from crosstape_connector.venues.registry import VENUES
from crosstape_connector.venues.spec import BookRule, Venue
from crosstape_schemas import Book, Delta, FeedState, Gap, GapCause, Instrument, Level

NAME = "BTC-USDT"
CHOICES = {8: 1, 16: 2, 40: 4}
DEPTH = 2
MS = 1_000_000
BY_REST = BookRule(snapshot="rest", bridges=stream.chain, follows=stream.chain)


def venue() -> Venue:
    """Binance, whose snapshots have 8, 16 or 40 levels a side here."""
    table = VENUES["binance"]
    assert table.snapshots is not None
    return msgspec.structs.replace(table, snapshots=msgspec.structs.replace(table.snapshots, levels=CHOICES))


def rows(sizes: dict[int, int], *, reverse: bool) -> list[Level]:
    """Levels, best first."""
    return [(Decimal(price), Decimal(sizes[price])) for price in sorted(sizes, reverse=reverse)]


class TrueMarket:
    """A complete book, kept by the simplest means, and its books in the past by their numbers."""

    def __init__(self, levels: int, step: int) -> None:
        """`levels`: a side, which begins with a best bid of 1,000 and a best ask of 1,002; `step`: between their prices."""
        self.bids = {1_000 - at * step: 1 for at in range(levels)}
        self.asks = {1_002 + at * step: 1 for at in range(levels)}
        self.number = 0
        self.past: list[tuple[list[Level], list[Level]]] = []
        self._keep()

    def _keep(self) -> None:
        self.past.append((rows(self.bids, reverse=True), rows(self.asks, reverse=False)))

    def change(self, levels: Iterable[tuple[int, int]]) -> BookUpdate:
        """Set these sizes by price; what is in the way on the other side is traded away. Returns the update."""
        changed: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for price, size in levels:
            side = 0 if price <= max(self.bids, default=0) or (price < min(self.asks, default=10**6) and price % 2) else 1
            own, other = (self.bids, self.asks) if side == 0 else (self.asks, self.bids)
            if size:
                own[price] = size
                for gone in [at for at in other if (at <= price if side == 0 else at >= price)]:
                    del other[gone]
                    changed[1 - side][gone] = 0
            else:
                own.pop(price, None)
            changed[side][price] = size
        return self._numbered(changed)

    def fill(self, *, bids: bool) -> BookUpdate:
        """Add a level at each price near the best one of a side: it becomes longer than any snapshot of it."""
        side = self.bids if bids else self.asks
        best = (max(side) if bids else min(side)) if side else 1_000
        changed: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for price in range(best - 30, best) if bids else range(best + 1, best + 31):
            side[price] = changed[not bids][price] = 4
        return self._numbered(changed)

    def sweep(self, count: int, *, up: bool) -> BookUpdate:
        """Trade away the best levels of one side, and follow with the other: the market moves."""
        side, other = (self.asks, self.bids) if up else (self.bids, self.asks)
        gone = sorted(side, reverse=not up)[:count]
        changed: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for price in gone:
            del side[price]
            changed[up][price] = 0
        for price in gone[:-1]:
            other[price] = 3
            changed[not up][price] = 3
        for far in range(count):  # the book is filled up behind
            price = max(self.asks, default=gone[-1]) + 1 + far if up else min(self.bids, default=gone[-1]) - 1 - far
            if price > 0:
                side[price] = 2
                changed[up][price] = 2
        return self._numbered(changed)

    def _numbered(self, changed: tuple[dict[int, int], dict[int, int]]) -> BookUpdate:
        self.number += 1
        self._keep()
        bids, asks = ([(Decimal(price), Decimal(size)) for price, size in side.items()] for side in changed)
        ts = self.number * MS
        return BookUpdate(NAME, ts, ts, bids, asks, self.number, self.number)

    def snapshot(self, levels: int, number: int, now: int) -> BookSnapshot:
        """The book as of a number, cut behind so many levels a side."""
        bids, asks = self.past[number]
        limit = levels if max(len(bids), len(asks)) >= levels else None
        return BookSnapshot(NAME, None, now, bids[:levels], asks[:levels], number, limit=limit)


class Connector:
    """What is published of one book."""

    def __init__(self, *kinds: str, levels: int = 31, step: int = 1, renews: bool = True) -> None:
        table = venue()
        self.market = TrueMarket(levels, step)
        self.feeds = FeedHandler(
            table,
            {NAME: Instrument(NAME, table.id, "B", "BTC", "USDT")},
            kinds,
            book_depth=DEPTH,
            book_interval_ns=0,
            renews_books=renews,
        )
        self._renews = renews
        self.requests: list[SnapshotRequest] = []
        self.books: list[Book] = []
        self.deltas: list[Delta] = []
        self.gaps: list[Gap] = []
        topic = Topic("stream", "depth@100ms", "B")
        self.say(self.feeds.open_topics([topic], 1))
        self.say(self.feeds.confirm_topics([topic], 1))

    def say(self, effects: Iterable[Effect]) -> None:
        """Publish."""
        for effect in effects:
            if isinstance(effect, SnapshotRequest):
                self.requests.append(effect)
            elif isinstance(effect, Book):
                self.books.append(effect)
                if effect.state is FeedState.LIVE and self._renews:
                    assert effect.sequence is not None
                    bids, asks = self.market.past[effect.sequence]
                    assert (list(effect.bids), list(effect.asks)) == (bids[:DEPTH], asks[:DEPTH])
            elif isinstance(effect, Delta):
                self.deltas.append(effect)
            elif isinstance(effect, Gap):
                self.gaps.append(effect)

    def answer(self, number: int | None = None) -> None:
        """Answer the oldest request with the book as of that number, by default the newest."""
        request = self.requests.pop(0)
        assert request.levels in CHOICES
        at = self.market.number if number is None else max(0, number)
        self.say(self.feeds.apply(self.market.snapshot(request.levels, at, self.market.number * MS)))

    @property
    def order_book(self) -> OrderBook:
        """The book that is kept."""
        return self.feeds._books.books[NAME].order_book

    @property
    def live(self) -> bool:
        """Whether the book feed says that its newest book is true."""
        return self.feeds.records[FeedKey("book", NAME)].state is FeedState.LIVE


CHANGES = st.lists(st.tuples(st.integers(970, 1_032), st.integers(0, 3)), min_size=1, max_size=9)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), CHANGES),
        st.tuples(st.just("sweep"), st.tuples(st.integers(1, 9), st.booleans())),
        st.tuples(st.just("fill"), st.booleans()),
        st.tuples(st.just("answer"), st.integers(0, 3)),
    ),
    max_size=60,
)


@given(steps=STEPS)
@settings(max_examples=400, deadline=None)
def test_a_live_book_is_the_top_of_the_complete_one(steps: list[tuple[str, object]]) -> None:
    """Whatever the market does, and however old the snapshots are: `Connector.say` compares each book that is published as live."""
    one = Connector("book", levels=60, step=3)
    for step in steps:
        match step:
            case "change", list(levels):
                one.say(one.feeds.apply(one.market.change(levels)))
            case "sweep", (int(count), bool(up)):
                one.say(one.feeds.apply(one.market.sweep(count, up=up)))
            case "fill", bool(of_bids):
                one.say(one.feeds.apply(one.market.fill(bids=of_bids)))
            case "answer", int(age) if one.requests:
                one.answer(one.market.number - age)
        for side in (one.order_book.levels.bids, one.order_book.levels.asks):
            assert len(side.prices) <= 40 * 3 // 2
    for number in range(1, 10):
        one.say(one.feeds.apply(one.market.change([(1_000, number)])))
        while one.requests:
            one.answer()
    assert one.live
    assert one.books[-1].sequence == one.market.number


@given(steps=STEPS)
@settings(max_examples=200, deadline=None)
def test_a_book_of_the_deltas_is_as_true_as_ours(steps: list[tuple[str, object]]) -> None:
    """Whoever applies them has all levels of ours, and the best ones of the complete book while no renewal is awaited."""
    one = Connector("delta", levels=60, step=3)
    bids, asks, read = dict[Decimal, Decimal](), dict[Decimal, Decimal](), 0
    for step in steps:
        match step:
            case "change", list(levels):
                one.say(one.feeds.apply(one.market.change(levels)))
            case "sweep", (int(count), bool(up)):
                one.say(one.feeds.apply(one.market.sweep(count, up=up)))
            case "fill", bool(of_bids):
                one.say(one.feeds.apply(one.market.fill(bids=of_bids)))
            case "answer", int(age) if one.requests:
                one.answer(one.market.number - age)
        for delta in one.deltas[read:]:
            if delta.snapshot:
                bids, asks = {}, {}
            for side, changed in ((bids, delta.bids), (asks, delta.asks)):
                side.update(changed)
                for price in [price for price, size in changed if not size]:
                    side.pop(price, None)
        read = len(one.deltas)
        ours = one.order_book.levels
        if not one.order_book.live:
            continue
        assert (bids, asks) == (ours.bids.sizes, ours.asks.sizes)
        if not one.requests:
            sequence = one.deltas[-1].sequence
            assert sequence is not None
            true_bids, true_asks = one.market.past[sequence]
            assert sorted(bids.items(), reverse=True)[:DEPTH] == true_bids[:DEPTH]
            assert sorted(asks.items())[:DEPTH] == true_asks[:DEPTH]


def test_a_book_is_renewed_before_it_runs_out_and_stays_live() -> None:
    """The first snapshot is the smallest; the next one is larger, since this one lasted only a moment."""
    one = Connector("book")
    assert [request.levels for request in one.requests] == [8]
    one.answer()
    assert one.live

    one.say(one.feeds.apply(one.market.sweep(5, up=True)))

    assert one.live
    assert [(request.cause, request.levels) for request in one.requests] == [(NEAR, 16)]
    one.answer()
    assert (len(one.order_book.levels.asks.prices), one.gaps, one.requests) == (16, [], [])


def test_a_narrow_snapshot_is_followed_by_a_larger_one_at_once() -> None:
    """Its eight levels are less than a thousandth of the price: it would soon run out. If the largest is narrow, too, so be it."""
    one = Connector("book", levels=60)
    for side in ("bids", "asks"):
        sizes = {price + 999_000: size for price, size in getattr(one.market, side).items()}
        setattr(one.market, side, sizes)
    one.say(one.feeds.apply(one.market.change([(1_000_000, 5)])))

    asked = []
    while one.requests:
        asked.append(one.requests[0].levels)
        one.answer()
        assert one.live

    assert asked == [8, 16, 40]
    assert one.gaps == []


def test_a_market_that_jumps_beyond_the_edge_breaks_the_book_until_it_is_renewed() -> None:
    """What is there now is not known: the book is not published as live, and a gap says for how long."""
    one = Connector("book")
    one.answer()

    one.say(one.feeds.apply(one.market.sweep(7, up=True)))

    assert not one.live
    assert [(gap.kind, gap.cause) for gap in one.gaps] == [("book", GapCause.UNKNOWN)]
    assert [(request.cause, request.levels) for request in one.requests] == [(LEFT, 16)]
    one.say(one.feeds.apply(one.market.change([(1_000, 7)])))
    one.answer()
    assert one.live


def test_a_renewal_on_its_way_mends_a_book_that_ran_out_meanwhile() -> None:
    """It is not requested twice: the updates since it was requested are applied to it."""
    one = Connector("book")
    one.answer()
    one.say(one.feeds.apply(one.market.sweep(5, up=True)))
    asked_at = one.market.number

    one.say(one.feeds.apply(one.market.sweep(3, up=True)))
    assert not one.live
    assert len(one.requests) == 1
    one.say(one.feeds.apply(one.market.change([(1_000, 7)])))
    one.answer(asked_at)

    assert one.live
    assert one.books[-1].sequence == one.market.number


def test_levels_beyond_the_edge_are_not_kept() -> None:
    """They would prove nothing, and there is no end to them: a day's changes touch thousands."""
    one = Connector("book")
    one.answer()
    for price in range(2_000, 4_000, 2):
        one.market.asks[price] = 1
        one.say(one.feeds.apply(one.market.change([(price, 2)])))

    assert len(one.order_book.levels.asks.prices) == 8
    assert one.requests == []


def test_a_side_that_grows_is_trimmed() -> None:
    """At half as many again as the snapshot could have, so that a trim is rare; what is left is known up to its last level."""
    side = Ladder([(Decimal(price), Decimal(1)) for price in range(101, 109)], best_last=False)
    known = KnownRange((8, 16), DEPTH)
    known.begin(8, 0)
    side.apply([(Decimal(price), Decimal(1)) for price in range(97, 101)])
    known.trim(side)
    assert (len(side.prices), side.edge) == (12, None)

    side.apply([(Decimal(96), Decimal(1))])
    known.trim(side)

    assert (side.prices, side.edge) == ([Decimal(price) for price in range(96, 104)], Decimal(103))
    side.apply([(Decimal(104), Decimal(1)), (Decimal("95.5"), Decimal(1))])
    assert (side.prices[0], side.prices[-1]) == (Decimal("95.5"), Decimal(103))


def test_a_complete_side_needs_no_renewal_however_short() -> None:
    """The venue has no more."""
    one = Connector("book")
    one.market.asks = {1_002: 1, 1_003: 1, 1_004: 1}
    one.market.change([(1_002, 2)])
    one.answer()

    one.say(one.feeds.apply(one.market.change([(1_003, 0), (1_004, 0)])))

    assert one.live
    assert one.requests == []
    assert one.books[-1].asks == ((Decimal(1_002), Decimal(2)),)


@pytest.mark.parametrize(
    ("lasted_ns", "levels"), [(SHORT_NS - 1, [8, 16, 40, 40]), (SHORT_NS, [8, 8, 8, 8]), (LONG_NS + 1, [8, 8, 8, 8])], ids=str
)
def test_a_snapshot_that_did_not_last_is_followed_by_a_larger_one(lasted_ns: int, levels: list[int]) -> None:
    """Ten minutes are long enough."""
    known, now, asked = KnownRange((2, 8, 16, 40), DEPTH), 10**18, []
    for _ in levels:
        asked.append(known.levels)
        known.begin(known.levels, now)
        known.clock_set(ClockStep(3_600_000_000_000, 0, 0))
        now += lasted_ns + 3_600_000_000_000
        known.renew(now)

    assert asked == levels


def test_a_market_that_has_become_calm_gets_smaller_snapshots_again() -> None:
    """Once one has lasted for hours."""
    known = KnownRange(tuple(CHOICES), DEPTH)
    known.begin(8, 0)
    known.renew(1)
    assert known.levels == 16
    known.begin(16, 1)

    known.renew(1 + LONG_NS)
    assert known.levels == 16
    known.renew(2 + LONG_NS)

    assert known.levels == 8


def test_a_book_of_which_changes_are_published_keeps_all_levels() -> None:
    """Readers may want more of it than is published as books."""
    known = KnownRange(tuple(CHOICES), DEPTH, keeps_all=True)
    book = OrderBook(BY_REST, DEPTH, known)
    market = TrueMarket(31, 1)
    book.apply_snapshot(market.snapshot(40, 0, 1))

    assert known.levels == 40
    for price in range(1_300, 1_400, 2):
        market.asks[price] = 1
        book.apply_update(market.change([(price, 2)]))
    assert book.check_range() is Outcome.APPLIED
    assert len(book.levels.asks.prices) == 31 + 50


def test_a_depth_for_which_no_snapshot_has_room_is_published_as_far_as_it_is_known() -> None:
    """As before there were smaller ones: such a book asks for the largest, and is renewed when the market leaves its range."""
    known = KnownRange((100, 500, 1_000), 500)

    assert (known.levels, known.strict) == (1_000, False)
    assert [KnownRange((100, 500, 1_000), depth).levels for depth in (10, 25, 26, 125, 126, 250)] == [100, 100, 500, 500, 1_000, 1_000]


def test_a_replayed_book_goes_on_with_what_the_capture_has() -> None:
    """Nobody answers its requests, so that it is neither trimmed nor broken for want of a snapshot."""
    one = Connector("book", renews=False)
    one.answer()

    for _ in range(5):
        one.say(one.feeds.apply(one.market.sweep(5, up=True)))

    assert one.live
    assert one.gaps == []


def test_a_replayed_book_is_renewed_by_each_snapshot_of_its_capture() -> None:
    """The connector that recorded it asked for them before its book ran out, at moments that the capture does not tell."""
    live, replayed = Connector("book", levels=60), Connector("book", levels=60, renews=False)
    replayed.market = live.market
    live.answer()
    replayed.say(replayed.feeds.apply(live.market.snapshot(8, 0, 0)))
    for _ in range(20):
        update = live.market.sweep(3, up=True)
        for one in (live, replayed):
            one.say(one.feeds.apply(update))
        if live.requests:
            levels, number = live.requests[0].levels, live.market.number
            update = live.market.change([(1_000, number)])
            for one in (live, replayed):  # the answer is older than the stream when it is here
                one.say(one.feeds.apply(update))
            live.answer(number)
            replayed.say(replayed.feeds.apply(live.market.snapshot(levels, number, live.market.number * MS)))

    assert live.live
    assert live.order_book.checks.snapshots > 3
    shown = {book.sequence: (book.bids, book.asks) for book in replayed.books}
    assert all(shown[book.sequence] == (book.bids, book.asks) for book in live.books)


def test_a_replayed_book_of_a_venue_whose_stream_has_the_snapshot_awaits_none() -> None:
    """BingX cuts its books, too: with the next snapshot its stream begins anew."""
    book = OrderBook(msgspec.structs.replace(BY_REST, snapshot="stream"), DEPTH, KnownRange(depth=DEPTH, renews=False))
    market = TrueMarket(31, 1)
    book.apply_snapshot(market.snapshot(8, 0, 1))
    for size in range(2, 20):
        assert book.check_range() is Outcome.APPLIED
        assert book.apply_update(market.change([(1_000, size)])) is Outcome.APPLIED

    assert (book.checks.unproven, book.need.is_awaiting, book.need.wanted) == (0, False, None)
