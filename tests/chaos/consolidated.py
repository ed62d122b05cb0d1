"""The rule of the consolidated quote: it can be taken apart. Each leg is the very event that it names, the best prices are those of the
legs that count, and no leg counts whose event was not live.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import Final

from crosstape_schemas import Book, Cbbo, FeedState, Leg, Quote
from tests.chaos.tape import Entry
from tests.chaos.violations import Violation

ZERO: Final = Decimal(0)
KEPT: Final = 100_000
"""Inputs that are remembered."""

Prices = tuple[Decimal | None, Decimal | None, Decimal | None, Decimal | None]


class Consolidated:
    """Checks the consolidated quotes of all instruments."""

    def __init__(self, venues: Collection[str]) -> None:
        """`venues`: whose events are shown; of legs of others nothing is known."""
        self._venues = venues
        self._inputs: dict[tuple[str, str, str, int, int], tuple[Prices, bool]] = {}  # … → prices, whether live
        self.checked = 0

    def input(self, event: Quote | Book) -> None:
        """An event that a leg may come from."""
        kind = "quote" if isinstance(event, Quote) else "book"
        key = kind, event.instrument, event.venue, event.epoch, event.seq
        if isinstance(event, Quote):
            prices: Prices = event.bid_price, event.bid_size, event.ask_price, event.ask_size
        else:
            bid, ask = event.bids[:1] or ((None, None),), event.asks[:1] or ((None, None),)
            prices = (*bid[0], *ask[0])
        self._inputs[key] = prices, event.state is FeedState.LIVE
        if len(self._inputs) > KEPT:
            del self._inputs[next(iter(self._inputs))]

    def take(self, entry: Entry, quote: Cbbo) -> Iterator[Violation]:
        """A quote whose inputs have been shown."""
        self.checked += 1
        for leg in quote.legs:
            if leg.seq and leg.venue in self._venues:  # else there has been nothing of this venue yet
                for what, expected, found in self._leg(leg, quote.instrument):
                    yield Violation(what, f"{_where(entry, quote)}, leg {leg.venue}", expected, found)
        counting = [leg for leg in quote.legs if leg.excluded is None]
        bids = [leg.bid_price for leg in counting if leg.bid_price is not None]
        asks = [leg.ask_price for leg in counting if leg.ask_price is not None]
        bid, ask = max(bids, default=None), min(asks, default=None)
        bid_size = sum([leg.bid_size or ZERO for leg in counting if leg.bid_price == bid], ZERO) if bids else None
        ask_size = sum([leg.ask_size or ZERO for leg in counting if leg.ask_price == ask], ZERO) if asks else None
        expected = bid, bid_size, ask, ask_size, len(counting)
        found = quote.bid_price, quote.bid_size, quote.ask_price, quote.ask_size, quote.venues
        if expected != found:
            yield Violation("a consolidated quote is not its legs'", _where(entry, quote), expected, found)

    def _leg(self, leg: Leg, instrument: str) -> Iterator[tuple[str, object, object]]:
        said = leg.bid_price, leg.bid_size, leg.ask_price, leg.ask_size
        known = self._inputs.get((leg.kind, instrument, leg.venue, leg.epoch, leg.seq))
        if known is None or known[0] != said:
            yield "a leg is not the event that it names", known, said
        elif leg.excluded is None and not known[1]:
            yield "a leg counts that is not live", "excluded", "counts"


def _where(entry: Entry, quote: Cbbo) -> str:
    return f"{entry.stream} {entry.id}, epoch {quote.epoch} seq {quote.seq}"
