"""What the tests of all venues need to know of one: a module `rest.py` in the venue's test folder says it in these words.

All of it is optional; what a venue leaves out is not asked of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from crosstape_connector.venues.registry import VENUES
from tests.connector.venues.golden import folder

Row = tuple[int, int, int, bool]
"""A past trade: id, price and size in cents, µs since the epoch, whether the taker bought."""
Change = tuple[bytes, bytes]
"""A part of an answer, and what stands there instead."""


class TradeCase(NamedTuple):
    """Past trades by REST."""

    path: str
    """Asked for from trade 4,000,001 of the symbol `BÄR`, made at 1,767,225,600.123456 s."""
    newest: str
    limit: float
    """Requests a minute that one address may make, if it made no others."""
    body: Callable[[list[Row]], bytes]
    """An answer with these trades."""
    moment: Callable[[int], int]
    """µs since the epoch → the `venue_ts` that comes out of `body`."""
    unit_ns: int
    """The unit of the times in an answer."""
    bad: tuple[Change, ...]
    """Changes of the golden answer that make one of its trades impossible."""
    refused: tuple[Change, ...] = ()
    """Changes after which no trade of the answer can be used."""
    most: int = 0
    """Trades in an answer at most, where the venue gives fewer than others do; 0: it gives as many."""


class QuoteCase(NamedTuple):
    """Best bid and ask by REST."""

    path: str
    """Asked for with the golden symbols, as many as the venue takes at once."""
    limit: float
    """As in `TradeCase`."""
    no_bids: Change | None = None
    """Empties the bids of the golden answer."""


class TradingCase(NamedTuple):
    """Whether instruments trade, by REST."""

    symbols: tuple[str, str]
    gone: str
    """A symbol that the answer does not have."""
    body: Callable[[str, str], bytes]
    """(change of the first row as `old → new`, change of the second) → an answer in which both trade but for these changes."""
    halted: tuple[tuple[str, str], ...]
    """(change, the reason that is found)."""
    trades: tuple[str, ...] = ()
    """Changes after which it still trades."""
    unreadable: tuple[str, ...] = ()
    """Changes after which the row cannot be read."""


@cache
def trade_cases() -> dict[str, TradeCase]:
    """Venue → its case, of the venues that have one."""
    return dict(_cases("TRADES"))


@cache
def quote_cases() -> dict[str, QuoteCase]:
    """Venue → its case, of the venues that have one."""
    return dict(_cases("QUOTES"))


@cache
def trading_cases() -> dict[str, TradingCase]:
    """Venue → its case, of the venues that have one."""
    return dict(_cases("TRADING"))


def _cases(name: str) -> Iterator[tuple[str, Any]]:
    for venue_id in VENUES:
        if (folder(venue_id) / "rest.py").exists():
            case = getattr(import_module(f"tests.connector.venues.{venue_id}.rest"), name, None)
            if case is not None:
                yield venue_id, case


def changed(template: str, change: str) -> str:
    """The text with `old → new` replaced; as it is for an empty change."""
    if not change:
        return template
    old, new = change.split(" → ")
    assert old in template
    return template.replace(old, new)


def cents(price: int) -> str:
    """`price` cents with both decimals."""
    return f"{price // 100}.{price % 100:02}"
