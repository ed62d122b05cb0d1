"""Turns values that Coinbase writes in both dialects into ours: sides, levels, figures, times, reasons of refusals."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from crosstape_connector.errors import FrameError, NotANumber
from crosstape_connector.venues.messages import Odd, Output, Rejected
from crosstape_connector.venues.parsing.numbers import LIMIT, figure
from crosstape_connector.venues.parsing.numbers import number as exact
from crosstape_connector.venues.parsing.wire import ZERO, known_ns
from crosstape_schemas import Level, Side, asset

ID: Final = "coinbase"
ASSETS: Final = {"CGLD": "CELO"}
"""Their name of an asset → ours. https://api.exchange.coinbase.com/products lists Celo as `CGLD-USD`, and nothing as CELO (June 2026)."""
TAKER: Final = {"BUY": Side.SELL, "SELL": Side.BUY, "buy": Side.SELL, "sell": Side.BUY}
"""The maker's side → the taker's."""

Sides = tuple[str, tuple[str, ...]]
"""A dialect's name of a book's bids, and its names of the asks."""


def ours(asset_name: str) -> str:
    """Our name of their asset."""
    return ASSETS.get(asset_name) or asset(asset_name)


def level(price: str, size: str) -> Level | None:
    """None for what is no level: `0.-10000` was sent as a size."""
    try:
        found = exact(price), exact(size)
        return found if ZERO < found[0] < LIMIT and ZERO <= found[1] < LIMIT and price.isascii() and size.isascii() else None
    except ArithmeticError:
        return None


def by_side(changes: Iterable[tuple[str, Level | None]], words: Sides, outputs: list[Output]) -> tuple[list[Level], list[Level], bool]:
    """Bids and asks, and whether that is all: each change that is no level is left out, with an `Odd`.

    Raises `FrameError` for a side that is not among the words.
    """
    bid_word, ask_words = words
    bids: list[Level] = []
    asks: list[Level] = []
    is_all = True
    for word, found in changes:
        if found is None:
            outputs.append(Odd("size"))
            is_all = False
        elif word == bid_word:
            bids.append(found)
        elif word in ask_words:
            asks.append(found)
        else:
            raise FrameError(f"side {word!r}")
    return bids, asks, is_all


def hides_best(rows: Iterable[tuple[str, str, str]], words: Sides, bids: Iterable[Level], asks: Iterable[Level]) -> bool:
    """Whether a row (side, price, size) of a snapshot that is no level may be the best of its side: the book would have a wrong best price.

    Any other may be left out: Coinbase sends such dust, and the next snapshot would have it, too.
    """
    best_bid = max((price for price, size in bids if size), default=ZERO)
    best_ask = min((price for price, size in asks if size), default=LIMIT)
    for word, text, size in rows:
        if level(text, size) is None:
            price = number(text)
            if price is None or (price >= best_bid if word == words[0] else price <= best_ask):
                return True
    return False


def number(text: str | None) -> Decimal | None:
    """Null for what is missing, empty or no number."""
    try:
        return figure(text) if text else None
    except NotANumber:
        return None


def moment(text: str | None, outputs: list[Output], *, epoch_is_odd: bool = True) -> int | None:
    """The time, or null; with an `Odd` where the venue wrote one that cannot be."""
    found = known_ns(text)
    if found is None and text is not None and (epoch_is_odd or not text.startswith("1970")):
        outputs.append(Odd("time"))
    return found


def refused(message: str, reason: str) -> Rejected:
    """A refusal, from an error frame, in which message or reason may be missing."""
    return Rejected(": ".join(part for part in (message, reason) if part) or "refused without a reason")
