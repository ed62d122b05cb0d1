"""Computes consolidated books and edges again from the events of a tape, by the text of docs/explanation/depth-and-edges.md alone.

It shares no code with the aggregator and computes with fractions, so that neither can round where the other does.
"""

from __future__ import annotations

import decimal
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from crosstape_schemas import Book, Cbbo, Depth, DepthLeg, DepthLevel, Edge, EdgeChange, Event, Exclusion, FeedState, Leg, Level, Quote

Pair = tuple[str, str]


class Tape:
    """The events of one instrument, in the order in which they were published."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.inputs: dict[tuple[str, str, int, int], Quote | Book] = {}
        self.cbbos: list[Cbbo] = []
        self.depths: list[Depth] = []
        self.edges: list[Edge] = []
        for event in events:
            if isinstance(event, Quote):
                self.inputs["quote", event.venue, event.epoch, event.seq] = event
            elif isinstance(event, Book):
                self.inputs["book", event.venue, event.epoch, event.seq] = event
            elif isinstance(event, Cbbo):
                self.cbbos.append(event)
            elif isinstance(event, Depth):
                self.depths.append(event)
            elif isinstance(event, Edge):
                self.edges.append(event)

    def book(self, venue: str, epoch: int, seq: int) -> Book:
        """Return the book of this name."""
        found = self.inputs["book", venue, epoch, seq]
        assert isinstance(found, Book)
        return found

    def cbbo_at(self, ts: int) -> Cbbo:
        """Return the newest consolidated quote at this moment."""
        return self.cbbos[bisect_right([one.ts for one in self.cbbos], ts) - 1]


def check_depth(tape: Tape, depth: Depth, sizes: Sequence[Decimal]) -> None:
    """Check every number of one consolidated book."""
    quoted = {leg.venue: leg.excluded for leg in tape.cbbo_at(depth.ts).legs}
    books = []
    for leg in depth.legs:
        check_leg(tape, leg, quoted.get(leg.venue, Exclusion.STATE))
        if leg.excluded is None:
            books.append(tape.book(leg.venue, leg.epoch, leg.seq))
    assert quoted.keys() <= {leg.venue for leg in depth.legs}
    bids, asks = united([(book.venue, book.bids) for book in books], -1), united([(book.venue, book.asks) for book in books], 1)
    assert (depth.bids, depth.asks) == (bids[: depth.levels], asks[: depth.levels])
    assert [sweep.size for sweep in depth.sweeps] == sorted(sizes)
    for sweep in depth.sweeps:
        assert (sweep.buy_average, sweep.buy_worst) == cost(asks, sweep.size)
        assert (sweep.sell_average, sweep.sell_worst) == cost(bids, sweep.size)


def check_leg(tape: Tape, leg: DepthLeg, quoted: Exclusion | None) -> None:
    """Check why a book counts or not."""
    if quoted is not None:
        assert leg.excluded is quoted
        return
    if leg.state is not FeedState.LIVE:
        assert leg.excluded is Exclusion.STATE
        return
    book = tape.book(leg.venue, leg.epoch, leg.seq)
    assert leg.book_ts == book.received_ts
    if not book.bids and not book.asks:
        assert leg.excluded in {Exclusion.EMPTY, Exclusion.STALE}
    elif book.bids and book.asks and book.bids[0][0] >= book.asks[0][0]:
        assert leg.excluded in {Exclusion.CROSSED, Exclusion.STALE}
    else:
        assert leg.excluded in {None, Exclusion.STALE}


def united(books: Iterable[tuple[str, Iterable[Level]]], sign: int) -> tuple[DepthLevel, ...]:
    """Unite the levels of one side of these books."""
    found: dict[Fraction, dict[str, Decimal]] = defaultdict(dict)
    for venue, levels in books:
        for price, size in levels:
            found[Fraction(price)][venue] = size
    with decimal.localcontext(decimal.Context(prec=200)):
        return tuple(
            (Decimal(price.numerator) / Decimal(price.denominator), sum(sizes.values(), Decimal(0)), tuple(sorted(sizes.items())))
            for price, sizes in sorted(found.items(), key=lambda one: sign * one[0])
        )


def cost(levels: Iterable[DepthLevel], size: Decimal) -> tuple[Decimal | None, Decimal | None]:
    """Average and worst price of trading one size."""
    missing, value = Fraction(size), Fraction(0)
    for price, there, _ in levels:
        taken = min(missing, Fraction(there))
        missing -= taken
        value += taken * Fraction(price)
        if not missing:
            return rounded(value / Fraction(size), digits=16), price
    return None, None


def rounded(number: Fraction, *, digits: int) -> Decimal:
    """Round half-even to these significant digits."""
    with decimal.localcontext(decimal.Context(prec=digits, rounding=decimal.ROUND_HALF_EVEN)) as context:
        context.traps[decimal.Inexact] = False
        return Decimal(number.numerator) / Decimal(number.denominator)


def bps(number: Fraction) -> Decimal:
    """Round 10,000 times a number half-even to 4 decimals. (`round` of a fraction does.)"""
    return Decimal(round(number * 10_000 * 10_000)) / 10_000


def paid(price: Decimal, fee_bps: Decimal) -> Fraction:
    """What who buys pays, with the fee."""
    return Fraction(price) * (1 + Fraction(fee_bps) / 10_000)


def received(price: Decimal, fee_bps: Decimal) -> Fraction:
    """What who sells receives, less the fee."""
    return Fraction(price) * (1 - Fraction(fee_bps) / 10_000)


def check_edge(tape: Tape, edge: Edge) -> None:
    """Check every number of one event of an edge."""
    legs = {leg.venue: leg for leg in tape.cbbo_at(edge.ts).legs}
    if edge.change is not EdgeChange.CHANGE:
        assert (edge.ask_price, edge.bid_price) == (legs[edge.buy_venue].ask_price, legs[edge.sell_venue].bid_price)
    for named, venue in ((edge.buy, edge.buy_venue), (edge.sell, edge.sell_venue)):
        assert named is not None
        event = tape.inputs[named.kind, venue, named.epoch, named.seq]
        bid, ask = (event.bid_price, event.ask_price) if isinstance(event, Quote) else (_first(event.bids), _first(event.asks))
        if edge.change is not EdgeChange.CLOSE:
            assert ask == edge.ask_price if venue == edge.buy_venue else bid == edge.bid_price
    if edge.ask_price is None or edge.bid_price is None:
        assert (edge.change, edge.gross_bps, edge.net_bps) == (EdgeChange.CLOSE, None, None)
        return
    cost_, gain = paid(edge.ask_price, edge.buy_fee_bps), received(edge.bid_price, edge.sell_fee_bps)
    assert edge.gross_bps == bps(Fraction(edge.bid_price - edge.ask_price) / Fraction(edge.ask_price))
    assert edge.net_bps == bps((gain - cost_) / cost_)
    if edge.change is EdgeChange.CLOSE:
        assert (edge.size, edge.buy_book, edge.sell_book) == (None, None, None)
        return
    assert gain > cost_
    assert (edge.size is None) == (edge.buy_book is None) == (edge.sell_book is None)
    if edge.buy_book is not None and edge.sell_book is not None:
        asks = tape.book(edge.buy_venue, edge.buy_book.epoch, edge.buy_book.seq).asks
        bids = tape.book(edge.sell_venue, edge.sell_book.epoch, edge.sell_book.seq).bids
        assert edge.size is not None
        assert Fraction(edge.size) == crossing(asks, bids, edge.buy_fee_bps, edge.sell_fee_bps)


def crossing(asks: Sequence[Level], bids: Sequence[Level], buy_fee_bps: Decimal, sell_fee_bps: Decimal) -> Fraction:
    """The size at crossing prices: the largest matched size, since the demand above a price and the supply below it are monotonic."""
    total = Fraction(0)
    left = [Fraction(size) for _, size in asks]
    for bid, wanted in bids:
        missing = Fraction(wanted)
        for at, (ask, _) in enumerate(asks):
            if received(bid, sell_fee_bps) > paid(ask, buy_fee_bps):
                taken = min(missing, left[at])
                left[at] -= taken
                missing -= taken
                total += taken
    return total


def open_pairs(legs: Iterable[Leg], fees_bps: Mapping[str, Decimal]) -> set[Pair]:
    """The edges that are open with these legs of a consolidated quote."""
    counting = [leg for leg in legs if leg.excluded is None and leg.venue in fees_bps]
    return {
        (buy.venue, sell.venue)
        for buy in counting
        for sell in counting
        if buy.ask_price is not None
        and sell.bid_price is not None
        and received(sell.bid_price, fees_bps[sell.venue]) > paid(buy.ask_price, fees_bps[buy.venue])
    }


def check_lifecycle(tape: Tape, fees_bps: Mapping[str, Decimal], interval_ns: int) -> None:
    """Check that edges open and close with the consolidated quotes, are named by `opened_ts`, and change seldom enough."""
    now_open: dict[Pair, tuple[int, int, Decimal | None, Decimal | None, Decimal | None]] = {}
    edges = list(tape.edges)
    moments = sorted({one.ts for one in tape.cbbos} | {one.ts for one in tape.edges})
    for ts in moments:
        for edge in [one for one in edges if one.ts == ts]:
            pair = edge.buy_venue, edge.sell_venue
            values = edge.ask_price, edge.bid_price, edge.size
            if edge.change is EdgeChange.OPEN:
                assert pair not in now_open
                assert edge.opened_ts == ts
            else:
                opened_ts, changed_ts, *before = now_open.pop(pair)
                assert edge.opened_ts == opened_ts
                if edge.change is EdgeChange.CHANGE:
                    assert tuple(before) != values
                    assert ts - changed_ts >= interval_ns
            assert bool(edge.reason) == (edge.change is EdgeChange.CLOSE)
            if edge.change is not EdgeChange.CLOSE:
                now_open[pair] = (edge.opened_ts, ts, *values)
            else:
                check_reason(tape, edge)
        assert now_open.keys() == open_pairs(tape.cbbo_at(ts).legs, fees_bps), ts


def check_reason(tape: Tape, edge: Edge) -> None:
    """Check the reason of an edge that closed."""
    legs = {leg.venue: leg for leg in tape.cbbo_at(edge.ts).legs}
    excluded = legs[edge.buy_venue].excluded or legs[edge.sell_venue].excluded
    if excluded is not None:
        assert edge.reason == excluded
    elif edge.ask_price is None or edge.bid_price is None:
        assert edge.reason == "one_sided"
    else:
        assert edge.reason == "prices"


def _first(levels: Sequence[Level]) -> Decimal | None:
    return levels[0][0] if levels else None
