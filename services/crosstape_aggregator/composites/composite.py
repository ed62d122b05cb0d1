"""Computes the quote and the book of one composite, and when they are due. Pure; the caller passes the times."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from crosstape.liveness import SignsOfLife
from crosstape_aggregator.composites.merged_book import merge_side, sweep
from crosstape_aggregator.composites.part import CompositePart
from crosstape_aggregator.composites.spec import CompositeSpec
from crosstape_aggregator.composites.windows import merge_windows
from crosstape_aggregator.consolidation.best import best
from crosstape_schemas import CONSOLIDATED, Cbbo, Depth, Event, Exclusion, Part, Rate

METHOD: Final = "composite/1"


class _Inputs(NamedTuple):
    """The inputs of a quote or book. All else in it follows from them."""

    parts: tuple[Part, ...]
    rates: tuple[Rate, ...]


class Due:
    """Decides when one kind of event of a composite is computed: after a change, or when time changes it, once in the interval."""

    __slots__ = ("_changed", "_free_s", "_interval_s", "_look_s")

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._changed = False
        self._look_s = math.inf
        self._free_s = -math.inf

    def mark(self) -> None:
        """Note that something has changed."""
        self._changed = True

    def at_s(self) -> float:
        """Return when to compute the event; infinite: only after a change."""
        return max(-math.inf if self._changed else self._look_s, self._free_s)

    def computed(self, now_s: float, look_s: float, *, published: bool) -> None:
        """Note that it was computed. `look_s`: when it may change without an event."""
        self._changed, self._look_s = False, look_s
        if published:
            self._free_s = now_s + self._interval_s


class Composite:
    """One composite. Seconds are of the monotonic clock; `now_ts` is ns since the epoch.

    `signs` follows the aggregators' signs of life; it is the caller's, who calls `heard` after each.
    """

    def __init__(
        self,
        spec: CompositeSpec,
        signs: SignsOfLife,
        *,
        interval_s: float = 0.0,
        depth_interval_s: float = 0.0,
        sweep_sizes: Sequence[Decimal] = (),
    ) -> None:
        self.name = spec.name
        self.parts = [CompositePart(part, spec.settings, signs) for part in spec.parts]
        self.excluded: dict[str, Exclusion | None] = {}
        """Part → why it did not count in the last quote computed; None: it counted."""
        self._signs = signs
        self._may_be_empty = False
        self._sweep_sizes = sweep_sizes
        self._quote_due, self._depth_due = Due(interval_s), Due(depth_interval_s)
        self._quote_of: _Inputs | None = None
        self._depth_of: _Inputs | None = None

    def apply(self, event: Cbbo | Depth) -> None:
        """Apply a quote or a book of a part, or a quote of a rate pair. Another one changes nothing."""
        for part in self.parts:
            if part.instrument == event.instrument:
                part.apply(event)
            if isinstance(event, Cbbo) and part.rate is not None and part.rate.pair == event.instrument:
                part.rate.apply(event)
        self._mark()

    def doubt(self, kind: type[Cbbo | Depth], instrument: str) -> None:
        """Note that newer events of a stream were lost before they were read: the last one counts no more until the next arrives."""
        for part in self.parts:
            if part.instrument == instrument:
                part.unsure.add(kind)
            if kind is Cbbo and part.rate is not None and part.rate.pair == instrument:
                part.rate.doubt()
        self._mark()

    def set_behind(self, streams: Collection[tuple[type[Cbbo | Depth], str]]) -> None:
        """Set the streams (kind and instrument) that have not been read up to nearly now: their events count no more until they have."""
        for part in self.parts:
            part.behind = {kind for kind, instrument in streams if instrument == part.instrument}
            if part.rate is not None:
                part.rate.is_behind = (Cbbo, part.rate.pair) in streams
        self._mark()

    def heard(self) -> None:
        """Note that an aggregator has given a sign of life."""
        for part in self.parts:
            if part.rate is not None:
                part.rate.prove()
        self._mark()

    def settle(self) -> None:
        """Note that the parts have had time to appear: from now on a quote is computed also while none of them has one."""
        self._may_be_empty = True
        self._mark()

    def _mark(self) -> None:
        self._quote_due.mark()
        self._depth_due.mark()

    def next_s(self) -> float:
        """Return when to call `due` if nothing is applied; infinite: only after an event."""
        return min(self._quote_due.at_s(), self._depth_due.at_s())

    def due(self, now_s: float, now_ts: int) -> list[Event]:
        """Compute what is due and differs from the last, without epoch and `seq`."""
        found: list[Event] = []
        if self._quote_due.at_s() <= now_s:
            quote = self.quote(now_s, now_ts)
            self._quote_due.computed(now_s, self._look_s(now_s), published=quote is not None)
            found += [] if quote is None else [quote]
        if self._depth_due.at_s() <= now_s:
            depth = self.depth(now_s, now_ts)
            self._depth_due.computed(now_s, self._look_s(now_s), published=depth is not None)
            found += [] if depth is None else [depth]
        return found

    def _look_s(self, now_s: float) -> float:
        """Return when a part may stop to count without an event: its aggregator becomes silent, or its rate stale."""
        stale = [stale_s for part in self.parts if (stale_s := part.stale_s()) > now_s]
        return min([now_s + self._signs.next_silence_s(now_s), *stale])

    def quote(self, now_s: float, now_ts: int) -> Cbbo | None:
        """Compute the quote as of now; None if it equals the last one, or no part has any and may still get it."""
        quotes = [part.quote for part in self.parts]
        if not any(quotes) and not self._may_be_empty:
            return None
        faults = [part.fault(part.quote, now_s) for part in self.parts]
        self.excluded = {part.instrument: fault for part, fault in zip(self.parts, faults, strict=True)}
        inputs = self._inputs(quotes, faults)
        if inputs == self._quote_of:
            return None
        self._quote_of = inputs
        legs = tuple([leg for part, fault in zip(self.parts, faults, strict=True) for leg in part.legs(fault)])
        counting = [leg for leg in legs if leg.excluded is None]
        found = best(counting)
        factors = [part.factor if fault is None else None for part, fault in zip(self.parts, faults, strict=True)]
        return Cbbo(
            CONSOLIDATED,
            self.name,
            None,
            self._received_ts(quotes, now_ts),
            ts=now_ts,
            bid_price=found.bid_price,
            bid_size=found.bid_size,
            bid_venues=tuple(dict.fromkeys(found.bid_venues)),
            ask_price=found.ask_price,
            ask_size=found.ask_size,
            ask_venues=tuple(dict.fromkeys(found.ask_venues)),
            mid=found.mid,
            spread=found.spread,
            spread_bps=found.spread_bps,
            market=found.market,
            venues=len(counting),
            vwap=merge_windows(quotes, factors),
            legs=legs,
            method=METHOD,
            rates=inputs.rates,
            parts=inputs.parts,
        )

    def depth(self, now_s: float, now_ts: int) -> Depth | None:
        """Compute the book as of now; None if it equals the last one, or no part has any."""
        depths = [part.depth for part in self.parts]
        if not (known := [depth for depth in depths if depth is not None]):
            return None
        faults = [part.fault(part.quote, now_s) or part.fault(part.depth, now_s) for part in self.parts]
        inputs = self._inputs(depths, faults)
        if inputs == self._depth_of:
            return None
        self._depth_of = inputs
        counting = [part for part, fault in zip(self.parts, faults, strict=True) if fault is None]
        levels = min(depth.levels for depth in known)
        bids = merge_side([level for part in counting for level in part.levels("bids")], levels, descending=True)
        asks = merge_side([level for part in counting for level in part.levels("asks")], levels, descending=False)
        return Depth(
            CONSOLIDATED,
            self.name,
            None,
            self._received_ts(depths, now_ts),
            ts=now_ts,
            bids=bids,
            asks=asks,
            levels=levels,
            sweeps=tuple([sweep(size, bids, asks) for size in self._sweep_sizes]),
            legs=tuple([leg for part, fault in zip(self.parts, faults, strict=True) for leg in part.depth_legs(fault)]),
            rates=inputs.rates,
            method=METHOD,
            parts=inputs.parts,
        )

    def _received_ts(self, events: Sequence[Cbbo | Depth | None], now_ts: int) -> int:
        rates = [part.rate.quote for part in self.parts if part.rate is not None]
        return max((event.received_ts for event in (*events, *rates) if event is not None), default=now_ts)

    def _inputs(self, events: Sequence[Cbbo | Depth | None], faults: Sequence[Exclusion | None]) -> _Inputs:
        rates = [part.show_rate(fault) for part, fault in zip(self.parts, faults, strict=True)]
        parts = [part.show(event, fault) for part, event, fault in zip(self.parts, events, faults, strict=True)]
        return _Inputs(tuple(parts), tuple([rate for rate in rates if rate is not None]))
