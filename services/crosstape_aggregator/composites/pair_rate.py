"""Tracks the rate of one pair, as `USDT-USD`: the mid of its consolidated quote, and when it was last proven current. Pure.

A quote gives a rate if its market is `normal` or `locked`, so that it has a mid between two prices at which one can trade. The rate is
proven by each sign of life of the aggregator that published the quote, as long as the quote is the newest of the pair: a quiet market is
not stale.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

from crosstape.liveness import SignsOfLife
from crosstape_aggregator.decimals import subtract, times, usable
from crosstape_schemas import CONSOLIDATED, Cbbo, Market

_ONE: Final = Decimal(1)
_BPS: Final = Decimal(10_000)


class PairRate:
    """The rate of one pair. Times are seconds of the monotonic clock."""

    __slots__ = ("_newest", "_signs", "is_behind", "pair", "proven_s", "quote")

    def __init__(self, pair: str, signs: SignsOfLife) -> None:
        self.pair = pair
        self.quote: Cbbo | None = None
        """The newest quote that gives a rate."""
        self.proven_s = -math.inf
        """When its rate was last proven current."""
        self.is_behind = False
        """Whether the pair's quotes have not been read up to nearly now: nothing is proven then."""
        self._newest: Cbbo | None = None
        self._signs = signs

    def apply(self, quote: Cbbo) -> None:
        """Apply a quote of the pair."""
        self.prove()
        self._newest = quote
        if gives_rate(quote):
            self.quote = quote
            self.prove()

    def doubt(self) -> None:
        """Note that the newest quote may not be known: nothing is proven until the next one arrives."""
        self._newest = None

    def prove(self) -> None:
        """Note the sign of life that proves the rate, if there is one. Call it whenever a sign has arrived, and before it is used."""
        if not self.is_behind and self._newest is not None and self._newest is self.quote:
            self.proven_s = max(self.proven_s, self._signs.given_s(self._newest))

    @property
    def rate(self) -> Decimal | None:
        """The newest rate; None: there was none yet."""
        return None if self.quote is None else self.quote.mid

    def is_depegged(self, limit_bps: Decimal) -> bool:
        """Whether the rate is further than this from 1; not exactly as far."""
        rate = self.rate
        return rate is not None and abs(times(subtract(rate, _ONE), _BPS)) > limit_bps


def gives_rate(quote: Cbbo) -> bool:
    """Whether this quote has a usable mid between two prices that do not cross."""
    return quote.venue == CONSOLIDATED and quote.market in {Market.NORMAL, Market.LOCKED} and usable(quote.mid, None)
