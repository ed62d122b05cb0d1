"""Audits edges between venues by the method `edge/1`."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from crosstape_recorder.audit.findings import Audit, Check, named
from crosstape_recorder.audit.numbers import ZERO, add, basis_points, is_price, multiply, subtract
from crosstape_recorder.audit.price_stream import Input, PriceStream
from crosstape_recorder.audit.quotes import Published, Quotes
from crosstape_recorder.audit.rules import Rules
from crosstape_schemas import CONSOLIDATED, Book, Cbbo, Edge, EdgeChange, InputEvent, Leg, Level

NO_QUOTE: Final = "the consolidated quote of its moment is not in the recording"
NO_FEES: Final = "the settings have no fee of a venue"
NOT_RECORDED: Final = "a book that it names is not in the recording"
_BPS: Final = Decimal(10_000)
Pair = tuple[str, str]
"""Where one buys, where one sells."""


class Edges:
    """The edges of one instrument."""

    def __init__(self, audit: Audit, rules: Rules, books: PriceStream, quotes: Quotes) -> None:
        self._audit = audit
        self._fees = rules.fees
        self._books = books
        self._quotes = quotes
        self._open: dict[Pair, Edge] = {}
        self._epoch = 0
        self._knows_open = False

    def quote(self, ms: int, n: int, published: Published) -> None:
        """Compare the pairs that cross in a quote with the edges that are open then. Call it when all edges of its moment were taken."""
        quote = published.quote
        if len(self._fees) < 2:
            return
        self._start(quote.epoch, knows=quote.seq == 1)
        if not self._knows_open:
            return
        crossing, shown = self._crossing(quote), self._open.keys()
        check = Check(self._audit, "edge", quote, f"{ms}-{n}")
        self._audit.events["edge"] -= 1  # a quote is no edge
        for pair in sorted(crossing - shown):
            check.wrong(f"open {pair[0]} → {pair[1]}", "no edge", "an edge is open from this quote on")
        for pair in sorted(shown - crossing):
            text = named(self._open[pair], "") if pair in self._open else ""
            check.wrong(f"close {pair[0]} → {pair[1]}", f"open: {text}", "it closes with this quote")
        self._open = {pair: edge for pair, edge in self._open.items() if pair in crossing}
        check.exactly(len(crossing & shown))
        check.done()

    def take(self, ms: int, n: int, edge: Edge) -> None:
        """Audit the next edge event."""
        self._start(edge.epoch, knows=edge.seq == 1)
        published = self._quotes.at(edge.epoch, edge.ts)
        check = Check(self._audit, "edge", edge, f"{ms}-{n}", lambda: self._texts(edge, published))
        check.same("venue", edge.venue, CONSOLIDATED)
        check.same("method", edge.method, "edge/1")
        pair = edge.buy_venue, edge.sell_venue
        if self._fees:
            for field, venue, fee in (("buy_fee_bps", pair[0], edge.buy_fee_bps), ("sell_fee_bps", pair[1], edge.sell_fee_bps)):
                check.same(field, fee.normalize(), self._fees.get(venue, ZERO).normalize())
        else:
            check.unchecked(NO_FEES, 2)
        self._identity(check, edge, pair)
        self._prices(check, edge, published)
        self._size(check, edge)
        check.done()

    def _start(self, epoch: int, *, knows: bool) -> None:
        if epoch != self._epoch:
            self._epoch, self._open = epoch, {}
            self._knows_open = knows

    def _identity(self, check: Check, edge: Edge, pair: Pair) -> None:
        """An edge opens once, changes, and closes."""
        before = self._open.get(pair)
        if edge.change is EdgeChange.OPEN:
            check.holds(before is None, "change", edge.change, "the edge is open already")
            check.same("opened_ts", edge.opened_ts, edge.ts)
        elif before is not None:
            check.same("opened_ts", edge.opened_ts, before.opened_ts)
        elif self._knows_open:
            check.wrong("change", edge.change, "the edge is not open")
        else:
            check.unchecked("it opened before the recording")
        if edge.change is EdgeChange.CLOSE:
            self._open.pop(pair, None)
        else:
            self._open[pair] = edge

    def _prices(self, check: Check, edge: Edge, published: Published | None) -> None:
        """Prices and inputs are those of the legs in the newest quote; both rates follow from them."""
        ask, bid = edge.ask_price, edge.bid_price
        paid = received = gross = net = None
        if ask is not None and bid is not None:
            paid, received = multiply(ask, add(_BPS, edge.buy_fee_bps)), multiply(bid, subtract(_BPS, edge.sell_fee_bps))
            gross, net = basis_points(subtract(bid, ask), ask), basis_points(subtract(received, paid), paid)
        check.same("gross_bps", edge.gross_bps, gross)
        check.same("net_bps", edge.net_bps, net)
        if published is None:
            check.unchecked(NO_QUOTE, 5)
            return
        legs = {leg.venue: leg for leg in published.quote.legs}
        buy, sell = legs.get(edge.buy_venue), legs.get(edge.sell_venue)
        if buy is None or sell is None:
            check.wrong("buy_venue, sell_venue", (edge.buy_venue, edge.sell_venue), "venues with a leg")
            return
        check.same("ask_price", ask, buy.ask_price)
        check.same("bid_price", bid, sell.bid_price)
        check.same("buy", _shown(edge.buy), _shown(_named(buy)))
        check.same("sell", _shown(edge.sell), _shown(_named(sell)))
        crosses = buy.excluded is None and sell.excluded is None and paid is not None and received is not None and received > paid
        if edge.change is EdgeChange.CLOSE:
            check.holds(not crosses, "change", edge.change, "they cross after fees")
            excluded = buy.excluded or sell.excluded
            reason = excluded.value if excluded is not None else "one_sided" if ask is None or bid is None else "prices"
            check.same("reason", edge.reason, reason)
        else:
            check.holds(crosses, "change", edge.change, "they do not cross after fees")
            check.same("reason", edge.reason, "")
        if edge.change is not EdgeChange.CHANGE:
            check.same("ts", edge.ts, published.quote.ts)

    def _size(self, check: Check, edge: Edge) -> None:
        buy, sell = self._book(edge.buy_venue, edge.buy_book), self._book(edge.sell_venue, edge.sell_book)
        if edge.size is None or edge.change is EdgeChange.CLOSE:
            check.same("size", edge.size, None)
            check.same("buy_book, sell_book", (_shown(edge.buy_book), _shown(edge.sell_book)), ("", ""))
            return
        if buy is None or sell is None:
            check.unchecked(NOT_RECORDED)
            return
        assert isinstance(buy.event, Book)
        assert isinstance(sell.event, Book)
        size = crossing_size(buy.event.asks, sell.event.bids, edge.buy_fee_bps, edge.sell_fee_bps)
        check.same("size", edge.size, size, [buy.text(), sell.text()])

    def _book(self, venue: str, one: InputEvent | None) -> Input | None:
        return None if one is None else self._books.get(venue, one.epoch, one.seq)

    def _crossing(self, quote: Cbbo) -> set[Pair]:
        """Return the pairs of legs that count and cross after fees."""
        legs = [leg for leg in quote.legs if leg.excluded is None and leg.venue in self._fees]
        paid = [(multiply(leg.ask_price, add(_BPS, self._fees[leg.venue])), leg.venue) for leg in legs if leg.ask_price is not None]
        got = [(multiply(leg.bid_price, subtract(_BPS, self._fees[leg.venue])), leg.venue) for leg in legs if leg.bid_price is not None]
        if not paid or not got or max(got)[0] <= min(paid)[0]:
            return set()
        return {(buy, sell) for ask, buy in paid for bid, sell in got if bid > ask}

    def _texts(self, edge: Edge, published: Published | None) -> list[str]:
        named_of = {} if published is None else published.named
        found = [named_of[venue].text() for venue in (edge.buy_venue, edge.sell_venue) if venue in named_of]
        books = (self._book(edge.buy_venue, edge.buy_book), self._book(edge.sell_venue, edge.sell_book))
        return found + [one.text() for one in books if one is not None]


def crossing_size(asks: Iterable[Level], bids: Iterable[Level], buy_bps: Decimal, sell_bps: Decimal) -> Decimal:
    """Return how much can be bought from the asks and sold to the bids at prices that cross after fees; both are best first."""
    pay, get = add(_BPS, buy_bps), subtract(_BPS, sell_bps)
    ask_levels, bid_levels = iter(list(filter(_usable, asks))), iter(list(filter(_usable, bids)))
    total, ask, bid = ZERO, next(ask_levels, None), next(bid_levels, None)
    while ask is not None and bid is not None and multiply(bid[0], get) > multiply(ask[0], pay):
        part = min(ask[1], bid[1])
        total = add(total, part)
        ask_left, bid_left = subtract(ask[1], part), subtract(bid[1], part)
        ask = (ask[0], ask_left) if ask_left else next(ask_levels, None)
        bid = (bid[0], bid_left) if bid_left else next(bid_levels, None)
    return total


def _usable(level: Level) -> bool:
    return is_price(*level)


def _named(leg: Leg) -> InputEvent | None:
    return InputEvent(leg.kind, leg.epoch, leg.seq) if leg.seq else None


def _shown(one: InputEvent | None) -> str:
    return "" if one is None else f"{one.kind} {one.epoch} {one.seq}"
