"""Holds one part of a composite: its newest quote and book, its rate, and whether it counts. Pure.

A part does not count, in this order of reasons, when
- `empty`: nothing of it was read yet;
- `stale`: the aggregator that published its newest event gives no sign of life, or a newer event may be there that was not read;
- `rate`: it needs a rate, and none is known, or it was not proven current for `rate_stale_s`;
- `depeg`: its rate is further than `depeg_bps` from 1.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final, Literal

from crosstape.liveness import SignsOfLife
from crosstape.settings.model import CompositeSettings
from crosstape_aggregator.composites.pair_rate import PairRate
from crosstape_aggregator.composites.spec import PartSpec
from crosstape_aggregator.decimals import plain, times, usable
from crosstape_schemas import Cbbo, Depth, DepthLeg, DepthLevel, Exclusion, Leg, Part, Rate

_ONE: Final = Decimal(1)


class CompositePart:
    """The state of one part. Times are seconds of the monotonic clock."""

    __slots__ = ("_legs", "_legs_of", "_settings", "_signs", "behind", "depth", "instrument", "quote", "rate", "unsure")

    def __init__(self, spec: PartSpec, settings: CompositeSettings, signs: SignsOfLife) -> None:
        self.instrument = spec.instrument
        self.rate = None if spec.pair is None else PairRate(spec.pair, signs)
        self.quote: Cbbo | None = None
        self.depth: Depth | None = None
        self.unsure: set[type[Cbbo | Depth]] = set()
        """Kinds of which newer events were on the tape that were not read."""
        self.behind: set[type[Cbbo | Depth]] = set()
        """Kinds whose stream has not been read up to nearly now."""
        self._settings = settings
        self._signs = signs
        self._legs: tuple[Leg, ...] = ()
        self._legs_of: tuple[Cbbo | None, Decimal | None, Exclusion | None] | None = None

    def apply(self, event: Cbbo | Depth) -> None:
        """Apply a quote or a book of the part."""
        self.unsure.discard(type(event))
        if isinstance(event, Cbbo):
            self.quote = event
        else:
            self.depth = event

    @property
    def factor(self) -> Decimal | None:
        """By what its prices are multiplied; None: no rate is known."""
        return _ONE if self.rate is None else self.rate.rate

    def fault(self, event: Cbbo | Depth | None, now_s: float) -> Exclusion | None:
        """Return why the part does not count with this event of it; None: it counts."""
        if event is None:
            return Exclusion.EMPTY
        if type(event) in self.unsure | self.behind or not self._signs.is_current(event, now_s):
            return Exclusion.STALE
        if self.rate is None:
            return None
        if self.rate.rate is None or now_s >= self.stale_s():
            return Exclusion.RATE
        return Exclusion.DEPEG if self.rate.is_depegged(self._settings.depeg_bps) else None

    def stale_s(self) -> float:
        """Return when the rate goes stale if it is not proven again; infinite without a rate."""
        return math.inf if self.rate is None else self.rate.proven_s + self._settings.rate_stale_s

    def show(self, event: Cbbo | Depth | None, excluded: Exclusion | None) -> Part:
        """Return the part as it is published."""
        return Part(self.instrument, 0 if event is None else event.epoch, 0 if event is None else event.seq, excluded)

    def show_rate(self, excluded: Exclusion | None) -> Rate | None:
        """Return the part's rate as it is published; None: it is not converted."""
        if self.rate is None:
            return None
        quote = self.rate.quote
        if quote is None:
            return Rate(self.rate.pair, self.instrument, None, None, 0, 0, excluded)
        return Rate(self.rate.pair, self.instrument, quote.mid, quote.ts, quote.epoch, quote.seq, excluded)

    def legs(self, excluded: Exclusion | None) -> tuple[Leg, ...]:
        """Return the converted legs of the newest quote. `excluded`: why the part does not count; a leg's own reason stays."""
        now = (self.quote, self.factor, excluded)
        if self._legs_of is None or self._legs_of[0] is not now[0] or self._legs_of[1:] != now[1:]:
            self._legs_of = now
            self._legs = () if self.quote is None else tuple([self._leg(leg, excluded) for leg in self.quote.legs])
        return self._legs

    def _leg(self, leg: Leg, excluded: Exclusion | None) -> Leg:
        bid, bid_size = self.converted(leg.bid_price, leg.bid_size)
        ask, ask_size = self.converted(leg.ask_price, leg.ask_size)
        reason = leg.excluded or excluded
        if reason is None and bid is None and ask is None:
            reason = Exclusion.EMPTY
        prices = bid, bid_size, ask, ask_size
        return Leg(leg.venue, *prices, leg.quote_ts, leg.state, reason, leg.epoch, leg.seq, leg.kind, self.instrument)

    def converted(self, price: Decimal | None, size: Decimal | None) -> tuple[Decimal | None, Decimal | None]:
        """Convert one price, exactly. Both are None if they cannot be used, or no rate is known."""
        factor = self.factor
        if price is None or factor is None or not usable(price, size):
            return None, None
        return (price if self.rate is None else plain(times(price, factor))), size

    def levels(self, side: Literal["bids", "asks"]) -> list[DepthLevel]:
        """Return the converted levels of one side of the newest book, without those that cannot be used."""
        levels: tuple[DepthLevel, ...] = () if self.depth is None else getattr(self.depth, side)
        found = []
        for level in levels:
            price, size = self.converted(level[0], level[1])
            if price is not None and size is not None and all(usable(price, one) for _, one in level[2]):
                found.append((price, size, level[2]))
        return found

    def depth_legs(self, excluded: Exclusion | None) -> list[DepthLeg]:
        """Return the legs of the newest book. `excluded` is as for `legs`."""
        return [
            DepthLeg(leg.venue, leg.book_ts, leg.state, leg.excluded or excluded, leg.epoch, leg.seq, self.instrument)
            for leg in (() if self.depth is None else self.depth.legs)
        ]
