"""The rule of legs: a leg that counts is never further from its venue's true best price than the market moved within the detection time.

Bid and ask of a leg that counts in a consolidated quote must each lie between the lowest and the highest true best bid, or ask, of its
venue, from `detect_ns` and `transit_ns` before the quote's `ts` until then. So a quote of a dead stream may count until the death is
detected, and for as long as it is true: while the market does not move, the quote is right.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from crosstape_schemas import Cbbo
from tests.chaos.true_market import TrueInstrument
from tests.chaos.violations import Violation

CLOCK_NS: Final = 50_000_000
"""How far the market's clock and ours, on one machine, may be apart."""


class Span:
    """The lowest and the highest of one side's true best prices over a time that moves on."""

    def __init__(self, sign: int) -> None:
        """`sign`: -1 for the lowest, 1 for the highest."""
        self._sign = sign
        self._kept: deque[tuple[int, Decimal]] = deque()  # (index, price), each further from the extreme than the one before it

    def add(self, index: int, price: Decimal) -> None:
        """The newest."""
        while self._kept and (self._kept[-1][1] - price) * self._sign <= 0:
            self._kept.pop()
        self._kept.append((index, price))

    def extreme(self, first: int) -> Decimal:
        """Returns the extreme of the values from index `first` on."""
        while self._kept[0][0] < first:
            self._kept.popleft()
        return self._kept[0][1]


class TrueRange:
    """The lowest and highest that an instrument's best prices truly were within the detection time, as time moves on."""

    def __init__(self, true: TrueInstrument) -> None:
        self._true = true
        self._times: deque[tuple[int, int]] = deque()  # (index, since when) of the moments in it
        self._next = 0  # index of the next moment, over all that were ever known
        self._spans = tuple((Span(-1), Span(1)) for _ in ("bid", "ask"))

    def at(self, first_ts: int, last_ts: int) -> tuple[tuple[Decimal, Decimal], ...] | None:
        """(lowest, highest) of bid and ask between these times; None before the first known moment. Times must not go back."""
        moments, dropped = self._true.moments, self._true.dropped
        self._next = max(self._next, dropped)
        while self._next - dropped < len(moments) and moments[self._next - dropped].ts <= last_ts:
            moment = moments[self._next - dropped]
            self._times.append((self._next, moment.ts))
            for spans, (price, _) in zip(self._spans, moment.top, strict=True):
                for span in spans:
                    span.add(self._next, price)
            self._next += 1
        while len(self._times) > 1 and self._times[1][1] <= first_ts:
            self._times.popleft()
        if not self._times:
            return None
        first = self._times[0][0]
        return tuple((lowest.extreme(first), highest.extreme(first)) for lowest, highest in self._spans)


class Legs:
    """Checks the legs of all instruments."""

    def __init__(self, market: Mapping[tuple[str, str], TrueInstrument], *, detect_ns: int, transit_ns: int) -> None:
        self._ranges = {key: TrueRange(true) for key, true in market.items()}
        self._back_ns = detect_ns + transit_ns
        self._detect_ns = detect_ns
        self.checked = 0

    def take(self, quote: Cbbo) -> Iterator[Violation]:
        """The next of its instrument; the market must be known up to its time."""
        for leg in quote.legs:
            within = self._ranges.get((leg.venue, quote.instrument))
            if leg.excluded is not None or within is None:
                continue
            known = within.at(quote.ts - self._back_ns, quote.ts + CLOCK_NS)
            if known is None:
                continue
            self.checked += 1
            for side, price, (low, high) in zip(("bid", "ask"), (leg.bid_price, leg.ask_price), known, strict=True):
                if price is not None and not low <= price <= high:
                    where = f"{side} of {leg.venue} in {quote.instrument}, epoch {quote.epoch} seq {quote.seq}, ts {quote.ts}"
                    expected = f"{low} to {high}, as the market was in the last {self._detect_ns / 1e9:g} s"
                    yield Violation("a leg counts that is far from its market", where, expected, f"{price} of {leg.kind} seq {leg.seq}")
