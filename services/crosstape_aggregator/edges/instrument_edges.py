"""Tracks the edges of one instrument: the pairs of venues whose prices cross after fees."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from crosstape_aggregator.consolidation.leg import VenueLeg
from crosstape_aggregator.consolidation.schedule import Schedule
from crosstape_aggregator.decimals import basis_points, subtract, times
from crosstape_aggregator.depth.book_leg import counting_book
from crosstape_aggregator.edges.net import Fee, crossing_size
from crosstape_aggregator.edges.rules import EdgeRules
from crosstape_schemas import CONSOLIDATED, Book, Edge, EdgeChange, InputEvent, Quote
from crosstape_schemas.amounts import AnyNumber

if TYPE_CHECKING:
    from crosstape_aggregator.consolidation.instrument import ConsolidatedInstrument

_Values = tuple[Decimal | None, Decimal | None, Decimal | None]


class OpenEdge:
    """One edge while it is open: the prices with which its legs were judged last, and the values that were published last."""

    __slots__ = (
        "_ask", "_bid", "_buy", "_buy_fee", "_inputs", "_instrument", "_opened_ts", "_published", "_sell", "_sell_fee", "published_ts",
    )  # fmt: skip

    def __init__(self, instrument: str, buy: VenueLeg, sell: VenueLeg, fees: tuple[Fee, Fee], now: int) -> None:
        self._instrument = instrument
        self._buy = buy
        self._sell = sell
        self._buy_fee, self._sell_fee = fees
        self._opened_ts = now
        self.published_ts = now
        self._published: _Values | None = None
        self.judged()

    def judged(self) -> None:
        """Keep the prices of the legs, which have been judged."""
        self._ask, self._bid = self._buy.ask_price, self._sell.bid_price
        self._inputs = self._buy.input, self._sell.input

    def event(self, now: int, stale_ns: int) -> Edge | None:
        """Return the edge as it is now; None if it equals what was published last. The first time, it opens."""
        books = counting_book(self._buy, now, stale_ns), counting_book(self._sell, now, stale_ns)
        bought, sold = books
        known = bought is not None and sold is not None
        size = crossing_size(bought.asks, sold.bids, self._buy_fee, self._sell_fee) if bought is not None and sold is not None else None
        values = self._ask, self._bid, size
        if values == self._published:
            return None
        change = EdgeChange.OPEN if self._published is None else EdgeChange.CHANGE
        self._published = values
        self.published_ts = now
        return self._edge(change, size, books if known else (None, None), "", now)

    def closed(self, now: int) -> Edge:
        """Return the event with which the edge closes."""
        self.judged()
        excluded = self._buy.excluded or self._sell.excluded
        reason = excluded.value if excluded is not None else "one_sided" if self._ask is None or self._bid is None else "prices"
        return self._edge(EdgeChange.CLOSE, None, (None, None), reason, now)

    def _edge(self, change: EdgeChange, size: Decimal | None, books: tuple[Book | None, Book | None], reason: str, now: int) -> Edge:
        ask, bid = self._ask, self._bid
        gross_bps = net_bps = None
        if ask is not None and bid is not None:
            paid, received = times(ask, self._buy_fee.buy), times(bid, self._sell_fee.sell)
            gross_bps = basis_points(subtract(bid, ask), ask)
            net_bps = basis_points(subtract(received, paid), paid)
        inputs = [event for event in (*self._inputs, *books) if event is not None]
        return Edge(
            venue=CONSOLIDATED,
            instrument=self._instrument,
            venue_ts=None,
            received_ts=max([event.received_ts for event in inputs], default=now),
            ts=now,
            change=change,
            buy_venue=self._buy.venue,
            sell_venue=self._sell.venue,
            ask_price=ask,
            bid_price=bid,
            size=size,
            gross_bps=gross_bps,
            net_bps=net_bps,
            buy_fee_bps=self._buy_fee.bps,
            sell_fee_bps=self._sell_fee.bps,
            opened_ts=self._opened_ts,
            buy=_named(self._inputs[0]),
            sell=_named(self._inputs[1]),
            reason=reason,
            buy_book=_named(books[0]),
            sell_book=_named(books[1]),
        )


class InstrumentEdges:
    """Holds the open edges of one instrument.

    `opened_or_closed`: the events that must be published at once are appended to it.
    """

    __slots__ = ("_legs", "_name", "_open", "_opened_or_closed", "_quote", "_rules", "_schedule")

    def __init__(self, instrument: ConsolidatedInstrument, rules: EdgeRules, schedule: Schedule, opened_or_closed: list[Edge]) -> None:
        self._name = instrument.name
        self._legs = instrument.legs
        self._quote = instrument.quote
        self._rules = rules
        self._schedule = schedule
        self._opened_or_closed = opened_or_closed
        self._open: dict[tuple[str, str], OpenEdge] = {}

    def book(self, now: int) -> None:
        """Note that a leg has a newer book: the size of an open edge may have changed."""
        if self._open:
            self._schedule.mark(self._name, now)

    def judged(self, now: int) -> None:
        """Open and close edges by the legs as they have been judged. Without an open edge, a quote that is not crossed costs nothing."""
        if not self._open and not self._quote.crossed:
            return
        found = self._crossing()
        for pair in [pair for pair in self._open if pair not in found]:
            self._opened_or_closed.append(self._open.pop(pair).closed(now))
        fees = self._rules.fees
        for pair, (buy, sell) in found.items():
            edge = self._open.get(pair)
            if edge is not None:
                edge.judged()
                self._schedule.mark(self._name, now)
                continue
            edge = self._open[pair] = OpenEdge(self._name, buy, sell, (fees[buy.venue], fees[sell.venue]), now)
            event = edge.event(now, self._rules.stale_ns)
            assert event is not None, "an edge that opens was never published"
            self._opened_or_closed.append(event)
            self._schedule.published(self._name, now)

    def changed(self, now: int) -> list[Edge]:
        """Return the open edges that differ from what was published last, and look again at those whose interval is not over."""
        events = []
        for edge in self._open.values():
            due_ts = edge.published_ts + self._rules.interval_ns
            if edge.published_ts <= now < due_ts:
                self._schedule.look_at(self._name, due_ts)
            elif (event := edge.event(now, self._rules.stale_ns)) is not None:
                events.append(event)
        return events

    def _crossing(self) -> dict[tuple[str, str], tuple[VenueLeg, VenueLeg]]:
        """Find the pairs of legs that count and cross after fees: (buy, sell)."""
        fees = self._rules.fees
        legs = [(leg, fees[leg.venue]) for leg in self._legs if leg.excluded is None and leg.venue in fees]
        paid = [(times(leg.ask_price, fee.buy), leg) for leg, fee in legs if leg.ask_price is not None]
        received = [(times(leg.bid_price, fee.sell), leg) for leg, fee in legs if leg.bid_price is not None]
        if not paid or not received or max([price for price, _ in received]) <= min([price for price, _ in paid]):
            return {}
        return {
            (buy.venue, sell.venue): (buy, sell) for ask, buy in paid for bid, sell in received if bid > ask
        }  # never one venue twice: a leg that counts does not cross itself


def _named(event: Quote[AnyNumber] | Book | None) -> InputEvent | None:
    return None if event is None else InputEvent("book" if type(event) is Book else "quote", event.epoch, event.seq)
