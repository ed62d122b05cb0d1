"""Consolidated quotes for the eye: a table for a terminal, lines for anything else. From values to values; `live` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from rich.table import Table
from rich.text import Text

from crosstape_schemas import Cbbo, FeedState, Leg, Market

SECOND_NS: Final = 1_000_000_000
_NOTHING: Final = "–"


WIDE: Final = 100
"""Columns of a terminal that is wide enough for the VWAP too."""


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

    If the legs of some instruments do not fit, the title says so.

    Prices are in full, sizes to five digits. `silent`: seconds without a sign of life, of instruments whose aggregator is dead.
    """
    wide = columns >= WIDE
    with_legs = _with_legs(quotes, rows)
    if len(with_legs) < len(quotes):
        title = f"{title}; a taller window shows all legs" if title else "a taller window shows all legs"
    made = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="dim", expand=False)
    for heading in ("", "bid size", "bid", "ask", "ask size"):
        made.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for heading in ("bps", "age", "VWAP 1m") if wide else ("bps", "age"):
        made.add_column(heading, justify="right", no_wrap=True)
    made.add_column("", no_wrap=True)
    for name in sorted(quotes):
        quote, silent_s = quotes[name], silent.get(name)
        dead = silent_s is not None
        style = "dim" if dead else "bold" if name in with_legs else ""
        made.add_row(*_shown(_consolidated(quote, now, silent_s), wide=wide), style=style)
        if name in with_legs:
            for leg in quote.legs:
                made.add_row(*_shown(_leg(leg, quote, now, dead=dead), wide=wide), style="" if leg.excluded is None and not dead else "dim")
    return made


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
    bid, ask = (
        f"{number(price)} × {number(size)}" for price, size in ((quote.bid_price, quote.bid_size), (quote.ask_price, quote.ask_size))
    )
    bps = _NOTHING if quote.spread_bps is None else f"{quote.spread_bps:.2f}"
    if silent_s is not None:
        return f"{quote.instrument:<10} {bid} / {ask}  {bps} bps  {without_aggregator(silent_s)}"
    legs = ", ".join(f"{_source(leg)} {state_of(leg)}" for leg in quote.legs)
    return f"{quote.instrument:<10} {bid} / {ask}  {bps} bps  {quote.venues} venues  {quote.market.value}  ({legs})"


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
        number(quote.bid_price),
        number(quote.ask_price),
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
        number(leg.bid_price),
        number(leg.ask_price),
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
        for column, price, best in ((2, leg.bid_price, quote.bid_price), (3, leg.ask_price, quote.ask_price)):
            if price is not None and price == best:
                cells[column].stylize("green")
    return cells


def _source(leg: Leg) -> str:
    """The venue; in a composite also the part: `kraken BTC-USDT`."""
    return leg.venue if leg.instrument is None else f"{leg.venue} {leg.instrument}"


def _shown(cells: list[Text], *, wide: bool) -> list[Text]:
    return cells if wide else [*cells[:-2], cells[-1]]


def _texts(*cells: str, note_style: str) -> list[Text]:
    return [*(Text(cell) for cell in cells[:-1]), Text(cells[-1], style=note_style)]
