"""Reads the numbers of quotes, to compare them: a quote of a stream has only their text, and `1.0` and `1.00` are the same price. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import TypeAlias

from crosstape_connector.feeds.agreement import Top
from crosstape_schemas import AnyNumber, Quote

Sides: TypeAlias = tuple[Decimal | None, Decimal | None, Decimal | None, Decimal | None]
"""Price and size of the best bid, and of the best ask; None for an empty side."""


def top_of(quote: Quote[AnyNumber]) -> Top:
    """Return the prices of a quote."""
    return _number(quote.bid_price), _number(quote.ask_price)


def sides_of(quote: Quote[AnyNumber]) -> Sides:
    """Return prices and sizes of a quote."""
    return _number(quote.bid_price), _number(quote.bid_size), _number(quote.ask_price), _number(quote.ask_size)


def _number(one: AnyNumber | None) -> Decimal | None:
    return None if one is None else Decimal(one)
