"""Audits consolidated books by the method `depth/1`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from crosstape_recorder.audit.feed_states import LIVE, FeedStates, any_of
from crosstape_recorder.audit.findings import Audit, Check, same, same_numbers
from crosstape_recorder.audit.legs import NO_STATUS
from crosstape_recorder.audit.moments import Moment, Moments
from crosstape_recorder.audit.numbers import ZERO, add, average, is_level, multiply, subtract
from crosstape_recorder.audit.price_stream import Input, PriceStream
from crosstape_recorder.audit.quotes import Quotes
from crosstape_recorder.audit.rules import Rules
from crosstape_schemas import CONSOLIDATED, Book, Depth, DepthLeg, DepthLevel, Exclusion, Level, Sweep

NOT_RECORDED: Final = "a book that a leg names is not in the recording"
NO_QUOTE: Final = "the consolidated quote of its moment is not in the recording"
Cost = tuple[Decimal | None, Decimal | None]
"""Average and worst price."""


class Depths:
    """The consolidated books of one instrument."""

    def __init__(self, audit: Audit, rules: Rules, books: PriceStream, states: Mapping[str, FeedStates], quotes: Quotes) -> None:
        self._audit = audit
        self._rules = rules
        self._books = books
        self._states = states
        self._quotes = quotes
        self._before: Depth | None = None
        self._moments = Moments(rules.lag_ns)

    def take(self, ms: int, n: int, depth: Depth) -> None:
        """Audit the next consolidated book."""
        before = self._before if self._before is not None and self._before.epoch == depth.epoch else None
        self._before = depth
        named = {leg.venue: one for leg in depth.legs if (one := self._books.get(leg.venue, leg.epoch, leg.seq)) is not None}
        self._books.keep("depth", [(leg.venue, leg.epoch, leg.seq) for leg in depth.legs if leg.seq])
        place = max((one.place for one in named.values()), default=(0, 0))
        unread = [next((other for other in self._books.after(one) if other.place > place), None) for one in named.values()]
        at = self._moments.of(depth, ms, unread)
        check = Check(self._audit, "depth", depth, f"{ms}-{n}", lambda: [one.text() for one in named.values()])
        check.same("venue", depth.venue, CONSOLIDATED)
        check.same("method", depth.method, "depth/1")
        venues = [leg.venue for leg in depth.legs]
        check.holds(venues == sorted(set(venues)), "legs", venues, "one leg for each venue, in the order of their names")
        published = self._quotes.at(depth.epoch, depth.ts)
        quoted = None if published is None else {leg.venue: leg.excluded for leg in published.quote.legs}
        for leg in depth.legs:
            self._leg(check, leg, named.get(leg.venue), place, at)
            self._excluded(check, leg, named.get(leg.venue), quoted, at)
        received_ts = max((leg.book_ts for leg in depth.legs if leg.book_ts is not None), default=depth.ts)
        check.same("received_ts", depth.received_ts, received_ts)
        check.holds(before is None or depth.legs != before.legs, "legs", "as before", "a change of a leg")
        counting = [named.get(leg.venue) for leg in depth.legs if leg.excluded is None and leg.seq]
        books = [one.event for one in counting if one is not None and isinstance(one.event, Book)]
        if len(books) < len(counting):
            check.unchecked(NOT_RECORDED, 2 * (len(depth.bids) + len(depth.asks)) + 4 * len(depth.sweeps))
        else:
            bids = merge([(book.venue, book.bids) for book in books], descending=True)
            asks = merge([(book.venue, book.asks) for book in books], descending=False)
            if self._rules.depth_levels:
                check.same("levels", depth.levels, self._rules.depth_levels)
            check_levels(check, depth, bids, asks, self._rules.sizes_of(depth.instrument))
        check.done()

    def _leg(self, check: Check, leg: DepthLeg, one: Input | None, place: tuple[int, int], at: Moment) -> None:
        field = f"legs.{leg.venue}"
        if leg.seq:
            if one is None:
                check.unchecked(NOT_RECORDED)
            else:
                check.same(f"{field}.book_ts", leg.book_ts, one.event.received_ts, [one.text()])
                if one.next is not None and one.next.place <= place:
                    check.wrong(f"{field}.seq", leg.seq, one.next.event.seq, [one.text(), one.next.text()])
        else:
            check.same(f"{field}.book_ts", leg.book_ts, None)
        states = self._states.get(leg.venue)
        if states is None or not states.is_known(at) or (one is None and leg.seq):
            check.unchecked(NO_STATUS)
            return
        found = states.book_states(one, at)
        if leg.state not in found and not states.has_all:
            check.unchecked(NO_STATUS)
            return
        check.holds(leg.state in found, f"{field}.state", leg.state, any_of(list(found)), exact=len(found) == 1)

    def _excluded(self, check: Check, leg: DepthLeg, one: Input | None, quoted: Mapping[str, Exclusion | None] | None, at: Moment) -> None:
        """A book does not count because its leg does not count in the quote, or because of a fault of its own."""
        field = f"legs.{leg.venue}.excluded"
        if quoted is None:
            check.unchecked(NO_QUOTE)
            return
        of_quote = quoted.get(leg.venue, Exclusion.STATE)
        if of_quote is not None:
            check.same(field, leg.excluded, of_quote)
            return
        if leg.state is not LIVE or not leg.seq:
            check.same(field, leg.excluded, Exclusion.STATE)
            return
        if one is None or not isinstance(one.event, Book):
            check.unchecked(NOT_RECORDED)
            return
        states = self._states.get(leg.venue)
        alive = states.alive_between(at) if states is not None and states.is_known(at) else None
        if alive is None:
            check.unchecked(NO_STATUS)
        else:
            stale_ns, received_ts, is_stale = self._rules.stale_ns, one.event.received_ts, leg.excluded is Exclusion.STALE
            may_be, must_be = (at.ts >= max(received_ts, ts) + stale_ns for ts in alive)
            is_true = may_be if is_stale else not must_be
            check.holds(is_true, field, leg.excluded, f"stale: {not is_stale}", exact=may_be is must_be)
        if leg.excluded is not Exclusion.STALE:
            check.same(field, leg.excluded, fault_of(one.event))


def fault_of(book: Book) -> Exclusion | None:
    """Return the fault of a book's own levels."""
    if not book.bids or not book.asks:
        return None if book.bids or book.asks else Exclusion.EMPTY
    return None if book.bids[0][0] < book.asks[0][0] else Exclusion.CROSSED


