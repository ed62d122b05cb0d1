"""Audits composites by the method `composite/1`: everything follows from the events of parts and rate pairs that they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, Literal

from crosstape_recorder.audit.best import best_of
from crosstape_recorder.audit.depths import check_levels
from crosstape_recorder.audit.findings import Audit, Check, same_numbers, text_of
from crosstape_recorder.audit.numbers import ONE, ZERO, add, average, is_price, multiply, plain, subtract
from crosstape_recorder.audit.quotes import FIELDS
from crosstape_recorder.audit.rules import MS, Rules
from crosstape_schemas import CONSOLIDATED, Cbbo, Depth, DepthLeg, DepthLevel, Event, Exclusion, Leg, Market, Part, Rate, Vwap, spot
from crosstape_schemas.instruments import COMPOSITE, parsed

METHOD: Final = "composite/1"
NOT_RECORDED: Final = "an event that it names is not in the recording"
ARRIVAL: Final = "when signs of life arrived is not recorded"
NO_LIMIT: Final = "the settings do not have the composite"
KEPT: Final = 50_000
"""Events of each stream that are kept."""
_BPS: Final = Decimal(10_000)
_TIMED: Final = frozenset({Exclusion.STALE, Exclusion.RATE})
_Input = Cbbo | Depth


class CompositeAudit:
    """Takes the recorded entries of parts, rate pairs and the composite itself in the order of their ids, inputs first."""

    def __init__(self, name: str, rules: Rules, audit: Audit, *, audited_from_ts: int = 0) -> None:
        """`audited_from_ts`: what was published before this moment (ns) is not audited."""
        self.name = name
        self._audited_from_ms = audited_from_ts // MS
        self._rules = rules
        self._audit = audit
        self._inputs: dict[tuple[str, str, int, int], tuple[int, int, _Input]] = {}
        self._before: dict[str, _Input] = {}
        parts = rules.parts.get(name)
        self._needs = None if parts is None else _needs(name, parts)

    def take(self, ms: int, n: int, event: Event) -> None:
        """Take the next entry."""
        if not isinstance(event, Cbbo | Depth) or event.venue != CONSOLIDATED:
            return
        if event.instrument != self.name:
            if self._needs is not None and event.instrument not in self._needs:
                return
            self._inputs[_kind(event), event.instrument, event.epoch, event.seq] = ms, n, event
            if len(self._inputs) > KEPT:
                del self._inputs[next(iter(self._inputs))]
        elif ms >= self._audited_from_ms:
            self._take(ms, n, event)

    def _take(self, ms: int, n: int, event: _Input) -> None:
        kind = _kind(event)
        found = [self._input(kind, part.instrument, part.epoch, part.seq) for part in event.parts]
        rates = {rate.part: self._input("cbbo", rate.instrument, rate.epoch, rate.seq) for rate in event.rates}
        check = Check(self._audit, kind, event, f"{ms}-{n}", lambda: self._texts(kind, event))
        check.same("method", event.method, METHOD)
        names = tuple(part.instrument for part in event.parts)
        if self.name in self._rules.parts:
            check.same("parts", names, self._rules.parts[self.name])
        before = self._before.get(kind)
        self._before[kind] = event
        if before is not None and before.epoch == event.epoch:
            check.holds((event.parts, event.rates) != (before.parts, before.rates), "parts, rates", "as before", "a change")
        self._rates(check, event, rates)
        for part in event.parts:
            self._excluded(check, part, next((rate for rate in event.rates if rate.part == part.instrument), None))
        is_missing = any(one is None and part.seq for one, part in zip(found, event.parts, strict=True))
        if is_missing or any(rates[rate.part] is None and rate.seq for rate in event.rates):
            check.unchecked(NOT_RECORDED, 10 + 8 * len(event.legs))
        else:
            every = [*found, *rates.values()]
            received_ts = max((one.received_ts for one in every if one is not None), default=event.ts)
            check.same("received_ts", event.received_ts, received_ts)
            factors = {rate.part: rate.rate for rate in event.rates}
            if isinstance(event, Cbbo):
                self._quote(check, event, [one if isinstance(one, Cbbo) else None for one in found], factors)
                self._windows(event, [one if isinstance(one, Cbbo) else None for one in found], factors, f"{ms}-{n}")
            else:
                self._depth(check, event, [one if isinstance(one, Depth) else None for one in found], factors)
        check.done()

    def _input(self, kind: str, instrument: str, epoch: int, seq: int) -> _Input | None:
        found = self._inputs.get((kind, instrument, epoch, seq)) if seq else None
        return None if found is None else found[2]

    def _texts(self, kind: str, event: _Input) -> list[str]:
        keys = [(kind, part.instrument, part.epoch, part.seq) for part in event.parts]
        keys += [("cbbo", rate.instrument, rate.epoch, rate.seq) for rate in event.rates]
        return [text_of(one[2], one[0], one[1]) for key in keys if (one := self._inputs.get(key)) is not None]

    def _rates(self, check: Check, event: _Input, rates: Mapping[str, _Input | None]) -> None:
        """Parts in another quote currency have a rate, which is the mid of the quote that it names."""
        expected = _pairs(self.name, [part.instrument for part in event.parts])
        check.same("rates.instrument", tuple((rate.part, rate.instrument) for rate in event.rates), tuple(expected))
        for rate in event.rates:
            field, quote = f"rates.{rate.part}", rates[rate.part]
            if not rate.seq:
                check.same(field, (rate.rate, rate.rate_ts), (None, None))
            elif not isinstance(quote, Cbbo):
                check.unchecked(NOT_RECORDED, 2)
            else:
                check.same(f"{field}.rate", rate.rate, quote.mid)
                check.same(f"{field}.rate_ts", rate.rate_ts, quote.ts)
                check.holds(quote.market in {Market.NORMAL, Market.LOCKED}, f"{field}.seq", rate.seq, f"no rate: it is {quote.market}")

    def _excluded(self, check: Check, part: Part, rate: Rate | None) -> None:
        field, excluded = f"parts.{part.instrument}.excluded", part.excluded
        if rate is not None:
            check.same(f"rates.{part.instrument}.excluded", rate.excluded, excluded)
        if (excluded is Exclusion.EMPTY) is not (not part.seq):
            check.wrong(field, excluded, "empty if and only if it names no event")
            return
        check.exactly(1)
        if excluded in _TIMED:
            check.unchecked(ARRIVAL)
        if rate is None or excluded is Exclusion.EMPTY or excluded in _TIMED:
            check.holds(excluded is not Exclusion.DEPEG, field, excluded, "not depeg")
            return
        limit = self._rules.depeg_bps.get(self.name)
        if limit is None:
            check.unchecked(NO_LIMIT)
        elif rate.rate is None:
            check.same(field, excluded, Exclusion.RATE)
        else:
            is_far = multiply(subtract(rate.rate, ONE).copy_abs(), _BPS) > limit
            check.same(field, excluded, Exclusion.DEPEG if is_far else None)

    def _quote(self, check: Check, event: Cbbo, quotes: Sequence[Cbbo | None], factors: Mapping[str, Decimal | None]) -> None:
        legs = [
            _converted_leg(leg, part, factors.get(part.instrument, ONE), is_same=part.instrument not in factors)
            for part, quote in zip(event.parts, quotes, strict=True)
            if quote is not None
            for leg in quote.legs
        ]
        if len(legs) != len(event.legs):
            check.wrong("legs", f"{len(event.legs)} legs", f"{len(legs)} legs")
        for mine, its in zip(event.legs, legs, strict=False):
            if mine == its and same_numbers(_numbers(mine), _numbers(its)):
                check.exactly(8)
            else:
                check.wrong(f"legs.{its.venue} {its.instrument}", mine, its)
        counting = [leg for leg in legs if leg.excluded is None]
        best = best_of(counting)
        best = best._replace(bid_venues=tuple(dict.fromkeys(best.bid_venues)), ask_venues=tuple(dict.fromkeys(best.ask_venues)))
        for field, computed in zip(FIELDS, best, strict=True):
            check.same(field, getattr(event, field), computed)
        check.same("venues", event.venues, len(counting))

    def _windows(self, event: Cbbo, quotes: Sequence[Cbbo | None], factors: Mapping[str, Decimal | None], entry_id: str) -> None:
        check = Check(self._audit, "window", event, entry_id, lambda: self._texts("cbbo", event))
        names = tuple(dict.fromkeys(name for quote in quotes if quote is not None for name in quote.vwap))
        check.same("vwap", tuple(event.vwap), names)
        for name, said in event.vwap.items():
            parts = []
            for part, quote in zip(event.parts, quotes, strict=True):
                factor = factors.get(part.instrument, ONE) if part.excluded is None else None
                parts.append((None if quote is None or factor is None else quote.vwap.get(name), factor))
            computed = _merged(parts)
            for field in ("price", "volume", "trades", "complete"):
                check.same(f"vwap.{name}.{field}", getattr(said, field), getattr(computed, field))
        check.done()

    def _depth(self, check: Check, event: Depth, depths: Sequence[Depth | None], factors: Mapping[str, Decimal | None]) -> None:
        parts = [(part, depth) for part, depth in zip(event.parts, depths, strict=True) if depth is not None]
        legs = tuple(
            DepthLeg(leg.venue, leg.book_ts, leg.state, leg.excluded or part.excluded, leg.epoch, leg.seq, part.instrument)
            for part, depth in parts
            for leg in depth.legs
        )
        check.same("legs", event.legs, legs)
        levels = min((depth.levels for _, depth in parts), default=0)
        check.same("levels", event.levels, levels)
        sides = {}
        for side in _SIDES:
            of = [
                level
                for part, depth in parts
                if part.excluded is None
                for level in _converted_levels(depth, side, factors.get(part.instrument, ONE), is_same=part.instrument not in factors)
            ]
            sides[side] = _merge(of, levels, descending=side == "bids")
        check_levels(check, event, sides["bids"], sides["asks"], self._rules.sizes_of(self.name))


_SIDES: Final[tuple[Literal["bids", "asks"], ...]] = ("bids", "asks")


def _needs(name: str, parts: Sequence[str]) -> set[str]:
    """Return the parts of a composite and their rate pairs."""
    return {*parts, *(pair for _, pair in _pairs(name, parts))}


def _pairs(name: str, parts: Sequence[str]) -> list[tuple[str, str]]:
    """Return (part, rate pair) of the parts in another quote currency."""
    whole = parsed(name.removesuffix(COMPOSITE))
    forms = [(part, parsed(part)) for part in parts]
    return [
        (part, spot(form.quote, whole.quote))
        for part, form in forms
        if form is not None and whole is not None and form.quote != whole.quote
    ]


def _kind(event: _Input) -> str:
    return "cbbo" if isinstance(event, Cbbo) else "depth"


def _numbers(leg: Leg) -> tuple[Decimal | None, ...]:
    return leg.bid_price, leg.bid_size, leg.ask_price, leg.ask_size


def _convert(
    price: Decimal | None, size: Decimal | None, factor: Decimal | None, *, is_same: bool
) -> tuple[Decimal | None, Decimal | None]:
    """Convert one price; a price that needs no rate keeps its digits."""
    if price is None or factor is None or not is_price(price, size):
        return None, None
    return (price if is_same else plain(multiply(price, factor))), size


def _converted_leg(leg: Leg, part: Part, factor: Decimal | None, *, is_same: bool) -> Leg:
    bid = _convert(leg.bid_price, leg.bid_size, factor, is_same=is_same)
    ask = _convert(leg.ask_price, leg.ask_size, factor, is_same=is_same)
    excluded = leg.excluded or part.excluded
    if excluded is None and bid[0] is None and ask[0] is None:
        excluded = Exclusion.EMPTY
    return Leg(leg.venue, *bid, *ask, leg.quote_ts, leg.state, excluded, leg.epoch, leg.seq, leg.kind, part.instrument)


def _merged(parts: Sequence[tuple[Vwap | None, Decimal | None]]) -> Vwap:
    """Merge one window of all parts."""
    value = volume = ZERO
    trades, complete = 0, True
    for window, factor in parts:
        if window is None or factor is None:
            complete = False
            continue
        complete = complete and window.complete
        if window.price is None and not window.volume:
            continue
        if window.price is None or not is_price(window.price, window.volume):
            complete = False
            continue
        value = add(value, multiply(multiply(window.price, window.volume), factor))
        volume = add(volume, window.volume)
        trades += window.trades
    return Vwap(average(value, volume) if volume else None, plain(volume), trades, complete)


def _converted_levels(depth: Depth, side: Literal["bids", "asks"], factor: Decimal | None, *, is_same: bool) -> list[DepthLevel]:
    found = []
    levels: Sequence[DepthLevel] = depth.bids if side == "bids" else depth.asks
    for price, size, venues in levels:
        converted, its_size = _convert(price, size, factor, is_same=is_same)
        if converted is not None and its_size is not None and all(is_price(converted, one) for _, one in venues):
            found.append((converted, its_size, venues))
    return found


def _merge(levels: Sequence[DepthLevel], limit: int, *, descending: bool) -> list[DepthLevel]:
    """Merge the levels of all parts: sizes at one price are added, by venue."""
    sizes: dict[Decimal, dict[str, Decimal]] = {}
    for price, _, venues in levels:
        at = sizes.setdefault(price, {})
        for venue, size in venues:
            at[venue] = add(at[venue], size) if venue in at else size
    found: list[DepthLevel] = []
    for price in sorted(sizes, reverse=descending)[:limit]:
        total = ZERO
        for size in sizes[price].values():
            total = add(total, size)
        found.append((price, total, tuple(sorted(sizes[price].items()))))
    return found
