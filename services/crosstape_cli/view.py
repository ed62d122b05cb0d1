"""Consolidated quotes for the eye: a table for a terminal, lines for anything else. From values to values; `live` shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Final, NamedTuple

from rich.table import Table
from rich.text import Text

from crosstape_schemas import Cbbo, FeedState, Leg, Market, is_composite

SECOND_NS: Final = 1_000_000_000
_NOTHING: Final = "–"


WIDE: Final = 100
"""Columns of a terminal that is wide enough for the VWAP too."""

COMPOSITE_DIGITS: Final = 8
"""Digits shown of a composite's prices: converted ones have twice as many, of which the last are below any venue's tick."""

_HEADINGS: Final = ("", "bid size", "bid", "ask", "ask size", "bps", "age", "VWAP 1m", "state")
_DISPENSABLE: Final = ("VWAP 1m", "age", "ask size", "bid size", "bps")
"""Columns that a narrow window goes without, in this order: a number is shown whole or not at all."""
_LEAST: Final = {"bps": 5, "age": 6, "state": len("3 of 3 crossed")}
"""Room kept for what changes its length often, so that columns do not come and go."""


class _Row(NamedTuple):
    cells: list[Text]
    style: str


def table(
    quotes: Mapping[str, Cbbo],
    *,
    now: int,
    rows: int,
    columns: int = WIDE,
    title: str = "",
    silent: Mapping[str, float] = MappingProxyType({}),
) -> Table:
    """One row for each instrument and, below it, one for each leg, for as many instruments as fit into `rows`. `now`: ns since the epoch.

    If the legs of some instruments do not fit, or columns beside the VWAP, the title says so.

    Prices are in full, those of a composite to eight digits, sizes to five. `silent`: seconds without a sign of life, of instruments whose
    aggregator is dead.
    """
    with_legs = _with_legs(quotes, rows)
    made = list(_rows(quotes, with_legs, now, silent))
    kept, gap = _kept([row.cells for row in made], columns)
    notes = [title] * bool(title) + ["a taller window shows all legs"] * (len(with_legs) < len(quotes))
    notes += ["a wider window shows all columns"] * (_DISPENSABLE[1] not in kept)
    drawn = Table(
        title="; ".join(notes) or None,
        title_justify="left",
        box=None,
        padding=(0, 1),
        collapse_padding=gap == 1,
        pad_edge=False,
        header_style="dim",
        expand=False,
    )
    for heading in kept:
        drawn.add_column("" if heading == "state" else heading, justify="left" if heading in {"", "state"} else "right", no_wrap=True)
    for row in made:
        drawn.add_row(*(cell for heading, cell in zip(_HEADINGS, row.cells, strict=True) if heading in kept), style=row.style)
    return drawn


def _rows(quotes: Mapping[str, Cbbo], with_legs: set[str], now: int, silent: Mapping[str, float]) -> Iterator[_Row]:
    for name in sorted(quotes):
        quote, silent_s = quotes[name], silent.get(name)
        dead = silent_s is not None
        yield _Row(_consolidated(quote, now, silent_s), "dim" if dead else "bold" if name in with_legs else "")
        if name in with_legs:
            for leg in quote.legs:
                yield _Row(_leg(leg, quote, now, dead=dead), "" if leg.excluded is None and not dead else "dim")


def _kept(rows: Sequence[Sequence[Text]], columns: int) -> tuple[list[str], int]:
    """The columns that are shown, and the blanks between two: two or, where that keeps the columns whole, one."""
    widths = {
        heading: max(_LEAST.get(heading, len(heading)), *(len(cells[at]) for cells in rows)) if rows else len(heading)
        for at, heading in enumerate(_HEADINGS)
    }
    kept = [heading for heading in _HEADINGS if columns >= WIDE or heading != _DISPENSABLE[0]]
    for dropped in ("", *_DISPENSABLE):
        kept = [heading for heading in kept if not dropped or heading != dropped]
        for gap in (2, 1):
            if sum(widths[heading] + gap for heading in kept) - gap <= columns:
                return kept, gap
    return kept, 1


def _with_legs(quotes: Mapping[str, Cbbo], rows: int) -> set[str]:
    """The instruments, in the order of their names, whose legs fit into `rows` beside one row for each instrument."""
    free, fitting = rows - len(quotes), set[str]()
    for name in sorted(quotes):
        free -= len(quotes[name].legs)
        if free < 0:
            break
        fitting.add(name)
    return fitting


def line(quote: Cbbo, silent_s: float | None = None) -> str:
    """The same in one line of text: `BTC-USDT  63000.1 × 0.5 / 63000.2 × 1.25  0.02 bps  3 venues  normal`.

    Of a dead aggregator: `BTC-USDT  63000.1 × 0.5 / 63000.2 × 1.25  0.02 bps  no aggregator for 12 s`.
    """
    bid, ask = (f"{number(own)} × {number(total)}" for own, total in ((quote.bid_price, quote.bid_size), (quote.ask_price, quote.ask_size)))
    bps = _NOTHING if quote.spread_bps is None else f"{quote.spread_bps:.2f}"
    if silent_s is not None:
        return f"{quote.instrument:<10} {bid} / {ask}  {bps} bps  {without_aggregator(silent_s)}"
    legs = ", ".join(f"{_source(leg)} {state_of(leg)}" for leg in quote.legs)
    counting = counted(quote.venues, "leg" if is_composite(quote.instrument) else "venue")  # a venue with two parts has two legs
    return f"{quote.instrument:<10} {bid} / {ask}  {bps} bps  {counting}  {quote.market.value}  ({legs})"


def counted(count: int, noun: str) -> str:
    """`1 venue`, `3 venues`."""
    return f"{count} {noun}{'s' * (count != 1)}"


def price(value: Decimal | None, instrument: str) -> str:
    """A price in full; of a composite to eight digits, which is for the eye only."""
    return number(value, digits=COMPOSITE_DIGITS if is_composite(instrument) else None)


def number(value: Decimal | None, *, digits: int | None = None) -> str:
    """A price or size in full, or to `digits` digits; without an exponent and without trailing zeros after the point."""
    if value is None:
        return _NOTHING
    if digits is not None and value:
        value = value.quantize(Decimal(1).scaleb(min(value.adjusted() + 1 - digits, 0)))
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def size(value: Decimal | None) -> str:
    """A size to five digits: `0.014482`, `13869`, `227550`."""
    return number(value, digits=5)


def age(ts: int | None, now: int) -> str:
    """How long ago: `0.12 s`, `45 s`, `3 min`. Negative where a clock is ahead of ours: it is not hidden."""
    if ts is None:
        return _NOTHING
    return spell((now - ts) / SECOND_NS)


def spell(seconds: float) -> str:
    """A time: `0.12 s`, `45 s`, `3 min`, `5 h`."""
    if seconds >= 3 * 3_600:
        return f"{seconds / 3_600:.0f} h"
    if seconds >= 120:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2f} s"


def without_aggregator(silent_s: float) -> str:
    """What is said of a quote whose aggregator is dead."""
    return f"no aggregator for {spell(silent_s)}"


def state_of(leg: Leg) -> str:
    """`live`, or why the leg does not count: `recovering`, `outlier`, …"""
    if leg.excluded is None:
        return leg.state.value
    return leg.state.value if leg.state is not FeedState.LIVE else leg.excluded.value


def _consolidated(quote: Cbbo, now: int, silent_s: float | None) -> list[Text]:
    minute = quote.vwap.get("1m")
    flag = "" if quote.market is Market.NORMAL else f" {quote.market.value}"
    note = f"{quote.venues} of {len(quote.legs)}{flag}" if silent_s is None else without_aggregator(silent_s)
    return _texts(
        quote.instrument,
        size(quote.bid_size),
        price(quote.bid_price, quote.instrument),
        price(quote.ask_price, quote.instrument),
        size(quote.ask_size),
        _NOTHING if quote.spread_bps is None else f"{quote.spread_bps:.2f}",
        age(quote.ts, now),
        _NOTHING if minute is None else number(minute.price, digits=8),
        note,
        note_style="red" if silent_s is not None else "green" if quote.market is Market.NORMAL else "yellow",
    )


def _leg(leg: Leg, quote: Cbbo, now: int, *, dead: bool) -> list[Text]:
    cells = _texts(
        f"  {_source(leg)}",
        size(leg.bid_size),
        price(leg.bid_price, quote.instrument),
        price(leg.ask_price, quote.instrument),
        size(leg.ask_size),
        "",
        age(leg.quote_ts, now),
        "",
        _NOTHING if dead else state_of(leg),
        note_style="" if dead else "green" if leg.excluded is None else "red",
    )
    if dead:
        return cells
    if leg.excluded is None:  # a venue has several legs in a composite: only the price says which is the best
        for column, own, best in ((2, leg.bid_price, quote.bid_price), (3, leg.ask_price, quote.ask_price)):
            if own is not None and own == best:
                cells[column].stylize("green")
    return cells


def _source(leg: Leg) -> str:
    """The venue; in a composite also the part: `kraken BTC-USDT`."""
    return leg.venue if leg.instrument is None else f"{leg.venue} {leg.instrument}"


def _texts(*cells: str, note_style: str) -> list[Text]:
    return [*(Text(cell) for cell in cells[:-1]), Text(cells[-1], style=note_style)]
