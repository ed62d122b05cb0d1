"""Bars, consolidated books and edges for the eye: rows of tables. From values to values; `view_feeds` makes the tables of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from crosstape_cli.follow_feeds import Feed
from crosstape_cli.view import SECOND_NS, age, number, size, spell
from crosstape_cli.view_feeds import CANDLE_HEADINGS, Row, opened
from crosstape_schemas import Bar, Depth, DepthLeg, DepthLevel, Edge, EdgeChange, Event, FeedState, Sweep

NO_SIGN: Final = "no aggregator"
_NOTHING: Final = "–"

BAR_HEADINGS: Final = CANDLE_HEADINGS
DEPTH_HEADINGS: Final = ("bid venues", "bid size", "bid", "ask", "ask size", "ask venues")
EDGE_HEADINGS: Final = ("", "buy at", "ask", "sell at", "bid", "size", "gross bps", "net bps", "open for", "age", "")

CLOSED_NS: Final = 60 * SECOND_NS
"""How long an edge is shown after it has closed."""


def bars(latest: Mapping[Feed, Event], dead: Collection[Feed], *, now: int) -> list[Row]:
    """One row for each instrument and venue, of the bar that opened last. `now`: ns since the epoch."""
    found = [(feed, event) for feed, event in sorted(latest.items(), key=lambda one: one[0]) if isinstance(event, Bar)]
    return [Row(_bar(event, now, dead=feed in dead), feed in dead) for feed, event in found]


def depth(latest: Mapping[Feed, Event], dead: Collection[Feed], *, now: int) -> list[Row]:
    """One row for each level of the book, both sides beside one another, then one for each size that is swept. `now` does not matter."""
    rows = []
    for feed, event in latest.items():
        if isinstance(event, Depth):
            rows += [Row(cells, feed in dead) for cells in (*_levels(event), *map(_sweep, event.sweeps))]
    return rows


def edges(latest: Mapping[Feed, Event], dead: Collection[Feed], *, now: int) -> list[Row]:
    """One row for each edge that is open, the best first, then those that have closed lately."""
    found = [(feed, event) for feed, event in latest.items() if isinstance(event, Edge)]
    open_ones = [one for one in found if one[1].change is not EdgeChange.CLOSE]
    closed = [one for one in found if one[1].change is EdgeChange.CLOSE and now - one[1].ts < CLOSED_NS]
    open_ones.sort(key=lambda one: (-(one[1].net_bps or 0), one[0]))
    closed.sort(key=lambda one: -one[1].ts)
    return [
        Row(_edge(event, now, dead=feed in dead), feed in dead or event.change is EdgeChange.CLOSE) for feed, event in (*open_ones, *closed)
    ]


def book_title(latest: Mapping[Feed, Event], *, now: int) -> str | None:
    """`3 of 4 venues, 0.05 s old; not kraken (stale)`: what a book is made of; None: there is none."""
    event = next((one for one in latest.values() if isinstance(one, Depth)), None)
    if event is None:
        return None
    counting = sum(leg.excluded is None for leg in event.legs)
    left_out = [f"{leg.venue} ({_why(leg)})" for leg in event.legs if leg.excluded is not None]
    text = f"{counting} of {len(event.legs)} venues, {age(event.ts, now)} old"
    return f"{text}; not {', '.join(left_out)}" if left_out else text


def _bar(bar: Bar, now: int, *, dead: bool) -> list[str]:
    state = "open" if not bar.closed else "closed" if bar.complete else "closed, incomplete"
    if bar.revision:
        state = f"{state}, revision {bar.revision}"
    return [
        bar.instrument,
        bar.venue,
        opened(bar),
        *map(number, (bar.open, bar.high, bar.low, bar.close)),
        size(bar.volume),
        str(bar.trades),
        age(bar.received_ts, now),
        NO_SIGN if dead else state,
    ]


def _levels(event: Depth) -> Iterator[list[str]]:
    for at in range(max(len(event.bids), len(event.asks))):
        bid = event.bids[at] if at < len(event.bids) else None
        ask = event.asks[at] if at < len(event.asks) else None
        yield [*_side(bid), *reversed(_side(ask))]


def _side(level: DepthLevel | None) -> tuple[str, str, str]:
    if level is None:
        return "", _NOTHING, _NOTHING
    price, total, venues = level
    return ", ".join(f"{venue} {size(part)}" for venue, part in venues), size(total), number(price)


def _sweep(sweep: Sweep) -> list[str]:
    """The average and the worst price of selling and buying a size at once."""
    sell, buy = (
        f"sweep, worst {number(worst)}" if average is not None else "sweep, the books do not hold it"
        for average, worst in ((sweep.sell_average, sweep.sell_worst), (sweep.buy_average, sweep.buy_worst))
    )
    averages = [number(sweep.sell_average, digits=10), number(sweep.buy_average, digits=10)]
    return [sell, size(sweep.size), *averages, size(sweep.size), buy]


def _edge(edge: Edge, now: int, *, dead: bool) -> list[str]:
    closed = edge.change is EdgeChange.CLOSE
    state = (f"closed: {edge.reason}" if edge.reason else "closed") if closed else "open"
    return [
        edge.instrument,
        edge.buy_venue,
        number(edge.ask_price),
        edge.sell_venue,
        number(edge.bid_price),
        size(edge.size),
        *(_NOTHING if bps is None else f"{bps:.2f}" for bps in (edge.gross_bps, edge.net_bps)),
        spell(((edge.ts if closed else now) - edge.opened_ts) / SECOND_NS),
        age(edge.ts, now),
        NO_SIGN if dead and not closed else state,
    ]


def _why(leg: DepthLeg) -> str:
    return leg.state.value if leg.state is not FeedState.LIVE or leg.excluded is None else leg.excluded.value
