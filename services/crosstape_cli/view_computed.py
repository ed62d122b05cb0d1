"""Bars, consolidated books and edges for the eye: rows of tables. From values to values; `view_feeds` makes the tables of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

from crosstape_cli.follow_feeds import Feed
from crosstape_cli.view import SECOND_NS, age, counted, number, price, size, spell
from crosstape_cli.view_feeds import CANDLE_HEADINGS, Row, opened
from crosstape_schemas import Bar, Depth, DepthLeg, DepthLevel, Edge, EdgeChange, Event, FeedState, Sweep, is_composite

NO_SIGN: Final = "no aggregator"
NOT_HELD: Final = "the books do not hold it"
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
            rows += [Row(cells, feed in dead, _level_line(at, cells)) for at, cells in enumerate(_levels(event), 1)]
            rows += [Row(_sweep(one, event.instrument), feed in dead, _sweep_line(one, event.instrument)) for one in event.sweeps]
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
    left_out = [f"{_source(leg)} ({_why(leg)})" for leg in event.legs if leg.excluded is not None]
    noun = "leg" if is_composite(event.instrument) else "venue"  # a venue with two parts of a composite has two legs
    text = f"{counting} of {counted(len(event.legs), noun)}, {age(event.ts, now)} old"
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
        yield [*_side(bid, event.instrument), *reversed(_side(ask, event.instrument))]


def _level_line(at: int, cells: Sequence[str]) -> str:
    """A level in one line of text: `level 1  bid 63000 (kraken 0.5, binance 0.02)  ask 63000.1 (coinbase 1.2)`."""
    bid_venues, _, bid, ask, _, ask_venues = cells
    sides = (
        f"{name} {own} ({venues})" if venues else f"{name} {own}"
        for name, own, venues in (("bid", bid, bid_venues), ("ask", ask, ask_venues))
    )
    return "  ".join([f"level {at}", *sides])


def _side(level: DepthLevel | None, instrument: str) -> tuple[str, str, str]:
    if level is None:
        return "", _NOTHING, _NOTHING
    own, total, venues = level
    return ", ".join(f"{venue} {size(part)}" for venue, part in venues), size(total), price(own, instrument)


def _sweep(sweep: Sweep, instrument: str) -> list[str]:
    """The average and the worst price of selling and buying a size at once."""
    sell, buy = (
        f"sweep, worst {price(worst, instrument)}" if average is not None else f"sweep, {NOT_HELD}"
        for average, worst in ((sweep.sell_average, sweep.sell_worst), (sweep.buy_average, sweep.buy_worst))
    )
    return [sell, size(sweep.size), _average(sweep.sell_average), _average(sweep.buy_average), size(sweep.size), buy]


def _sweep_line(sweep: Sweep, instrument: str) -> str:
    """The same in one line of text: `sweep 0.1  sell average 63000.1  worst 63000  buy average 63000.2  worst 63000.3`."""
    parts = [f"sweep {size(sweep.size)}"]
    for side, average, worst in (("sell", sweep.sell_average, sweep.sell_worst), ("buy", sweep.buy_average, sweep.buy_worst)):
        held = f"average {_average(average)}  worst {price(worst, instrument)}"
        parts.append(f"{side} {NOT_HELD if average is None else held}")
    return "  ".join(parts)


def _average(value: Decimal | None) -> str:
    return number(value, digits=10)


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


def _source(leg: DepthLeg) -> str:
    """The venue; in a composite also the part: `kraken BTC-USDT`."""
    return leg.venue if leg.instrument is None else f"{leg.venue} {leg.instrument}"
