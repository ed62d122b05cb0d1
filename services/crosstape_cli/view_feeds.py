"""Candles, and what venues say of derivatives, for the eye: tables for a terminal, lines for anything else. From values to values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from rich.table import Table
from rich.text import Text

from crosstape_cli.follow_feeds import Feed
from crosstape_cli.view import SECOND_NS, age, number, size, spell
from crosstape_schemas import Bar, Candle, Event, Funding, Liquidation, Mark, OpenInterest
from crosstape_schemas.timeframes import DAY

DERIVATIVES: Final = ("mark", "funding", "open_interest", "liquidation")
"""Kinds of feeds that `derivatives` shows."""

NO_SIGN: Final = "no connector"
_NOTHING: Final = "–"
_PERCENT: Final = Decimal(100)


class Row(NamedTuple):
    """One row of a table: its cells, and whether its producer is dead."""

    cells: Sequence[str]
    dead: bool
    line: str = ""
    """What is printed of it where there is no table; empty: the cells with their headings."""


CANDLE_HEADINGS: Final = ("", "venue", "opened", "open", "high", "low", "close", "volume", "trades", "age", "")
DERIVATIVE_HEADINGS: Final = ("", "venue", "mark", "index", "funding", "next in", "open interest", "last liquidation", "age", "")
_LEFT: Final = frozenset({"", "venue", "last liquidation", "ask venues", "buy at", "sell at"})
_DISPENSABLE: Final = (
    "ask venues",
    "bid venues",
    "gross bps",
    "open for",
    "last liquidation",
    "trades",
    "index",
    "next in",
    "age",
    "volume",
    "open interest",
    "open",
    "funding",
    "low",
    "high",
    "opened",
)
"""Columns that a narrow window goes without, in this order: a number is shown whole or not at all."""
_LEAST: Final = {"age": 6, "next in": 7, "open for": 8}
"""Room kept for times, so that a column does not come and go with the seconds."""
_BETWEEN: Final = 2
"""Blanks between two columns."""


def candles(latest: Mapping[Feed, Event], dead: Collection[Feed], *, now: int) -> list[Row]:
    """One row for each instrument and venue. `now`: ns since the epoch. Prices are in full, sizes to five digits."""
    found = [(feed, event) for feed, event in sorted(latest.items(), key=lambda one: one[0]) if isinstance(event, Candle)]
    return [Row(_candle(event, now, dead=feed in dead), feed in dead) for feed, event in found]


def derivatives(latest: Mapping[Feed, Event], dead: Collection[Feed], *, now: int) -> list[Row]:
    """One row for each instrument and venue, of what its feeds have."""
    rows = []
    for instrument, venue in sorted({(feed.instrument, feed.venue) for feed in latest}):
        events = {kind: latest.get(Feed(instrument, venue, kind)) for kind in DERIVATIVES}
        is_dead = any(Feed(instrument, venue, kind) in dead for kind in DERIVATIVES)
        rows.append(Row(_derivative(instrument, venue, events, now, dead=is_dead), is_dead))
    return rows


def table(headings: Sequence[str], rows: Sequence[Row], *, fits: int, columns: int, title: str) -> Table:
    """A table of as many rows, and as many columns of `_DISPENSABLE`, as fit whole; if not all do, the title says so."""
    kept = _kept(headings, rows, columns)
    missing = [f"a taller window shows all {len(rows)} rows"] * (len(rows) > fits)
    missing += ["a wider window shows all columns"] * (len(kept) < len(headings))
    made = Table(title="; ".join([title, *missing]), title_justify="left", box=None, pad_edge=False, header_style="dim", expand=False)
    for at in kept:
        made.add_column(headings[at], justify="left" if headings[at] in _LEFT else "right", no_wrap=True)
    for row in rows[:fits]:
        made.add_row(*(Text(row.cells[at]) for at in kept), style="dim" if row.dead else "")
    return made


def _kept(headings: Sequence[str], rows: Sequence[Row], columns: int) -> list[int]:
    """The columns that are shown. Rows that are not shown count, too: so the columns stay when rows of other venues come into view."""
    widths = [
        max(_LEAST.get(heading, 0), len(heading), *(len(row.cells[at]) for row in rows)) if rows else len(heading)
        for at, heading in enumerate(headings)
    ]
    kept = list(range(len(headings)))
    for heading in _DISPENSABLE:
        if sum(widths[at] + _BETWEEN for at in kept) - _BETWEEN <= columns:
            break
        kept = [at for at in kept if headings[at] != heading]
    return kept


def lines(headings: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
    """The same as lines of text: `BTC-USDT binance opened 12:04 open 63000.1 high …`."""
    for row in rows:
        named = (f"{heading} {cell}" if heading not in {"", "venue"} else cell for heading, cell in zip(headings, row.cells, strict=True))
        yield row.line or "  ".join(named).rstrip()


def opened(candle: Candle | Bar) -> str:
    """When it opened, UTC: `12:04`, of candles of a day and more the day."""
    at = dt.datetime.fromtimestamp(candle.open_ts // SECOND_NS, dt.UTC)
    if candle.close_ts - candle.open_ts >= DAY:
        return f"{at:%Y-%m-%d}"
    return f"{at:%H:%M:%S}" if candle.timeframe.endswith("s") else f"{at:%H:%M}"


def _candle(candle: Candle, now: int, *, dead: bool) -> list[str]:
    state = "closed" if candle.closed else "open"
    if candle.revision:
        state = f"{state}, corrected"
    return [
        candle.instrument,
        candle.venue,
        opened(candle),
        *map(number, (candle.open, candle.high, candle.low, candle.close)),
        size(candle.volume),
        _NOTHING if candle.trades is None else str(candle.trades),
        age(candle.received_ts, now),
        NO_SIGN if dead else state,
    ]


def _derivative(instrument: str, venue: str, events: Mapping[str, Event | None], now: int, *, dead: bool) -> list[str]:
    mark, funding, interest, liquidation = (events[kind] for kind in DERIVATIVES)
    newest = max((event.received_ts for event in events.values() if event is not None), default=None)
    return [
        instrument,
        venue,
        *(map(number, (mark.mark_price, mark.index_price)) if isinstance(mark, Mark) else (_NOTHING, _NOTHING)),
        f"{number(funding.rate * _PERCENT)} %" if isinstance(funding, Funding) else _NOTHING,
        _until(funding.next_ts, now) if isinstance(funding, Funding) else _NOTHING,
        _interest(interest) if isinstance(interest, OpenInterest) else _NOTHING,
        _forced(liquidation, now) if isinstance(liquidation, Liquidation) else _NOTHING,
        age(newest, now),
        NO_SIGN if dead else "",
    ]


def _until(ts: int | None, now: int) -> str:
    return _NOTHING if ts is None else spell((ts - now) / SECOND_NS)


def _interest(interest: OpenInterest) -> str:
    """In base units where the venue gives them, else in quote units with their name: `81234`, `5123456789 USD`."""
    return size(interest.size) if interest.size is not None else f"{size(interest.value)} {interest.instrument.split('-')[1]}"


def _forced(liquidation: Liquidation, now: int) -> str:
    side = "" if liquidation.taker is None else f"{liquidation.taker.value} "
    return f"{side}{size(liquidation.size)} at {number(liquidation.price)}, {age(liquidation.received_ts, now)} ago"