def merge(books: Iterable[tuple[str, Iterable[Level]]], *, descending: bool) -> list[DepthLevel]:
    """Return one side of several books as one, best first. `books` are in the order of their venues."""
    at: dict[Decimal, tuple[Decimal, list[tuple[str, Decimal]]]] = {}
    for venue, levels in books:
        for price, size in levels:
            if is_level(price, size):
                if price in at:
                    at[price][1].append((venue, size))
                else:
                    at[price] = price, [(venue, size)]
    found: list[DepthLevel] = []
    for price in sorted(at, reverse=descending):
        shown, parts = at[price]
        total = parts[0][1]
        for _, size in parts[1:]:
            total = add(total, size)
        found.append((shown, total, tuple(parts)))
    return found


def check_levels(check: Check, depth: Depth, bids: Sequence[DepthLevel], asks: Sequence[DepthLevel], sizes: Sequence[Decimal]) -> None:
    """Compare the levels and the sweeps of a consolidated book with those computed: all levels of both sides, best first."""
    for side, said, computed in (("bids", depth.bids, bids), ("asks", depth.asks, asks)):
        shown = tuple(computed[: depth.levels])
        if len(said) != len(shown):
            check.wrong(side, f"{len(said)} levels", f"{len(shown)} levels")
            continue
        for index, (mine, its) in enumerate(zip(said, shown, strict=True)):
            if _same_level(mine, its):
                check.exactly(2 + len(its[2]))
            else:
                check.wrong(f"{side}.{index}", _text(mine), _text(its))
    check.same("sweeps.size", tuple(sweep.size for sweep in depth.sweeps), tuple(sizes))
    for sweep in depth.sweeps:
        check_sweep(check, sweep, cost(asks, sweep.size), cost(bids, sweep.size))


def check_sweep(check: Check, sweep: Sweep, buy: Cost, sell: Cost) -> None:
    """Compare what it costs to trade one size."""
    said, computed = (sweep.buy_average, sweep.buy_worst, sweep.sell_average, sweep.sell_worst), (*buy, *sell)
    if same_numbers(said, computed):
        check.exactly(4)
        return
    names = ("buy_average", "buy_worst", "sell_average", "sell_worst")
    for name, mine, its in zip(names, said, computed, strict=True):
        check.same(f"sweeps.{sweep.size:f}.{name}", mine, its)


def cost(levels: Iterable[DepthLevel], size: Decimal) -> Cost:
    """Return average and worst price of trading a size; None where the levels do not hold it."""
    left, value = size, ZERO
    for price, there, _ in levels:
        if there >= left:
            return average(add(value, multiply(price, left)), size), price
        value = add(value, multiply(price, there))
        left = subtract(left, there)
    return None, None


def _same_level(one: DepthLevel, other: DepthLevel) -> bool:
    if not same_numbers(one[:2], other[:2]) or len(one[2]) != len(other[2]):
        return False
    return all(mine[0] == its[0] and same(mine[1], its[1]) for mine, its in zip(one[2], other[2], strict=True))


def _text(level: DepthLevel) -> str:
    price, size, parts = level
    return f"{size:f} at {price:f}: {', '.join(f'{venue} {part:f}' for venue, part in parts)}"
